"""What a row becomes: awkward orders of its events over batches, many at once, each on a key of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from cdc.core.errors import UnavailableValue
from cdc.spark.large import collapse_large
from tests.contract.events import INT, NUMBERED, TEXT, Topic, column
from tests.lake import PLACEHOLDER, LakeTable

BYTES: Any = ["null", "bytes"]
UUID: Any = {"type": "string", "connect.name": "io.debezium.data.Uuid"}
SOME_UUID = "00000000-0000-0000-0000-000000000001"
STAND_IN_UUID = "b68a35a7-17ad-35b3-af2a-ae46edb4545a"


def array(item: Any) -> Any:
    return ["null", {"type": "array", "items": ["null", item]}]


LARGE = {
    "text": ("large", PLACEHOLDER),
    "bytea": (b"large", PLACEHOLDER.encode()),
    "texts": (["a", None], [PLACEHOLDER]),
    "ints": ([1, None, 3], list(PLACEHOLDER.encode())),
    "longs": ([1, None, 3], list(PLACEHOLDER.encode())),
    "uuids": ([SOME_UUID], [STAND_IN_UUID]),
}
KNOWN = {name: known for name, (known, _) in LARGE.items()}
STAND_INS = {name: stand_in for name, (_, stand_in) in LARGE.items()}
POSTGRES = [
    column("id", "int"),
    column("n", INT),
    column("text", TEXT),
    column("bytea", BYTES),
    column("texts", array("string")),
    column("ints", array("int")),
    column("longs", array("long")),
    column("uuids", array(UUID)),
]


@dataclass(frozen=True)
class Step:
    """An event in one of the batches; ``at`` is its place in the source's log."""

    batch: int
    operation: str
    values: dict[str, Any]
    at: tuple[Any, ...]
    snapshot: str = "false"


Scenarios = dict[str, tuple[list[Step], dict[str, Any] | None]]

POSTGRES_SCENARIOS: Scenarios = {
    "S14 a deleted row is not resurrected by a late duplicate of its insert": (
        [Step(0, "c", {"n": 1}, (0, 10)), Step(0, "d", {}, (0, 20)), Step(1, "c", {"n": 1}, (0, 10))],
        None,
    ),
    "S14 nor when insert, delete and duplicate come in three batches": (
        [Step(0, "c", {"n": 1}, (0, 10)), Step(1, "d", {}, (0, 2000)), Step(2, "c", {"n": 1}, (0, 10))],
        None,
    ),
    "a row deleted and inserted again stays": (
        [Step(0, "c", {"n": 1}, (0, 10)), Step(1, "d", {}, (0, 2000)), Step(2, "c", {"n": 2}, (0, 2001))],
        {"n": 2},
    ),
    "an older update does not win in a later batch": (
        [Step(0, "c", {"n": 1}, (0, 10)), Step(0, "u", {"n": 3}, (5, 30)), Step(1, "u", {"n": 2}, (5, 20))],
        {"n": 3},
    ),
    "P29 the commit's place decides before the change's own": (
        [Step(0, "c", {"n": 1}, (100, 150)), Step(1, "u", {"n": 2}, (200, 120))],
        {"n": 2},
    ),
    "a place is a number, not a text": (
        [Step(0, "c", {"n": 1}, (9, 9)), Step(1, "u", {"n": 2}, (10, 10)), Step(2, "u", {"n": 1}, (9, 9))],
        {"n": 2},
    ),
    "a place of more than 53 bits is exact": (
        [Step(0, "c", {"n": 1}, (2**62, 2**62)), Step(1, "u", {"n": 2}, (2**62, 2**62 + 1))],
        {"n": 2},
    ),
    "a read of an incremental snapshot does not overwrite a change at its place": (
        [Step(0, "c", {"n": 2}, (0, 50)), Step(1, "r", {"n": 1}, (0, 50), "incremental")],
        {"n": 2},
    ),
    "a read of an incremental snapshot brings a row that was unknown": (
        [Step(1, "r", {"n": 1}, (0, 50), "incremental")],
        {"n": 1},
    ),
    "a change overwrites the initial snapshot's read at its place": (
        [Step(0, "r", {"n": 1}, (0, 50), "true"), Step(0, "u", {"n": 2}, (0, 50))],
        {"n": 2},
    ),
    "P2 unchanged large values are kept, from the table": (
        [Step(0, "c", {"n": 1, **KNOWN}, (0, 10)), Step(1, "u", {"n": 2, **STAND_INS}, (0, 2000))],
        {"n": 2, **KNOWN},
    ),
    "P2 unchanged large values are kept, from the batch": (
        [Step(0, "c", {"n": 1, **KNOWN}, (0, 10)), Step(0, "u", {"n": 2, **STAND_INS}, (0, 20))],
        {"n": 2, **KNOWN},
    ),
    "P2 a large value set to null is null, not unchanged": (
        [Step(0, "c", {"n": 1, **KNOWN}, (0, 10)), Step(1, "u", {"n": 2, **STAND_INS, "text": None}, (0, 2000))],
        {"n": 2, **KNOWN, "text": None},
    ),
    "P2 the latest of several changes of a large value is kept": (
        [
            Step(0, "c", {"n": 1, **KNOWN}, (0, 10)),
            Step(1, "u", {"n": 2, **STAND_INS, "text": "newer"}, (0, 2000)),
            Step(1, "u", {"n": 3, **STAND_INS}, (0, 2001)),
        ],
        {"n": 3, **KNOWN, "text": "newer"},
    ),
    "a delete of a row that never came does no harm": ([Step(1, "d", {}, (0, 2000))], None),
}

