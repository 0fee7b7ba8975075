"""Tables that come, go, rest and begin anew while the service runs and another table goes on changing."""

import json
import os
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.bootstrap.operations import OperatorParts
from cdc.bootstrap.replay import run_replay
from cdc.bootstrap.spark import fetch_spark
from cdc.bootstrap.specs import specs_of
from cdc.cli.checkpoint import one_table
from cdc.cli.replay import make_plan
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.spark.session import build_session
from tests.e2e.databases import Database
from tests.e2e.loading import Changes, reconfigure
from tests.e2e.scenario import SEED
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(900)
ROWS = 5_000
ADDED_ROWS = 100_000
REWINDS = int(os.environ.get("CDC_TEST_REWINDS", "2"))  # noqa: TID251 - how long a test goes on
REPLAYS = int(os.environ.get("CDC_TEST_REPLAYS", "2"))  # noqa: TID251
MOST_LAG = 30.0
"""Seconds that changes of a table may take, whatever happens to the others; docs/evidence.md has the figure."""


class BusyShop(Shop):
    """A source with a busy table and a quiet one, and its running service."""

    def changes(self, rate: float, seed: int = SEED) -> Changes:
        return Changes(self.database.connect, f"{self.name}.busy", ROWS, seed, rate)

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


def settings(document: dict[str, Any]) -> None:
    document["stream"]["reload_interval"] = "2s"


@pytest.fixture(scope="module", params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyShop]:
    stack, folder = stack_for(request, request.param), tmp_path_factory.mktemp("tables")
    database = Database(stack.addresses(), request.param, f"comego_{request.param}", 50)
    with shop_of(BusyShop, stack, folder, database, ("busy", "quiet"), settings) as made:
        made.capture(("busy", "quiet"), ROWS)
        made.service.start()
        yield made


def test_tables_are_added_reset_paused_and_removed_while_another_goes_on(shop: BusyShop) -> None:
    """X1, X2, T9: one process all the while; what happens to a table is no matter of the others."""
    print(f"seed {SEED}")
    shop.await_state("busy", "running", ROWS)
    shop.await_state("quiet", "running", ROWS)
    with shop.changes(500):
        await_true(lambda: any(lag < 10 for lag in shop.lags()), 120, "the service is warm")
        began = len(shop.lags())
        shop.database.create("added", ADDED_ROWS)
        shop.database.publish_also("added")
        reconfigure(shop.service, lambda c: c["sources"][0]["tables"].append(shop.database.table("added")))
        shop.command("connectors", "apply", shop.name)
        shop.await_state("added", "running", ADDED_ROWS)
        shop.sql("UPDATE {s}.added SET n = 1 WHERE id % 10 = 0", "DELETE FROM {s}.added WHERE id % 10 = 1")

        shop.tables("reset", "quiet", why="a test")
        shop.tables("pause", "added", why="a test")
        shop.await_state("added", "paused")
        shop.sql("UPDATE {s}.added SET n = 2 WHERE id % 100 = 0", "UPDATE {s}.quiet SET n = 3")
        shop.tables("resume", "added")
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


@pytest.mark.timeout(600 + 60 * REWINDS)
def test_rewinds_under_a_running_stream_converge(shop: BusyShop) -> None:
    """S21, S22: to random checkpoints, while the table changes; the stream applies what came since again."""
    print(f"seed {SEED}")
    r, quiet = random.Random(SEED), shop.rows(shop.name, "added")
    with shop.changes(100, SEED + 1):
        for _ in range(REWINDS):
            found = [one for one in shop.checkpoints()[1:] if one["kind"] == "batch"]
            to = r.choice(found)["table_snapshot"]
            answer = json.loads(shop.command("rewind", "-t", f"{shop.name}.busy", "--to", to, "--yes", "--json"))
            assert answer["done"]
            shop.await_more_commits()
    shop.service.await_equal()
    assert shop.rows(shop.name, "added") == quiet


@pytest.mark.timeout(600 + 30 * REPLAYS)
def test_replays_from_random_points_change_nothing(shop: BusyShop) -> None:
    """S15: beside the running service, from offsets that no commit ends at, and from the beginning."""
    print(f"seed {SEED}")
    r, config, before = random.Random(SEED), shop.service.config, shop.rows(shop.name, "busy")
    parts, chosen = OperatorParts(config), one_table(config, f"{shop.name}.busy")
    spec = next(spec for spec in specs_of(chosen.source) if spec.target == chosen.target)
    whole = make_plan(parts, chosen, "earliest", "latest", None)
    assert whole.messages > 1000
    session = build_session(config, fetch_spark(), brief=True)
    try:
        for _ in range(REPLAYS):
            places = ",".join(f"{p}={r.randint(first, end)}" for p, (first, end) in whole.offsets.items())
            plan = make_plan(parts, chosen, f"offset:{places}", "latest", None)
            done = run_replay(config, chosen.source, session, spec, plan, "a test")
            assert (done.no_op, done.changed) == (True, 0), places
    finally:
        session.stop()
    answer = json.loads(shop.command("replay", "-t", f"{shop.name}.busy", "--from", "earliest", "--json"))
    assert (answer["no_op"], answer["changed"], answer["messages"]) == (True, 0, whole.messages)
    assert shop.rows(shop.name, "busy") == before
    shop.service.await_equal()


def test_a_replay_into_a_new_table_equals_the_original(shop: BusyShop) -> None:
    start = shop.checkpoints()[len(shop.checkpoints()) // 2]["table_snapshot"]
    shop.command("replay", "-t", f"{shop.name}.busy", "--from", start, "--into", "check.busy", "--json")
    assert shop.rows("check", "busy") == shop.rows(shop.name, "busy")
