"""K16, end to end: Connect loses the offsets of a connector, which begins anew and says nothing of it.

PostgreSQL's slot goes on where it was, so nothing is missing there; MySQL's connector begins at the end of the log.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.connect.client import ConnectClient
from cdc.core.control import ControlState
from cdc.core.stretch import place_of
from cdc.lake.control import Control
from cdc.lake.pyiceberg_catalog import open_catalog
from tests.e2e.databases import Database
from tests.e2e.service import await_true
from tests.e2e.shop import stack_for
from tests.e2e.test_watch import Watched, watched

pytestmark = pytest.mark.timeout(900)
ROWS = 200
TABLES = ("first", "second")


@pytest.fixture(params=["mysql", pytest.param("postgres", marks=pytest.mark.campaign)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    stack = stack_for(request, request.param)
    database = Database(stack.addresses(), request.param, f"offsets_{request.param}", 91)
    with watched(stack, tmp_path, database, TABLES, 18900, lambda _document: None) as made:
        made.stream(TABLES, ROWS)
        yield made


def noted(shop: Watched) -> ControlState:
    config = shop.service.config
    return Control(open_catalog(config.catalog), config.metadata_namespace).read()


def lose_offsets(shop: Watched, *meanwhile: str) -> None:
    """Delete the connector's offsets as Connect does without us, and run statements before it goes on."""
    cluster = ConnectClient(shop.service.config.connect)

    def stopped() -> bool:
        state = cluster.status(shop.name)
        return state is not None and state["connector"]["state"] == "STOPPED" and not state["tasks"]

    cluster.stop(shop.name)
    await_true(stopped, 60, "the connector has stopped")
    cluster.delete_offsets(shop.name)
    shop.sql(*meanwhile)
    cluster.resume(shop.name)


def test_a_connector_that_has_lost_its_offsets_left_changes_out_in_silence_k16(shop: Watched) -> None:
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = n + 1" for table in TABLES))
    shop.service.await_equal()
    loses = shop.database.engine == "mysql"
    if loses:
        await_true(lambda: place_of(shop.name) in noted(shop).places, 60, "what the connector began with is noted")
    lose_offsets(shop, *(f"UPDATE {{s}}.{table} SET n = n + 10 WHERE id <= 50" for table in TABLES))
    if loses:
        found = shop.await_states(dict.fromkeys(TABLES, "stopped"))
        assert all("begun anew without its offsets" in found[table]["detail"] for table in TABLES), found
        shop.tables("reset", *TABLES)
        shop.await_states(dict.fromkeys(TABLES, "running"))
    shop.sql(*(f"DELETE FROM {{s}}.{table} WHERE id > 150" for table in TABLES))
    shop.service.await_equal()