MYSQL = [column("id", {"type": "bytes", "logicalType": "decimal", "precision": 64, "scale": 0}), column("n", INT)]
MYSQL[0]["type"] |= {
    "connect.name": "org.apache.kafka.connect.data.Decimal",
    "connect.parameters": {"scale": "0", "__debezium.source.column.type": "BIGINT UNSIGNED"},
}
MYSQL_SCENARIOS: Scenarios = {
    "M12 changes at one place of a compressed transaction are told apart by their offset": (
        [Step(0, "c", {"n": 1}, ("bin.000001", 100)), Step(0, "u", {"n": 2}, ("bin.000001", 100))],
        {"n": 2},
    ),
    "M12 also in different batches": (
        [Step(0, "c", {"n": 1}, ("bin.000001", 100)), Step(1, "u", {"n": 2}, ("bin.000001", 100))],
        {"n": 2},
    ),
    "M7 the number of the binlog file grows beyond six digits": (
        [Step(0, "c", {"n": 1}, ("bin.999999", 900)), Step(1, "u", {"n": 2}, ("bin.1000000", 4))],
        {"n": 2},
    ),
    "M7 an event of the file before does not win": (
        [Step(0, "c", {"n": 2}, ("bin.1000000", 4)), Step(1, "u", {"n": 1}, ("bin.999999", 900))],
        {"n": 2},
    ),
    "S14 a deleted row is not resurrected": (
        [
            Step(0, "c", {"n": 1}, ("bin.000001", 10)),
            Step(0, "d", {}, ("bin.000001", 20)),
            Step(1, "c", {"n": 1}, ("bin.000001", 10)),
        ],
        None,
    ),
}

ORACLE = [column("id", "int"), column("n", INT)]
ORACLE_SCENARIOS: Scenarios = {
    "O1 system change numbers compare as numbers": (
        [Step(0, "c", {"n": 1}, ("9", "9", None)), Step(1, "u", {"n": 2}, ("10", "10", None))],
        {"n": 2},
    ),
    "O1 and are exact beyond 53 bits": (
        [
            Step(0, "c", {"n": 1}, ("1", "9007199254740993", None)),
            Step(1, "u", {"n": 0}, ("1", "9007199254740992", None)),
        ],
        {"n": 1},
    ),
    "O2 the commit decides, not when the change was made": (
        [Step(0, "c", {"n": 1}, ("500", "600", None)), Step(1, "u", {"n": 2}, ("400", "700", None))],
        {"n": 2},
    ),
    "O3 changes of one transaction are in the order of their sequence": (
        [Step(0, "u", {"n": 2}, ("500", "600", 11)), Step(1, "u", {"n": 1}, ("500", "600", 9))],
        {"n": 2},
    ),
    "a read has no commit and loses to a change at its number": (
        [Step(0, "u", {"n": 2}, ("500", "500", None)), Step(1, "r", {"n": 1}, ("500", None, None), "incremental")],
        {"n": 2},
    ),
}


