"""Rows, changes and what a rewrite makes of both; contract tests hold it equal to the MERGE."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.collapse import MOVED_IN
from cdc.core.positions import LAYOUTS
from cdc.spark.decode import RowShape
from cdc.spark.rewrite import known_rows, rewrite, rewritten

SHAPE = RowShape("postgres", ("id",), {"id": "int", "name": "string"}, "?")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        pa.field("name", pa.large_string()),
        pa.field("more", pa.int64()),
        pa.field("_cdc_position", pa.large_string()),
        pa.field("_cdc_op", pa.large_string()),
        pa.field("_cdc_source_ts", pa.timestamp("us", tz="UTC")),
        pa.field("_cdc_committed_at", pa.timestamp("us", tz="UTC")),
    ]
)
WIDTH = LAYOUTS["postgres"].order_width


def at(number: int, offset: int = 0) -> str:
    """Return a position whose order is the number, and whose transaction is its ten."""
    transaction = LAYOUTS["postgres"].transaction_width
    return f"{number // 10:0{transaction}x}{number:0{WIDTH - transaction}x}-{offset:016x}"


def rows(*given: tuple[int, str, int, int, str]) -> pa.Table:
    """Return rows of (id, name, more, place, operation)."""
    made = [
        dict(zip(ROWS.names, (i, name, more, at(place), operation, NOW, NOW), strict=True))
        for i, name, more, place, operation in given
    ]
    return pa.Table.from_pylist(made, ROWS)


def changes(*given: tuple[int, str | None, int, str], folded: bool = False) -> pa.Table:
    """Return changes of (id, name, place, operation); a delete has no name."""
    v = pa.struct([("id", pa.int32()), ("name", pa.string())])
    return pa.table(
        {
            "k": pa.array([{"id": i} for i, *_ in given], pa.struct([("id", pa.int32())])),
            "deleted": pa.array([operation == "d" for *_, operation in given], pa.bool_()),
            "position": pa.array([at(place, 9) for _, _, place, _ in given], pa.string()),
            "operation": pa.array([operation for *_, operation in given], pa.string()),
            "source_ts": pa.array([NOW] * len(given), pa.timestamp("us", tz="UTC")),
            "folded": pa.array([folded] * len(given), pa.bool_()),
            "v": pa.array([None if op == "d" else {"id": i, "name": name} for i, name, _, op in given], v),
        }
    )


def after(before: pa.Table, changed: pa.Table, truncate: str = "") -> tuple[set[tuple[Any, ...]], tuple[int, int, int]]:
    """Return (id, name, more, operation) of the rows afterwards, and how many were inserted, updated and deleted."""
    found = rewritten(before, changed, SHAPE, truncate, NOW)
    assert found is not None
    assert found.rows.schema == ROWS
    left = {(r["id"], r["name"], r["more"], r["_cdc_op"]) for r in found.rows.to_pylist()}
    assert len(left) == found.rows.num_rows
    return left, (found.inserted, found.updated, found.deleted)


BEFORE = rows((1, "one", 10, 100, "c"), (2, "two", 20, 200, "u"), (3, "three", 30, 300, MOVED_IN))


def test_rows_are_updated_deleted_and_inserted_and_other_columns_stay():
    changed = changes((1, "uno", 400, "u"), (2, None, 410, "d"), (4, "four", 420, "c"), (5, None, 430, "d"))
    left, counts = after(BEFORE, changed)
    assert left == {(1, "uno", 10, "u"), (3, "three", 30, MOVED_IN), (4, "four", None, "c")}
    assert counts == (1, 1, 1)


def test_a_change_that_is_not_newer_changes_nothing():
    left, counts = after(BEFORE, changes((1, "old", 99, "u"), (2, None, 200, "d")))
    assert left == {(1, "one", 10, "c"), (2, "two", 20, "u"), (3, "three", 30, MOVED_IN)}
    assert counts == (0, 0, 0)


def test_a_row_that_moved_in_keeps_its_mark_within_its_transaction_p12():
    assert (3, "x", 30, MOVED_IN) in after(BEFORE, changes((3, "x", 305, "u")))[0]
    assert (3, "x", 30, "u") in after(BEFORE, changes((3, "x", 315, "u")))[0]
    assert (3, "x", 30, "u") in after(BEFORE, changes((3, "x", 305, "u"), folded=True))[0]


def test_a_truncate_takes_what_is_older_before_the_changes_p14():
    left, counts = after(BEFORE, changes((1, "new", 400, "c")), at(250))
    assert left == {(1, "new", None, "c"), (3, "three", 30, MOVED_IN)}
    assert counts == (1, 0, 0), "what a truncate removes is not counted, as with a MERGE"


def test_a_batch_into_an_empty_table_and_one_that_empties_it():
    left, counts = after(rows(), changes((1, "one", 10, "c")))
    assert (left, counts) == ({(1, "one", None, "c")}, (1, 0, 0))
    assert after(rows((1, "one", 1, 10, "c")), changes((1, None, 20, "d"))) == (set(), (0, 0, 1))


def test_rows_that_share_a_key_are_not_rewritten():
    assert rewritten(pa.concat_tables([BEFORE, BEFORE]), changes((1, "x", 900, "u")), SHAPE, "", NOW) is None


class Memory:
    """A small table in memory; a text in place of the rows says why it is none."""

    def __init__(self, held: pa.Table | str) -> None:
        self.held, self.summary = held, dict[str, str]()

    def rows(self) -> pa.Table | str:
        return self.held

    def replace(self, rows: pa.Table, summary: Mapping[str, str]) -> None:
        self.held, self.summary = rows, dict(summary)


def test_the_summary_has_what_a_merge_counts():
    table = Memory(BEFORE)
    assert rewrite(table, changes((1, "uno", 400, "u"), (7, "x", 401, "c")), SHAPE, "", {"cdc.token": "3"}) is None
    assert table.summary == {
        "cdc.token": "3",
        "spark.merge-into.num-target-rows-inserted": "1",
        "spark.merge-into.num-target-rows-updated": "1",
        "spark.merge-into.num-target-rows-deleted": "0",
    }


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ("it has 30000 rows", "it has 30000 rows"),
        (pa.concat_tables([BEFORE, BEFORE]), "a key is there more than once, or a row without a position"),
        (
            BEFORE.set_column(3, ROWS.field(3), pa.array([None] * 3, pa.large_string())),
            "a key is there more than once, or a row without a position",
        ),
        (BEFORE.set_column(1, "name", pa.array([b"x"] * 3)), "column 'name' has another type in Arrow"),
    ],
)
def test_why_a_table_is_not_rewritten_is_told_and_nothing_is_written(held, why):
    table = Memory(held)
    assert rewrite(table, changes((1, "uno", 400, "u")), SHAPE, "", {}) == why
    assert table.summary == {}


def test_known_rows_are_those_of_the_wanted_keys_that_no_truncate_has_removed():
    wanted = changes((1, "", 1, "u"), (3, "", 1, "u"), (9, "", 1, "u")).select(["k"])
    found = known_rows(Memory(BEFORE), SHAPE, wanted, at(150))
    assert [(r["k"], r["operation"], r["v"]) for r in found.to_pylist()] == [
        ({"id": 3}, MOVED_IN, {"id": 3, "name": "three"})
    ]
    assert known_rows(Memory("it has 30000 rows"), SHAPE, wanted, "") is None
