"""PostgreSQL read in ranges by a load, on a real server: which rows, which values, which errors."""

import base64
import pickle
import random
import subprocess
import sys
from decimal import Decimal

import psycopg
import pytest

from cdc.config.sources import PostgresSource
from cdc.core.canonical import same
from cdc.core.errors import IncompatibleSchema, PreflightError, TerminalError, TransientError
from cdc.core.names import TableName, quote
from cdc.core.source_types import event_row
from cdc.lake.rows import texts
from cdc.sources.bulk_postgres import PostgresBulk, planning
from cdc.sources.postgres import PostgresDatabase
from cdc.sources.rows_postgres import PostgresRows
from tests.e2e.tables import BEFORE_POSTGRES, POSTGRES
from tests.e2e.workload import POSTGRES_DIALECT, create_table

ROWS, PER_RANGE = 4000, 500


class Stand:
    """The stack's PostgreSQL, with tables made by their owner and read as the role that captures."""

    def __init__(self, stack):
        self.at = stack.addresses()
        self.secrets = self.at.environment()
        self.owner = self.connect("shop_owner", "CDC_POSTGRES_OWNER_PASSWORD")
        self.admin = self.connect("postgres", "CDC_POSTGRES_ADMIN_PASSWORD")
        self.source = self.source_with()

    def connect(self, user, secret):
        return psycopg.connect(
            host=self.at.postgres_host,
            port=self.at.postgres_port,
            dbname="shop",
            user=user,
            password=self.secrets[secret],
            autocommit=True,
            options="-c TimeZone=UTC",
        )

    def source_with(self, **changes) -> PostgresSource:
        data = {
            "name": "bulk",
            "host": self.at.postgres_host,
            "port": self.at.postgres_port,
            "database": "shop",
            "password": "${env:CDC_POSTGRES_PASSWORD}",
            "sslmode": "disable",
            "tables": [{"source": "public.t", "key": ["id"]}],
        }
        resolve = {"resolve": lambda _kind, name: self.secrets.get(name, "wrong-password")}
        return PostgresSource.model_validate(data | changes, context=resolve)

    def make(self, name: str, columns: str, filled: str = "", *values: object) -> TableName:
        self.owner.execute(f"DROP TABLE IF EXISTS {name} CASCADE")
        self.owner.execute(f"CREATE TABLE {name} {columns}")
        if filled:
            self.owner.execute(f"INSERT INTO {name} {filled}", values or None)
        self.admin.execute(f"VACUUM ANALYZE {name}")
        return TableName("public", name)

    def columns(self, table: TableName) -> dict[str, str]:
        """Return the target's columns, as an event's schema has them."""
        declared = PostgresDatabase(self.source).table(*table).columns
        return event_row("postgres", declared).columns()


@pytest.fixture(scope="module")
def stand(stack):
    own = Stand(stack)
    for name in ("citext", "hstore", "ltree"):
        own.admin.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
    own.owner.execute("DROP TYPE IF EXISTS bulk_mood CASCADE")  # a module of tests before this one made them
    own.owner.execute("DROP DOMAIN IF EXISTS bulk_positive CASCADE")
    for statement in BEFORE_POSTGRES:
        own.owner.execute(
            statement.replace("CREATE TYPE mood", "CREATE TYPE bulk_mood").replace("positive", "bulk_positive")
        )
    yield own
    own.owner.close()
    own.admin.close()


@pytest.fixture
def bulk(stand):
    return PostgresBulk(stand.source)


def read(bulk, table, key, columns, parts):
    """Return the rows of the ranges as Python values, range by range."""
    reader = bulk.reader(table, key, columns)
    return [[tuple(row.values()) for batch in reader.read(part) for row in batch.to_pylist()] for part in parts]