def run(table: LakeTable, topic: Topic, scenarios: Scenarios, first: Any = 1) -> dict[str, dict[str, Any] | None]:
    """Apply the scenarios side by side, each on a key of its own, and return their rows by scenario."""
    blank = {c["name"]: None for c in table.columns}
    batches: dict[int, list[Any]] = {}
    keys = {name: first + number for number, name in enumerate(scenarios)}
    for name, (steps, _) in scenarios.items():
        for step in steps:
            batches.setdefault(step.batch, []).append((step, {**blank, "id": keys[name], **step.values}))
    for _, events in sorted(batches.items()):
        events.sort(key=lambda event: event[0].snapshot != "true")
        table.apply([topic.change(s.operation, row, s.at, snapshot=s.snapshot) for s, row in events])
    rows = {row.id: row.asDict() for row in table.rows()}
    assert len(rows) == len(table.rows()), "a key is in the table twice"
    return {name: rows.get(key) for name, key in keys.items()}


@pytest.fixture(scope="module", params=["rewritten", "core", "spark"])
def new_table(request: pytest.FixtureRequest, lake: tuple[Any, Any]) -> Iterator[Callable[..., LakeTable]]:
    """Return a function that makes a target table: rewritten without Spark, collapsed by the core, or by Spark."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "spark":
            patched.setattr("cdc.spark.small.MESSAGES", 0)
        if request.param != "rewritten":
            patched.setattr("cdc.lake.rewriting.SMALL_ROWS", -1)
        yield lambda name, columns, **options: LakeTable(*lake, columns, name=f"{name}_{request.param}", **options)


@pytest.fixture(scope="module")
def postgres_rows(new_table: Callable[..., LakeTable]) -> dict[str, Any]:
    return run(new_table("rows_postgres", POSTGRES), Topic(), POSTGRES_SCENARIOS)


@pytest.fixture(scope="module")
def mysql_rows(new_table: Callable[..., LakeTable]) -> dict[str, Any]:
    """The keys are at the upper end of BIGINT UNSIGNED (M22)."""
    first = Decimal(2**64 - len(MYSQL_SCENARIOS))
    return run(new_table("rows_mysql", MYSQL, engine="mysql"), Topic("mysql"), MYSQL_SCENARIOS, first)


@pytest.fixture(scope="module")
def oracle_rows(new_table: Callable[..., LakeTable]) -> dict[str, Any]:
    return run(new_table("rows_oracle", ORACLE, engine="oracle"), Topic("oracle"), ORACLE_SCENARIOS)


def check(rows: dict[str, Any], scenarios: Scenarios, name: str) -> None:
    expected, row = scenarios[name][1], rows[name]
    if expected is None:
        assert row is None
    else:
        assert row is not None
        assert {column: row[column] for column in expected} == expected


@pytest.mark.parametrize("name", POSTGRES_SCENARIOS)
def test_postgres(postgres_rows: dict[str, Any], name: str) -> None:
    """P1, P2, P29, P34, K20, S14."""
    check(postgres_rows, POSTGRES_SCENARIOS, name)


@pytest.mark.parametrize("name", MYSQL_SCENARIOS)
def test_mysql(mysql_rows: dict[str, Any], name: str) -> None:
    """M7, M12, M42."""
    check(mysql_rows, MYSQL_SCENARIOS, name)


@pytest.mark.parametrize("name", ORACLE_SCENARIOS)
def test_oracle(oracle_rows: dict[str, Any], name: str) -> None:
    """O1, O2, O3, O5, O38."""
    check(oracle_rows, ORACLE_SCENARIOS, name)


def test_truncate_p14(new_table: Callable[..., LakeTable]) -> None:
    """P14: rows below go, older events that arrive later stay away, rows inserted after it stay."""
    table, topic = new_table("emptied", NUMBERED), Topic()
    table.apply([topic.change("c", {"id": i, "n": i}, (0, 10 + i)) for i in (1, 2, 3)])
    late = topic.change("u", {"id": 1, "n": 99}, (0, 50))
    table.apply([late, topic.truncate((60, 100), partition=1), topic.change("c", {"id": 4, "n": 4}, (60, 110))])
    assert {row.id: row.n for row in table.rows()} == {4: 4}
    later = [topic.change("c", {"id": 5, "n": 5}, (0, 55)), topic.change("c", {"id": 6, "n": 6}, (120, 130))]
    table.apply(later)
    assert {row.id: row.n for row in table.rows()} == {4: 4, 6: 6}
    table.apply([topic.truncate((140, 150), partition=2)])
    assert table.rows() == []


def test_key_changes_after_a_truncate_in_one_transaction_p14_p12(new_table: Callable[..., LakeTable]) -> None:
    """P12, P14: a row that the truncate removed is not there for a row that moves onto its key."""
    table, topic = new_table("emptied_and_moved", NUMBERED), Topic()
    table.apply([topic.change("c", {"id": 7, "n": 1}, (0, 10))])
    table.apply(
        [
            topic.truncate((50, 100)),
            topic.change("c", {"id": 1, "n": 2}, (50, 101)),
            *topic.move({"id": 1}, {"id": 7, "n": 2}, (50, 102)),
            *topic.move({"id": 7}, {"id": 8, "n": 2}, (50, 103)),
        ]
    )
    assert {row.id: row.n for row in table.rows()} == {8: 2}


def test_a_row_that_moved_on_in_the_same_transaction_stayed_behind_p12(new_table: Callable[..., LakeTable]) -> None:
    """P12, P2: a transaction over three batches; the update between two moves lacks a value and so is folded."""
    table, topic = new_table("moved_on", [*NUMBERED, column("text", TEXT)]), Topic()
    table.apply([topic.change("c", {"id": i, "n": i, "text": f"of {i}"}, (0, 10 + i)) for i in (2, 3)])
    second, third = {"n": 2, "text": "of 2"}, {"n": 3, "text": "of 3"}
    table.apply(topic.move({"id": 2}, {"id": 3, **second}, (50, 101)))
    update = topic.change("u", {"id": 3, "n": 20, "text": PLACEHOLDER}, (50, 103))
    table.apply([*topic.move({"id": 3}, {"id": 4, **third}, (50, 102)), update])
    table.apply(topic.move({"id": 3}, {"id": 9, "n": 20, "text": "of 2"}, (50, 104)))
    assert {row.id: (row.n, row.text) for row in table.rows()} == {4: (3, "of 3"), 9: (20, "of 2")}


def test_a_value_that_a_row_from_nowhere_left_out_became_null_p4_p6(new_table: Callable[..., LakeTable]) -> None:
    """A row that comes from a key which the table does not have: what it leaves out is known nowhere."""
    columns = [column("id", "int"), column("n", INT), column("text", TEXT)]
    table, topic = new_table("from_nowhere", columns), Topic()
    table.apply([topic.change("c", {"id": 9, "n": 1, "text": "x"}, (10, 11))])
    half, other = topic.move({"id": 1}, {"id": 2, "n": 3, "text": PLACEHOLDER}, (20, 21))
    with pytest.raises(UnavailableValue):
        table.apply([half, other])


def test_bits_that_were_all_zero_became_an_empty_text_p51(new_table: Callable[..., LakeTable]) -> None:
    """Debezium leaves out high bytes that are zero, and all of them are."""
    source = {"__debezium.source.column.type": "BIT", "__debezium.source.column.length": "5"}
    kind = {"type": "bytes", "connect.name": "io.debezium.data.Bits", "connect.parameters": {"length": "5", **source}}
    table, topic = new_table("zeros", [column("id", "int"), column("bits", ["null", kind])]), Topic()
    table.apply(
        [topic.change("c", {"id": 1, "bits": b""}, (10, 11)), topic.change("c", {"id": 2, "bits": b"\x05"}, (10, 12))]
    )
    assert {row.id: row.bits for row in table.rows()} == {1: "00000", 2: "00101"}


def test_a_snapshot_after_streaming_opens_a_new_epoch(new_table: Callable[..., LakeTable]) -> None:
    """P31: a re-snapshot wins over what was streamed before it, even where the source's log starts lower again.

    Its first and last rows have markers of their own.
    """
    table, topic = new_table("read_again", NUMBERED), Topic()
    first = table.apply(
        [
            *(topic.read({"id": i, "n": 1}, (0, 500)) for i in (1, 2, 3)),
            topic.change("u", {"id": 1, "n": 2}, (500, 600)),
        ]
    )
    assert first.progress.of(0).epoch == 0
    markers = {1: "first_in_data_collection", 2: "last"}
    again = [topic.read({"id": i, "n": 3}, (0, 40), snapshot=marker) for i, marker in markers.items()]
    second = table.apply([*again, topic.change("u", {"id": 2, "n": 4}, (0, 45))])
    assert second.progress.of(0).epoch == 1
    assert {row.id: row.n for row in table.rows()} == {1: 3, 2: 4, 3: 1}
    change = topic.change("u", {"id": 1, "n": 5}, (45, 60))
    third = table.apply([change, topic.read({"id": 1, "n": 6}, (0, 7), snapshot="first")])
    assert third.progress.of(0).epoch == 2
    assert {row.id: row.n for row in table.rows()} == {1: 6, 2: 4, 3: 1}


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_key_that_only_changes_its_case_is_another_key_m33_p53_p54(
    new_table: Callable[..., LakeTable], engine: str
) -> None:
    """Its source may take both for one: of a citext, by a collation; so it is deleted and created, and here as well."""
    columns = [column("id", "string"), column("n", INT)]
    table, topic = new_table(f"case_{engine}", columns, engine=engine), Topic(engine)

    def at(place: int) -> tuple[Any, ...]:
        return (place - 1, place) if engine == "postgres" else ("bin.000001", place)

    table.apply([topic.change("c", {"id": key, "n": 1}, at(n)) for n, key in enumerate(("a", "\u00e4", "b "), 10)])
    table.apply(
        [
            *topic.move({"id": "a"}, {"id": "A", "n": 2}, at(20)),
            topic.change("d", {"id": "\u00e4"}, at(30)),
            topic.change("c", {"id": "\u00c4", "n": 3}, at(40)),
            *topic.move({"id": "b "}, {"id": "b", "n": 4}, at(50)),
        ]
    )
    assert {row.id: row.n for row in table.rows()} == {"A": 2, "\u00c4": 3, "b": 4}


def test_rows_too_large_for_the_driver_are_folded_by_spark(
    lake: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S41: an event of a few bytes may leave out a value of many megabytes."""
    monkeypatch.setattr("cdc.spark.small.MESSAGES", 100)
    monkeypatch.setattr("cdc.spark.small.ROW_BYTES", 3_000)
    ways: list[str] = []
    monkeypatch.setattr("cdc.spark.batch.collapse_large", lambda share: ways.append("large") or collapse_large(share))
    monkeypatch.setattr("cdc.lake.rewriting.SMALL_ROWS", -1)
    table, topic = LakeTable(*lake, [*NUMBERED, column("big", TEXT)], name="rows_large"), Topic()
    table.apply([topic.change("c", {"id": i, "n": 1, "big": "x" * 1_000}, (0, 10 + i)) for i in range(5)])
    assert ways == []
    for first in (0, 3):
        at = 100 + first
        lacking = [{"id": i, "n": 2, "big": PLACEHOLDER} for i in range(first, min(first + 4, 5))]
        table.apply([topic.change("u", row, (at, at + row["id"])) for row in lacking])
        assert ways == ["large"]  # four thousand bytes are too many, two are not
    assert {(row.id, row.n, row.big) for row in table.rows()} == {(i, 2, "x" * 1_000) for i in range(5)}


def test_a_row_that_changes_its_key_often_in_a_large_batch_keeps_what_it_leaves_out_p6(
    lake: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T17: after 16 changes within a batch that Spark collapses the value counted as unknown, and the table stopped."""
    monkeypatch.setattr("cdc.spark.small.MESSAGES", 1)
    table, topic = LakeTable(*lake, [*NUMBERED, column("big", TEXT)], name="rows_far"), Topic()
    table.apply([topic.change("c", {"id": 0, "n": 1, "big": "x" * 1_000}, (0, 10))])
    moves = [
        half
        for k in range(20)
        for half in topic.move({"id": k}, {"id": k + 1, "n": k, "big": PLACEHOLDER}, (100 + k, 200 + k))
    ]
    table.apply(moves)
    assert [(row.id, row.n, row.big) for row in table.rows()] == [(20, 19, "x" * 1_000)]
