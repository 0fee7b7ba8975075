"""Bulk reads of a real MySQL: ranges, every type, large values, keys, positions, and what is refused."""

import pickle
import random
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from pydantic import SecretStr

from cdc.config.sources import MySqlSource
from cdc.config.values import Secret
from cdc.core.canonical import same
from cdc.core.errors import IncompatibleSchema, PreflightError, TransientError
from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.core.source_types import event_row
from cdc.lake.rows import texts
from cdc.local.stack import LocalStack
from cdc.sources.bulk_mysql import MySqlBulk
from cdc.sources.bulk_mysql.connection import Server, await_replica, visible_position
from cdc.sources.mysql import MySqlDatabase
from cdc.sources.rows_mysql import MySqlRows, raw_connection
from tests.e2e.tables import MYSQL
from tests.e2e.workload import MYSQL_DIALECT, create_table

DATABASE = "bulk"
SEED = 20260925


class Place:
    """The server, as root and as the user that reads."""

    def __init__(self, stack: LocalStack) -> None:
        self.at = stack.addresses()
        self.secrets = self.at.environment()

    def root(self, **settings: object) -> Any:
        parameters = {"host": self.at.mysql_host, "port": self.at.mysql_port, "user": "root", "charset": "utf8mb4"}
        secret = self.secrets["CDC_MYSQL_ROOT_PASSWORD"]
        return pymysql.connect(**parameters, password=secret, autocommit=True, **settings)

    def run(self, *statements: str, values: tuple[object, ...] | None = None) -> None:
        with closing(self.root(database=DATABASE, init_command="SET time_zone = '+00:00'")) as connection:
            for statement in statements:
                connection.cursor().execute(statement, values)

    def source(self, **changes: object) -> MySqlSource:
        settings = {
            "name": "bulk_my",
            "host": self.at.mysql_host,
            "port": self.at.mysql_port,
            "database": DATABASE,
            "password": Secret("${env:X}", SecretStr(self.secrets["CDC_MYSQL_PASSWORD"])),
            "ssl_mode": "disabled",
            "server_id": 5802,
            "tables": [{"source": f"{DATABASE}.t", "key": ["id"]}],
        }
        return MySqlSource.model_validate(settings | changes)

    def columns(self, table: str) -> dict[str, str]:
        declared = MySqlDatabase(self.source()).table(DATABASE, table).columns
        return event_row("mysql", declared).columns()

    def printed(self, table: str, key: tuple[str, ...]) -> tuple[list[Any], list[tuple[str | None, ...]]]:
        """The rows as `cdc verify` reads them from the source."""
        parameters = {"host": self.at.mysql_host, "port": self.at.mysql_port, "user": "cdc", "database": DATABASE}
        with closing(raw_connection(**parameters, password=self.secrets["CDC_MYSQL_PASSWORD"])) as connection:
            found = MySqlRows(connection, TableName(DATABASE, table), key)
            return list(found.columns), list(found.rows())


@pytest.fixture(scope="module")
def place(mysql_stack: LocalStack) -> Iterator[Place]:
    place = Place(mysql_stack)
    with closing(place.root()) as admin, admin.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        cursor.execute(f"GRANT SELECT ON {DATABASE}.* TO 'cdc'@'%'")
    yield place
    with closing(place.root()) as admin, admin.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE}")
        cursor.execute(f"REVOKE SELECT ON {DATABASE}.* FROM 'cdc'@'%'")


def read(place: Place, table: str, key: tuple[str, ...], part: Range | None = None) -> pa.Table:
    bulk = MySqlBulk(place.source())
    name = TableName(DATABASE, table)
    reader = pickle.loads(pickle.dumps(bulk.reader(name, key, place.columns(table))))
    return pa.Table.from_batches(list(reader.read(part or Range(0, name, "", 0))))


def canonical(rows: pa.Table) -> list[tuple[str | None, ...]]:
    columns = [[text for chunk in column.chunks for text in texts(chunk)] for column in rows.columns]
    return list(zip(*columns, strict=True))


