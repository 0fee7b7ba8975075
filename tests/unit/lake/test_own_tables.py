"""The service's own tables keep themselves small, and lose no row and no file that is needed."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from cdc.core.errors import TerminalError
from cdc.core.names import TableName
from cdc.lake import own_tables
from cdc.lake.held import HeldTable
from cdc.lake.outdated import KEEP, LOT
from cdc.lake.own_tables import FILES, append, overwrite
from cdc.lake.pyiceberg_catalog import SqlReader
from tests.sql_catalog import sql_catalog

NAME = TableName("ns", "own")
SCHEMA = Schema(NestedField(1, "part", StringType(), required=False), NestedField(2, "n", LongType(), required=False))
PARTS = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "part"))
PROPERTIES = {"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "3"}


@pytest.fixture
def held(tmp_path: Path) -> HeldTable:
    made = sql_catalog(tmp_path)
    made.create_namespace("ns")
    made.create_table(NAME, SCHEMA, partition_spec=PARTS, properties=PROPERTIES)
    folder = f"file://{tmp_path}/warehouse"
    return HeldTable(SqlReader("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=folder), NAME)


def put(held: HeldTable, *rows: tuple[str, int]) -> None:
    append(held, lambda schema: pa.Table.from_pylist([{"part": part, "n": n} for part, n in rows], schema))


def found(held: HeldTable) -> Counter[tuple[str, int]]:
    rows = held.catalog.load_table(NAME).scan().to_arrow().to_pylist()
    return Counter((row["part"], row["n"]) for row in rows)


def needed(table: Table) -> set[str]:
    """Return all files that some snapshot needs, and the metadata files that are known."""
    paths = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.metadata.snapshots:
        paths.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            paths.add(manifest.manifest_path)
            paths |= {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io, discard_deleted=True)}
    return {path.removeprefix("file://") for path in paths}


def there(table: Table) -> set[str]:
    folder = Path(table.location().removeprefix("file://"))
    return {str(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "restarts"])
def test_a_table_that_grows_for_long_stays_small_and_whole(held: HeldTable, restarts: bool) -> None:
    """S5, S35: every row is there, no needed file is gone, and none that is not needed stays."""
    rng, wanted = random.Random(3), Counter[tuple[str, int]]()
    for n in range(130):
        rows = [(rng.choice("abc"), rng.randrange(1000)) for _ in range(rng.randrange(1, 4))]
        put(held, *rows)
        wanted.update(rows)
        if restarts and n % 7 == 0:
            held = HeldTable(held.catalog, NAME)
    assert found(held) == wanted
    table = held.catalog.load_table(NAME)
    assert len(table.metadata.snapshots) < KEEP + LOT
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(list(table.scan().plan_files())) < 4 * FILES
    assert len(snapshot.manifests(table.io)) <= FILES
    assert there(table) == needed(table)


def test_what_is_overwritten_leaves_one_file_for_each_part(held: HeldTable) -> None:
    for n in range(2 * (KEEP + LOT)):
        new = [{"part": part, "n": n} for part in "ab"]
        overwrite(held, lambda rows, new=new: pa.Table.from_pylist(new, rows.schema))  # type: ignore[misc]
    assert found(held) == Counter({("a", n): 1, ("b", n): 1})
    table = held.catalog.load_table(NAME)
    assert len(list(table.scan().plan_files())) == 2
    assert there(table) == needed(table)


def test_several_writers_lose_nothing(held: HeldTable) -> None:
    """S5."""
    others = [held, *(HeldTable(held.catalog, NAME) for _ in range(2))]
    for n in range(3 * FILES):
        put(others[n % 3], ("a", n))
    assert found(held) == Counter({("a", n): 1 for n in range(3 * FILES)})
    assert there(held.catalog.load_table(NAME)) == needed(held.catalog.load_table(NAME))


def test_an_older_snapshot_that_somebody_has_tagged_stays(held: HeldTable) -> None:
    put(held, ("a", 0))
    table = held.catalog.load_table(NAME)
    assert table.metadata.current_snapshot_id is not None
    table.manage_snapshots().create_tag(table.metadata.current_snapshot_id, "mine").commit()
    for n in range(1, 2 * (KEEP + LOT)):
        put(held, ("a", n))
    table = held.catalog.load_table(NAME)
    assert len(table.metadata.snapshots) == 2 * (KEEP + LOT)
    assert table.scan(snapshot_id=table.refs()["mine"].snapshot_id).to_arrow().num_rows == 1


def test_a_file_that_cannot_be_removed_is_left(held: HeldTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr("pyiceberg.io.pyarrow.PyArrowFileIO.delete", refused)
    for n in range(KEEP + LOT + 1):
        put(held, ("a", n))
    assert len(found(held)) == KEEP + LOT + 1


def test_a_table_that_is_not_there_is_named(held: HeldTable) -> None:
    held.catalog.drop_table(NAME)
    with pytest.raises(TerminalError, match=r"ns\.own"):
        own_tables.overwrite(held, lambda rows: rows)


def test_manifests_of_what_is_gone_are_not_carried_along(held: HeldTable) -> None:
    for n in range(2 * FILES + 5):
        put(held, ("a", n))
    table = held.catalog.load_table(NAME)
    newest = table.current_snapshot()
    assert newest is not None
    manifests = newest.manifests(table.io)
    assert manifests
    own = newest.snapshot_id
    assert all(m.has_added_files() or m.has_existing_files() or m.added_snapshot_id == own for m in manifests)
