"""Tables that come, go, rest and begin anew while the service runs and another table goes on changing."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.e2e.loading import Changes, reconfigure
from tests.e2e.scenario import SEED
from tests.e2e.service import Service, await_true

pytestmark = pytest.mark.timeout(900)
ROWS = 5_000
ADDED_ROWS = 100_000
MOST_LAG = 15.0
"""Seconds that changes of a table may take, whatever happens to the other tables of its source."""


class Shop:
    """A source with a busy table and a quiet one, and its running service."""

    def __init__(self, stack: LocalStack, engine: str, folder: Path) -> None:
        self.database = Database(stack.addresses(), engine, f"comego_{engine}", 50)
        self.name = self.database.name
        self.service = Service.create(folder, stack, [self.database.source("busy", "quiet")])
        reconfigure(self.service, lambda c: c["stream"].update(reload_interval="2s"))

    def changes(self, rate: float, seed: int = SEED) -> Changes:
        return Changes(self.database.connect, f"{self.name}.busy", ROWS, seed, rate)

    def sql(self, *statements: str) -> None:
        self.database.sql(*statements)

    def command(self, *arguments: str) -> str:
        done = self.service.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def listed(self) -> dict[str, dict[str, Any]]:
        lines = json.loads(self.command("tables", "list", "--json"))
        return {line["source"].removeprefix(f"{self.name}."): line for line in lines}

    def await_state(self, name: str, state: str, rows: int = 0, seconds: float = 180) -> None:
        def reached() -> bool:
            self.service.check_alive()
            line = self.listed().get(name)
            return line is not None and line["state"] == state and (line["rows"] or 0) >= rows

        await_true(reached, seconds, f"{name} is {state} with {rows} rows")

    def checkpoints(self) -> list[dict[str, Any]]:
        """Return the busy table's checkpoints that can be had, newest first."""
        found = json.loads(self.command("checkpoint", "list", "-t", f"{self.name}.busy", "-n", "500", "--json"))
        return [one for one in found if one["reach"].startswith("rewind")]

    def await_more_commits(self) -> None:
        before = len(self.lags())
        await_true(lambda: len(self.lags()) > before, 90, "another batch of the busy table")

    def rows(self, *name: str) -> list[tuple[Any, ...]]:
        table = open_catalog(self.service.config.catalog).load_table(name)
        columns = [field.name for field in table.schema().fields if field.name != "_cdc_committed_at"]
        found = table.scan(selected_fields=tuple(columns)).to_arrow()
        return sorted(zip(*(found[name].to_pylist() for name in columns), strict=True), key=repr)

    def lags(self) -> list[float]:
        text = self.service.log.read_text(errors="replace")
        lines = [line for line in text.splitlines() if "batch applied" in line and f"{self.name}.busy" in line]
        return [float(found[1]) for line in lines if (found := re.search(r"lag_seconds=([\d.]+)", line))]


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    stack: LocalStack = request.getfixturevalue("mysql_stack" if request.param == "mysql" else "stack")
    shop = Shop(stack, request.param, tmp_path_factory.mktemp("tables"))
    shop.database.make()
    try:
        for table in ("busy", "quiet"):
            shop.database.create(table, ROWS)
        shop.database.publish(shop.service)
        shop.command("connectors", "apply", shop.name)
        shop.service.start()
        yield shop
    finally:
        shop.database.clean(shop.service)


def test_tables_are_added_reset_paused_and_removed_while_another_goes_on(shop: Shop) -> None:
    """X1, X2, T9: one process all the while; what happens to a table is no matter of the others."""
    print(f"seed {SEED}")
    shop.await_state("busy", "running", ROWS)
    shop.await_state("quiet", "running", ROWS)
    with shop.changes(500):
        began = len(shop.lags())
        shop.database.create("added", ADDED_ROWS)
        shop.database.publish_also("added")
        reconfigure(shop.service, lambda c: c["sources"][0]["tables"].append(shop.database.table("added")))
        shop.command("connectors", "apply", shop.name)
        shop.await_state("added", "running", ADDED_ROWS)
        shop.sql("UPDATE {s}.added SET n = 1 WHERE id % 10 = 0", "DELETE FROM {s}.added WHERE id % 10 = 1")

        shop.command("tables", "reset", f"{shop.name}.quiet", "--why", "a test")
        shop.command("tables", "pause", f"{shop.name}.added", "--why", "a test")
        shop.await_state("added", "paused")
        shop.sql("UPDATE {s}.added SET n = 2 WHERE id % 100 = 0", "UPDATE {s}.quiet SET n = 3")
        shop.command("tables", "resume", f"{shop.name}.added")
        shop.await_state("added", "running")
    shop.service.await_equal()
    lags = shop.lags()[began:]
    print(f"lag of the busy table: {max(lags):.1f} s at most, {sorted(lags)[len(lags) // 2]:.1f} s in the middle")
    assert max(lags) <= MOST_LAG, lags

    reconfigure(shop.service, lambda c: c["sources"][0]["tables"].pop(1))  # quiet
    shop.service.await_log("table removed from the configuration", 60)
    shop.sql("UPDATE {s}.busy SET n = n + 1 WHERE id < 100")
    shop.service.await_equal()
    assert shop.service.log.read_text(errors="replace").count("lease taken") == 1  # never started again


def test_rewinds_under_a_running_stream_converge(shop: Shop) -> None:
    """S21, S22: to random checkpoints, while the table changes; the stream applies what came since again."""
    r = random.Random(SEED)
    with shop.changes(100, SEED + 1):
        for _ in range(4):
            found = [one for one in shop.checkpoints()[1:] if one["kind"] == "batch"]
            to = r.choice(found)["table_snapshot"]
            answer = json.loads(shop.command("rewind", "-t", f"{shop.name}.busy", "--to", to, "--yes", "--json"))
            assert answer["done"]
            shop.await_more_commits()
    shop.service.await_equal()


def test_a_replay_of_what_was_applied_changes_nothing(shop: Shop) -> None:
    """S15: beside the running service, from the first checkpoint that the table's epoch has."""
    oldest = shop.checkpoints()[-1]["table_snapshot"]
    answer = json.loads(shop.command("replay", "-t", f"{shop.name}.busy", "--from", oldest, "--json"))
    assert answer["messages"] > 0
    assert (answer["no_op"], answer["changed"]) == (True, 0)
    shop.service.await_equal()


def test_a_replay_into_a_new_table_equals_the_original(shop: Shop) -> None:
    start = shop.checkpoints()[len(shop.checkpoints()) // 2]["table_snapshot"]
    shop.command("replay", "-t", f"{shop.name}.busy", "--from", start, "--into", "check.busy", "--json")
    assert shop.rows("check", "busy") == shop.rows(shop.name, "busy")
