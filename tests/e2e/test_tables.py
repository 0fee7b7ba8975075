"""Tables that come, go, rest and begin anew while the service runs and another table goes on changing."""

import json
import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.stack import LocalStack
from cdc.sources.postgres import publication_sql
from tests.e2e.loading import Changes, reconfigure
from tests.e2e.scenario import SEED
from tests.e2e.service import Service, await_true

pytestmark = pytest.mark.timeout(900)
NAME = "comego"
ROWS = 5_000
ADDED_ROWS = 100_000
COLUMNS = "(id bigint PRIMARY KEY, name text, payload text, n int, amount numeric(12,2))"


class Shop:
    """A source with a busy table and a quiet one, and its running service."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.at = stack.addresses()
        source = {
            "name": NAME,
            "type": "postgres",
            "host": self.at.postgres_host,
            "port": self.at.postgres_port,
            "database": "shop",
            "password": "${env:CDC_POSTGRES_PASSWORD}",
            "sslmode": "disable",
            "heartbeat": "1s",
            "tables": [self.table("busy"), self.table("quiet")],
        }
        self.service = Service.create(folder, stack, [source])
        reconfigure(self.service, lambda c: c["stream"].update(reload_interval="2s"))

    @staticmethod
    def table(name: str) -> dict[str, object]:
        return {"source": f"{NAME}.{name}", "key": ["id"]}

    def connect(self) -> Any:
        password = self.at.environment()["CDC_POSTGRES_OWNER_PASSWORD"]
        return psycopg.connect(
            host=self.at.postgres_host, port=self.at.postgres_port, dbname="shop", user="shop_owner", password=password
        )

    def sql(self, *statements: str) -> None:
        with closing(self.connect()) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def create(self, name: str, rows: int) -> None:
        self.sql(
            f"CREATE TABLE {NAME}.{name} {COLUMNS}",
            f"INSERT INTO {NAME}.{name} SELECT g, 'name ' || g, md5(g::text), 0, g / 7.0 "
            f"FROM generate_series(1, {rows}) g",
            f"GRANT SELECT ON {NAME}.{name} TO cdc",
        )

    def command(self, *arguments: str) -> str:
        done = self.service.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def listed(self) -> dict[str, dict[str, Any]]:
        lines = json.loads(self.command("tables", "list", "--json"))
        return {line["source"].removeprefix(f"{NAME}."): line for line in lines}

    def await_state(self, name: str, state: str, rows: int = 0, seconds: float = 180) -> None:
        def reached() -> bool:
            self.service.check_alive()
            line = self.listed().get(name)
            return line is not None and line["state"] == state and (line["rows"] or 0) >= rows

        await_true(reached, seconds, f"{name} is {state} with {rows} rows")

    def checkpoints(self) -> list[dict[str, Any]]:
        """Return the busy table's checkpoints that can be had, newest first."""
        found = json.loads(self.command("checkpoint", "list", "-t", f"{NAME}.busy", "-n", "500", "--json"))
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
        lines = [line for line in text.splitlines() if "batch applied" in line and f"{NAME}.busy" in line]
        return [float(found[1]) for line in lines if (found := re.search(r"lag_seconds=([\d.]+)", line))]


