"""Events gathered at the driver: counted, folded by the core, and their values picked in Arrow."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.errors import UnavailableValue
from cdc.core.positions import LAYOUTS, Position
from cdc.core.progress import PartitionProgress, Progress
from cdc.spark.by_key import key_codes
from cdc.spark.decode import RowShape
from cdc.spark.gathered import Folded, GatheredEvents, floors_among, floors_of, keys_of

SHAPE = RowShape("postgres", ("id",), {"id": "long", "n": "int", "big": "string"}, "")
KEY = pa.struct([("id", pa.int64())])
ROW = pa.struct([("id", pa.int64()), ("n", pa.int32()), ("big", pa.string())])
EVENTS = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("problem", pa.string()),
        ("operation", pa.string()),
        ("snapshot_read", pa.bool_()),
        ("position", pa.string()),
        ("source_ts", pa.timestamp("us", "UTC")),
        ("moved", pa.bool_()),
        ("old_key", KEY),
        ("new_key", KEY),
        ("unavailable", pa.list_(pa.string())),
        ("k", KEY),
        ("v", ROW),
    ]
)
ROWS = pa.schema([("k", KEY), ("position", pa.string()), ("operation", pa.string()), ("v", ROW)])


def position(commit: int, lsn: int = 0, offset: int = 0) -> str:
    return Position(1, (commit, 1, lsn), offset).text(LAYOUTS["postgres"])


def event(operation: str, number: int, commit: int, **given: Any) -> dict[str, Any]:
    """Return an event as it is decoded; ``n`` and ``big`` are the row's values, ``old`` and ``new`` keys."""
    lacking = given.get("lacking", [])
    row = {"id": number, "n": given.get("n"), "big": given.get("big")}
    return {
        "partition": number % 2,
        "offset": commit,
        "problem": given.get("problem"),
        "operation": operation,
        "snapshot_read": operation == "r",
        "position": position(commit, given.get("lsn", 0), commit),
        "source_ts": datetime(2026, 1, 1, tzinfo=UTC).replace(microsecond=commit * 1000 + 999),
        "moved": "old" in given or "new" in given,
        "old_key": {"id": given["old"]} if "old" in given else None,
        "new_key": {"id": given["new"]} if "new" in given else None,
        "unavailable": lacking,
        "k": None if given.get("problem") else {"id": number},
        "v": None if operation == "d" else row,
    }


def gathered(*events: dict[str, Any]) -> GatheredEvents:
    return GatheredEvents(pa.Table.from_pylist(list(events), EVENTS), SHAPE)


def rows(*of: tuple[int, int, str, int]) -> pa.Table:
    """Return rows of the table: key, n, big, commit."""
    return pa.Table.from_pylist(
        [
            {"k": {"id": i}, "position": position(at), "operation": "c", "v": {"id": i, "n": n, "big": big}}
            for i, n, big, at in of
        ],
        ROWS,
    )


def changes(folded: Folded) -> dict[int, Any]:
    """Return the row that each key ends with; None if it is gone."""
    return {r["k"]["id"]: None if r["deleted"] else (r["v"]["n"], r["v"]["big"]) for r in folded.changes().to_pylist()}


def test_the_newest_event_of_a_key_counts() -> None:
    batch = gathered(
        event("u", 1, 12, n=2, big="b"),
        event("c", 1, 11, n=1, big="a"),
        event("c", 2, 13, n=5),
        event("d", 2, 14),
        event("r", 3, 10, n=7, big="r"),
        event("c", 4, 15, problem="no position"),
        event("t", 0, 9),
    )
    assert not batch.entangled
    counted = batch.counted()
    assert (counted.events, counted.keys, counted.deletes) == (7, 3, 1)
    assert (counted.problems, counted.truncates, counted.snapshot_reads) == (1, 1, 1)
    assert (counted.first_position, counted.last_position) == (position(10, 0, 10), position(14, 0, 14))
    assert counted.last_delete == position(14, 0, 14)
    assert counted.newest_at_ms == datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000 + 15
    assert batch.first_key_column() == (0, 3)
    assert sorted(r["k"]["id"] for r in batch.places().to_pylist()) == [1, 2, 3]
    assert changes(Folded(batch)) == {1: (2, "b"), 2: None, 3: (7, "r")}


def test_nothing_that_can_be_used_changes_nothing() -> None:
    batch = gathered(event("c", 4, 15, problem="no position"))
    assert (batch.counted().keys, batch.counted().first_position) == (0, "")
    assert batch.first_key_column() == (None, None)
    assert Folded(batch).changes().num_rows == 0


def test_a_value_that_was_left_out_comes_from_the_row() -> None:
    """P1: the value of a column that did not change is the table's, whatever the event holds in its place."""
    batch = gathered(event("u", 1, 12, n=2, big=None, lacking=["big"]), event("u", 2, 13, n=9, big="new"))
    assert batch.wanted().to_pylist() == [{"k": {"id": 1}}]
    folded = batch.fold(rows((1, 1, "kept", 5)), {}, "").completed([], "t", lenient=False)
    assert changes(folded) == {1: (2, "kept"), 2: (9, "new")}
    assert folded.added_to(batch.counted()).keys == 2


