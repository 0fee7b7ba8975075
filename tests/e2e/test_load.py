"""The bulk load, end to end, on both databases: tables that change all the while, loads that are killed."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.e2e.loading import Changes, LoadRun, reconfigure
from tests.e2e.scenario import SEED
from tests.e2e.service import Service, await_true

pytestmark = pytest.mark.timeout(900)
ROWS = 30_000
KILLS = 10
NUMBERS = itertools.count(1)


@dataclass
class Items:
    """One table of one database, and what captures it."""

    service: Service
    database: Database

    def changes(self, rate: float = 2000) -> Changes:
        return Changes(self.database.connect, f"{self.database.name}.items", ROWS, SEED, rate)

    def register(self) -> None:
        applied = self.service.run("connectors", "apply", self.database.name)
        assert applied.returncode == 0, applied.stdout + applied.stderr


@pytest.fixture(params=["postgres", "mysql"])
def items(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Items]:
    stack: LocalStack = request.getfixturevalue("mysql_stack" if request.param == "mysql" else "stack")
    number = next(NUMBERS)
    database = Database(stack.addresses(), request.param, f"loads{number}", number)
    service = Service.create(tmp_path, stack, [database.source("items")])
    # small ranges: there are dozens of them, and a kill hits in between
    reconfigure(service, lambda c: c.update(load={"range_bytes": "1m", "auto": False}))
    database.make()
    try:
        database.create("items", ROWS)
        database.publish(service)
        yield Items(service, database)
    finally:
        database.clean(service)


def test_load_under_changes_with_kills(items: Items) -> None:
    """S13, P29, P34: 2,000 changes a second on the table, SIGKILL at ten random moments; no range is loaded twice."""
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


def test_the_stream_takes_a_table_in_when_it_is_loaded_and_again_when_it_is_reloaded(items: Items) -> None:
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


@pytest.mark.parametrize("moment", ["during", "after"])
def test_a_connector_that_starts_late(items: Items, moment: str) -> None:
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
