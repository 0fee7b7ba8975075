"""The bulk load, end to end, on both databases: tables that change all the while, loads that are killed."""

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.databases import Database
from tests.e2e.loading import Changes, LoadRun
from tests.e2e.scenario import SEED
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(900)
ROWS = 30_000
KILLS = int(os.environ.get("CDC_TEST_LOAD_KILLS", "2"))  # noqa: TID251 - ten in docs/evidence.md
NUMBERS = itertools.count(1)


class ItemsShop(Shop):
    """One table of one database, and what captures it."""

    def changes(self, rate: float = 2000) -> Changes:
        return Changes(self.database.connect, f"{self.name}.items", ROWS, SEED, rate)

    def register(self) -> None:
        self.command("connectors", "apply", self.name)


def settings(document: dict[str, Any]) -> None:
    # small ranges: there are dozens of them, and a kill hits in between
    document["load"] = {"range_bytes": "1m", "auto": False}


@pytest.fixture(params=ENGINES)
def items(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ItemsShop]:
    stack, number = stack_for(request, request.param), next(NUMBERS)
    database = Database(stack.addresses(), request.param, f"loads{number}", number)
    with shop_of(ItemsShop, stack, tmp_path, database, ("items",), settings) as made:
        database.create("items", ROWS)
        database.publish(made.service)
        yield made


def test_load_under_changes_with_kills(items: ItemsShop) -> None:
    """S13, P29, P34, P30: 2,000 changes a second on the table, SIGKILL at random moments; no range is loaded twice."""
    print(f"seed {SEED}")
    moments, run = random.Random(SEED), LoadRun(items.service, ("--rows-per-second", "4000"))
    items.register()
    with items.changes() as changes:
        kills = sum(run.kill_after(moments.uniform(4, 16)) for _ in range(KILLS))
        run.finish()
        print(f"seed {SEED}: {changes.made} changes, {kills} kills")
    items.service.start()
    items.service.await_equal()
    committed = run.committed_ranges()
    assert max(len(ranges) for ranges in committed.values()) > 5, committed
    assert all(times == 1 for ranges in committed.values() for times in ranges.values()), committed


@pytest.mark.campaign
def test_the_stream_takes_a_table_in_when_it_is_loaded_and_again_when_it_is_reloaded(items: ItemsShop) -> None:
    """The service runs all the while; each load takes the table's place under the running stream."""
    run = LoadRun(items.service)
    items.register()
    items.service.start()
    with items.changes(500):
        items.service.await_log("waits for its load", 90)
        run.finish()
        items.service.await_log("batch applied", 60)
        LoadRun(items.service, ("--reload",)).finish()
    items.service.await_equal()


@pytest.mark.parametrize("moment", [pytest.param("during", marks=pytest.mark.campaign), "after"])
def test_a_connector_that_starts_late(items: ItemsShop, moment: str) -> None:
    """A load reads nothing before changes are captured: registered while it starts, and long after it began to wait."""
    run = LoadRun(items.service)
    with items.changes(500):
        process = run.start()
        if moment == "after":
            await_true(lambda: "load waits for capture" in run.tail(), 90, "the load waits for the connector")
        items.register()
        assert process.wait(300) == 0, run.tail()
    items.service.start()
    items.service.await_equal()
