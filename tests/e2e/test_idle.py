"""A database at rest: connectors go on, and whoever waits for their position is not kept waiting."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.connect.client import ConnectClient
from tests.e2e.databases import Database
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(600)
ROWS = 100


def settings(document: dict[str, Any]) -> None:
    document["sources"][0]["heartbeat"] = "10s"  # so that a commit is what was seen last for long enough


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    stack = stack_for(request, request.param)
    database = Database(stack.addresses(), request.param, f"idle_{request.param}", 89)
    with shop_of(Shop, stack, tmp_path, database, ["items"], settings) as made:
        made.capture(["items"], ROWS)
        made.service.start()
        made.await_state("items", "running", rows=ROWS)
        yield made


def test_a_connector_that_was_restarted_at_rest_stood_still_until_the_next_commit_p21(shop: Shop) -> None:
    """The log was kept from there on, and loads and proofs waited for ten minutes."""
    cluster = ConnectClient(shop.service.config.connect)

    def position() -> dict[str, Any]:
        (found,) = cluster.offsets(shop.name)
        return {name: value for name, value in found["offset"].items() if name != "ts_usec"}

    shop.sql("UPDATE {s}.items SET n = n + 1")
    shop.service.await_equal()
    if shop.database.engine == "postgres":  # the connector has seen the end of a transaction, and nothing behind it
        await_true(lambda: position().get("messageType") == "COMMIT", 60, "a commit is what was seen last", pause=0.05)
    shop.command("connectors", "restart", shop.name)
    before = position()
    if shop.database.engine == "postgres":
        await_true(lambda: position() != before, 60, "the position moves though nothing is changed")
    shop.command("load", "--reload", "--tables", f"{shop.name}.items", "--why", "a test")
    shop.service.await_equal()
