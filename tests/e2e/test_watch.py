"""A source that nobody watches but its service: each trouble is named alike in log, status, health and metrics.

On a real connector, one after another on one service that is never started again; the seconds until a trouble is named
everywhere are printed. The healthy table goes on throughout.
"""

import json
import os
import shlex
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc.connect.client import ConnectClient
from cdc.kafka.topics import KafkaTopics
from cdc.local.ports import choose
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from cdc.pipeline.connector_state import parse_status
from tests.e2e.databases import Database
from tests.e2e.loading import reconfigure
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, Settings, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(900)
ROWS = 200
TABLES = ("calm", "sick")
NAMED_SECONDS = 30.0


@dataclass
class Watched(Shop):
    """A source with a table that stays well, and one that does not."""

    stack: Any = None
    port: int = 0

    def status(self) -> list[dict[str, Any]]:
        return list(json.loads(self.service.run("status", "--json").stdout))

    def named(self, name: str) -> list[str]:
        """Return where a trouble is named."""
        found = []
        if f"trouble={name}" in self.service.log.read_text(errors="replace")[self.began :]:
            found.append("log")
        if any(one.get("state") == "trouble" and one["name"] == name for one in self.status()):
            found.append("status")
        if f"{name}:" in self.get("/health/ready"):
            found.append("health")
        if f'trouble="{name}"}} 1' in self.get("/metrics"):
            found.append("metrics")
        return found

    def get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    def await_named(self, name: str, seconds: float = NAMED_SECONDS) -> None:
        began = time.monotonic()
        await_true(lambda: len(self.named(name)) == 4, seconds, f"{name} is named everywhere")
        print(f"{self.name}: {name} is named after {time.monotonic() - began:.1f} s")

    def await_told(self, name: str, seconds: float = 60) -> None:
        """Wait until the service names a trouble with which `cdc status` cannot tell: the catalog is away."""

        def told() -> bool:
            self.service.check_alive()
            there = f"trouble={name}" in self.service.log.read_text(errors="replace")[self.began :]
            return there and f"{name}:" in self.get("/health/ready") and f'trouble="{name}"}} 1' in self.get("/metrics")

        began = time.monotonic()
        await_true(told, seconds, f"{name} is named")
        print(f"{self.name}: {name} is named after {time.monotonic() - began:.1f} s (log, health, metrics)")

    def await_age(self, began: float, seconds: float) -> None:
        """Wait until so much time has passed since; the service lives, and its operations server answers."""

        def passed() -> bool:
            self.service.check_alive()
            assert self.get("/health/live")
            return time.monotonic() - began >= seconds

        await_true(passed, seconds + 60, f"{seconds} s have passed")

    def await_over(self, name: str, seconds: float = 60) -> None:
        def over() -> bool:
            self.service.check_alive()
            return set(self.named(name)) <= {"log"}

        try:
            await_true(over, seconds, f"{name} is over")
        except AssertionError:
            print(self.get("/health/ready"), self.service.tail(40), sep="\n")
            raise

    def begin(self) -> None:
        """Forget what the log says so far."""
        self.began = len(self.service.log.read_text(errors="replace"))

    began: int = 0

    def await_calm(self, seconds: float = 60) -> None:
        """Change the healthy table and wait until it is in the lake."""
        total = self.applied()
        self.sql("UPDATE {s}.calm SET n = n + 1")
        await_true(lambda: self.applied() > total, seconds, "changes of the healthy table are applied")

    def applied(self) -> int:
        target = f"{self.name}.calm"
        return next((int(one["events"]) for one in self.status() if one.get("target") == target), 0)


@contextmanager
def watched(
    stack: LocalStack, folder: Path, database: Database, tables: Sequence[str], first_port: int, settings: Settings
) -> Iterator[Watched]:
    """Make a source whose service answers for its health, on a port at or behind the first one; nothing runs yet."""
    port = choose({"service": first_port}, {})["service"]

    def all_settings(document: dict[str, Any]) -> None:
        document["operations"]["http_port"] = port
        settings(document)

    with shop_of(Watched, stack, folder, database, tables, all_settings) as made:
        made.stack, made.port = stack, port
        yield made


