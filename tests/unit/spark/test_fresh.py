"""What a batch does to rows, and the row delta that it becomes; contract tests hold both equal to the MERGE."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest

from cdc.core.collapse import MOVED_IN
from cdc.core.positions import LAYOUTS
from cdc.spark.delta import delta, rows_of
from cdc.spark.fresh import planned
from tests.unit.spark.test_rewrite import BEFORE, ROWS, SHAPE, at, changes, rows

LAYOUT = LAYOUTS["postgres"]


class Table:
    """A table whose rows are found by a look at all of them; implements ``delta.IndexedTable``."""

    def __init__(self, held: pa.Table, reason: str | None = None) -> None:
        self.held, self.reason = held, reason
        self.schema = held.schema
        self.written: tuple[list[tuple[object, ...]], list[int], list[int]] | None = None
        self.summary: Mapping[str, str] = {}
        self.read_columns: list[str] = []

    def why_not(self) -> str | None:
        return self.reason

    def find(self, keys: pa.StructArray) -> pa.Table | str:
        if self.reason:
            return self.reason
        numbers = {row["id"]: n for n, row in enumerate(self.held.to_pylist())}
        found = pa.array([numbers.get(key["id"]) for key in keys.to_pylist()], pa.int64())
        position = self.held["_cdc_position"].take(found)
        marked = pa.chunked_array(
            [[None if op is None else op == MOVED_IN for op in self.held["_cdc_op"].take(found).to_pylist()]]
        )
        return pa.table({"key": keys.field("id"), "file": found, "row": found, "position": position, "marked": marked})

    def read(self, places: pa.Table, names: Sequence[str], limit: int) -> pa.Table | None:
        self.read_columns += names
        found = self.held.take(places["row"]).select(list(names))
        return found if found.nbytes <= limit else None

    def write(self, fresh: pa.Table, replaced: pa.Table, deleted: pa.Table, summary: Mapping[str, str]) -> str | None:
        told = [(r["id"], r["name"], r["more"], r["_cdc_op"]) for r in fresh.to_pylist()]
        self.written = told, replaced["row"].to_pylist(), deleted["row"].to_pylist()
        self.summary = summary
        return None


def test_a_batch_becomes_rows_and_deletes() -> None:
    table = Table(BEFORE)
    changed = changes((1, "uno", 400, "u"), (2, None, 410, "d"), (4, "four", 420, "c"), (5, None, 430, "d"))
    assert delta(table, changed, SHAPE, None, {"own": "entry"}) is None
    assert table.written == ([(1, "uno", 10, "u"), (4, "four", None, "c")], [0], [1])
    assert table.read_columns == ["more"], "of the old rows, what the batch does not carry"
    assert sorted(table.summary.values()) == ["1", "1", "1", "entry"]


def test_only_a_greater_position_touches_a_row() -> None:
    table = Table(rows((1, "one", 1, 100, "c"), (2, "two", 2, 200, "c"), (3, "three", 3, 300, "c")))
    assert delta(table, changes((1, "a", 100, "u"), (2, "b", 201, "u"), (3, None, 299, "d")), SHAPE, None, {}) is None
    assert table.written == ([(2, "b", 2, "u")], [1], [])


@pytest.mark.parametrize(("place", "folded", "mark"), [(301, False, MOVED_IN), (311, False, "u"), (301, True, "u")])
def test_a_marked_row_keeps_its_mark_within_its_transaction(place: int, folded: bool, mark: str) -> None:
    table = Table(BEFORE)
    assert delta(table, changes((3, "drei", place, "u"), folded=folded), SHAPE, None, {}) is None
    assert table.written == ([(3, "drei", 30, mark)], [2], [])


def test_a_deleted_key_comes_back_only_by_a_change_newer_than_its_tombstone() -> None:
    table = Table(BEFORE)
    changed = changes((7, "late", 499, "u"), (8, "again", 501, "c"), (9, "new", 1, "c"), (1, "one", 400, "u"))
    floors = {(7,): at(500), (8,): at(500)}
    assert delta(table, changed, SHAPE, floors, {}) is None
    assert table.written is not None
    assert [row[0] for row in table.written[0]] == [1, 8, 9]


def test_a_table_without_an_index_says_why() -> None:
    table = Table(BEFORE, "the key index is being built (3 %)")
    assert delta(table, changes((1, "x", 900, "u")), SHAPE, None, {}) == "the key index is being built (3 %)"
    assert rows_of(table, SHAPE, pa.table({"k": changes((1, "x", 1, "u"))["k"]}), "", 1 << 20) is None


def test_values_that_would_have_to_be_converted_are_left_to_spark() -> None:
    table = Table(BEFORE.set_column(1, pa.field("name", pa.int64()), pa.array([1, 2, 3])))
    assert delta(table, changes((1, "x", 900, "u")), SHAPE, None, {}) == "column 'name' has another type in Arrow"
    assert table.written is None


def test_rows_of_keys_are_told_as_the_core_needs_them() -> None:
    wanted = changes((1, "x", 1, "u"), (3, "x", 1, "u"), (9, "x", 1, "u")).select(["k"])
    found = rows_of(Table(BEFORE), SHAPE, wanted, "", 1 << 20)
    assert found is not None
    assert [(r["k"]["id"], r["v"]["name"], r["operation"]) for r in found.to_pylist()] == [
        (1, "one", "c"),
        (3, "three", MOVED_IN),
    ]
    later = rows_of(Table(BEFORE), SHAPE, wanted, at(200), 1 << 20)
    assert later is not None
    assert later["k"].to_pylist() == [{"id": 3}]
    assert rows_of(Table(BEFORE), SHAPE, wanted, "", 1) is None


def test_nothing_is_planned_for_no_changes() -> None:
    plan = planned(changes(), pa.chunked_array([[]], pa.string()), LAYOUT)
    assert plan.counts == dict.fromkeys(plan.counts, "0")
    assert ROWS.names
