"""The verifier itself: every kind of damage done to a copy is found, counted and named."""

from collections.abc import Callable
from decimal import Decimal
from math import nextafter

import pyarrow as pa
import pytest

from cdc.core.canonical import PART, Column, Form
from cdc.lake.rows import texts
from cdc.pipeline.verify import compare
from tests.fakes.rows import FakeRows

COLUMNS = (
    Column("id"),
    Column("line"),
    Column("name"),
    Column("price"),
    Column("ratio"),
    Column("at"),
    Column("blob"),
    Column("tags"),
    Column("active"),
    Column("big", Form.NUMBER),
    Column("doc", Form.JSON),
)
TYPES = (
    pa.int64(),
    pa.int32(),
    pa.string(),
    pa.decimal128(12, 2),
    pa.float64(),
    pa.timestamp("us", "UTC"),
    pa.binary(),
    pa.list_(pa.int32()),
    pa.bool_(),
    pa.string(),
    pa.string(),
)
SAME = ("00ff", '["1", null]', "true", "1.0", '{"a": [1]}')
SAME_IN_LAKE = (b"\x00\xff", [1, None], True, "1", '{"a":[1]}')
SOURCE = [(f"{i}", f"{i % 3}", f"name {i}", f"{i}.50", f"{i}.25", f"{1700000000000000 + i}", *SAME) for i in range(20)]
KEY = ("id", "line")

Lake = list[list[object]]


def lake_rows() -> Lake:
    return [
        [i, i % 3, f"name {i}", Decimal(f"{i}.50"), i + 0.25, 1700000000000000 + i, *SAME_IN_LAKE] for i in range(20)
    ]


def read(rows: Lake) -> FakeRows:
    arrays = [texts(pa.array(column, kind)) for column, kind in zip(zip(*rows, strict=True), TYPES, strict=True)]
    return FakeRows([Column(c.name) for c in COLUMNS], list(zip(*arrays, strict=True)))


def put(row: int, column: int, change: Callable[[object], object]) -> Callable[[Lake], None]:
    def damage(lake: Lake) -> None:
        lake[row][column] = change(lake[row][column])

    return damage


def swap(column: int) -> Callable[[Lake], None]:
    def damage(lake: Lake) -> None:
        lake[3][column], lake[4][column] = lake[4][column], lake[3][column]

    return damage


DEFECTS: dict[str, tuple[Callable[[Lake], None], tuple[int, int, int], set[str]]] = {
    "a dropped row": (lambda lake: lake.pop(7) and None, (1, 0, 0), set()),
    "an extra row": (lambda lake: lake.append([99, *lake[0][1:]]), (0, 1, 0), set()),
    "a row twice": (lambda lake: lake.append(list(lake[5])), (0, 1, 0), set()),
    "a row twice, one stale": (lambda lake: lake.append([*lake[5][:2], "old", *lake[5][3:]]), (0, 1, 0), set()),
    "a moved key": (put(2, 0, lambda _: 77), (1, 1, 0), set()),
    "a wrong part of a key": (put(2, 1, lambda v: int(str(v)) + 5), (1, 1, 0), set()),
    "a stale column": (put(2, 2, lambda _: "name 1"), (0, 0, 1), {"name"}),
    "a trailing blank": (put(2, 2, lambda v: f"{v} "), (0, 0, 1), {"name"}),
    "another case": (put(2, 2, lambda v: str(v).upper()), (0, 0, 1), {"name"}),
    "a decomposed letter": (put(2, 2, lambda v: f"{v}\u0301"), (0, 0, 1), {"name"}),
    "null for text": (put(2, 2, lambda _: None), (0, 0, 1), {"name"}),
    "empty for text": (put(2, 2, lambda _: ""), (0, 0, 1), {"name"}),
    "the text NULL": (put(2, 2, lambda _: "NULL"), (0, 0, 1), {"name"}),
    "the placeholder": (put(2, 2, lambda _: "__debezium_unavailable_value"), (0, 0, 1), {"name"}),
    "a cent": (put(2, 3, lambda _: Decimal("2.51")), (0, 0, 1), {"price"}),
    "a float of one more bit": (put(2, 4, lambda v: nextafter(float(str(v)), 9)), (0, 0, 1), {"ratio"}),
    "a float made NaN": (put(2, 4, lambda _: float("nan")), (0, 0, 1), {"ratio"}),
    "a microsecond": (put(2, 5, lambda v: int(str(v)) + 1), (0, 0, 1), {"at"}),
    "an hour of time zone": (put(2, 5, lambda v: int(str(v)) + 3_600_000_000), (0, 0, 1), {"at"}),
    "a byte": (put(2, 6, lambda _: b"\x00\xfe"), (0, 0, 1), {"blob"}),
    "a byte less": (put(2, 6, lambda _: b"\x00"), (0, 0, 1), {"blob"}),
    "an element": (put(2, 7, lambda _: [1, 0]), (0, 0, 1), {"tags"}),
    "an empty list for one of null": (put(2, 7, lambda _: []), (0, 0, 1), {"tags"}),
    "a boolean": (put(2, 8, lambda _: False), (0, 0, 1), {"active"}),
    "a number's last digit": (put(2, 9, lambda _: "1.00000000000000000000000000001"), (0, 0, 1), {"big"}),
    "a document's value": (put(2, 10, lambda _: '{"a":[2]}'), (0, 0, 1), {"doc"}),
    "a document's truth for one": (put(2, 10, lambda _: '{"a":[true]}'), (0, 0, 1), {"doc"}),
    "a broken document": (put(2, 10, lambda _: '{"a":[1]'), (0, 0, 1), {"doc"}),
    "two rows' values swapped": (swap(2), (0, 0, 2), {"name"}),
}


