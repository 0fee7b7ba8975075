"""What a sample says of a table, a folder and a process, read from real ones."""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from cdc.core.names import TableName
from cdc.lake.pyiceberg_catalog import SqlReader
from tests.bench.sampler import Shape, Use, disk, process_figures, shape_of, together
from tests.sql_catalog import sql_catalog

NAME = TableName("soak", "t000")


def made(catalog: SqlCatalog, batches: Sequence[dict[str, str]]) -> Table:
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
    catalog.create_namespace("soak")
    table = catalog.create_table(tuple(NAME), rows.schema)
    for summary in batches:
        table.append(rows, snapshot_properties=summary)
    return table


def shape(folder: Path, name: TableName = NAME) -> Shape:
    reader = SqlReader("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    return shape_of(reader, name)


def test_shape_counts_what_is_live_and_tells_batches_from_other_commits(tmp_path: Path) -> None:
    table = made(sql_catalog(tmp_path), [{"cdc.source_ts_ms": "1000"}, {"cdc.source_ts_ms": "2500"}, {}])
    table.delete("id = 2")  # rewrites the three files
    found = shape(tmp_path)
    metadata = Path(table.metadata_location.removeprefix("file:"))
    live = list(table.inspect.files()["content"].to_pylist())
    assert found.figures == {
        "data_files": live.count(0),
        "delete_files": 0,
        "manifests": len(table.inspect.manifests()),
        "snapshots": len(table.metadata.snapshots),
        "metadata_bytes": metadata.stat().st_size,
    }
    published = [one.timestamp_ms / 1000 for one in table.metadata.snapshots]
    assert found.batches == [(published[0], 1.0), (published[1], 2.5)]


def test_table_that_is_not_there_has_no_shape(tmp_path: Path) -> None:
    made(sql_catalog(tmp_path), [])
    assert shape(tmp_path, TableName("soak", "other")) == Shape({}, ())
    assert shape(tmp_path).figures["snapshots"] == 0


def test_tables_are_told_together_and_at_worst() -> None:
    found = together("tables", [{"data_files": 3, "snapshots": 7}, {"data_files": 5}, {}])
    assert found["tables"] == {
        "data_files": 8,
        "delete_files": 0,
        "manifests": 0,
        "snapshots": 7,
        "metadata_bytes": 0,
    }
    assert found["tables_worst"]["data_files"] == 5
    assert found["tables_worst"]["snapshots"] == 7


def test_disk_counts_files_of_all_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one").write_bytes(b"x" * (1 << 20))
    (tmp_path / "two").write_bytes(b"x" * (1 << 20))
    assert disk(tmp_path) == {"files": 2, "mb": 2}
    assert disk(tmp_path / "none") == {"files": 0, "mb": 0}


def test_process_figures_are_of_processes_that_live() -> None:
    found = process_figures({os.getpid(), 2**22 + 1})
    assert found["pss_mb"] == found["python_mb"] > 0
    assert found["jvm_mb"] == 0
    assert found["open_files"] >= 3
    assert found["threads"] >= 1


def test_processor_seconds_of_a_killed_service_are_counted_once() -> None:
    use = Use()
    first = use.spent(os.getpid())
    assert first > 0
    assert use.spent(os.getpid()) < first
    use.end(os.getpid())
    again = use.spent(os.getpid())  # of "another" process, which has used as much as this one has from its start on
    assert first <= again < 2 * first