def assert_equal(place: Place, table: str, key: tuple[str, ...] = ("id",)) -> list[tuple[str | None, ...]]:
    columns, expected = place.printed(table, key)
    found = canonical(read(place, table, key))
    assert len(found) == len(expected)
    for row, wanted in zip(sorted(found, key=str), sorted(expected, key=str), strict=True):
        for column, left, right in zip(columns, row, wanted, strict=True):
            assert same(column.form, left, right), (column.name, left, right)
    return found


@pytest.mark.parametrize("table", MYSQL, ids=lambda table: table.name)
def test_every_table_of_the_end_to_end_tests_is_read_as_it_is_verified(place, table):
    """M22 M27 M28 M29 M31 M35"""
    r = random.Random(SEED)
    keys = [pool for _, pool in table.key.values()]
    names = [*table.key, *table.columns]
    count = min(80, *(len(pool) for pool in keys))
    place.run(*create_table(table, MYSQL_DIALECT))
    quoted = ", ".join(f"`{name}`" for name in names)
    with closing(place.root(database=DATABASE, init_command="SET time_zone = '+00:00'")) as connection:
        for i in range(count):
            drawn = [None if r.random() < table.nulls else draw(r) for _, draw in table.columns.values()]
            row = [*(pool[i] for pool in keys), *drawn]
            marks = ", ".join(["%s"] * len(row))
            connection.cursor().execute(f"INSERT INTO `{table.name}` ({quoted}) VALUES ({marks})", row)
    assert len(assert_equal(place, table.name, tuple(table.key))) == count


EDGES = """
CREATE TABLE edges (
  id int PRIMARY KEY, i int unsigned, bu bigint unsigned, fl float, do double, dfix double(10,2),
  d65 decimal(65,30), d0 decimal(38,0), b1 bit(1), b64 bit(64), y year, ti time(6), t0 time, dt datetime(3),
  ts timestamp(6) NULL, ch char(5), gbk varchar(20) CHARACTER SET gbk, sjis varchar(20) CHARACTER SET sjis,
  u16 varchar(20) CHARACTER SET utf16, bi binary(6), vb varbinary(9), en enum('a','ü') CHARACTER SET latin1,
  se set('x','y'), js json, bl longblob)
"""


def test_edges_of_types(place):
    """M22 M24 M25 M29 M30 M31 M32 M35"""
    r = random.Random(SEED)
    place.run(EDGES, "SET sql_mode = ''")
    statements = [
        "INSERT INTO edges VALUES (1, 4294967295, 18446744073709551615, 16777216, 5e-324, 1.10, "
        "-99999999999999999999999999999999999.999999999999999999999999999999, 99999999999999999999999999999999999999, "
        "b'1', b'1000000000000000000000000000000000000000000000000000000000000001', 2155, '-838:59:59.000000', "
        "'838:59:59', '9999-12-31 23:59:59.999', '2038-01-19 03:14:07.999999', 'a', _utf8mb4'中', _utf8mb4'ﾃｽﾄ', "
        "_utf8mb4'🦊', X'010000', X'00', 'ü', 'x,y', '{\"a\": -0.0, \"b\": 18446744073709551615}', X'0D0A00')",
        "INSERT INTO edges VALUES (2, 0, 0, 1.1, -0e0, 0.07, 0, -1, b'0', 0, 1901, '-00:00:00.500000', '-00:00:01', "
        "'0001-01-01 00:00:00', '1970-01-01 00:00:01', '', '', '', '', '', '', 'a', '', 'null', '')",
        "INSERT INTO edges (id, ti) VALUES (3, '25:00:00.000001')",
        "INSERT INTO edges (id, en, fl, do) VALUES (4, 0, 3.4028235e38, -1.7976931348623157e308)",
        "INSERT INTO edges (id, fl, ti) VALUES (5, 1.1754944e-38, '-01:00:00.000001')",
    ]
    with closing(place.root(database=DATABASE, init_command="SET time_zone='+00:00', sql_mode=''")) as connection:
        for statement in statements:
            connection.cursor().execute(statement)
        for i in range(200):
            row = (
                10 + i,
                r.uniform(-1, 1) * 10.0 ** r.randint(-37, 37),
                r.uniform(-1, 1) * 10.0 ** r.randint(-300, 300),
            )
            connection.cursor().execute("INSERT INTO edges (id, fl, do) VALUES (%s, %s, %s)", row)
    assert_equal(place, "edges")
    found = read(place, "edges", ("id",)).sort_by("id").to_pylist()
    assert found[0]["ti"] == -(838 * 3600 + 59 * 60 + 59) * 10**6
    assert found[1]["ti"] == -500_000
    assert found[2]["ti"] == 25 * 3600 * 10**6 + 1
    assert found[4]["ti"] == -3_600_000_001
    assert found[0]["bi"] == b"\1\0\0\0\0\0"  # M32: the log leaves zeros at the end out, Debezium adds them
    assert found[3]["en"] == ""  # M30


