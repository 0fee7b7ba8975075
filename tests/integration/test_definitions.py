"""What changes of a table's definition look like in the catalogs of real servers, and which of them are silent."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from cdc.bootstrap.databases import source_database
from cdc.core.definitions import Change, Definition, changes, definition_of
from cdc.core.names import TableName
from cdc.core.preflight import SourceTable
from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.integration.test_listing import source

POSTGRES = (
    "CREATE TYPE {s}.mood AS ENUM ('good', 'bad')",
    "CREATE TABLE {s}.t (id int PRIMARY KEY, n int, v varchar(10), mood {s}.mood, moods {s}.mood[])",
    "INSERT INTO {s}.t SELECT i, i, 'v', 'good' FROM generate_series(1, 500) i",
    "CREATE TABLE {s}.parted (id int, at int, n int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    "CREATE TABLE {s}.p1 PARTITION OF {s}.parted FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE {s}.p2 PARTITION OF {s}.parted FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id)",
    "CREATE TABLE {s}.p2d PARTITION OF {s}.p2 DEFAULT",
    "INSERT INTO {s}.parted SELECT i, i % 20, i FROM generate_series(1, 500) i",
)
T_STEPS = (
    ("VACUUM FULL {s}.t; ANALYZE {s}.t", []),
    ("ALTER TABLE {s}.t ALTER n SET NOT NULL", []),
    ("VACUUM FULL {s}.t", []),
    ("TRUNCATE {s}.t", []),
    ("ALTER TABLE {s}.t ALTER v TYPE varchar(20)", [("'v' was changed from character varying(10)", False)]),
    ("ALTER TABLE {s}.t ALTER n TYPE int USING n * 2", [("'n' was declared anew", True)]),
    ("ALTER TABLE {s}.t ALTER n TYPE text USING 'x' || n", [("'n' was changed from integer to text", True)]),
    ("ALTER TABLE {s}.t RENAME n TO m", [("'n' was renamed to 'm'", True)]),
    ("ALTER TABLE {s}.t DROP m; ALTER TABLE {s}.t ADD m text", [("'m' was dropped and added again", True)]),
    ("ALTER TABLE {s}.t DROP m", [("'m' was dropped", False)]),
    ("ALTER TABLE {s}.t ADD a int", [("'a' (integer) was added", False)]),
    ("ALTER TABLE {s}.t ADD b int DEFAULT 7", [("'b' (integer) was added", True)]),
    (  # the default is written into the rows, and its note in the catalog is gone
        "ALTER TABLE {s}.t ADD c bigint GENERATED ALWAYS AS IDENTITY",
        [("'b' was declared anew", True), ("'c' (bigint) was added", True)],
    ),
    ("ALTER TABLE {s}.t ADD d int GENERATED ALWAYS AS (a + 1) STORED", []),
    ("ALTER TABLE {s}.t ADD e int DEFAULT 5; ALTER TABLE {s}.t ALTER e DROP DEFAULT", [("'e' (integer) was", True)]),
    ("ALTER TYPE {s}.mood ADD VALUE 'fair' BEFORE 'bad'", []),
    (
        "ALTER TYPE {s}.mood RENAME VALUE 'bad' TO 'awful'",
        [("label of column 'mood' was renamed", True), ("label of column 'moods' was renamed", True)],
    ),
)
PARTED_STEPS = (
    ("VACUUM FULL {s}.p1; ANALYZE {s}.p1", []),
    ("CREATE TABLE {s}.p3 PARTITION OF {s}.parted FOR VALUES FROM (20) TO (30)", [("p3 was attached", False)]),
    ("INSERT INTO {s}.parted VALUES (1, 20, 1)", []),
    (
        "CREATE TABLE {s}.p4 PARTITION OF {s}.parted FOR VALUES FROM (30) TO (40);"
        "INSERT INTO {s}.parted VALUES (1, 30, 1)",
        [("p4 was attached", False)],
    ),
    (
        "CREATE TABLE {s}.p5 (LIKE {s}.parted);"
        "ALTER TABLE {s}.parted ATTACH PARTITION {s}.p5 FOR VALUES FROM (40) TO (50)",
        [("p5 was attached", False)],
    ),
    ("CREATE TABLE {s}.p6 (LIKE {s}.parted); INSERT INTO {s}.p6 VALUES (1, 50, 1)", []),
    (
        "ALTER TABLE {s}.parted ATTACH PARTITION {s}.p6 FOR VALUES FROM (50) TO (60)",
        [("p6 was attached, and had rows", True)],
    ),
    ("TRUNCATE {s}.p2d", [("p2d was truncated", True)]),
    ("ANALYZE {s}.parted; TRUNCATE {s}.parted", []),
    ("ALTER TABLE {s}.parted ALTER n TYPE int USING n + 1", [("'n' was declared anew", True)]),
    ("ALTER TABLE {s}.parted DETACH PARTITION {s}.p1", [("p1 was detached or dropped", True)]),
    ("DROP TABLE {s}.p2", [("p2d was detached or dropped", True)]),
)
MYSQL = ("CREATE TABLE {s}.t (id int PRIMARY KEY, n int, v varchar(10), e enum('a', 'b'))",)
MYSQL_STEPS = (
    ("OPTIMIZE TABLE {s}.t", []),
    ("ALTER TABLE {s}.t MODIFY v varchar(20), MODIFY e enum('a', 'b', 'c')", [("'v' was", False), ("'e' was", False)]),
    ("ALTER TABLE {s}.t MODIFY n bigint", [("'n' was changed from int to bigint", False)]),
    ("ALTER TABLE {s}.t MODIFY n varchar(9)", [("'n' was changed from bigint to varchar(9)", True)]),
    ("ALTER TABLE {s}.t CHANGE n m varchar(9)", [("'n' was dropped", False), ("'m' (varchar(9)) was added", True)]),
    ("ALTER TABLE {s}.t ADD a int, ADD b int NOT NULL", [("'a' (int) was added", False), ("'b' (int) was", True)]),
    ("ALTER TABLE {s}.t ADD d int AS (a + 1) VIRTUAL", [("'d' (int) was added", True)]),
)


@pytest.fixture
def postgres(stack: LocalStack) -> Iterator[Database]:
    yield from made(Database(stack.addresses(), "postgres", "defined", 0), POSTGRES)


@pytest.fixture
def mysql(mysql_stack: LocalStack) -> Iterator[Database]:
    yield from made(Database(mysql_stack.addresses(), "mysql", "defined", 91), MYSQL)


def made(database: Database, statements: tuple[str, ...]) -> Iterator[Database]:
    database.make()
    try:
        database.sql(*statements)
        yield database
    finally:
        database.drop()


def definition(database: Database, table: str) -> Definition:
    name = TableName(database.name, table)
    declared = source_database(source(database)).tables([name])[name]
    assert isinstance(declared, SourceTable), declared
    return definition_of(declared)


def follow(database: Database, table: str, steps: tuple) -> None:
    """Carry out each step's statements, and compare what has changed with what is expected: words, and silence."""
    before = definition(database, table)
    for statements, expected in steps:
        for statement in statements.split(";"):
            run(database, statement)
        now = definition(database, table)
        assert Definition.from_json(now.to_json()) == now
        found = changes(before, now)
        assert [change.silent for change in found] == [silent for _, silent in expected], (statements, found)
        assert all(said(change, words) for change, (words, _) in zip(found, expected, strict=True)), found
        before = now


def said(change: Change, words: str) -> bool:
    return words in change.what.replace("defined.", "")


def run(database: Database, statement: str) -> None:
    if not statement.strip().startswith("VACUUM"):
        database.sql(statement)
        return
    with closing(database.connect()) as connection:
        connection.autocommit = True  # it refuses to run in a transaction
        connection.execute(statement.replace("{s}", database.name))


def test_a_postgresql_table(postgres: Database) -> None:
    """P57, P69, T10, T18."""
    follow(postgres, "t", T_STEPS)


def test_a_partitioned_postgresql_table(postgres: Database) -> None:
    """P17."""
    follow(postgres, "parted", PARTED_STEPS)


def test_a_mysql_table(mysql: Database) -> None:
    follow(mysql, "t", MYSQL_STEPS)
