"""Old snapshots go without Spark: with exactly the files that only they needed."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.errors import CommitConflict
from cdc.lake import measuring
from cdc.lake.expiry import expire, oldest
from cdc.lake.listing import ancestors
from cdc.lake.publishing import committed
from cdc.lake.pyiceberg_catalog import SqlReader
from cdc.lake.row_delta import delta_of
from tests.indexed import Indexed, Lake

pytestmark = pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
ID = [pa.field("id", pa.int64(), nullable=False)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def reader(lake: Lake) -> SqlReader:
    """Return the catalog as the service opens it."""
    return SqlReader("lake", **lake.catalog.properties)


def row(key: int, number: int = 0) -> dict[str, Any]:
    return {"id": key, "n": number}


def busy(table: Indexed, commits: int, rng: random.Random) -> None:
    """Commit as batches, compactions and other writers do."""
    for n in range(commits):
        keys = rng.sample(range(12), 4)
        kind = rng.choice(["put", "put", "put", "delete", "overwrite"])
        if kind == "put":
            table.put([row(key, n) for key in keys[:3]], [row(keys[3])])
        elif kind == "delete":
            table.load().delete(f"id == {keys[0]} or id == {keys[1]}")
        else:
            table.load().overwrite(table.made([row(key, n) for key in keys]))


def rows_at(table: Indexed, snapshot: int) -> list[tuple[int, int]]:
    found = table.load().scan(snapshot_id=snapshot).to_arrow()
    return sorted(zip(found["id"].to_pylist(), found["n"].to_pylist(), strict=True))


def reachable(table: Indexed) -> set[str]:
    """Return the files that the table's snapshots need, asked one by one."""
    loaded, found = table.load(), set[str]()
    for snapshot in loaded.metadata.snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(loaded.io):
            found.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(loaded.io, discard_deleted=True)
            found |= {entry.data_file.file_path for entry in entries}
    return {path.removeprefix("file://").removeprefix("file:") for path in found}


def on_disk(table: Indexed) -> set[str]:
    folder = Path(table.load().location().removeprefix("file://"))
    return {str(path) for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".metadata.json")}


def line(table: Indexed) -> list[int]:
    """Return the snapshots of main, newest first."""
    loaded = table.load()
    return [one.snapshot_id for one in ancestors(loaded, loaded.metadata.current_snapshot_id)]


@pytest.mark.parametrize("seed", range(6))
def test_what_stays_can_be_read_and_nothing_else_is_left(lake: Lake, seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    table = lake.table("t", ID, **{"commit.manifest.min-count-to-merge": rng.choice(["2", "4", "100"])})
    catalog = reader(lake)
    for _ in range(3):
        busy(table, rng.randrange(3, 12), rng)
        numbers = line(table)
        needed = max(numbers.index(ref.snapshot_id) for ref in table.load().metadata.refs.values())
        gone = numbers[rng.randrange(needed + 1, max(len(numbers), needed + 2)) :]
        before = {snapshot: rows_at(table, snapshot) for snapshot in numbers if snapshot not in gone}
        assert expire(catalog, table.name, gone, lambda: None) == (len(gone) or None)
        assert line(table) == list(before)
        assert {snapshot: rows_at(table, snapshot) for snapshot in before} == before
        wanted, there = reachable(table), on_disk(table)
        assert wanted <= there
        assert not expire(catalog, table.name, [1, 2], lambda: None), "of another table"
        if gone:
            assert there == wanted


def test_a_file_that_somebody_adds_again_by_its_old_name_stays(lake: Lake) -> None:
    table = lake.table("t", ID)
    table.append([row(1, 1)])
    loaded = table.load()
    again = [task.file for task in loaded.scan().plan_files()]
    table.load().overwrite(table.made([row(2, 2)]))
    loaded = table.load()
    committed(lake.catalog, loaded, delta_of(loaded, again, {}).appending())
    table.append([row(3, 3)])
    assert table.numbers() == [1, 2, 3]
    assert expire(reader(lake), table.name, line(table)[1:], lambda: None)
    assert table.numbers() == [1, 2, 3]


def test_what_is_not_one_line_is_left_to_spark(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    table, catalog = lake.table("t", ID), reader(lake)
    for n in range(6):
        table.put([row(n, n)])
    numbers, files = line(table), on_disk(table)
    assert oldest(table.load(), numbers[3:])
    cases = {
        "not the oldest": lambda: expire(catalog, table.name, numbers[2:4], lambda: None),
        "all of them": lambda: expire(catalog, table.name, numbers, lambda: None),
        "a catalog that takes changes": lambda: expire(lake.catalog, table.name, numbers[3:], lambda: None),
    }
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "MOST_FILES", 0)
        assert not oldest(table.load(), numbers[3:]), "many files"
    for name, case in cases.items():
        assert case() is None, name
    with table.load().transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    assert not oldest(table.load(), numbers[3:]), "files that are shared"
    with table.load().transaction() as change:
        change.remove_properties("gc.enabled")
    table.load().manage_snapshots().create_tag(numbers[4], "mine").commit()
    assert not oldest(table.load(), numbers[3:]), "a tag"
    assert oldest(table.load(), numbers[5:])
    table.rewind(numbers[2])
    assert not oldest(table.load(), numbers[5:]), "snapshots beside main"
    assert on_disk(table) == files


def somebody_commits(table: Indexed) -> None:
    table.load().manage_snapshots().create_tag(line(table)[4], "mine").commit()


def a_batch_waits(_table: Indexed) -> None:
    raise TimeoutError


@pytest.mark.parametrize(("meanwhile", "error"), [(somebody_commits, CommitConflict), (a_batch_waits, TimeoutError)])
def test_what_comes_first_leaves_everything_as_it_is(lake: Lake, meanwhile: Any, error: type[Exception]) -> None:
    table = lake.table("t", ID)
    for n in range(5):
        table.put([row(n, n)])
    numbers, files = line(table), on_disk(table)
    with pytest.raises(error):
        expire(reader(lake), table.name, numbers[2:], lambda: meanwhile(table))
    assert line(table) == numbers
    assert on_disk(table) == files
