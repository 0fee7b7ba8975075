"""Data files of a small commit, written in the thread that commits: handing each to another one costs more."""

from collections.abc import Iterator
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.io.fileformat import FileFormatFactory
from pyiceberg.io.pyarrow import _dataframe_to_data_files, _determine_partitions, _to_requested_schema
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionKey
from pyiceberg.schema import sanitize_column_names
from pyiceberg.table import Table, TableProperties
from pyiceberg.typedef import Record

SMALL_BYTES = 64 << 20
"""Rows of more bytes in memory are written as pyiceberg does it, in files of the table's target size."""


def data_files(table: Table, rows: pa.Table) -> list[DataFile]:
    """Write rows, which have the table's columns, and return the files that hold them: one for each partition."""
    if not rows.num_rows:
        return []
    plain = table.properties.get(TableProperties.WRITE_FILE_FORMAT, "parquet") == "parquet"
    if not plain or rows.nbytes > SMALL_BYTES:
        return list(_dataframe_to_data_files(table.metadata, rows, table.io))
    return [_written(table, part, key) for key, part in _parts(table, rows)]


def _parts(table: Table, rows: pa.Table) -> Iterator[tuple[PartitionKey | None, pa.Table]]:
    if table.spec().is_unpartitioned():
        yield None, rows
        return
    for part in _determine_partitions(table.spec(), table.schema(), rows):
        yield part.partition_key, part.arrow_table_partition


def _written(table: Table, rows: pa.Table, key: PartitionKey | None) -> DataFile:
    model, schema = FileFormatFactory.get(FileFormat.PARQUET), sanitize_column_names(table.schema())
    shaped = [
        _to_requested_schema(schema, table.schema(), batch, include_field_ids=True, format_model=model)
        for batch in rows.to_batches()
    ]
    output = table.io.new_output(table.location_provider().new_data_location(f"{uuid4()}.parquet", key))
    with model.create_writer(output, schema, table.properties) as writer:
        writer.write(pa.Table.from_batches(shaped))
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=output.location,
        file_format=FileFormat.PARQUET,
        partition=key.partition if key else Record(),
        file_size_in_bytes=len(output),
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **writer.result().to_serialized_dict(),
    )