@pytest.fixture(scope="module", params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    stack, folder = stack_for(request, request.param), tmp_path_factory.mktemp("watch")

    def settings(document: dict[str, Any]) -> None:
        document["stream"]["reload_interval"] = "2s"

    database = Database(stack.addresses(), request.param, f"watch_{request.param}", 97)
    with watched(stack, folder, database, TABLES, 18600, settings) as made:
        if request.param == "mysql":
            hidden = f"CREATE TABLE {made.name}_old.hidden (id bigint PRIMARY KEY, n int)"
            database.sql(f"CREATE DATABASE {made.name}_old", hidden, role="root")
        made.capture(TABLES, ROWS)
        made.service.start()
        made.await_states(dict.fromkeys(TABLES, "running"))
        yield made
        if request.param == "mysql":
            database.sql(f"DROP DATABASE {made.name}_old", role="root")


@pytest.fixture(autouse=True)
def well(shop: Watched) -> Iterator[None]:
    """Begin and end with both tables running, equal, and nothing wrong."""
    shop.begin()
    yield
    shop.await_states(dict.fromkeys(TABLES, "running"))
    shop.service.await_equal()
    await_true(lambda: not any(one["state"] == "trouble" for one in shop.status()), 60, "nothing is wrong")


def test_a_connector_that_is_paused_or_removed_by_somebody(shop: Watched) -> None:
    shop.command("connectors", "pause", shop.name)
    shop.await_named("connector_paused")
    assert shop.service.run("status").returncode == 2
    shop.command("connectors", "resume", shop.name)
    shop.await_over("connector_paused")
    assert ConnectClient(shop.service.config.connect).delete(shop.name)
    shop.await_named("connector_missing")
    shop.command("connectors", "apply", shop.name)
    shop.await_over("connector_missing")


def test_a_table_that_is_not_there_keeps_no_other_from_being_captured(shop: Watched) -> None:
    """It refused the application of the connector and the start of the service."""
    reconfigure(shop.service, lambda c: c["sources"][0]["tables"].append(shop.database.table("ghost")))
    applied = shop.service.run("connectors", "apply", shop.name)
    assert applied.returncode == 1
    assert f"error: table {shop.name}.ghost" in applied.stderr
    shop.await_named("table_missing", 60)  # the service takes up the configuration every two seconds
    assert shop.await_states({"ghost": "stopped"})["calm"]["state"] == "running"
    shop.await_calm()
    reconfigure(shop.service, lambda c: c["sources"][0]["tables"].pop())
    shop.command("connectors", "apply", shop.name)
    shop.await_over("table_missing")


def test_a_table_whose_privilege_is_revoked_rests_alone(shop: Watched) -> None:
    if shop.database.engine == "mysql":
        pytest.skip("the stack's user has its privilege on the whole database")
    shop.sql("REVOKE SELECT ON {s}.sick FROM cdc")
    shop.await_named("table_missing")
    shop.await_state("sick", "stopped")
    shop.sql("UPDATE {s}.sick SET n = n + 1")
    shop.await_calm()
    shop.sql("GRANT SELECT ON {s}.sick TO cdc")
    shop.await_over("table_missing")


def test_a_table_whose_key_is_dropped_rests_until_it_has_it_again(shop: Watched) -> None:
    """P72."""
    key = "DROP PRIMARY KEY" if shop.database.engine == "mysql" else "DROP CONSTRAINT sick_pkey"
    shop.sql(f"ALTER TABLE {{s}}.sick {key}")
    shop.await_named("key_not_unique")
    shop.await_state("sick", "stopped")
    shop.await_calm()
    shop.sql("ALTER TABLE {s}.sick ADD PRIMARY KEY (id)")
    shop.await_over("key_not_unique")


def test_a_table_that_was_not_published_is_stale_until_it_is_loaded_anew(shop: Watched) -> None:
    """The hint is followed."""
    if shop.database.engine == "mysql":
        pytest.skip("MySQL has no publication")
    shop.sql(f"ALTER PUBLICATION cdc_{shop.name} DROP TABLE {{s}}.sick")
    shop.await_named("not_published")
    shop.sql("UPDATE {s}.sick SET n = n + 100 WHERE id < 50")
    shop.sql(f"ALTER PUBLICATION cdc_{shop.name} ADD TABLE {{s}}.sick")
    shop.await_over("not_published")
    found = shop.await_states({"sick": "stopped"})
    assert f"cdc tables reset {shop.name}.sick" in found["sick"]["detail"]
    shop.tables("reset", "sick")


SILENT = {
    "postgres": ["ALTER TABLE {s}.sick ALTER n TYPE int USING n + 1000"],
    "mysql": ["ALTER TABLE {s}.sick DROP COLUMN n, ADD COLUMN n int"],
}


def test_what_changes_rows_without_an_event_marks_the_table_until_it_is_reset(shop: Watched) -> None:
    """T10, T18, M19, S30: the target showed the old values for ever."""
    shop.sql(*SILENT[shop.database.engine])
    shop.await_named("outdated")
    assert shop.await_states({"sick": "running"})
    assert "schema changed" in shop.service.log.read_text(errors="replace")[shop.began :]
    shop.await_calm()
    shop.tables("reset", "sick")
    shop.await_over("outdated")


@pytest.mark.campaign
def test_an_xa_transaction_that_is_rolled_back_after_it_was_prepared(shop: Watched) -> None:
    """M38, T19: its changes are in the log from the prepare on, and the connector tells of them as of any others."""
    if shop.database.engine == "postgres":
        pytest.skip("PostgreSQL decodes a prepared transaction when it is committed")
    shop.database.xa("one", "UPDATE {s}.sick SET n = 777 WHERE id < 5", end="PREPARE 'one'")
    shop.await_calm()
    shop.database.sql("XA ROLLBACK 'one'", role="root")
    shop.await_named("outdated")
    shop.tables("reset", "sick")
    shop.await_over("outdated")
    shop.service.await_equal()
    shop.database.xa("two", "UPDATE {s}.sick SET n = 778 WHERE id < 5", end="PREPARE 'two'")
    shop.database.sql("XA COMMIT 'two'", role="root")


UNKNOWN = (
    "CREATE VIEW {s}.odd AS SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$' DEFAULT '1' ON EMPTY)) j",
    "ALTER TABLE {s}.sick ADD g int AS (json_value('{\"a\": 1}', '$.a' RETURNING signed)) STORED FIRST",
)
"""Statements that Debezium's parser does not know: of no table, and of one."""


@pytest.mark.campaign
def test_a_statement_that_debezium_does_not_know_sets_its_table_aside(shop: Watched) -> None:
    """M15: it ended the connector, and with it all tables of the source. The way back is that of the hint."""
    if shop.database.engine == "postgres":
        pytest.skip("PostgreSQL's connector reads no statements")
    of_none, of_sick = UNKNOWN
    shop.sql(of_none)
    shop.await_calm()
    shop.sql(of_sick)
    shop.await_named("set_aside", 45)
    shop.sql("UPDATE {s}.sick SET n = n + 1")
    shop.await_calm()
    hint = next(one["hint"] for one in shop.status() if one.get("name") == "set_aside")
    assert "snapshot.mode: recovery" in hint
    shop.sql("ALTER TABLE {s}.sick DROP COLUMN g")  # which Debezium can read in no statement
    cluster = ConnectClient(shop.service.config.connect)
    for settings in ({"snapshot.mode": "recovery"}, {}):
        reconfigure(shop.service, lambda c, settings=settings: c["sources"][0].update(connector=settings))
        shop.command("connectors", "apply", shop.name)
        await_true(lambda: parse_status(shop.name, cluster.status(shop.name)).running, 90, "the connector runs")
        shop.await_calm(90)
    shop.await_over("set_aside")
    shop.tables("reset", "sick")
    shop.sql("UPDATE {s}.sick SET n = n + 1")


@pytest.mark.campaign
def test_a_table_that_is_accepted_as_it_is(shop: Watched) -> None:
    """No row is another one: a wider type, and a rewrite that PostgreSQL needs for it."""
    if shop.database.engine == "mysql":
        pytest.skip("MySQL's wider types are known not to change a row")
    shop.sql("ALTER TABLE {s}.sick ALTER n TYPE bigint")
    shop.await_named("outdated")
    shop.service.await_equal()
    shop.tables("accept", "sick", why="int became bigint")
    shop.await_over("outdated")


@pytest.mark.campaign
def test_a_table_that_is_out_of_the_publication_for_a_moment_is_noticed(shop: Watched) -> None:
    """T4: between two looks of the watch, with changes that nobody tells of."""
    if shop.database.engine == "mysql":
        pytest.skip("MySQL has no publication")
    publication = f"ALTER PUBLICATION cdc_{shop.name}"
    for statement in (f"{publication} DROP TABLE {{s}}.sick", "DELETE FROM {s}.sick WHERE id < 20"):
        shop.sql(statement)
    shop.sql(f"{publication} ADD TABLE {{s}}.sick")
    shop.await_named("recreated")
    shop.await_states({"sick": "stopped"})
    shop.tables("reset", "sick")
    shop.await_over("recreated")


def test_a_table_that_is_dropped_and_made_again_is_noticed(shop: Watched) -> None:
    """T4: it went on silently without its changes, as running."""
    shop.sql("DROP TABLE {s}.sick")
    shop.database.create("sick", ROWS // 2)
    shop.database.publish_also("sick")
    shop.await_named("recreated")
    found = shop.await_states({"sick": "stopped"})
    assert "cdc tables reset" in found["sick"]["detail"]
    shop.await_calm()
    shop.tables("reset", "sick")


def test_a_table_that_ends_the_connector_is_set_aside_and_the_connector_goes_on(shop: Watched) -> None:
    """T1: it ended the connector again and again, and with it every table of the source."""
    if shop.database.engine == "postgres":
        pytest.skip("no value of PostgreSQL is known that ends its connector")
    # Not in the connector's history: it was there before the connector, whose user was allowed to see it only later.
    shop.database.sql(f"GRANT SELECT ON {shop.name}_old.* TO 'cdc'@'%'", role="root")
    old = {"source": f"{shop.name}_old.hidden", "key": ["id"]}
    reconfigure(shop.service, lambda c: c["sources"][0]["tables"].append(old))
    shop.command("connectors", "apply", shop.name)
    shop.database.sql(f"INSERT INTO {shop.name}_old.hidden VALUES (1, 1)", role="root")
    shop.await_named("set_aside", 60)
    shop.await_calm(90)
    shop.await_over("connector_failed")
    assert shop.service.run("connectors", "status", shop.name).returncode == 0
    reconfigure(shop.service, lambda c: c["sources"][0]["tables"].pop())
    shop.await_over("set_aside")


def test_columns_that_differ_in_case_only_are_named_before_they_end_the_connector(shop: Watched) -> None:
    """P67."""
    if shop.database.engine == "mysql":
        pytest.skip("MySQL has no such columns")
    shop.sql('CREATE TABLE {s}.twins (id int PRIMARY KEY, "A" int, a int)')
    shop.database.publish_also("twins")
    shop.await_named("column_case")
    hint = next(one["hint"] for one in shop.status() if one.get("name") == "column_case")
    shop.sql(hint.removeprefix("as the table's owner: "))
    shop.await_over("column_case")
    shop.sql("INSERT INTO {s}.twins VALUES (1, 2, 3)", "DROP TABLE {s}.twins")
    shop.await_calm()


POSTGRES_FAULTS = {
    "row_security": (
        "ALTER TABLE {s}.sick ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE {s}.sick DISABLE ROW LEVEL SECURITY",
    ),
    "key_not_in_identity": (
        "ALTER TABLE {s}.sick REPLICA IDENTITY NOTHING",
        "ALTER TABLE {s}.sick REPLICA IDENTITY DEFAULT",
    ),
    "publication_options": (
        "ALTER PUBLICATION cdc_{name} SET (publish = 'insert, update')",
        "ALTER PUBLICATION cdc_{name} SET (publish = 'insert, update, delete, truncate')",
    ),
    "row_filter": (
        "ALTER PUBLICATION cdc_{name} SET TABLE {s}.calm, {s}.sick WHERE (id > 0)",
        "ALTER PUBLICATION cdc_{name} SET TABLE {s}.calm, {s}.sick",
    ),
}
MYSQL_FAULTS = {
    "binlog_row_image": ("SET GLOBAL binlog_row_image = MINIMAL", "SET GLOBAL binlog_row_image = FULL"),
    "binlog_row_value_options": (
        "SET GLOBAL binlog_row_value_options = PARTIAL_JSON",
        "SET GLOBAL binlog_row_value_options = ''",
    ),
}
STALE = ("row_filter",)
"""Faults after which changes may have been missed."""


@pytest.mark.campaign
@pytest.mark.parametrize("name", [*POSTGRES_FAULTS, *MYSQL_FAULTS])
def test_what_a_statement_breaks_is_named_and_over_with_the_statement_that_mends_it(shop: Watched, name: str) -> None:
    """M1, M5."""
    faults = MYSQL_FAULTS if shop.database.engine == "mysql" else POSTGRES_FAULTS
    if name not in faults:
        pytest.skip("of the other database")
    broken, mended = (one.replace("{name}", shop.name) for one in faults[name])
    role = "root" if shop.database.engine == "mysql" else "owner"
    shop.database.sql(broken, role=role)
    shop.await_named(name)
    shop.database.sql(mended, role=role)
    shop.await_over(name)
    if name in STALE:
        shop.await_states({"sick": "stopped"})
        shop.tables("reset", "sick")


@pytest.mark.campaign
def test_a_connector_that_somebody_has_changed_to_leave_a_table_out(shop: Watched) -> None:
    cluster = ConnectClient(shop.service.config.connect)
    settings = cluster.config(shop.name)
    assert settings is not None
    kept = [one for one in settings["table.include.list"].split(",") if not one.endswith("sick")]
    cluster.put(shop.name, settings | {"table.include.list": ",".join(kept)})
    shop.await_named("left_out", 45)
    shop.sql("UPDATE {s}.sick SET n = n + 7 WHERE id < 9")
    shop.await_calm()
    shop.command("connectors", "apply", shop.name)
    shop.await_over("left_out")
    shop.await_states({"sick": "stopped"})
    shop.tables("reset", "sick")


@pytest.mark.campaign
def test_a_topic_that_is_deleted_under_the_connector(shop: Watched) -> None:
    """T8: it blocked all tables, then failed the connector: the table alone is to be reset."""
    (source,) = shop.service.config.sources
    topic = next(source.topic_of(table) for table in source.tables if table.source.table == "sick")
    shop.sql("UPDATE {s}.sick SET n = n + 1")  # so that the table is further than the new topic will be
    shop.service.await_equal()
    KafkaTopics(shop.service.config.kafka).delete([topic])
    shop.await_named("topic_missing")
    shop.command("connectors", "apply", shop.name)
    shop.await_over("topic_missing")
    shop.sql("UPDATE {s}.sick SET n = n + 1 WHERE id < 5")
    shop.await_calm(240)
    shop.await_states({"sick": "stopped"})
    shop.tables("reset", "sick")


@pytest.mark.campaign
def test_a_message_that_is_too_large_sets_its_table_aside(shop: Watched) -> None:
    """K10, T16: it ended the connector, and its trace did not tell which of the tables it was. The hint is followed."""
    shop.sql(f"UPDATE {{s}}.sick SET payload = repeat('x', {17 << 20}) WHERE id = 1")
    shop.await_named("set_aside", 60)
    shop.await_calm(90)
    shop.await_over("connector_failed")
    hint = next(one["hint"] for one in shop.status() if one.get("name") == "set_aside")
    assert hint == f"raise kafka.max_message, then cdc connectors apply {shop.name}"
    reconfigure(shop.service, lambda c: c.setdefault("kafka", {}).update(max_message="64m"))
    shop.command("connectors", "apply", shop.name)
    shop.await_over("set_aside")
    shop.await_states({"sick": "stopped"})
    shop.tables("reset", "sick")
    shop.sql("UPDATE {s}.sick SET payload = repeat('y', 50) WHERE id = 1")  # an event with the old row


@pytest.mark.campaign
def test_a_catalog_that_is_away(shop: Watched) -> None:
    """S24, X6: `cdc status` cannot tell: what it has to say stands in the catalog."""
    with admin(shop) as connection:
        connection.execute("ALTER DATABASE catalog ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'catalog'")
        shop.await_told("catalog_away")
        status = shop.service.run("status")
        assert status.returncode != 0
        assert "Traceback" not in status.stderr
        connection.execute("ALTER DATABASE catalog ALLOW_CONNECTIONS true")
    shop.await_over("catalog_away", 120)
    shop.await_calm(120)


@pytest.mark.campaign
def test_a_role_that_loses_what_it_needs(shop: Watched) -> None:
    if shop.database.engine == "mysql":
        lose, regain = ("REVOKE REPLICATION SLAVE ON *.* FROM 'cdc'@'%'", "GRANT REPLICATION SLAVE ON *.* TO 'cdc'@'%'")
        shop.database.sql(lose, role="root")
        shop.await_named("replication_slave")
        shop.database.sql(regain, role="root")
        shop.await_over("replication_slave")
        return
    with admin(shop) as connection:
        connection.execute("ALTER ROLE cdc NOREPLICATION")
        shop.await_named("replication_role")
        connection.execute("ALTER ROLE cdc REPLICATION")
    shop.await_over("replication_role")


@pytest.mark.campaign
def test_a_slot_that_is_dropped_and_the_way_out_that_is_shown(shop: Watched) -> None:
    """T6, P18: the service said nothing for two minutes. The three commands of the hint are run as they stand."""
    if shop.database.engine == "mysql":
        pytest.skip("MySQL has no slots")
    with admin(shop) as connection:

        def dropped() -> bool:
            active = f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'cdc_{shop.name}' AND active"
            for (process,) in connection.execute(active).fetchall():  # type: ignore[arg-type]
                connection.execute("SELECT pg_terminate_backend(%s)", (process,))
            shop.database.drop_slot()
            return not shop.database.slots()

        await_true(dropped, 60, "the slot is dropped")
    shop.sql("UPDATE {s}.sick SET n = n + 1")
    shop.await_named("slot_missing")
    hint = next(one["hint"] for one in shop.status() if one.get("name") == "slot_missing")
    commands = [one.strip().removeprefix("then ") for one in hint.split(",")]
    assert len(commands) == 3
    for command in commands:
        shop.command(*shlex.split(command.removeprefix("cdc ")))
    shop.await_over("slot_missing")


@pytest.mark.campaign
def test_a_registry_that_is_away(shop: Watched) -> None:
    os.kill(read_state(shop.stack.folder).processes["registry"].pid, signal.SIGKILL)
    shop.await_named("registry_away", 60)
    start(shop.stack, shop.database.engine)
    shop.await_over("registry_away", 120)
    shop.await_calm(120)


@pytest.mark.campaign
@pytest.mark.parametrize("seconds", [0, 120])
def test_a_database_that_is_away(shop: Watched, seconds: int) -> None:
    """T6: a connector that fails of it is restarted by the service. PostgreSQL holds the catalog of the stack, too."""
    engine = shop.database.engine
    process = read_state(shop.stack.folder).processes[engine]
    began = time.monotonic()
    os.kill(process.pid, signal.SIGQUIT if engine == "postgres" else signal.SIGKILL)
    if engine == "mysql":
        shop.await_named("source_away")
    elif seconds:
        shop.await_told("source_away")
    shop.await_age(began, seconds)
    start(shop.stack, engine)
    shop.sql("UPDATE {s}.sick SET n = n + 1")
    shop.await_calm(400)


@pytest.mark.campaign
def test_connect_that_is_away(shop: Watched) -> None:
    process = read_state(shop.stack.folder).processes["connect"]
    os.kill(process.pid, signal.SIGKILL)
    shop.await_named("connect_away")
    start(shop.stack, shop.database.engine)
    shop.await_over("connect_away", 120)
    shop.await_calm(120)


@pytest.mark.campaign
def test_kafka_that_is_away_for_45_seconds(shop: Watched) -> None:
    """T6."""
    process = read_state(shop.stack.folder).processes["kafka"]
    began = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    shop.await_named("kafka_away", 60)
    shop.await_age(began, 45)
    start(shop.stack, shop.database.engine)
    shop.await_over("kafka_away", 120)
    shop.await_calm(300)


def admin(shop: Watched) -> psycopg.Connection[Any]:
    """Connect to PostgreSQL as its superuser."""
    at = shop.database.at
    return psycopg.connect(
        host="127.0.0.1",
        port=at.postgres_port,
        dbname="shop",
        user="postgres",
        password=at.environment()["CDC_POSTGRES_ADMIN_PASSWORD"],
        autocommit=True,
    )


def start(stack: LocalStack, engine: str) -> None:
    """Start what has ended."""
    stack.up(["postgres", "mysql"] if engine == "mysql" else ["postgres"])
