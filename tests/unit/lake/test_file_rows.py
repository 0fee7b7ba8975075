"""Single rows of data files are read as the table has them, whatever their types."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from cdc.lake.file_rows import FileRows

COLUMNS = {
    "words": (pa.list_(pa.string()), [["a", None], [], None]),
    "pairs": (pa.list_(pa.list_(pa.int32())), [[[1, 2], None], None, [[]]]),
    "named": (pa.map_(pa.string(), pa.int64()), [[("a", 1)], None, []]),
    "point": (
        pa.struct([("x", pa.float64()), ("many", pa.list_(pa.int32()))]),
        [{"x": 1.5, "many": [1]}, None, {"x": None, "many": None}],
    ),
    "n": (pa.int64(), [1, None, 3]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_with_a_list_stopped_when_rows_of_it_were_read_by_their_places(tmp_path: Path, name: str) -> None:
    kind, values = COLUMNS[name]
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64()), name: pa.array(values, kind)})
    catalog = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("ns")
    table = catalog.create_table("ns.t", rows.schema)
    table.append(rows)
    (file,) = table.inspect.data_files()["file_path"].to_pylist()
    reader = FileRows.of(table, ["id", name])
    found = reader.take(file, np.array([0, 2]))
    assert found.to_pylist() == rows.take([0, 2]).to_pylist()
    assert pa.concat_tables(reader.all(file)).to_pylist() == rows.to_pylist()
