"""The service on a REST catalog: Iceberg's own server, which is killed, silent, and back again."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.e2e.service import await_true
from tests.e2e.test_watch import Watched, watched
from tests.rest_catalog import RestCatalog, rest_catalog

pytestmark = pytest.mark.timeout(900)
TABLES, ROWS = ("one", "two"), 400


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[RestCatalog]:
    with rest_catalog(tmp_path / "rest") as server:
        yield server


@pytest.fixture
def shop(stack: LocalStack, catalog: RestCatalog, tmp_path: Path) -> Iterator[Watched]:
    def settings(document: dict[str, Any]) -> None:
        document["catalog"] = {"type": "rest", "uri": catalog.address, "warehouse": str(tmp_path / "rest/warehouse")}

    database = Database(stack.addresses(), "postgres", "rested", 92)
    with watched(stack, tmp_path, database, TABLES, 18800, settings) as made:
        made.stream(TABLES, ROWS)
        yield made


def test_a_rest_catalog_that_fails_and_comes_back_loses_nothing(shop: Watched, catalog: RestCatalog) -> None:
    """S4, S5, S24: killed in the middle of commits, and silent for longer than the lease."""
    shop.change(TABLES, range(3))
    shop.service.await_equal()
    shop.service.kill()
    shop.change(TABLES, range(3, 6))
    shop.service.start()
    shop.service.await_query(60)
    catalog.stop()  # in the middle of what came while the service was down
    shop.change(TABLES, range(6, 9))
    catalog.start()
    shop.service.await_equal()

    shop.begin()
    os.kill(catalog.pid, signal.SIGSTOP)
    shop.change(TABLES, range(9, 12))
    shop.await_told("catalog_away", 180)  # a request that nobody answers is given half a minute, twice
    os.kill(catalog.pid, signal.SIGCONT)
    await_true(lambda: "catalog_away:" not in shop.get("/health/ready"), 120, "the catalog is there again")
    shop.service.await_equal()
    shop.service.check_alive()


def test_what_operators_do_works_on_a_rest_catalog(shop: Watched) -> None:
    shop.change(TABLES, range(2))
    shop.service.await_equal()
    found = json.loads(shop.command("checkpoint", "list", "-t", f"{shop.name}.one", "--json"))
    earliest = [one["table_snapshot"] for one in found if one["reach"].startswith("rewind")][-1]
    shop.command("rewind", "-t", f"{shop.name}.one", "--to", earliest, "--yes")
    shop.change(TABLES, range(2, 3))
    shop.service.await_equal()
    shop.tables("reset", "two")
    shop.command("maintain")
    verified = json.loads(shop.command("verify", "--json"))
    assert verified["equal"]
    assert sum(table["rows"] for table in verified["tables"]) == len(TABLES) * ROWS
    shop.service.await_equal()
