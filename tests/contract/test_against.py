"""Two tables of the lake beside each other: every planted difference is named, and nothing else."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from cdc.bootstrap.against import LakePair, PairParts
from cdc.core.errors import ConfigError, PreflightError
from cdc.core.fingerprint import joined, parted
from cdc.core.names import TableName
from cdc.core.proof import Kind, TableProof
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.pipeline.against import Comparison
from tests.contract.events import TEXT, Topic, column
from tests.lake import LakeTable

ROWS = 25_000
SEED = random.SystemRandom().randrange(10**6)

KEYS = {
    "number": (["id"], "id", "CAST(id AS INT) AS id"),
    "text": (["id"], "concat('k', id % 7, ',', id) AS id", "id"),
    "composite": (["tenant", "id"], "concat('t', id % 3) AS tenant, id", "tenant, CAST(id AS DECIMAL(12, 0)) AS id"),
}
"""By kind: the columns of the key, what ours are made of, and what the other table has instead."""

OURS = """
    CASE id % 3 WHEN 0 THEN '' WHEN 1 THEN NULL ELSE concat('note ', id) END AS note,
    concat('name ', id) AS name,
    CAST(id AS DECIMAL(38, 2)) / 4 AS huge_made,
    CAST(id AS DECIMAL(10, 2)) / 4 AS amount_made,
    TIMESTAMP_NTZ '2026-01-02 03:04:05.678901' + make_interval(0, 0, 0, 0, 0, 0, id) AS at,
    TIMESTAMP '2026-01-02 03:04:05.678901Z' + make_interval(0, 0, 0, 0, 0, 0, id) AS seen,
    CAST(id AS FLOAT) / 2 AS ratio_made,
    encode(concat('r', id), 'UTF-8') AS raw,
    IF(id % 2 = 0, array('a, b', NULL), array()) AS tags,
    IF(id % 5 = 0, NULL, named_struct('x', id, 'y', concat('y', id))) AS place,
    DATE '2026-01-02' AS day,
    id % 2 = 0 AS flag
"""
THEIRS = """
    note, name, CAST(huge AS DECIMAL(38, 10)) AS huge,
    CAST(amount AS DECIMAL(14, 4)) AS amount, at, seen, CAST(ratio AS DOUBLE) AS ratio, raw, tags, place,
    day, flag