def test_zero_dates_are_null_or_the_default_as_in_the_stream_m23(place):
    columns = "id int PRIMARY KEY, a date, b date NOT NULL, c datetime, d datetime(6) NOT NULL, e timestamp NULL"
    settled = "f timestamp NOT NULL, g date NOT NULL DEFAULT '2020-02-03'"
    row = "(1, '0000-00-00', '0000-00-00', '2024-00-10', '2024-01-00', 0, 0, '0000-00-00')"
    real = "(2, '0001-01-01', '0001-01-01', '2024-01-10', '2024-01-01', '1971-01-01', '1971-01-01', '2001-01-01')"
    with closing(place.root(database=DATABASE, init_command="SET time_zone='+00:00', sql_mode=''")) as connection:
        connection.cursor().execute(f"CREATE TABLE zeros ({columns}, {settled})")
        connection.cursor().execute(f"INSERT INTO zeros VALUES {row}, {real}")
    zero, _ = canonical(read(place, "zeros", ("id",)))
    assert zero == ("1", None, "0", None, "0", None, "0", "18295")


def test_geometries_are_the_structs_of_debezium_m35(place):
    place.run(
        "CREATE TABLE shapes (id int PRIMARY KEY, p point, g geometry, l linestring)",
        "INSERT INTO shapes VALUES (1, ST_GeomFromText('POINT(1 2)', 4326),"
        " ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'),"
        " ST_GeomFromText('LINESTRING(0 0,1 1)')),"
        " (2, NULL, NULL, NULL), (3, Point(-1.5, 3), Point(1, 2), NULL)",
    )
    one, two, three = read(place, "shapes", ("id",)).to_pylist()
    assert (one["p"]["x"], one["p"]["y"], one["p"]["srid"]) == (2.0, 1.0, 4326)  # stored as longitude, latitude
    assert one["g"]["srid"] is None
    assert one["g"]["wkb"][:5] == b"\1\3\0\0\0"
    assert two == {"id": 2, "p": None, "g": None, "l": None}
    assert (three["p"]["x"], three["p"]["y"], len(three["p"]["wkb"])) == (-1.5, 3.0, 21)


KEYS = {
    "number": (("id",), "id int", "s.i"),
    "huge": (("id",), "id bigint unsigned", "18446744073709551615 - s.i * 3"),
    "sparse": (("id",), "id bigint", "IF(s.i = 2999, 9000000000000000000, s.i)"),
    "text": (("id",), "id varchar(60)", "CONCAT('k''\"\\\\\\\\ Ä', s.i)"),
    "latin": (("id",), "id varchar(20) CHARACTER SET latin1 COLLATE latin1_german1_ci", "CONCAT('ü', s.i)"),
    "uuid": (("id",), "id char(36) CHARACTER SET ascii COLLATE ascii_bin", "BIN_TO_UUID(UNHEX(MD5(s.i)))"),
    "binary": (("id",), "id binary(16)", "UNHEX(MD5(s.i))"),
    "day": (("id",), "id date", "DATE_ADD('1000-01-01', INTERVAL s.i DAY)"),
    "moment": (("id",), "id timestamp(6)", "TIMESTAMPADD(MICROSECOND, s.i * 999999999, '1999-12-31 23:00:00')"),
    "clock": (("id",), "id time(3)", "SEC_TO_TIME(s.i * 1000 - 1500000)"),
    "money": (("id",), "id decimal(20,5)", "s.i / 7 - 200"),
    "composite": (
        ("a", "b", "c"),
        "a int, b varchar(9), c date",
        "s.i DIV 1500, s.i % 50, '2020-01-01' + INTERVAL s.i DAY",
    ),
    "enum_first": (("a", "id"), "a enum('b','a'), id int", "1 + s.i % 2, s.i"),
    "enum_last": (("id", "a"), "id int, a enum('b','a')", "s.i DIV 2, 1 + s.i % 2"),
}


