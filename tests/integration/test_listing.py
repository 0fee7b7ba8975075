"""What a look at all of a database finds, on real servers."""

from collections.abc import Iterator

import pytest

from cdc.bootstrap.databases import listed_tables
from cdc.config.sources import MySqlSource, PostgresSource
from cdc.core.listing import Key, Kind, ListedTable, choose_key
from cdc.core.names import TableName
from cdc.local.stack import LocalStack
from tests.e2e.databases import Database

POSTGRES = (
    "CREATE TYPE {s}.mood AS ENUM ('ok')",
    "CREATE TABLE {s}.lines (line int, order_id bigint, mood {s}.mood, PRIMARY KEY (order_id, line))",
    "CREATE TABLE {s}.codes (a int NOT NULL, b text NOT NULL, UNIQUE (b, a))",
    "CREATE TABLE {s}.keyless (a int)",
    "CREATE TABLE {s}.late (id int PRIMARY KEY DEFERRABLE)",
    "CREATE UNLOGGED TABLE {s}.scratch (id int PRIMARY KEY)",
    "CREATE TABLE {s}.guarded (id int PRIMARY KEY)",
    "ALTER TABLE {s}.guarded ENABLE ROW LEVEL SECURITY",
    "CREATE TABLE {s}.events (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    "CREATE TABLE {s}.events_1 PARTITION OF {s}.events DEFAULT PARTITION BY LIST (id)",
    "CREATE TABLE {s}.events_1_1 PARTITION OF {s}.events_1 DEFAULT",
    "CREATE VIEW {s}.seen AS SELECT * FROM {s}.lines",
    "CREATE MATERIALIZED VIEW {s}.kept AS SELECT * FROM {s}.lines",
)
MYSQL = (
    "CREATE TABLE {s}.lines (line int, order_id bigint, PRIMARY KEY (order_id, line))",
    "CREATE TABLE {s}.codes (a int NOT NULL, b varchar(9) NOT NULL, UNIQUE (b, a), UNIQUE ((a + 1)))",
    "CREATE TABLE {s}.keyless (a int)",
    "CREATE TABLE {s}.children (id int PRIMARY KEY, line bigint, FOREIGN KEY (line) REFERENCES {s}.lines (order_id)"
    " ON DELETE CASCADE)",
    "CREATE VIEW {s}.seen AS SELECT * FROM {s}.lines",
)


@pytest.fixture
def postgres(stack: LocalStack) -> Iterator[dict[str, ListedTable]]:
    yield from looked_at(Database(stack.addresses(), "postgres", "listing", 0), POSTGRES)


@pytest.fixture
def mysql(mysql_stack: LocalStack) -> Iterator[dict[str, ListedTable]]:
    yield from looked_at(Database(mysql_stack.addresses(), "mysql", "listing", 90), MYSQL)


def looked_at(database: Database, statements: tuple[str, ...]) -> Iterator[dict[str, ListedTable]]:
    database.make()
    try:
        database.sql(*statements)
        yield {one.name.table: one for one in listed_tables(source(database)) if one.name.namespace == database.name}
    finally:
        database.drop()


def source(database: Database) -> PostgresSource | MySqlSource:
    """Return the source as the role that captures, which may look at the catalog before any table is granted to it."""
    password = database.at.environment()[f"CDC_{database.engine.upper()}_PASSWORD"]
    kind = {"postgres": PostgresSource, "mysql": MySqlSource}[database.engine]
    return kind.model_validate(database.source("lines"), context={"resolve": lambda *_: password})


def names(findings: tuple) -> list[str]:
    return [finding.name for finding in findings]


def test_a_postgresql_database(postgres: dict[str, ListedTable]) -> None:
    """P76."""
    partitions = {"events_1", "events_1_1"}
    assert {name for name, one in postgres.items() if one.kind is Kind.PARTITION} == partitions
    assert {postgres[name].parent for name in partitions} == {TableName("listing", "events")}
    assert {name for name, one in postgres.items() if one.kind is Kind.VIEW} == {"seen", "kept"}
    assert {name: names(one.findings) for name, one in postgres.items() if one.findings} == {
        "seen": ["not_a_table"],
        "kept": ["not_a_table"],
        "scratch": ["unlogged"],
        "guarded": ["row_security"],
    }
    keys = {name: choose_key(one) for name, one in postgres.items() if one.kind is Kind.TABLE}
    assert {name: key.unique.columns for name, key in keys.items() if isinstance(key, Key)} == {
        "lines": ("order_id", "line"),
        "codes": ("b", "a"),
        "late": ("id",),
        "scratch": ("id",),
        "guarded": ("id",),
        "events": ("id", "at"),
    }
    assert {name for name, key in keys.items() if isinstance(key, Key) and key.findings} == {"codes", "late"}
    assert {name for name, key in keys.items() if isinstance(key, Key) and not key.unique.immediate} == {"late"}
    assert [column.type for column in postgres["lines"].table.columns] == ["integer", "bigint", "enum"]
    assert {one.owner for one in postgres.values()} == {"shop_owner"}


def test_a_mysql_database(mysql: dict[str, ListedTable]) -> None:
    """M4."""
    assert mysql["seen"].kind is Kind.VIEW
    assert {name: names(one.findings) for name, one in mysql.items() if one.findings} == {
        "seen": ["not_a_table"],
        "children": ["cascade"],
    }
    keys = {name: choose_key(one) for name, one in mysql.items() if one.kind is Kind.TABLE}
    assert {name: key for name, key in keys.items() if isinstance(key, Key) and key.findings} == {}
    assert {name: key.unique.columns for name, key in keys.items() if isinstance(key, Key)} == {
        "lines": ("order_id", "line"),
        "codes": ("b", "a"),
        "children": ("id",),
    }