"""

CHANGES = {
    "name": "concat(name, ' ')",
    "note": "CASE WHEN note IS NULL THEN '' WHEN note = '' THEN NULL ELSE upper(note) END",
    "amount": "amount + 0.0001",
    "huge": "CAST(CAST(huge AS DECIMAL(20, 10)) + 0.0000000001 AS DECIMAL(38, 10))",
    "at": "at + INTERVAL '0.000001' SECOND",
    "seen": "seen - INTERVAL '0.000001' SECOND",
    "ratio": "ratio + 0.00000000001",
    "raw": "unhex(concat(hex(raw), '00'))",
    "tags": "IF(size(tags) = 0, CAST(NULL AS ARRAY<STRING>), array('a', 'b', NULL))",
    "place": "named_struct('x', CAST(NULL AS BIGINT), 'y', 'y')",
    "day": "CAST(NULL AS DATE)",
    "flag": "NOT flag",
}
"""What makes another value of each column: a blank behind it, null for nothing, a microsecond, a digit more."""


@dataclass
class Two:
    """Our table and the other one, made by Spark in a lake of their own names."""

    session: Any
    config: Any
    name: str
    key: list[str]

    def sql(self, statement: str) -> Any:
        catalog = self.config.catalog.name
        ours, theirs = f"{catalog}.ns.{self.name}", f"{catalog}.old.{self.name}"
        return self.session.sql(statement.replace("OURS", ours).replace("THEIRS", theirs))

    def make(self, mine: str, key: str, other: str, more: str = "") -> None:
        for namespace in ("ns", "old"):
            self.session.sql(f"CREATE NAMESPACE IF NOT EXISTS {self.config.catalog.name}.{namespace}")
        made = "* EXCEPT (amount_made, huge_made, ratio_made), CAST(amount_made AS DECIMAL(10, 2)) AS amount"
        made += ", CAST(huge_made AS DECIMAL(38, 2)) AS huge, CAST(ratio_made AS FLOAT) AS ratio"
        columns = f"{made}, '0001' AS _cdc_position, 'r' AS _cdc_op"
        rows = f"SELECT {mine}, {OURS}{more} FROM range({ROWS})"
        self.sql(f"CREATE TABLE OURS USING iceberg AS SELECT {columns} FROM ({rows})")
        self.sql(f"CREATE TABLE THEIRS USING iceberg AS SELECT {key}, {THEIRS}{other} FROM OURS")

    def pair(self) -> LakePair:
        config, names = self.config, (TableName("ns", self.name), TableName("old", self.name))
        return LakePair(
            PairParts(self.session, open_catalog(config.catalog), config.catalog.name, "cdc", *names, self.key)
        )

    def compare(self, **options: Any) -> TableProof:
        names = f"lake:old.{self.name}", f"ns.{self.name}"
        return Comparison(self.pair(), names, **({"behind": 0.0} | options)).run()


Made = Callable[..., Two]


@pytest.fixture
def two(lake: tuple[Any, Any]) -> Iterator[Made]:
    made: list[Two] = []

    def make(name: str, kind: str, other: str = "", more: str = "") -> Two:
        key, mine, theirs = KEYS[kind]
        made.append(Two(*lake, name, key))
        made[-1].make(mine, theirs, other, more)
        return made[-1]

    yield make
    for one in made:
        for table in ("OURS", "THEIRS"):
            with suppress(Exception):
                one.sql(f"DROP TABLE {table}")


def literal(key: tuple[str, ...], names: list[str]) -> str:
    return " AND ".join(f"{name} = '{value}'" for name, value in zip(names, key, strict=True))


def plant(two: Two) -> dict[str, tuple[Kind, list[str]]]:
    """Make rows of the other table wrong; returns how their keys differ then, and in which columns."""
    r = random.Random(SEED)
    keys = [tuple(str(part) for part in row) for row in two.sql(f"SELECT {', '.join(two.key)} FROM OURS").collect()]
    drawn = iter(r.sample(sorted(keys), 60))
    planted: dict[str, tuple[Kind, list[str]]] = {}

    def where(kind: Kind, columns: list[str], count: int) -> str:
        chosen = [next(drawn) for _ in range(count)]
        planted.update({joined(key): (kind, columns) for key in chosen})
        return " OR ".join(f"({literal(key, two.key)})" for key in chosen)

    cases = {name: f"WHEN {where(Kind.DIFFERENT, [name], 2)} THEN {changed}" for name, changed in CHANGES.items()}
    both = where(Kind.DIFFERENT, ["note", "name"], 1)
    cases["note"] += f" WHEN {both} THEN 'x'"
    cases["name"] += f" WHEN {both} THEN NULL"
    two.sql(f"UPDATE THEIRS SET {', '.join(f'{name} = CASE {case} ELSE {name} END' for name, case in cases.items())}")
    two.sql(f"DELETE FROM THEIRS WHERE {where(Kind.EXTRA, [], 5)}")
    two.sql(f"DELETE FROM OURS WHERE {where(Kind.MISSING, [], 5)}")
    two.sql(f"INSERT INTO THEIRS SELECT * FROM THEIRS WHERE {where(Kind.DUPLICATE, [], 3)}")
    two.sql(f"INSERT INTO THEIRS SELECT {renamed(two, 'name')} FROM THEIRS WHERE {where(Kind.DUPLICATE, ['name'], 2)}")
    nobody = next(drawn)
    of_key = [f"CAST(NULL AS {kind}) AS {n}" if n == "id" else n for n, kind in two.sql("SELECT * FROM THEIRS").dtypes]
    two.sql(f"INSERT INTO THEIRS SELECT {', '.join(of_key)} FROM THEIRS WHERE {literal(nobody, two.key)}")
    planted[joined(None if n == "id" else part for n, part in zip(two.key, nobody, strict=True))] = Kind.MISSING, []
    return planted


def renamed(two: Two, name: str) -> str:
    columns = [one for one, _ in two.sql("SELECT * FROM THEIRS").dtypes]
    return ", ".join(f"concat({one}, '!') AS {one}" if one == name else one for one in columns)


def named(proof: TableProof) -> dict[str, tuple[Kind, list[str]]]:
    return {one.key: (one.kind, list(one.columns)) for one in proof.differences}


@pytest.mark.parametrize("kind", KEYS)
def test_every_planted_difference_is_named_and_nothing_else(two: Made, kind: str) -> None:
    """Types that hold the same values are no difference: int and long, scales of decimals, float and double."""
    print("seed", SEED)
    tables = two(f"against_{kind}", kind)
    alike = tables.compare()
    assert (alike.equal, alike.rows, alike.read, alike.suspects) == (True, ROWS, ROWS, 0)

    planted = plant(tables)
    assert len(planted) == 41
    proof = tables.compare()
    assert named(proof) == planted
    assert not proof.equal
    assert proof.unsettled == 0
    assert proof.suspects == len(planted)
    assert len(tables.pair().ranges()) > 1
    some = next(one for one in proof.differences if one.columns == ("at",))
    assert int((some.source or {})["at"] or 0) - int((some.lake or {})["at"] or 0) == 1


def test_columns_of_one_table_and_types_without_a_common_form_are_named_and_not_compared(two: Made) -> None:
    """An instant without a time zone is none: nobody says in which zone the old job has read it."""
    more, other = ", at AS made, 'here' AS here", ", CAST(made AS TIMESTAMP) AS made, 'there' AS there"
    tables = two("against_types", "number", other, more)
    proof = tables.compare()
    assert proof.differences == ()
    assert proof.one_sided == ("here (only in ns.against_types)", "there (only in old.against_types)")
    assert proof.apart == ("made (timestamp in ns.against_types, timestamptz in old.against_types)",)
    assert not proof.equal  # of a column that was not compared nothing is proved


def test_a_table_that_is_not_there_or_has_another_key_is_named(two: Made) -> None:
    tables = two("against_keys", "number")
    tables.sql("ALTER TABLE THEIRS RENAME COLUMN id TO ID")
    tables.sql("INSERT INTO THEIRS SELECT * FROM THEIRS LIMIT 1")
    with pytest.raises(PreflightError, match=r'table old\.against_keys has no column "id"') as caught:
        tables.pair()
    assert "ID" in caught.value.hint
    tables.sql("DROP TABLE THEIRS")
    with pytest.raises(ConfigError, match=r"there is no table old\.against_keys in catalog"):
        tables.pair()


NUMBERS = count()
COLUMNS = [column("id", "int"), column("name", TEXT)]


class Fed:
    """A table that the pipeline feeds, and another one that somebody else feeds from the same changes, later."""

    def __init__(self, table: LakeTable, lake: tuple[Any, Any], name: str) -> None:
        self.table, self.two, self.topic, self.at = table, Two(*lake, name, ["id"]), Topic(), 0
        self.late: list[tuple[int, str | None]] = []

    def change(self, key: int, name: str | None, *, lost: bool = False) -> None:
        """Change a row, or delete it; the other table has it with the next ``catch_up``, unless it is lost."""
        self.at += 1
        row = {"id": key, "name": name}
        self.table.apply([self.topic.change("d" if name is None else "u", row, (self.at, self.at))])
        self.late += [] if lost else [(key, name)]

    def catch_up(self) -> None:
        for key, name in self.late:
            self.two.sql(f"DELETE FROM THEIRS WHERE id = {key}")
            if name is not None:
                self.two.sql(f"INSERT INTO THEIRS VALUES ({key}, '{name}')")
        self.late = []


@pytest.fixture
def fed(lake: tuple[Any, Any], new_table: Callable[..., LakeTable]) -> Fed:
    name = f"against_fed_{next(NUMBERS)}"
    lake[0].sql(f"CREATE NAMESPACE IF NOT EXISTS {lake[1].catalog.name}.old")
    found = Fed(new_table(name, COLUMNS), lake, name)
    for key in range(6):
        found.change(key, f"row {key}")
    found.two.sql("CREATE TABLE THEIRS USING iceberg AS SELECT id, name FROM OURS")
    found.late = []
    return found


def test_what_is_on_its_way_is_no_difference_and_what_was_lost_is_one(fed: Fed) -> None:
    """Ours is ahead, then the other is; a row changes at every look; one is lost in the other."""
    fed.change(1, "changed")
    fed.change(2, None)
    fed.change(3, "lost", lost=True)
    fed.change(4, None, lost=True)
    fed.change(5, "restless")
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds
        fed.catch_up()
        fed.change(5, f"restless {now[0]}")

    proof = fed.two.compare(behind=0.4, pause=pause, clock=lambda: now[0])
    found = {parted(one.key): (one.kind, list(one.columns)) for one in proof.differences}
    assert found == {("3",): (Kind.DIFFERENT, ["name"]), ("4",): (Kind.MISSING, [])}
    assert proof.unsettled == 1
    assert proof.suspects == 5


def test_a_key_that_is_deleted_again_and_again_is_told_by_its_tombstone(fed: Fed) -> None:
    """Ours has no row of it whenever it is read; the position of what deleted it is another one."""
    stones = f"{fed.two.config.catalog.name}.cdc.tombstones_ns__{fed.two.name}"
    fed.two.sql(f"CREATE TABLE {stones} (id INT, _cdc_position STRING) USING iceberg")
    fed.two.sql("INSERT INTO THEIRS VALUES (77, 'comes and goes')")
    now, deletes = [0.0], count(1)

    def pause(seconds: float) -> None:
        now[0] += seconds
        fed.two.sql(f"INSERT INTO {stones} VALUES (77, '{next(deletes):09}'), (77, '000000000')")

    proof = fed.two.compare(behind=0.1, pause=pause, clock=lambda: now[0])
    assert (proof.differences, proof.unsettled) == ((), 1)
    (found,) = fed.two.compare().differences
    assert (parted(found.key), found.kind) == (("77",), Kind.MISSING)
