"""One commit for a batch that was staged without Spark: what it changes, and when it is refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import StaticTable, Table

from cdc.core.names import TableName
from cdc.lake.held import HELD_BYTES, SNAPSHOT_BYTES, HeldTable, HeldTables
from cdc.lake.publishing import committed
from cdc.lake.pyiceberg_catalog import SqlReader
from cdc.lake.rewriting import RewrittenTable
from cdc.lake.row_delta import delta_of
from tests.sql_catalog import sql_catalog

NAME = TableName("ns", "t")
ROWS = pa.table({"id": pa.array([1, 2], pa.int32()), "name": ["a", "b"]})
PROPERTIES = {
    "format-version": "2",
    "write.merge.mode": "copy-on-write",
    "cdc.merge-mode-by-size": "true",
    "write.metadata.previous-versions-max": "3",
    "write.metadata.delete-after-commit.enabled": "true",
}


@pytest.fixture
def catalog(tmp_path: Path) -> SqlReader:
    made = sql_catalog(tmp_path)
    made.create_namespace("ns")
    made.create_table(NAME, ROWS.schema, properties=PROPERTIES).append(ROWS)
    return SqlReader("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")


def replaced(held: HeldTable, rows: pa.Table, **summary: str) -> None:
    held.look()
    small = RewrittenTable(held)
    assert isinstance(small.rows(), pa.Table), small.rows()
    assert small.replace(rows, summary) is None


def published(held: HeldTable, properties: dict[str, str] | None = None) -> Table:
    assert held.staged is not None
    held.moved_to(committed(held.catalog, held.staged.base, held.staged.publishing(properties or {})))
    return held.table


def test_metadata_with_remembered_snapshots_are_what_pyiceberg_writes(catalog: SqlReader) -> None:
    held, texts = HeldTable(catalog, NAME), dict[int, str]()
    for n in range(4):
        replaced(held, ROWS, note=f'"{n}", \u00e4')
        assert held.staged is not None
        held.moved_to(committed(catalog, held.staged.base, held.staged.publishing({"n": str(n)}), texts))
        assert set(texts) == {snapshot.snapshot_id for snapshot in held.table.metadata.snapshots}
    written = catalog.load_table(NAME)
    assert written.metadata == held.table.metadata
    text = Path(written.metadata_location.removeprefix("file://")).read_text()
    assert json.loads(text) == json.loads(written.metadata.model_dump_json())


def test_nothing_is_seen_before_the_commit_and_everything_after_it(catalog: SqlReader) -> None:
    held = HeldTable(catalog, NAME)
    before = catalog.load_table(NAME)
    replaced(held, ROWS.slice(1), note="n")
    assert catalog.load_table(NAME).metadata == before.metadata
    after = published(held, {"cdc.progress": "p"})
    fresh = catalog.load_table(NAME)
    assert fresh.metadata == after.metadata == StaticTable.from_metadata(after.metadata_location).metadata
    assert fresh.scan().to_arrow().to_pylist() == [{"id": 2, "name": "b"}]
    assert {name: ref.snapshot_id for name, ref in fresh.refs().items()} == dict.fromkeys(
        ("main", "cdc"), fresh.metadata.current_snapshot_id
    )
    assert fresh.properties["cdc.progress"] == "p"
    snapshot = fresh.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    told = snapshot.summary.additional_properties
    assert (told["note"], told["total-records"], told["deleted-data-files"]) == ("n", "1", "1")
    assert snapshot.parent_snapshot_id == before.metadata.current_snapshot_id


@pytest.mark.parametrize("looks", ["again", "not again"])
def test_whoever_was_overtaken_commits_nothing(catalog: SqlReader, looks: str) -> None:
    """Promise 4, S22: also one whose process has slept since it staged."""
    late, quick = HeldTable(catalog, NAME), HeldTable(catalog, NAME)
    replaced(late, ROWS.slice(0, 0))
    replaced(quick, ROWS.slice(1))
    won = published(quick)
    if looks == "again":
        late.look()
    with pytest.raises(CommitFailedException):
        published(late)
    assert catalog.load_table(NAME).metadata_location == won.metadata_location
    there = Path(won.location().removeprefix("file://"), "metadata").glob("*.metadata.json")
    assert max(path.name for path in there) == Path(won.metadata_location).name, "nothing is left of what was refused"
    replaced(late, pa.concat_tables([ROWS, ROWS]))
    assert published(late).scan().to_arrow().num_rows == 4


def test_what_is_known_is_not_read_again(catalog: SqlReader, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldTable(catalog, NAME)
    replaced(held, ROWS)
    published(held)
    monkeypatch.setattr(SqlReader, "load_table", None)
    monkeypatch.setattr(Table, "scan", None)
    for n in range(3):
        replaced(held, ROWS.slice(n % 2))
        published(held)
        assert held.content is not None
        assert held.content.rows.num_rows == 2 - n % 2


def test_what_somebody_else_commits_is_read(catalog: SqlReader) -> None:
    held = HeldTable(catalog, NAME)
    replaced(held, ROWS.slice(1))
    published(held)
    catalog.load_table(NAME).append(ROWS.slice(0, 1))
    held.look()
    assert held.content is None
    rows = RewrittenTable(held).rows()
    assert isinstance(rows, pa.Table)
    assert sorted(rows["id"].to_pylist()) == [1, 2]
    with catalog.load_table(NAME).update_schema() as update:
        update.add_column("more", held.table.schema().find_type("id"))
    held.look()
    rows = RewrittenTable(held).rows()
    assert isinstance(rows, pa.Table)
    assert rows.column_names == ["id", "name", "more"]


def test_a_table_that_was_dropped_is_not_there(catalog: SqlReader) -> None:
    """S23."""
    held = HeldTable(catalog, NAME)
    assert held.look() is not None
    catalog.drop_table(NAME)
    assert held.look() is None
    assert catalog.location_of(NAME) is None


def test_a_table_made_anew_is_another_one(catalog: SqlReader) -> None:
    """S23."""
    held = HeldTable(catalog, NAME)
    replaced(held, ROWS.slice(1))
    catalog.drop_table(NAME)
    catalog.create_table(NAME, ROWS.schema, properties=PROPERTIES).append(ROWS)
    with pytest.raises(CommitFailedException):
        published(held)


def test_old_metadata_files_go(catalog: SqlReader) -> None:
    held = HeldTable(catalog, NAME)
    for _ in range(8):
        replaced(held, ROWS)
        published(held)
    folder = Path(held.table.location().removeprefix("file://"), "metadata")
    assert len(list(folder.glob("*.metadata.json"))) <= 4


def test_a_snapshot_that_only_says_something_keeps_the_rows(catalog: SqlReader) -> None:
    held = HeldTable(catalog, NAME)
    held.look()
    held.stage(delta_of(held.table, (), {"cdc.progress": "p"}))
    table = published(held)
    assert table.scan().to_arrow().num_rows == 2
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.additional_properties["cdc.progress"] == "p"


def test_tables_that_were_not_used_for_longest_are_let_go(catalog: Any) -> None:
    """Promise 6: what is held is bounded, however many tables there are."""
    tables = HeldTables(catalog)
    first = tables.of(NAME)
    first.look()
    large = HELD_BYTES // SNAPSHOT_BYTES
    first.table.metadata.snapshots.extend(first.table.metadata.snapshots * large)
    assert tables.of(NAME) is first, "the only one stays"
    other = tables.of(TableName("ns", "other"))
    assert tables.of(TableName("ns", "other")) is other
    assert tables.of(NAME) is not first