@pytest.fixture(scope="module")
def shop(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(stack, tmp_path_factory.mktemp("tables"))
    shop.sql(f"CREATE SCHEMA {NAME}", f"GRANT USAGE ON SCHEMA {NAME} TO cdc")
    shop.create("busy", ROWS)
    shop.create("quiet", ROWS)
    shop.sql(publication_sql(shop.service.config.sources[0]))  # type: ignore[arg-type]
    shop.command("connectors", "apply", NAME)
    shop.service.start()
    try:
        yield shop
    finally:
        shop.service.kill()
        shop.service.run("connectors", "remove", NAME, "--offsets")
        shop.sql(f"DROP PUBLICATION IF EXISTS cdc_{NAME}", f"DROP SCHEMA {NAME} CASCADE")


def test_tables_are_added_reset_paused_and_removed_while_another_goes_on(shop: Shop) -> None:
    """X1, X2, T9: one process all the while; what happens to a table is no matter of the others."""
    print(f"seed {SEED}")
    shop.await_state("busy", "running", ROWS)
    shop.await_state("quiet", "running", ROWS)
    with Changes(shop.connect, f"{NAME}.busy", ROWS, SEED, 500):
        began = len(shop.lags())
        shop.create("added", ADDED_ROWS)
        shop.sql(f"ALTER PUBLICATION cdc_{NAME} ADD TABLE {NAME}.added")
        reconfigure(shop.service, lambda c: c["sources"][0]["tables"].append(shop.table("added")))
        shop.command("connectors", "apply", NAME)
        shop.await_state("added", "running", ADDED_ROWS)
        shop.sql(f"UPDATE {NAME}.added SET n = 1 WHERE id % 10 = 0", f"DELETE FROM {NAME}.added WHERE id % 10 = 1")

        shop.command("tables", "reset", f"{NAME}.quiet", "--why", "a test")
        shop.command("tables", "pause", f"{NAME}.added", "--why", "a test")
        shop.await_state("added", "paused")
        shop.sql(f"UPDATE {NAME}.added SET n = 2 WHERE id % 100 = 0", f"UPDATE {NAME}.quiet SET n = 3")
        shop.command("tables", "resume", f"{NAME}.added")
        shop.await_state("added", "running")
    shop.service.await_equal()
    lags = shop.lags()[began:]
    print(f"lag of the busy table: {max(lags):.1f} s at most, {sorted(lags)[len(lags) // 2]:.1f} s in the middle")

    reconfigure(shop.service, lambda c: c["sources"][0]["tables"].pop(1))  # quiet
    shop.service.await_log("table removed from the configuration", 60)
    shop.sql(f"UPDATE {NAME}.busy SET n = n + 1 WHERE id < 100")
    shop.service.await_equal()
    assert shop.service.log.read_text(errors="replace").count("lease taken") == 1  # never started again


def test_rewinds_under_a_running_stream_converge(shop: Shop) -> None:
    """S21, S22: to random checkpoints, while the table changes; the stream applies what came since again."""
    r = random.Random(SEED)
    with Changes(shop.connect, f"{NAME}.busy", ROWS, SEED + 1, 100):
        for _ in range(4):
            found = [one for one in shop.checkpoints()[1:] if one["kind"] == "batch"]
            to = r.choice(found)["table_snapshot"]
            answer = json.loads(shop.command("rewind", "-t", f"{NAME}.busy", "--to", to, "--yes", "--json"))
            assert answer["done"]
            shop.await_more_commits()
    shop.service.await_equal()


def test_a_replay_of_what_was_applied_changes_nothing(shop: Shop) -> None:
    """S15: beside the running service, from the first checkpoint that the table's epoch has."""
    oldest = shop.checkpoints()[-1]["table_snapshot"]
    answer = json.loads(shop.command("replay", "-t", f"{NAME}.busy", "--from", oldest, "--json"))
    assert answer["messages"] > 0
    assert (answer["no_op"], answer["changed"]) == (True, 0)
    shop.service.await_equal()


def test_a_replay_into_a_new_table_equals_the_original(shop: Shop) -> None:
    start = shop.checkpoints()[len(shop.checkpoints()) // 2]["table_snapshot"]
    shop.command("replay", "-t", f"{NAME}.busy", "--from", start, "--into", "check.busy", "--json")
    assert shop.rows("check", "busy") == shop.rows(NAME, "busy")


def test_reset_is_the_way_out_of_a_type_that_iceberg_cannot_follow(shop: Shop) -> None:
    """S28: readers see the old rows and their old type until the swap."""
    shop.sql(f"ALTER TABLE {NAME}.busy ALTER COLUMN n TYPE text", f"UPDATE {NAME}.busy SET n = 'x' || n WHERE id < 50")
    shop.await_state("busy", "stopped")
    hint = shop.service.run("status").stdout
    assert "int" in hint
    shop.command("tables", "reset", f"{NAME}.busy")
    shop.await_state("busy", "running")
    shop.service.await_equal()


def test_reset_is_the_way_out_of_rows_that_nobody_told_of(shop: Shop) -> None:
    """P33: rows that are in the lake and not in the source are gone afterwards."""
    shop.command("tables", "pause", f"{NAME}.busy")
    shop.await_state("busy", "paused")
    shop.sql(f"TRUNCATE {NAME}.busy", f"INSERT INTO {NAME}.busy VALUES (7, 'only one', 'x', 'y', 1)")
    shop.command("tables", "reset", f"{NAME}.busy")
    shop.command("tables", "resume", f"{NAME}.busy")
    shop.await_state("busy", "running")
    shop.service.await_equal()
