"""Row deltas and the index that they are made with, without Spark."""

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cdc.lake import index_files, key_index
from cdc.lake.live_files import LiveFiles
from tests.indexed import Indexed, Lake

ID = [pa.field("id", pa.int64(), nullable=False)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Data files whose rows an index has read."""
    found: list[str] = []
    pieces = index_files._pieces  # noqa: SLF001 - what is read is what the tests are about

    def watched(files: LiveFiles, columns: Any, table: Any, paths: list[str], tell: Any) -> Any:
        found.extend(paths)
        return pieces(files, columns, table, paths, tell)

    monkeypatch.setattr(index_files, "_pieces", watched)
    return found


def row(number: int, n: int = 0) -> dict[str, int]:
    return {"id": number, "n": n}


def all_places(table: Indexed) -> list[Any]:
    return table.places([row(i) for i in range(8)])


def test_rows_are_inserted_updated_and_deleted(lake: Lake, read: list[str]) -> None:
    table = lake.table("t", ID)
    table.put([row(1, 10), row(2, 20), row(3, 30)])
    assert table.numbers() == [10, 20, 30]
    table.put([row(2, 21), row(4, 40)], [row(3)])
    assert table.numbers() == [10, 21, 40]
    table.put([row(3, 31)], [row(2)])
    assert table.numbers() == [10, 31, 40]
    table.put([], [row(1)])
    assert all_places(table) == [None, None, None, 31, 40, None, None, None]
    assert read == [], "what was written was handed over"
    lake.restart()
    assert all_places(table) == [None, None, None, 31, 40, None, None, None]
    assert read == [], "a new process opens what is there"


def test_commits_say_what_they_hold(lake: Lake) -> None:
    table = lake.table("t", ID)
    table.put([row(1, 10), row(2, 20), row(3, 30)])
    table.put([row(2, 21)], [row(3)])
    table.put([], [row(1)])
    one, two, three = (s.summary for s in table.load().metadata.snapshots[-3:])
    assert [s.operation.value for s in (one, two, three)] == ["append", "overwrite", "delete"]
    assert (two["added-data-files"], two["added-delete-files"], two["added-position-deletes"]) == ("1", "1", "2")
    assert (three["total-delete-files"], three["total-position-deletes"], three["total-records"]) == ("2", "3", "4")
    manifests = table.load().current_snapshot().manifests(table.load().io)
    assert sorted((m.content.value, m.sequence_number) for m in manifests) == [(0, 2), (0, 3), (1, 3), (1, 4)]


def test_manifests_are_merged_when_they_are_many(lake: Lake) -> None:
    table = lake.table("merged", ID, **{"commit.manifest.min-count-to-merge": "4"})
    for n in range(1, 15):
        table.put([row(1, n), row(2, n)])
        manifests = table.load().current_snapshot().manifests(table.load().io)
        assert len(manifests) <= 8
    assert table.numbers() == [14, 14]
    lake.restart()
    assert all_places(table)[:4] == [None, 14, 14, None]


def test_an_index_left_behind_follows(lake: Lake, read: list[str]) -> None:
    """A process that ended between the commit and its index; another one that has written meanwhile."""
    table = lake.table("t", ID)
    table.put([row(1, 10), row(2, 20)])
    all_places(table)
    table.put([row(2, 21), row(3, 30)])
    lake.restart()
    assert all_places(table)[:5] == [None, 10, 21, 30, None]
    table.append([row(4, 40)])
    assert all_places(table)[:5] == [None, 10, 21, 30, 40]
    assert len(read) == 2, "files that were added since, and no other"


def test_what_was_staged_in_vain_does_not_count(lake: Lake, read: list[str]) -> None:
    table = lake.table("t", ID)
    table.put([row(1, 10)])
    table.put([row(1, 11), row(2, 20)], publish=False)
    assert all_places(table)[:3] == [None, 10, None]
    table.put([row(1, 12)])
    assert all_places(table)[:3] == [None, 12, None]
    assert read == []


def test_a_rewind_makes_the_index_anew(lake: Lake) -> None:
    table = lake.table("t", ID)
    table.put([row(1, 10), row(2, 20)])
    before = table.load().metadata.current_snapshot_id
    table.put([row(1, 11), row(3, 30)], [row(2)])
    assert all_places(table)[:4] == [None, 11, None, 30]
    assert before is not None
    table.rewind(before)
    assert all_places(table)[:4] == [None, 10, 20, None]
    table.put([row(2, 22)])
    assert table.numbers() == [10, 22]


def test_rows_that_others_delete_or_write_anew_are_followed(lake: Lake) -> None:
    """pyiceberg deletes by copy-on-write: some files go, others are added with the rows that stay."""
    table = lake.table("t", ID)
    table.put([row(i, 10 * i) for i in range(5)])
    table.put([row(i, 10 * i + 1) for i in range(1, 3)])
    table.load().delete("id == 2 or id == 3")
    assert all_places(table) == [0, 11, None, None, 40, None, None, None]
    table.load().overwrite(table.made([row(i, i) for i in range(3)]))
    assert all_places(table)[:5] == [0, 1, 2, None, None]
    table.put([row(2, 5)])
    assert table.numbers() == [0, 1, 5]


@pytest.mark.parametrize("lost", ["all", "broken", "unfinished"])
def test_a_lost_index_is_made_again(lake: Lake, lost: str) -> None:
    table = lake.table("t", ID)
    table.put([row(i, i) for i in range(5)])
    table.put([row(0, 9)])
    assert all_places(table)[:5] == [9, 1, 2, 3, 4]
    lake.restart()
    folder = next((lake.folder / "index").glob("*/*"))
    if lost == "all":
        shutil.rmtree(lake.folder / "index")
    elif lost == "broken":
        for file in folder.iterdir():
            if file.name.startswith(("CURRENT", "MANIFEST")):
                file.write_bytes(b"nonsense")
    else:
        store = index_files.IndexStore(folder, 44)
        store.begin()
        store.close()
    assert all_places(table)[:5] == [9, 1, 2, 3, 4]


def test_a_folder_in_use_is_left_alone(lake: Lake) -> None:
    table = lake.table("t", ID)
    table.put([row(1, 1)])
    other = Lake.__new__(Lake)
    other.folder, other.catalog = lake.folder, lake.catalog
    other.restart()
    table.lake = other
    assert table.opened().why_not() == "the key index is in use by another process"
    table.lake = lake
    assert all_places(table)[:2] == [None, 1]


def test_a_large_table_is_indexed_behind_the_batches(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.table("t", ID)
    table.append([row(i, i) for i in range(1000)])
    monkeypatch.setattr(key_index, "AT_ONCE_ROWS", 10)
    begun = table.opened().why_not()
    assert begun is not None
    assert begun.startswith("the key index is being built (")
    folder = next((lake.folder / "index").glob("*/*"), None)
    index = next(iter(lake.indexes._known.values()))  # noqa: SLF001 - there is nothing else to wait for
    assert index._job is not None  # noqa: SLF001
    index._job.future.result(timeout=60)  # noqa: SLF001
    assert table.opened().why_not() is None
    assert table.places([row(999), row(1000)]) == [999, None]
    assert folder is None or folder.exists()


def test_a_key_that_is_there_twice_is_left_to_the_merge(lake: Lake) -> None:
    """Its audit finds it, when the key is touched."""
    table = lake.table("t", ID)
    table.append([row(1, 1), row(2, 2)])
    table.append([row(1, 3)])
    assert table.opened().why_not() == "a key is there more than once"
    other = lake.table("other", ID)
    other.put([row(1, 1)])
    all_places(other)
    other.append([row(1, 3)])
    assert other.opened().why_not() == "a key is there more than once"


def test_tables_side_by_side_and_more_than_are_open_at_a_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.lake.key_indexes.OPEN", 1)
    tables = [lake.table(f"t{n}", ID) for n in range(4)]
    for turn in range(3):
        for n, table in enumerate(tables):
            table.put([row(1, turn), row(2 + n + turn, turn)])
    for n, table in enumerate(tables):
        assert all_places(table)[:8] == [None, 2, *([None] * n), 0, 1, 2, *([None] * (3 - n))]


def test_tables_that_are_not_for_deltas(lake: Lake) -> None:
    assert lake.table("a", ID, **{"write.merge.mode": "copy-on-write"}).opened().why_not() == ""
    assert (
        lake.table("b", ID, **{"write.delete.format.default": "avro"}).opened().why_not() == "its files are not Parquet"
    )
    lists = [pa.field("id", pa.list_(pa.int64()), nullable=False)]
    assert lake.table("c", lists).opened().why_not() == "its key is of a type that is not indexed"


KEYS: dict[str, tuple[list[pa.Field], list[Any]]] = {
    "int": ([pa.field("id", pa.int32())], [-(2**31), -1, 0, 1, 2**31 - 1]),
    "bigint": ([pa.field("id", pa.int64())], [-(2**63), -1, 0, 255, 256, 2**63 - 1]),
    "text": ([pa.field("id", pa.string())], ["", " ", "a", "a ", "a  ", "A", "ä", "a\u0308", "日本", "a\0", "a\0b"]),
    "uuid": (
        [pa.field("id", pa.string())],
        ["6f9619ff-8b86-d011-b42d-00cf4fc964ff", "6F9619FF-8b86-d011-b42d-00cf4fc964ff"],
    ),
    "decimal": (
        [pa.field("id", pa.decimal128(20, 2))],
        [Decimal("-1.00"), Decimal("0.00"), Decimal("1.50"), Decimal("15.00")],
    ),
    "date": ([pa.field("id", pa.date32())], [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(9999, 12, 31)]),
    "timestamp": (
        [pa.field("id", pa.timestamp("us", tz="UTC"))],
        [
            datetime(1900, 1, 1, tzinfo=UTC),
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        ],
    ),
    "boolean": ([pa.field("id", pa.bool_())], [True, False]),
    "float": ([pa.field("id", pa.float64())], [float("nan"), float("-inf"), -1.5, 0.0, 1.5]),
    "binary": ([pa.field("id", pa.binary())], [b"", b"\0", b"\0\0", b"\xff"]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_are_found(lake: Lake, kind: str) -> None:
    """S11."""
    fields, values = KEYS[kind]
    table = lake.table("t", [pa.field("id", fields[0].type, nullable=False)])
    rows = [{"id": value, "n": n} for n, value in enumerate(values)]
    table.put(rows[::2])
    table.append(rows[1::2])
    assert table.places(rows) == list(range(len(values)))
    lake.restart()
    table.put([{**one, "n": one["n"] + 100} for one in rows], [])
    assert table.places(rows) == [n + 100 for n in range(len(values))]
    assert len(table.numbers()) == len(values)


def test_zero_has_two_forms_and_one_place(lake: Lake) -> None:
    table = lake.table("t", [pa.field("id", pa.float64(), nullable=False)])
    table.put([{"id": 0.0, "n": 1}])
    assert table.places([{"id": -0.0, "n": 0}]) == [1]


def test_keys_of_several_columns_do_not_run_together(lake: Lake) -> None:
    table = lake.table("t", [pa.field("a", pa.string(), nullable=False), pa.field("b", pa.string(), nullable=False)])
    rows = [{"a": a, "b": b, "n": n} for n, (a, b) in enumerate([("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "")])]
    table.put(rows)
    assert table.places(rows) == [0, 1, 2, 3]
    mixed = lake.table("u", [*ID, pa.field("b", pa.string(), nullable=False)])
    rows = [{"id": i, "b": b, "n": n} for n, (i, b) in enumerate([(1, ""), (1, "\0"), (0, "x"), (2, "x")])]
    mixed.put(rows)
    assert mixed.places([*rows, {"id": 3, "b": "x", "n": 0}]) == [0, 1, 2, 3, None]
