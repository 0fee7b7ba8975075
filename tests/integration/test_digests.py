"""Digests of rows: the database's, Spark's and Python's are the same, for every type that a database can render."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from cdc.core.fingerprint import WHOLE, Digest, Fingerprint, KeyRange, RowDigests, digest, fingerprint, joined, rendered
from cdc.core.load import Range
from cdc.core.names import TableName, quote
from cdc.sources.bulk_mysql import MySqlBulk
from cdc.sources.bulk_postgres import PostgresBulk
from cdc.sources.rows_postgres import PostgresRows
from cdc.spark.digests import digested, digests_of, fingerprints, number_of
from tests.e2e.tables import MYSQL, POSTGRES
from tests.e2e.workload import MYSQL_DIALECT, POSTGRES_DIALECT, create_table
from tests.integration.test_bulk_mysql import DATABASE, Place, place
from tests.integration.test_bulk_postgres import VALUES, Stand, stand
from tests.lake import start_session

SEED = random.SystemRandom().randrange(10**6)

__all__ = ["place", "stand"]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found, _ = start_session(tmp_path_factory.mktemp("lake"))
    yield found
    found.stop()


class Compared:
    """A table, digested in three ways; ``bulk`` reads it as a load does, ``printed`` are its rows as canonical text."""

    def __init__(
        self, session: Any, bulk: Any, table: TableName, key: Sequence[str], columns: Mapping[str, str]
    ) -> None:
        self.bulk, self.table, self.key, self.columns = bulk, table, key, columns
        self.found: RowDigests = bulk.digests(table, key, columns)
        lake = pa.Table.from_batches(
            list(bulk.reader(table, key, dict(columns)).read(Range(0, table, "", 0, ordered=False)))
        )
        plain = lake.select([name for name in columns if name in self.found.columns])
        self.digested = digested(session.createDataFrame(plain), key, columns, self.found.columns)

    def by_database(self, keys: KeyRange = WHOLE) -> dict[str, Digest]:
        batches = self.found.digests.read(self.bulk.part(self.table, keys))
        return {r["key"]: Digest(r["first"], r["second"]) for batch in batches for r in batch.to_pylist()}

    def by_spark(self) -> dict[str, Digest]:
        rows = digests_of(self.digested).collect()
        return {row[0]: Digest(row[1], row[2]) for row in rows}

    def by_python(self, names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> dict[str, Digest]:
        found = {}
        for row in rows:
            texts = dict(zip(names, row, strict=True))
            values = [rendered(how, texts[name]) for name, how in self.found.columns.items()]
            found[joined([texts[name] for name in self.key])] = digest(values)
        return found

    def sums(self, keys: KeyRange = WHOLE) -> Fingerprint:
        (row,) = [r for b in self.found.fingerprints.read(self.bulk.part(self.table, keys)) for r in b.to_pylist()]
        return Fingerprint.of(row["rows"], row["first"], row["second"])

    def assert_all_alike(self, names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
        database, spark, python = self.by_database(), self.by_spark(), self.by_python(names, rows)
        assert database == python
        assert spark == python
        assert self.sums() == fingerprint(database.values())


def of_postgres(stand: Stand, session: Any, table: TableName) -> Compared:
    compared = Compared(session, PostgresBulk(stand.source), table, ("id",), stand.columns(table))
    printed = PostgresRows(stand.owner, table, ("id",))
    names, rows = [c.name for c in printed.columns], list(printed.rows())
    compared.assert_all_alike(names, rows)
    return compared


def test_every_type_of_postgres_at_its_edges(stand: Stand, session: Any) -> None:
    """P39, P41, P42, P43, P45, P46, P48, P50, P51, P52, P56."""
    names = {declared: f"c{number}" for number, declared in enumerate(VALUES)}
    declared = ", ".join(f"{name} {kind}" for kind, name in names.items())
    table = stand.make("digest_types", f"(id int PRIMARY KEY, {declared})")
    number = 0
    for kind, values in VALUES.items():
        for value in [*values, None]:
            number += 1
            literal = psycopg.sql.Literal(value).as_string(stand.owner)
            stand.owner.execute(f"INSERT INTO digest_types (id, {names[kind]}) VALUES ({number}, {literal})")
    compared = of_postgres(stand, session, table)
    by_value = {kind for kind, name in names.items() if name in compared.found.by_value}
    assert by_value == {"hstore", *(kind for kind in VALUES if kind.endswith("[]") and not kind.endswith("[][]"))}


def test_many_types_of_postgres(stand: Stand, session: Any) -> None:
    print("seed", SEED)
    many = next(table for table in POSTGRES if table.name == "many_types")
    (statement,) = create_table(many, POSTGRES_DIALECT)
    for old, new in (("many_types", "digest_many"), (" mood", " bulk_mood"), (" positive", " bulk_positive")):
        statement = statement.replace(old, new)
    stand.owner.execute("DROP TABLE IF EXISTS digest_many")
    stand.owner.execute(statement)
    r = random.Random(SEED)
    names = ", ".join(["id", *map(quote, many.columns)])
    insert = f"INSERT INTO digest_many ({names}) VALUES ({', '.join(['%s'] * (len(many.columns) + 1))})"
    for number in range(1000):
        drawn = [None if r.random() < many.nulls else draw(r) for _, draw in many.columns.values()]
        stand.owner.execute(insert, [number, *drawn])
    of_postgres(stand, session, TableName("public", "digest_many"))


TEXTS = (",", ",,", ",;", ",-", ";", "-", "", "a,", ",a", "\\", "'", "🦊,", "\x01")


def test_rows_whose_texts_run_into_each_other_are_told_apart(stand: Stand, session: Any) -> None:
    """What ends a value may be in one."""
    table = stand.make("digest_texts", "(id int PRIMARY KEY, a text, b text)")
    pairs = [(a, b) for a in (*TEXTS, None) for b in (*TEXTS, None)]
    for number, (a, b) in enumerate(pairs):
        stand.owner.execute("INSERT INTO digest_texts VALUES (%s, %s, %s)", (number, a, b))
    compared = of_postgres(stand, session, table)
    assert len(set(compared.by_database().values())) == len(pairs)


KINDS = {
    "dense": ("k bigint", "SELECT i, 'v' || i FROM generate_series(1, 4000) i"),
    "negative": ("k int", "SELECT i - 2000, 'v' FROM generate_series(1, 4000) i"),
    "outlier": ("k bigint", "SELECT i * i, 'v' FROM generate_series(1, 3999) i UNION SELECT 9223372036854775807, 'x'"),
    "uuid": ("k uuid", "SELECT md5(i::text)::uuid, 'v' || i FROM generate_series(1, 4000) i"),
    "text": ("k text", "SELECT 'k' || i, 'v' || i FROM generate_series(1, 4000) i"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_mean_the_same_in_postgres_and_in_spark(stand: Stand, session: Any, kind: str) -> None:
    declared, filled = KINDS[kind]
    table = stand.make(f"digest_{kind}", f"({declared}, v text, PRIMARY KEY (k))", filled)
    assert_ranges_are_alike(Compared(session, PostgresBulk(stand.source), table, ("k",), stand.columns(table)), kind)


def assert_ranges_are_alike(compared: Compared, kind: str, rows: int = 300) -> None:
    ranges = compared.bulk.key_ranges(compared.table, compared.key, rows)
    assert len(ranges) == 1 if kind == "text" else len(ranges) > 5
    in_database = [compared.sums(one) for one in ranges]
    rows = fingerprints(compared.digested, compared.columns, ranges).collect()
    in_spark = {row["number"]: Fingerprint.of(row["rows"], row["first"], row["second"]) for row in rows}
    assert [in_spark.get(n, Fingerprint()) for n in range(len(ranges))] == in_database
    number = number_of(compared.columns, ranges).alias("n")
    numbers = {row["_cdc_key"]: row["n"] for row in compared.digested.select("_cdc_key", number).collect()}
    for n, one in enumerate(ranges):
        assert {key for key, at in numbers.items() if at == n} == set(compared.by_database(one))


@pytest.mark.parametrize("table", MYSQL, ids=lambda table: table.name)
def test_every_table_of_mysql(place: Place, session: Any, table: Any) -> None:
    """M22 M27 M28 M29 M31 M35"""
    print("seed", SEED)
    r = random.Random(SEED)
    name = f"digest_{table.name}"
    statements = [one.replace(f"`{table.name}`", f"`{name}`") for one in create_table(table, MYSQL_DIALECT)]
    place.run(f"DROP TABLE IF EXISTS `{name}`", *statements)
    names = [*table.key, *table.columns]
    keys = [pool for _, pool in table.key.values()]
    for i in range(min(80, *(len(pool) for pool in keys))):
        drawn = [None if r.random() < table.nulls else draw(r) for _, draw in table.columns.values()]
        row = [*(pool[i] for pool in keys), *drawn]
        quoted, marks = ", ".join(f"`{one}`" for one in names), ", ".join(["%s"] * len(row))
        place.run(f"INSERT INTO `{name}` ({quoted}) VALUES ({marks})", values=tuple(row))
    key = tuple(table.key)
    compared = Compared(session, MySqlBulk(place.source()), TableName(DATABASE, name), key, place.columns(name))
    columns, rows = place.printed(name, key)
    compared.assert_all_alike([column.name for column in columns], rows)


MY_KINDS = {
    "dense": ("k int", "n.i"),
    "huge": ("k bigint unsigned", "18446744073709551615 - n.i * 3"),
    "sparse": ("k bigint", "IF(n.i = 999, 9000000000000000000, n.i)"),
    "binary": ("k binary(16)", "UNHEX(MD5(n.i))"),
    "text": ("k varchar(60)", "CONCAT('k', n.i)"),
}


@pytest.mark.parametrize("kind", MY_KINDS)
def test_ranges_mean_the_same_in_mysql_and_in_spark(place: Place, session: Any, kind: str) -> None:
    declared, made = MY_KINDS[kind]
    name = f"digest_{kind}"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
    place.run(
        f"CREATE TABLE {name} ({declared} PRIMARY KEY, v varchar(20))",
        f"INSERT INTO {name} {numbers} SELECT {made}, CONCAT('v', n.i) FROM n",
        f"ANALYZE TABLE {name}",
    )
    columns = place.columns(name)
    compared = Compared(session, MySqlBulk(place.source()), TableName(DATABASE, name), ("k",), columns)
    assert_ranges_are_alike(compared, kind, 100)