def test_a_value_that_is_known_nowhere_names_column_and_table() -> None:
    batch = gathered(event("u", 1, 12, n=2, lacking=["big"]))
    with pytest.raises(UnavailableValue, match="column 'big' of somewhere was left out"):
        batch.fold(rows(), {}, "").completed([], "somewhere", lenient=False)
    lenient = batch.fold(rows(), {}, "").completed([], "t", lenient=True)
    assert lenient.changes().to_pylist()[0]["operation"] == "?"
    known = batch.fold(rows(), {}, "").completed(["big"], "t", lenient=False)
    assert changes(known) == {1: (2, None)}


def test_a_moved_row_takes_its_values_along() -> None:
    """P3: the row left key 1 for key 2 without the value that did not change."""
    batch = gathered(event("d", 1, 12, new=2), event("c", 2, 12, n=4, lacking=["big"], old=1))
    folded = batch.fold(rows((1, 1, "kept", 5)), {}, "")
    assert folded.torn("") == ""
    completed = folded.completed([], "t", lenient=False)
    assert changes(completed) == {1: None, 2: (4, "kept")}
    found = completed.added_to(batch.counted())
    assert (found.keys, found.deletes, found.last_delete) == (2, 1, position(12, 0, 12))


def test_half_a_key_change_is_torn_until_it_is_given_up() -> None:
    batch = gathered(event("c", 2, 12, n=4, old=1))
    folded = batch.fold(rows(), {}, "")
    assert folded.torn("") == position(12)[9:-17]
    assert folded.torn(folded.torn("")) == ""


def test_what_is_not_newer_than_row_or_tombstone_changes_nothing() -> None:
    """S14: a late duplicate of a row that was deleted, and one of a row that is newer."""
    batch = gathered(event("u", 1, 12, n=2, lacking=["big"]), event("u", 2, 13, n=2, lacking=["big"]))
    floors = floors_of(pa.table({"k": pa.array([{"id": 2}], KEY), "floor": [position(20)]}))
    folded = batch.fold(rows((1, 1, "newer", 30)), floors, "")
    assert folded.states == {}
    assert folded.completed([], "t", lenient=False).changes().num_rows == 0
    assert floors_of(None) == {}


def test_only_deletes_that_were_published_count() -> None:
    """S14: a tombstone at or after the progress is of a batch that never was; of other keys none matters."""
    keys = pa.array([{"id": n} for n in (1, 2, 3)], KEY)
    places = pa.table({"k": keys, "partition": pa.array([0, 1, 2], pa.int32())})
    told = [(1, 10, 4), (1, 20, 5), (1, 30, 6), (2, 10, 0), (3, 10, 0), (4, 10, 0)]
    deleted = pa.table(
        {
            "id": pa.array([key for key, _, _ in told], pa.int64()),
            "_cdc_position": [position(commit, 0, offset) for _, commit, offset in told],
        }
    )
    states = {p: PartitionProgress(next_offset, 0, streaming=True) for p, next_offset in ((0, 6), (1, 0))}
    progress = Progress("t", "id", states)
    assert floors_among(places, deleted, progress) == {(1,): position(20, 0, 5)}
    assert floors_among(places, deleted.slice(0, 0), progress) == {}


@pytest.mark.parametrize(
    ("kind", "values", "groups"),
    [
        (pa.float64(), [float("nan"), float("nan"), -0.0, 0.0, 1.5, None], [0, 0, 1, 1, 2, 3]),
        (pa.timestamp("us", "UTC"), [2**62, 2**62, -(2**62), 0], [0, 0, 1, 2]),  # years that Python does not have
        (pa.date32(), [2**30, 2**30, 1], [0, 0, 1]),
        (pa.decimal128(38, 9), [Decimal("1.000000000"), Decimal("1.0"), Decimal("1.1")], [0, 0, 1]),
        (pa.binary(), [b"a", b"a", b""], [0, 0, 1]),
        (pa.binary(16), [b"a" * 16, b"b" * 16, b"a" * 16], [0, 1, 0]),
        (pa.string(), ["a", "A", "a ", "a"], [0, 1, 2, 0]),
        (pa.bool_(), [True, False, True], [0, 1, 0]),
        (pa.int64(), [2**63 - 1, -(2**63), 2**63 - 1], [0, 1, 0]),
    ],
    ids=str,
)
def test_keys_are_equal_where_spark_finds_them_so(kind: pa.DataType, values: list[Any], groups: list[int]) -> None:
    """S11."""
    column = (
        pa.array(values, pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)
        if (pa.types.is_temporal(kind))
        else pa.array(values, kind)
    )
    structs = pa.StructArray.from_arrays([column], ["k"])
    keys = keys_of(pa.chunked_array([structs]))
    for one, group in zip(keys, groups, strict=True):
        assert [other for other, of in zip(keys, groups, strict=True) if of == group].count(one) == groups.count(group)
    assert len(set(keys)) == len(set(groups))
    assert key_codes(structs).tolist() == groups
    assert keys_of(pa.chunked_array([pa.array([None, {"id": 1}], KEY)])) == [None, (1,)]