DENSE = "SELECT i, 'v' || i FROM generate_series(1, 4000) i"
KINDS = {
    # declared key, what fills it in its order, whether it is cut by key
    "dense": ("k bigint", "SELECT i FROM generate_series(1, 4000) i", True),
    "negative": ("k int", "SELECT i - 2000 FROM generate_series(1, 4000) i", True),
    "sparse": ("k bigint", "SELECT i::bigint * i * i FROM generate_series(1, 4000) i", True),
    "outlier": ("k bigint", "SELECT i FROM generate_series(1, 3999) i UNION ALL SELECT 9223372036854775807", True),
    "edges": ("k smallint", "SELECT i * 16 - 32768 FROM generate_series(0, 3999) i", True),
    "text": ("k text", "SELECT 'it''s \\ ' || lpad(i::text, 5, '0') FROM generate_series(1, 4000) i", True),
    "char": ("k char(7)", "SELECT 'a' || lpad(i::text, 5, '0') FROM generate_series(1, 4000) i", True),
    "collated": ('k text COLLATE "en-x-icu"', "SELECT 'ä' || i FROM generate_series(10001, 14000) i", True),
    "uuid": ("k uuid", "SELECT md5(i::text)::uuid FROM generate_series(1, 4000) i ORDER BY 1", True),
    "random": ("k uuid", "SELECT md5(i::text)::uuid FROM generate_series(1, 4000) i", False),
    "numeric": ("k numeric(12,2)", "SELECT i / 7.0 FROM generate_series(1, 4000) i", True),
    "moment": ("k timestamptz", "SELECT to_timestamp(0) + i * interval '7 h' FROM generate_series(1, 4000) i", True),
    "date": ("k date", "SELECT date '0001-01-01' + i * 400 FROM generate_series(1, 4000) i", True),
    "bytes": ("k bytea", "SELECT decode(lpad(to_hex(i), 8, '0'), 'hex') FROM generate_series(1, 4000) i", True),
    "caseless": ("k citext", "SELECT lpad(i::text, 5, '0') FROM generate_series(1, 4000) i", False),
    "domain": ("k bulk_positive", "SELECT i FROM generate_series(1, 4000) i", True),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_hold_each_row_once(stand, bulk, kind):
    declared, filled, by_key = KINDS[kind]
    table = stand.make(f"bulk_{kind}", f"({declared} PRIMARY KEY)", filled)
    parts = bulk.ranges(table, ["k"], PER_RANGE)
    assert len(parts) == 8
    assert [part.number for part in parts] == list(range(8))
    assert parts == bulk.ranges(table, ["k"], PER_RANGE)
    assert all(("ctid" in part.predicate) != by_key and part.ordered == by_key for part in parts)
    found = read(bulk, table, ["k"], stand.columns(table), parts)
    rows = [row for part in found for row in part]
    assert len(rows) == len(set(rows)) == ROWS
    assert all(PER_RANGE // 2 <= len(part) <= PER_RANGE * 2 for part in found)
    if by_key and kind != "collated":
        assert rows == sorted(rows)


def test_dates_before_christ_are_cut_as_well(stand, bulk):
    """P41: beyond the calendar of Python."""
    filled = "SELECT date '0044-03-15 BC' + i * 400 FROM generate_series(1, 4000) i"
    table = stand.make("bulk_bc", "(k date PRIMARY KEY)", filled)
    reader = bulk.reader(table, ["k"], {"k": "date"})
    days = [d for part in bulk.ranges(table, ["k"], PER_RANGE) for b in reader.read(part) for d in texts(b.column("k"))]
    assert len(days) == len(set(days)) == ROWS
    assert days[0] == str(-735160 + 400)


@pytest.mark.parametrize(
    ("kind", "early", "late"), [("dense", -5, 10**12), ("text", " ", "zzz"), ("random", None, None)]
)
def test_rows_that_come_after_the_cut_are_in_a_range(stand, bulk, kind, early, late):
    """Before the first bound, beyond the last, and in new blocks."""
    declared, filled, _ = KINDS[kind]
    table = stand.make("bulk_later", f"({declared} PRIMARY KEY)", filled)
    parts = bulk.ranges(table, ["k"], PER_RANGE)
    if early is None:
        stand.owner.execute("INSERT INTO bulk_later SELECT gen_random_uuid() FROM generate_series(1, 5000)")
    else:
        stand.owner.execute("INSERT INTO bulk_later VALUES (%s), (%s)", [early, late])
    rows = [row for part in read(bulk, table, ["k"], stand.columns(table), parts) for row in part]
    assert len(rows) == len(set(rows)) == ROWS + (5000 if early is None else 2)


@pytest.mark.parametrize(
    ("key", "filled", "by_key"),
    [
        (["a", "b"], "SELECT i / 1000, i, 'x' FROM generate_series(1, 4000) i", True),
        (["a", "c"], "SELECT i / 1000, i, lpad(i::text, 5, '0') || '''' FROM generate_series(1, 4000) i", True),
        (["b"], "SELECT i % 3, i, 'x' FROM generate_series(1, 4000) i", False),
    ],
)
def test_keys_of_several_columns_and_keys_without_an_index(stand, bulk, key, filled, by_key):
    """The third key is what nothing says of it that it is unique, so its index cannot be relied on: cut by block."""
    columns = "(a int NOT NULL, b int NOT NULL, c text NOT NULL"
    unique = f", UNIQUE ({', '.join(key)})" if by_key else ""
    table = stand.make("bulk_several", f"{columns}{unique})", filled)
    parts = bulk.ranges(table, key, PER_RANGE)
    assert len(parts) == 8
    assert all(("ctid" in part.predicate) != by_key and part.ordered == by_key for part in parts)
    rows = [row for part in read(bulk, table, key, stand.columns(table), parts) for row in part]
    assert len(rows) == len(set(rows)) == ROWS


def test_servers_without_tid_ranges_are_cut_by_key(stand, bulk, monkeypatch):
    """PostgreSQL 13 would read the whole table for each range of blocks."""
    monkeypatch.setattr(planning, "_TID_RANGE_SCAN", 10**9)
    table = stand.make(
        "bulk_old", "(k uuid PRIMARY KEY, v text)", "SELECT md5(i::text)::uuid FROM generate_series(1, 4000) i"
    )
    parts = bulk.ranges(table, ["k"], PER_RANGE)
    assert len(parts) == 8
    assert not any("ctid" in part.predicate for part in parts)
    found = read(bulk, table, ["k"], {"k": "string"}, parts)
    assert len({row for part in found for row in part}) == sum(map(len, found)) == ROWS
    assert len(bulk.ranges(table, ["v"], PER_RANGE)) == 1


def test_small_and_empty_tables_are_one_range(stand, bulk):
    """P32."""
    table = stand.make("bulk_small", "(id int PRIMARY KEY, v text)", DENSE)
    assert [part.predicate for part in bulk.ranges(table, ["id"], 3000)] == [""]
    assert bulk.size(table).rows == ROWS
    assert bulk.size(table).bytes >= ROWS * 30
    empty = stand.make("bulk_empty", "(id int PRIMARY KEY)")
    parts = bulk.ranges(empty, ["id"], 10)
    assert [(part.predicate, part.rows) for part in parts] == [("", 0)]
    assert read(bulk, empty, ["id"], {"id": "int"}, parts) == [[]]


def test_a_table_that_was_never_analysed_is_counted(stand, bulk):
    stand.owner.execute("DROP TABLE IF EXISTS bulk_fresh")
    stand.owner.execute("CREATE TABLE bulk_fresh (id int PRIMARY KEY) WITH (autovacuum_enabled = off)")
    stand.owner.execute("INSERT INTO bulk_fresh SELECT generate_series(1, 4000)")
    table = TableName("public", "bulk_fresh")
    assert bulk.size(table).rows == ROWS
    assert len(bulk.ranges(table, ["id"], PER_RANGE)) > 1, "by block: nothing is known of the order of its rows"


def test_partitions_are_read_one_by_one_and_children_are_not(stand, bulk):
    """P16: partitions count as their root; the rows of a child table are in the log under its own name."""
    stand.make("bulk_parts", "(id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)")
    assert [part.predicate for part in bulk.ranges(TableName("public", "bulk_parts"), ["id", "region"], 10)] == [""]
    for name, kind in (("b", "FOR VALUES IN ('b')"), ("a", "FOR VALUES IN ('a') PARTITION BY RANGE (id)")):
        stand.owner.execute(f"CREATE TABLE bulk_parts_{name} PARTITION OF bulk_parts {kind}")
    stand.owner.execute("CREATE TABLE bulk_parts_a1 PARTITION OF bulk_parts_a FOR VALUES FROM (1) TO (2001)")
    stand.owner.execute("CREATE TABLE bulk_parts_a2 PARTITION OF bulk_parts_a DEFAULT")
    stand.owner.execute(
        "INSERT INTO bulk_parts SELECT i, r FROM generate_series(1, 4000) i, (VALUES ('a'), ('b')) v (r)"
    )
    stand.owner.execute("ANALYZE bulk_parts")
    table, key = TableName("public", "bulk_parts"), ["id", "region"]
    parts = bulk.ranges(table, key, 1000)
    assert [part.relation.table for part in parts] == ["bulk_parts_a1"] * 2 + ["bulk_parts_a2"] * 2 + [
        "bulk_parts_b"
    ] * 4
    rows = [row for part in read(bulk, table, key, stand.columns(table), parts) for row in part]
    assert len(rows) == len(set(rows)) == 8000
    assert bulk.size(table).rows == 8000
    wanted = [(5, "a"), (3000, "b"), (9999, "a")]
    assert sorted(read(bulk, table, key, stand.columns(table), [bulk.keys(table, key, wanted)])[0]) == wanted[:2]

    parent = stand.make("bulk_parent", "(id int PRIMARY KEY)", "SELECT generate_series(1, 10)")
    stand.owner.execute("CREATE TABLE bulk_child () INHERITS (bulk_parent)")
    stand.owner.execute("INSERT INTO bulk_child VALUES (11)")
    assert read(bulk, parent, ["id"], {"id": "int"}, bulk.ranges(parent, ["id"], 100)) == [[(i,) for i in range(1, 11)]]


BIG = """
import base64, pickle, resource, sys
reader, part = pickle.loads(base64.b64decode(sys.stdin.buffer.read()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = sum(len(row["body"]) for batch in reader.read(part) for row in batch.to_pylist())
print(total, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_large_values_are_read_in_bounded_memory_by_another_process(stand, bulk):
    """S41: the reader is handed over as tasks are: pickled. 600 MB pass through it, 50 MB at a time."""
    filled = "SELECT i, repeat(chr(64 + i), 50 * 1024 * 1024) FROM generate_series(1, 12) i"
    table = stand.make("bulk_big", "(id int PRIMARY KEY, body text)", filled)
    handed = pickle.dumps((bulk.reader(table, ["id"], {"body": "string"}), bulk.ranges(table, ["id"], 100)[0]))
    command = [sys.executable, "-c", BIG]
    done = subprocess.run(command, input=base64.b64encode(handed), capture_output=True, check=True, timeout=300)
    total, megabytes = map(int, done.stdout.split())
    assert total == 600 * 1024 * 1024
    assert megabytes < 400
    stand.owner.execute("DROP TABLE bulk_big")


VALUES = {
    "char(5)": ["ab", "", "     "],
    "real": ["NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4e38", "0.1"],
    "double precision": ["NaN", "Infinity", "-Infinity", "-0", "5e-324"],
    "numeric": ["NaN", "Infinity", "-Infinity", "1.50", "1e40", "1e-20", "0", "0.00", "-0.001", "1e-7", "100"],
    "numeric(50,5)": ["1", "NaN", "-0.00001"],
    "numeric(5,-2)": ["12345", "0", "NaN"],
    "numeric(3,5)": ["0.00123"],
    "numeric(10)": ["12", "-9999999999"],
    "numeric(12,2)": ["0.5", "-9999999999.99"],
    "numeric(38,10)": ["0.1", "-1234567890123456789012345678.0123456789"],
    "money": ["12.34", "-1234567.89"],
    "citext": ["AbC"],
    "name": ["nm"],
    "bytea": ["\\x", "\\x00ff"],
    "date": ["0044-03-15 BC", "4713-01-01 BC", "12024-01-01", "5874897-12-31", "0001-01-01", "2024-02-29"],
    "time": ["24:00", "00:00", "23:59:59.999999", "12:00:00.5"],
    "time(3)": ["12:00:00.123", "24:00"],
    "timetz": [
        "10:00+02",
        "23:00-11",
        "00:30:00.5+05:30",
        "12:00:00.123456+00",
        "12:00:00.100-03:30",
        "23:59:59.9-15:59",
        "24:00+00",
        "24:00+02",
        "23:00-01",
        "10:00:00.5+05:30:15",
    ],
    "timestamp": ["infinity", "-infinity", "0044-03-15 12:00 BC", "4713-01-01 BC", "294246-12-31 23:59:59.999999"],
    "timestamp(3)": ["infinity", "2024-01-01 01:02:03.123", "1969-12-31 23:59:59.999"],
    "timestamptz": [
        "infinity",
        "-infinity",
        "0044-03-15 12:00+00 BC",
        "12024-01-01 00:00+00",
        "2024-01-01 01:02:03.5+03",
    ],
    "interval": [
        *("1 year 2 months 3 days 04:05:06.789", "-1 day", "0", "-00:00:00.5", "1 mon -1 day", "-1 year -2 mons"),
        *("100:00:00", "-100:59:59.999999", "1 day -00:00:01", "00:00:00.000001", "14 months", "178000000 years"),
    ],
    "bit(1)": ["0", "1"],
    "bit(5)": ["00000", "00001", "10000"],
    "bit(70)": ["1" + "0" * 69],
    "varbit(20)": ["", "0", "1", "0000000001", "101", "1" + "0" * 19, "0" * 20, "111111111"],
    "varbit": ["", "0", "1111111111"],
    "uuid": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
    "json": ['{"b": 1,  "a": [1.0, 1e3]}', "null", '{"a":1,"a":2}'],
    "jsonb": ['{"b": 1.0,  "a": [1.0, 1e3]}', "null"],
    "xml": ["<a>ü</a>", "<?xml version='1.0'?><a/>"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "2001:db8::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "tsvector": ["a:1 'b c':2"],
    "tsquery": ["a & b"],
    "oid": ["4294967295", "0"],
    "pg_lsn": ["16/B374D848"],
    "hstore": ['"b"=>NULL,"a"=>"1"', "", '"q\\"uo"=>"t\\\\x", "ü"=>"é"', '"ctl"=>"tab\tnl\nq/\x0b"'],
    "ltree": ["a.b.c"],
    "int4range": ["[1,5)", "empty", "(,7)"],
    "numrange": ["[1.5,2.50]"],
    "tstzrange": ["[2024-01-01 00:00:00+02,)"],
    "int4multirange": ["{[1,3),[5,7)}"],
    "int[]": ["{}", "{1,NULL,3}", "{2147483647}", "[2:3]={1,2}"],
    "smallint[]": ["{1,NULL}"],
    "bigint[]": ["{1,NULL,9223372036854775807}"],
    "text[]": ["{}", '{"a,b","\\"",NULL,"NULL",""}'],
    "varchar(5)[]": ["{a,NULL}"],
    "char(3)[]": ["{a,NULL}"],
    "numeric[]": ["{1.50,NULL,1e-7,1e40}"],
    "numeric(10,2)[]": ["{1.5,NULL,3}"],
    "uuid[]": ["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11,NULL}"],
    "boolean[]": ["{t,NULL,f}"],
    "date[]": ["{2024-01-01,NULL,1900-01-01}"],
    "timestamp[]": ["{2024-01-01,NULL,infinity}"],
    "timestamptz[]": ["{2024-01-01 00:00+00,NULL,12024-01-01 00:00+00}"],
    "time[]": ["{12:00,NULL}"],
    "timetz[]": ["{12:00+02,NULL}", "{}", "{24:00+00,24:00-01}"],
    "real[]": ["{1.5,NULL,NaN,Infinity,0.1}"],
    "double precision[]": ["{1.5,NULL,NaN,-Infinity}"],
    "jsonb[]": ['{"{\\"a\\":1}",NULL}'],
    "bytea[]": ['{"\\\\x00ff",NULL}'],
    "inet[]": ["{10.0.0.1,NULL}"],
    "oid[]": ["{4294967295}"],
    "citext[]": ["{A}"],
    "int4range[]": ['{"[1,5)"}'],
    "bulk_mood": ["so happy"],
    "bulk_mood[]": ["{ok}"],
    "bulk_positive": ["7"],
    "int[][]": ["{{1,2},{3,NULL}}", "[0:1][5:6]={{1,2},{3,4}}", "{}", "{1,2}", "[2:3]={1,2}"],
    "numeric(10,2)[][][]": ["{{{NaN,1.5}},{{NULL,-0.1}}}"],
    "float8[][]": ["{{Infinity,5e-324},{NaN,0.1}}"],
    "timestamptz[][]": ["{{2024-06-30 12:00:00.5+02},{-infinity}}"],
    "interval[][]": ["{{1 day 02:00:00.5,-3 mons}}"],
    "bytea[][]": ['{{"\\\\x00ff"},{NULL}}'],
    "bulk_mood[][]": ["{{ok},{NULL}}"],
}
"""Values at the edges, as literals; all were compared with what the stream leaves in the lake."""


def canonical(bulk, table, key, columns):
    """Return key -> column -> canonical text."""
    reader = bulk.reader(table, key, columns)
    found = {}
    for part in bulk.ranges(table, key, 10**6):
        for batch in reader.read(part):
            columns_of = {name: texts(batch.column(name)) for name in batch.schema.names}
            for at, one in enumerate(columns_of[key[0]]):
                found[one] = {name: values[at] for name, values in columns_of.items()}
    return found


def assert_equal_to_the_source(stand, bulk, table, key, columns):
    expected = PostgresRows(stand.owner, table, key)
    forms = {column.name: column.form for column in expected.columns}
    names = list(forms)
    found = canonical(bulk, table, key, columns)
    rows = {row[names.index(key[0])]: dict(zip(names, row, strict=True)) for row in expected.rows()}
    assert set(found) == set(rows)
    for one, row in rows.items():
        for name, text in row.items():
            assert same(forms[name], text, found[one][name]), (one, name, text, found[one][name])


def test_every_type_at_its_edges(stand, bulk):
    """P39, P41, P42, P43, P45, P46, P48, P50, P51, P52, P56, P49, P55, P63."""
    names = {declared: f"c{number}" for number, declared in enumerate(VALUES)}
    declared = ", ".join(f"{name} {kind}" for kind, name in names.items())
    table = stand.make("bulk_types", f"(id int PRIMARY KEY, {declared})")
    number = 0
    for kind, values in VALUES.items():
        for value in values:
            number += 1
            literal = psycopg.sql.Literal(value).as_string(stand.owner)
            stand.owner.execute(f"INSERT INTO bulk_types (id, {names[kind]}) VALUES ({number}, {literal})")
    assert_equal_to_the_source(stand, bulk, table, ("id",), stand.columns(table))


def test_many_types(stand, bulk):
    """The table of the end-to-end tests, several thousand draws of it."""
    many = next(table for table in POSTGRES if table.name == "many_types")
    (statement,) = create_table(many, POSTGRES_DIALECT)
    for old, new in (("many_types", "bulk_many"), (" mood", " bulk_mood"), (" positive", " bulk_positive")):
        statement = statement.replace(old, new)
    stand.owner.execute("DROP TABLE IF EXISTS bulk_many")
    stand.owner.execute(statement)
    r = random.Random(7)
    names = ", ".join(["id", *map(quote, many.columns)])
    insert = f"INSERT INTO bulk_many ({names}) VALUES ({', '.join(['%s'] * (len(many.columns) + 1))})"
    for number in range(2000):
        drawn = [None if r.random() < many.nulls else draw(r) for _, draw in many.columns.values()]
        stand.owner.execute(insert, [number, *drawn])
    table = TableName("public", "bulk_many")
    assert_equal_to_the_source(stand, bulk, table, ("id",), stand.columns(table))


def test_what_the_stream_writes_otherwise_than_the_source_prints(stand, bulk):
    """P40: infinite dates as the log has them. P51: varying bits as they are. Shapes as Debezium describes them."""
    declared = "(id int PRIMARY KEY, d date, v varbit(20), w varbit(12), h hstore, p point, l line)"
    filled = """VALUES
        (1, 'infinity', '101', '111111111', '"b"=>NULL,"aa"=>"1"', '(-0.5,1e300)', '{0.1,-2,1e100}'),
        (2, '-infinity', '0000', '000000000001', NULL, NULL, NULL)"""
    table = stand.make("bulk_debezium", declared, filled)
    (part,) = bulk.ranges(table, ["id"], 100)
    batch = next(iter(bulk.reader(table, ["id"], stand.columns(table)).read(part)))
    assert texts(batch.column("d")) == ["2146033979", "-2147472691"]
    assert batch.column("v").to_pylist() == ["101", "0000"]
    assert batch.column("w").to_pylist() == ["111111111", "000000000001"]
    assert batch.column("h").to_pylist() == ['{"aa":"1","b":null}', None]
    wkb = b"\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe0\xbf\x9cu\x00\x88<\xe47~"
    assert batch.column("p").to_pylist() == [{"x": -0.5, "y": 1e300, "wkb": wkb, "srid": None}, None]
    assert batch.column("l").to_pylist() == [{"a": 0.1, "b": -2.0, "c": 1e100}, None]


def test_the_dimensions_of_an_array_are_those_that_the_catalog_has(stand, bulk):
    """P62: a copy of a table has lost them, and has lists until `text` names its columns."""
    stand.owner.execute("DROP DOMAIN IF EXISTS bulk_line, bulk_grid CASCADE")
    stand.owner.execute("CREATE DOMAIN bulk_line AS int[]")
    stand.owner.execute("CREATE DOMAIN bulk_grid AS int[][]")
    arrays = (
        "a int[], b numeric(5,2)[][], c bulk_mood[][][], d bulk_line, e bulk_grid, f int[2][2], g bulk_positive[][]"
    )
    values = "(1, '{1}', '{{1,2}}', '{{{ok}}}', '{1}', '{{1}}', '{{1,2},{3,4}}', '{{7}}')"
    table = stand.make("bulk_dimensions", f"(id int PRIMARY KEY, {arrays})", f"VALUES {values}")
    declared = {c.name: c.type for c in PostgresDatabase(stand.source).table(*table).columns}
    assert declared == {
        "id": "integer",
        "a": "integer[]",
        "b": "numeric(5,2)[][]",
        "c": "enum[][][]",
        "d": "domain integer[]",
        "e": "domain integer[][]",
        "f": "integer[][]",
        "g": "bulk_positive[][]",
    }
    lists = {"a": "list<int>", "d": "list<int>"}
    assert stand.columns(table) == {"id": "int", **dict.fromkeys("abcdefg", "string"), **lists}
    assert_equal_to_the_source(stand, bulk, table, ("id",), stand.columns(table))
    stand.owner.execute("DROP TABLE IF EXISTS bulk_copied")
    stand.owner.execute("CREATE TABLE bulk_copied AS SELECT * FROM bulk_dimensions")
    copied = TableName("public", "bulk_copied")
    columns = PostgresDatabase(stand.source).table(*copied).columns
    assert event_row("postgres", columns).columns()["b"].startswith("list<")
    named = event_row("postgres", columns, text="abcefg").columns()
    assert named == {**stand.columns(table), "a": "string"}
    rows = read(bulk, copied, ["id"], named, bulk.ranges(copied, ["id"], 100))
    assert rows == [[(1, "{1}", "{{1.00,2.00}}", "{{{ok}}}", [1], "{{1}}", "{{1,2},{3,4}}", "{{7}}")]]


def test_wider_targets(stand, bulk):
    """A column of the target may have become wider than the source's."""
    table = stand.make("bulk_wide", "(id int PRIMARY KEY, r real, n numeric(5,2))", "VALUES (1, 0.1, 1.5)")
    rows = read(
        bulk, table, ["id"], {"id": "long", "r": "double", "n": "decimal(10, 2)"}, bulk.ranges(table, ["id"], 9)
    )
    assert rows == [[(1, pytest.approx(0.1), Decimal("1.50"))]]


@pytest.mark.parametrize(
    ("declared", "value", "hint"),
    [
        ("numeric(10,2)", "NaN", "decimal"),
        ("int[]", "{{4711,2},{3,4}}", "`text: [secret]`"),
        ("timestamp", "294276-12-31", "types"),
    ],
)
def test_values_without_a_place_name_their_column_and_are_not_shown(stand, bulk, declared, value, hint):
    """P44."""
    table = stand.make("bulk_nan", f"(id int PRIMARY KEY, secret {declared})", "VALUES (1, %s)", value)
    with pytest.raises(TerminalError, match=r"column 'secret' of table public\.bulk_nan") as caught:
        read(bulk, table, ["id"], stand.columns(table), bulk.ranges(table, ["id"], 100))
    assert hint in caught.value.hint
    assert value not in str(caught.value)
    assert caught.value.__cause__ is None


def test_types_that_the_stream_loses_are_refused(stand, bulk):
    table = stand.make("bulk_box", "(id int PRIMARY KEY, shape box, other polygon)")
    with pytest.raises(IncompatibleSchema, match="column 'shape' has type box") as caught:
        bulk.reader(table, ["id"], {"id": "int", "shape": "string"})
    assert "snapshot: connector" in caught.value.hint


KEYS = [
    ("int", "SELECT generate_series(1, 500)"),
    ("text", "SELECT 'it''s \\ \"' || i FROM generate_series(1, 500) i"),
    ("uuid", "SELECT gen_random_uuid() FROM generate_series(1, 500)"),
    ("numeric(12,2)", "SELECT i / 7.0 FROM generate_series(1, 500) i"),
    ("timestamptz", "SELECT timestamptz '2020-01-01' + i * interval '7.000001 hours' FROM generate_series(1, 500) i"),
    ("timestamp", "SELECT timestamp '0001-01-01' + i * interval '7.5 hours' FROM generate_series(1, 500) i"),
    ("date", "SELECT date '2020-01-01' + i FROM generate_series(1, 500) i"),
    ("bytea", "SELECT int4send(i) FROM generate_series(1, 500) i"),
    ("time", "SELECT time '00:00' + i * interval '1.000001 min' FROM generate_series(1, 500) i"),
    ("timetz", "SELECT timetz '00:00+02' + i * interval '1.000001 min' FROM generate_series(1, 500) i"),
    ("interval", "SELECT i * interval '1 mon 1 day 1.5 seconds' FROM generate_series(1, 500) i"),
    ("char(5)", "SELECT i::text FROM generate_series(1, 500) i"),
    ("citext", "SELECT 'Ab' || i FROM generate_series(1, 500) i"),
    ("bit(12)", "SELECT i::bit(12) FROM generate_series(1, 500) i"),
    ("bulk_positive", "SELECT generate_series(1, 500)"),
    ("inet", "SELECT inet '10.0.0.0' + i FROM generate_series(1, 500) i"),
]


@pytest.mark.parametrize(("declared", "filled"), KEYS)
def test_rows_are_found_by_the_keys_of_the_target(stand, bulk, declared, filled):
    """P52."""
    table = stand.make("bulk_keys", f"(k {declared} PRIMARY KEY)", filled)
    columns = stand.columns(table)
    (rows,) = read(bulk, table, ["k"], columns, bulk.ranges(table, ["k"], 1000))
    wanted = sorted(rows)[3:450:2]
    part = bulk.keys(table, ["k"], wanted)
    assert part.rows == len(wanted)
    assert sorted(read(bulk, table, ["k"], columns, [part])[0]) == wanted
    assert read(bulk, table, ["k"], columns, [bulk.keys(table, ["k"], [])]) == [[]]


def test_keys_of_several_columns_are_looked_up_by_the_index(stand, bulk):
    columns = "(a int, b text, c boolean, d citext, PRIMARY KEY (a, b, c))"
    table = stand.make(
        "bulk_pairs", columns, "SELECT i, 'b' || i, i %% 2 = 0, 'D' FROM generate_series(1, %s) i", 20000
    )
    key, wanted = ["a", "b", "c"], [(i, f"b{i}", i % 2 == 0) for i in range(1, 2000)]
    part = bulk.keys(table, key, [*wanted, (1, "b2", False)])
    assert sorted(read(bulk, table, key, stand.columns(table), [part])[0]) == [(*row, "D") for row in wanted]
    assert len(read(bulk, table, key, {"a": "int"}, [part])[0]) == len(wanted)
    few = bulk.keys(table, key, wanted[:3])
    plan = stand.owner.execute(f"EXPLAIN SELECT * FROM bulk_pairs WHERE {few.predicate}".encode()).fetchall()
    assert "Index" in str(plan)
    odd = ["a", "d"]
    assert read(bulk, table, odd, {"a": "int"}, [bulk.keys(table, odd, [(5, "d"), (6, "D"), (7, "x")])]) == [
        [(5,), (6,)]
    ]


def test_a_range_lies_between_its_positions(stand, bulk):
    table = stand.make("bulk_when", "(id int PRIMARY KEY, v text)", DENSE)
    before = bulk.position()
    stand.owner.execute("UPDATE bulk_when SET v = 'new'")
    rows = bulk.reader(table, ["id"], {"v": "string"}).read(bulk.ranges(table, ["id"], 10**6)[0])
    low = rows.low
    stand.owner.execute("UPDATE bulk_when SET v = 'newer'")
    assert rows.high == ""
    assert {row["v"] for batch in rows for row in batch.to_pylist()} == {"new"}
    order = "SELECT %s::pg_lsn < %s::pg_lsn AND %s::pg_lsn < %s::pg_lsn"
    assert stand.owner.execute(order, [before, low, low, rows.high]).fetchone() == (True,)
    rows.close()
    rows.close()


def test_closing_early_ends_the_statement(stand, bulk):
    table = stand.make(
        "bulk_early", "(id int PRIMARY KEY, v text)", "SELECT i, repeat('v', 500) FROM generate_series(1, 100000) i"
    )
    rows = bulk.reader(table, ["id"], {"v": "string"}).read(bulk.ranges(table, ["id"], 10**6)[0])
    assert next(iter(rows)).num_rows > 0
    rows.close()
    busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cdc load bulk' AND state = 'active'"
    for _ in range(200):
        if stand.admin.execute(busy).fetchone() == (0,):
            return
        stand.admin.execute("SELECT pg_sleep(0.05)")
    pytest.fail("the statement goes on")


def test_a_rewritten_table_is_noticed(stand, bulk):
    """Blocks of another file would silently leave rows out."""
    table = stand.make("bulk_rewritten", "(k uuid PRIMARY KEY)", KINDS["random"][1])
    parts = bulk.ranges(table, ["k"], PER_RANGE)
    reader = bulk.reader(table, ["k"], {"k": "string"})
    assert sum(batch.num_rows for batch in reader.read(parts[0])) > 0
    stand.owner.execute("VACUUM FULL bulk_rewritten")
    with pytest.raises(TerminalError, match=r"table public\.bulk_rewritten was rewritten"):
        reader.read(parts[1])


def test_what_is_missing_or_forbidden_is_named(stand, bulk):
    """P16: a partition needs a grant of its own."""
    with pytest.raises(PreflightError, match=r"table public\.bulk_nope cannot be read .*does not exist"):
        bulk.ranges(TableName("public", "bulk_nope"), ["id"], 10)
    table = stand.make("bulk_secret", "(id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
    stand.owner.execute("CREATE TABLE bulk_secret_1 PARTITION OF bulk_secret DEFAULT")
    reader, parts = bulk.reader(table, ["id"], {"id": "int", "v": "int"}), bulk.ranges(table, ["id"], 10)
    with pytest.raises(PreflightError, match="column 'w' does not exist"):
        bulk.reader(table, ["id"], {"w": "int"})
    stand.owner.execute("REVOKE ALL ON bulk_secret_1 FROM cdc")
    for refused in (lambda: bulk.ranges(table, ["id"], 10), lambda: list(reader.read(parts[0]))):
        with pytest.raises(PreflightError, match=r"public\.bulk_secret_1 .*permission denied") as caught:
            refused()
        assert 'GRANT SELECT ON "public"."bulk_secret_1" TO "cdc"' in caught.value.hint
    stand.owner.execute("GRANT SELECT ON bulk_secret_1 TO cdc")
    stand.owner.execute("ALTER TABLE bulk_secret DROP COLUMN v")
    with pytest.raises(PreflightError, match=r"column .*v.* does not exist"):
        list(reader.read(parts[0]))
    stand.owner.execute("DROP TABLE bulk_secret")
    with pytest.raises(PreflightError, match=r"bulk_secret_1.* does not exist"):
        list(reader.read(parts[0]))
    for call in (lambda: bulk.size(table), lambda: bulk.keys(table, ["id"], [(1,)])):
        with pytest.raises(PreflightError, match=r"public\.bulk_secret cannot be read"):
            call()


def test_a_server_that_goes_away_is_transient(stand, bulk):
    filled = "SELECT i, repeat('v', 500) FROM generate_series(1, 100000) i"
    table = stand.make("bulk_lost", "(id int PRIMARY KEY, v text)", filled)
    part = bulk.ranges(table, ["id"], 10**6)[0]
    rows = bulk.reader(table, ["id"], {"v": "string"}).read(part)
    batches = iter(rows)
    next(batches)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cdc load bulk'"
    stand.admin.execute(ended)
    with pytest.raises(TransientError, match="source 'bulk'"):
        list(batches)
    slow = PostgresBulk(stand.source, statement_timeout=0.05).reader(table, ["id"], {"v": "string"})
    held = iter(slow.read(part))
    with pytest.raises(TransientError, match="timeout") as caught:
        next(held), stand.admin.execute("SELECT pg_sleep(1)"), list(held)
    assert "smaller ranges" in caught.value.hint
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1: "):
        PostgresBulk(stand.source_with(port=1)).reader(table, ["id"], {"v": "string"})


def test_no_error_shows_the_password_or_a_key(stand, bulk):
    wrong = PostgresBulk(stand.source_with(password="${env:WRONG}"))
    with pytest.raises(PreflightError, match="authentication failed") as caught:
        wrong.position()
    assert "wrong-password" not in str(caught.value)
    table = stand.make("bulk_wrong", "(id int PRIMARY KEY)", "SELECT generate_series(1, 10)")
    part = bulk.keys(table, ["id"], [("not-a-number",)])
    with pytest.raises(TerminalError, match="error 22P02") as terminal:
        list(bulk.reader(table, ["id"], {"id": "int"}).read(part))
    assert "not-a-number" not in str(terminal.value)
    assert terminal.value.__cause__ is None
    tls = PostgresBulk(stand.source_with(sslmode="require"))
    with pytest.raises(PreflightError, match="SSL"):
        tls.position()


def test_another_host_can_be_read_from(stand):
    """A replica: what is said of errors names it."""
    with pytest.raises(TransientError, match=r"PostgreSQL at replica\.invalid"):
        PostgresBulk(stand.source, host="replica.invalid").position()
    replica = PostgresBulk(stand.source_with(host="primary.invalid"), host=stand.at.postgres_host)
    assert "/" in replica.position()