def test_equal_copy_is_equal() -> None:
    report = compare(FakeRows(COLUMNS, SOURCE), read(lake_rows()), KEY, ("s", "t"))
    assert report.equal
    assert (report.source_rows, report.lake_rows) == (20, 20)


@pytest.mark.parametrize("name", DEFECTS)
def test_finds(name: str) -> None:
    damage, (missing, extra, differing), columns = DEFECTS[name]
    lake = lake_rows()
    damage(lake)
    report = compare(FakeRows(COLUMNS, SOURCE), read(lake), KEY, ("s", "t"))
    assert not report.equal
    assert (report.missing, report.extra, report.differing) == (missing, extra, differing)
    assert set(report.columns) == columns


def test_finds_columns_exchanged() -> None:
    lake = FakeRows([Column("id"), Column("b"), Column("a")], [("1", "x", "y")])
    report = compare(FakeRows([Column("id"), Column("a"), Column("b")], [("1", "x", "y")]), lake, ("id",), ("s", "t"))
    assert report.columns == {"a": 1, "b": 1}


def test_column_that_the_lake_lacks_is_null_there() -> None:
    source = FakeRows([Column("id"), Column("new")], [("1", None), ("2", "x")])
    report = compare(source, FakeRows([Column("id")], [("1",), ("2",)]), ("id",), ("s", "t"))
    assert (report.differing, report.columns) == (1, {"new": 1})


def test_key_column_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="key column 'id'"):
        compare(FakeRows([Column("a")], []), FakeRows([Column("a")], []), ("id",), ("s", "t"))


def test_where_a_part_was_loaded_other_rows_may_be_missing_and_nothing_else() -> None:
    """Row 1 was changed since, so the lake has it; 2 was not; 3 is of the part and lost."""
    columns = [Column("id"), Column("name")]
    source = FakeRows(
        [*columns, Column(PART)],
        [("0", "a", "true"), ("1", "b", "false"), ("2", "c", "false"), ("3", "d", "true"), ("4", "e", "false")],
    )
    lake = FakeRows(columns, [("0", "a"), ("1", "b"), ("4", "wrong"), ("9", "gone")])
    found = compare(source, lake, ("id",), ("s", "t"))
    assert (found.missing, found.outside, found.extra, found.differing) == (1, 1, 1, 1)
    assert found.columns == {"name": 1}