def fill(place: Place, name: str, key: tuple[str, ...], columns: str, values: str) -> None:
    place.run(
        f"CREATE TABLE {name} ({columns}, v int, PRIMARY KEY ({', '.join(key)}))",
        f"INSERT INTO {name} WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999),"
        f" s(i) AS (SELECT n.i + 1000 * m.i FROM n JOIN (SELECT 0 AS i UNION SELECT 1 UNION SELECT 2) m)"
        f" SELECT {values}, s.i FROM s",
        f"ANALYZE TABLE {name}",
    )


@pytest.mark.parametrize("kind", KEYS)
def test_ranges_are_disjoint_and_complete_and_the_same_again(place, kind):
    key, columns, values = KEYS[kind]
    fill(place, f"key_{kind}", key, columns, values)
    name = TableName(DATABASE, f"key_{kind}")
    bulk = MySqlBulk(place.source())
    parts = bulk.ranges(name, key, 250)
    assert parts == bulk.ranges(name, key, 250)
    assert [part.number for part in parts] == list(range(len(parts)))
    held = [read(place, name.table, key, part).column("v").to_pylist() for part in parts]
    assert sorted(v for rows in held for v in rows) == list(range(3000))
    if kind != "enum_first":
        assert len(parts) >= 3
        assert max(map(len, held)) <= 1000
        assert all(part.ordered for part in parts)
        with closing(place.root(database=DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN SELECT * FROM {name.table} WHERE {parts[1].predicate}")
            assert cursor.fetchone()[4] == "range"


@pytest.mark.parametrize("kind", KEYS)
def test_rows_by_key(place, kind):
    key, columns, values = KEYS[kind]
    table = f"by_{kind}"
    fill(place, table, key, columns, values)
    wanted = read(place, table, key).slice(100, 5)
    rows = [tuple(row[name] for name in key) for row in wanted.to_pylist()]
    bulk = MySqlBulk(place.source())
    part = bulk.keys(TableName(DATABASE, table), key, rows)
    found = read(place, table, key, part)
    assert sorted(found.column("v").to_pylist()) == sorted(wanted.column("v").to_pylist())
    assert read_count(place, table, key, bulk.keys(TableName(DATABASE, table), key, [])) == 0


def read_count(place: Place, table: str, key: tuple[str, ...], part: Range) -> int:
    reader = MySqlBulk(place.source()).reader(TableName(DATABASE, table), key, place.columns(table))
    return sum(batch.num_rows for batch in reader.read(part))


def test_an_empty_table_is_one_range_without_rows(place):
    """P32."""
    place.run("CREATE TABLE nothing (id int PRIMARY KEY)")
    bulk = MySqlBulk(place.source())
    (part,) = bulk.ranges(TableName(DATABASE, "nothing"), ["id"], 10)
    assert part.predicate == ""
    rows = bulk.reader(TableName(DATABASE, "nothing"), ["id"], {"id": "int"}).read(part)
    assert list(rows) == []
    assert rows.high


def test_a_key_that_is_not_the_primary_key_is_not_ordered(place):
    """A row may move between ranges of the primary key while its key stays."""
    fill(place, "other", ("id",), "id int, k int NOT NULL UNIQUE", "s.i, 5000 - s.i")
    name = TableName(DATABASE, "other")
    parts = MySqlBulk(place.source()).ranges(name, ["k"], 500)
    assert len(parts) > 1
    assert not any(part.ordered for part in parts)
    assert sum(read_count(place, "other", ("k",), part) for part in parts) == 3000


def test_partitions_are_read_as_one(place):
    place.run("CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY HASH (id) PARTITIONS 3")
    place.run("INSERT INTO parted VALUES (1, 1), (2, 2), (3, 3), (4, 4)")
    (part,) = MySqlBulk(place.source()).ranges(TableName(DATABASE, "parted"), ["id"], 500)
    assert not part.ordered
    assert sorted(read(place, "parted", ("id",)).column("id").to_pylist()) == [1, 2, 3, 4]


def test_a_value_of_50_mb_in_bounded_memory(place):
    with closing(place.root()) as admin:
        admin.cursor().execute("SET GLOBAL max_allowed_packet = 268435456")
    size = 50_000_000
    place.run("CREATE TABLE large (id int PRIMARY KEY, a longtext, b longblob)")
    with closing(place.root(database=DATABASE, max_allowed_packet=268435456)) as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO large VALUES (0, 'x', 'y')")
        for i in range(1, 5):
            cursor.execute(f"INSERT INTO large VALUES ({i}, REPEAT('ä', {size // 2}), REPEAT(X'00FF', {i * 8388606}))")
    reader = MySqlBulk(place.source()).reader(TableName(DATABASE, "large"), ["id"], place.columns("large"))
    tracemalloc.start()
    peak, seen = 0, []
    for batch in reader.read(Range(0, TableName(DATABASE, "large"), "", 0)):
        peak = max(peak, pa.total_allocated_bytes())
        a, b = batch.column(1)[-1], batch.column(2)[-1]
        assert a.as_buffer().size in (size, 1)
        seen += batch.column(0).to_pylist()
        assert b.as_buffer().size == (seen[-1] * 2 * 8388606 or 1)
        assert b.as_buffer().to_pybytes()[-2:] in (b"\0\xff", b"y")
        del a, b, batch
    assert seen == [0, 1, 2, 3, 4]
    assert peak < 2.5 * (size + 8 * 8388606)
    assert tracemalloc.get_traced_memory()[1] < 3 * (size + 8 * 8388606)
    tracemalloc.stop()


def test_padding_of_char_is_no_part_of_the_value_m32(place):
    place.run("CREATE TABLE padded (id int PRIMARY KEY, c char(9))", "INSERT INTO padded VALUES (1, 'a')")
    with closing(place.root()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.sql_mode")
        (mode,) = cursor.fetchone()
        cursor.execute("SET GLOBAL sql_mode = CONCAT('PAD_CHAR_TO_FULL_LENGTH,', @@GLOBAL.sql_mode)")
        try:
            assert read(place, "padded", ("id",)).column("c").to_pylist() == ["a"]
        finally:
            cursor.execute("SET GLOBAL sql_mode = %s", (mode,))


def test_instants_are_the_same_in_whatever_zone_the_server_is_m24(place):
    """A TIMESTAMP is an instant, also in the hour that clocks are set back; a DATETIME is what was written."""
    place.run("CREATE TABLE zoned (id int PRIMARY KEY, ts timestamp(6), dt datetime(6))")
    with closing(place.root()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.time_zone")
        (zone,) = cursor.fetchone()
        cursor.execute("SET GLOBAL time_zone = '-05:00'")
        try:
            for number, hour in enumerate((5, 6)):  # in a session at UTC
                place.run(f"INSERT INTO zoned VALUES ({number}, '2024-11-03 {hour}:30', '2024-11-03 01:30')")
            rows = read(place, "zoned", ("id",)).sort_by("id").to_pylist()
        finally:
            cursor.execute("SET GLOBAL time_zone = %s", (zone,))
    assert [row["ts"] for row in rows] == [datetime(2024, 11, 3, hour, 30, tzinfo=UTC) for hour in (5, 6)]
    assert {row["dt"] for row in rows} == {datetime.fromisoformat("2024-11-03 01:30:00")}


def test_what_is_logged_before_the_low_position_is_seen(place):
    """A commit is in the log before it can be seen; here all updates up to the position must be in the row read."""
    place.run("CREATE TABLE counted (id int PRIMARY KEY, n bigint)", "INSERT INTO counted VALUES (1, 0)")
    place.run("FLUSH BINARY LOGS")
    done = threading.Event()

    def count() -> None:
        with closing(place.root(database=DATABASE)) as connection:
            while not done.is_set():
                connection.cursor().execute("UPDATE counted SET n = n + 1")

    writer = threading.Thread(target=count, daemon=True)
    writer.start()
    server = Server(place.source(), None, 60)
    seen = []
    with server.connection() as connection, connection.cursor() as cursor:
        for _ in range(200):
            low = visible_position(connection)
            cursor.execute(f"SELECT n FROM {DATABASE}.counted")
            seen.append((low.split(":"), cursor.fetchone()["n"]))
    done.set()
    writer.join()
    with closing(place.root()) as admin, admin.cursor() as cursor:
        cursor.execute(f"SHOW BINLOG EVENTS IN '{seen[0][0][0]}'")
        ends = [event[4] for event in cursor.fetchall() if event[2] == "Xid"]
    assert seen[-1][1] > 0
    for (_, place_in_file), n in seen:
        assert sum(end <= int(place_in_file) for end in ends) <= n


def test_positions_around_a_read(place):
    place.run("CREATE TABLE around (id int PRIMARY KEY)", "INSERT INTO around VALUES (1)")
    bulk = MySqlBulk(place.source())
    before = bulk.position()
    rows = bulk.reader(TableName(DATABASE, "around"), ["id"], {"id": "int"}).read(
        Range(0, TableName(DATABASE, "around"), "", 1)
    )
    place.run("INSERT INTO around VALUES (2)")
    assert [batch.to_pydict() for batch in rows] == [{"id": [1]}]  # one moment, though it is read later
    assert int(before.split(":")[1]) <= int(rows.low.split(":")[1]) < int(rows.high.split(":")[1])
    rows.close()
    rows.close()


def test_another_host_is_read_once_it_holds_what_the_primary_does(place):
    place.run("CREATE TABLE elsewhere (id int PRIMARY KEY)", "INSERT INTO elsewhere VALUES (1)")
    bulk = MySqlBulk(place.source(), host="localhost")
    name = TableName(DATABASE, "elsewhere")
    rows = bulk.reader(name, ["id"], {"id": "int"}).read(Range(0, name, "", 1))
    assert [batch.num_rows for batch in rows] == [1]
    assert rows.low.startswith("binlog.")
    missing = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7:9"
    server = Server(place.source(), None, 60)
    with pytest.raises(TransientError, match="8 transactions behind"), server.connection() as connection:
        await_replica(connection, missing, seconds=1)


def test_a_read_that_is_left_ends_its_statement(place):
    fill(place, "left_alone", ("id",), "id int, t text", "s.i, REPEAT('x', 5000)")
    bulk = MySqlBulk(place.source())
    rows = bulk.reader(TableName(DATABASE, "left_alone"), ["id"], place.columns("left_alone")).read(
        Range(0, TableName(DATABASE, "left_alone"), "", 1)
    )
    assert next(iter(rows)).num_rows > 0
    rows.close()
    rows.close()


def test_a_lost_connection_can_be_tried_again(place):
    fill(place, "killed", ("id",), "id int, t text", "s.i, REPEAT('x', 20000)")
    rows = (
        MySqlBulk(place.source())
        .reader(TableName(DATABASE, "killed"), ["id"], place.columns("killed"))
        .read(Range(0, TableName(DATABASE, "killed"), "", 1))
    )
    batches = iter(rows)
    next(batches)
    with closing(place.root()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.PROCESSLIST WHERE user = 'cdc' AND info LIKE '%killed%'")
        for (thread,) in cursor.fetchall():
            cursor.execute(f"KILL {thread}")
    with pytest.raises(TransientError):
        list(batches)
    rows.close()


def test_a_statement_that_takes_too_long_can_be_tried_again(place):
    fill(place, "slow", ("id",), "id int, t text", "s.i, REPEAT('x', 20000)")
    name = TableName(DATABASE, "slow")
    bulk = MySqlBulk(place.source(), statement_timeout=0.2)
    with pytest.raises(TransientError):
        list(bulk.reader(name, ["id"], {"id": "int"}).read(Range(0, name, "SLEEP(0.01) = 0", 1)))


def test_no_server_can_be_tried_again(place):
    with pytest.raises(TransientError, match="MySQL at"):
        MySqlBulk(place.source(port=1)).position()


def test_what_may_not_be_read_is_named_with_its_grant(place):
    with closing(place.root()) as admin:
        admin.cursor().execute("CREATE DATABASE IF NOT EXISTS hidden")
        admin.cursor().execute("CREATE TABLE IF NOT EXISTS hidden.t (id int PRIMARY KEY, secret int)")
    name = TableName("hidden", "t")
    with pytest.raises(PreflightError, match=r"hidden\.t") as refused:
        MySqlBulk(place.source()).ranges(name, ["id"], 10)
    assert "GRANT SELECT ON `hidden`.`t`" in refused.value.hint
    place.run("CREATE TABLE shown (id int PRIMARY KEY)")
    reader = MySqlBulk(place.source()).reader(TableName(DATABASE, "shown"), ["id"], {"id": "int"})
    with pytest.raises(PreflightError, match=r"may not read table hidden\.t") as refused:
        reader.read(Range(0, name, "", 1))
    assert "GRANT SELECT ON `hidden`.`t`" in refused.value.hint


def test_a_wrong_password_is_refused_and_not_shown(place):
    secret = Secret("${env:X}", SecretStr("wrong-and-secret"))
    with pytest.raises(PreflightError, match="Access denied") as refused:
        MySqlBulk(place.source(password=secret)).position()
    assert "wrong-and-secret" not in str(refused.value) + refused.value.hint


def test_a_table_or_column_that_vanished_is_named(place):
    place.run("CREATE TABLE brief (id int PRIMARY KEY, v int, gone int)", "INSERT INTO brief VALUES (1, 2, 3)")
    name = TableName(DATABASE, "brief")
    bulk = MySqlBulk(place.source())
    reader = bulk.reader(name, ["id"], {"id": "int", "gone": "int"})
    place.run("ALTER TABLE brief DROP COLUMN gone")
    with pytest.raises(PreflightError, match=r"bulk\.brief"):
        reader.read(Range(0, name, "", 1))
    with pytest.raises(PreflightError, match="no column 'gone'"):
        bulk.reader(name, ["id"], {"gone": "int"})
    reader = bulk.reader(name, ["id"], {"id": "int"})
    place.run("DROP TABLE brief")
    with pytest.raises(PreflightError, match=r"bulk\.brief"):
        reader.read(Range(0, name, "", 1))
    with pytest.raises(PreflightError, match=r"bulk\.brief"):
        bulk.size(name)


def test_zeros_before_a_number_are_no_part_of_it(place):
    place.run("CREATE TABLE filled (id int PRIMARY KEY, i int(6) unsigned zerofill, b bigint unsigned zerofill)")
    place.run("INSERT INTO filled VALUES (1, 42, 7)")
    assert canonical(read(place, "filled", ("id",))) == [("1", "42", "7")]


def test_a_type_without_a_known_form_is_refused(place):
    place.run("CREATE TABLE odd (id int PRIMARY KEY, p point)")
    with pytest.raises(IncompatibleSchema) as refused:
        MySqlBulk(place.source()).reader(TableName(DATABASE, "odd"), ["id"], {"p": "string"})
    assert "snapshot: connector" in refused.value.hint
