"""Data files of a small commit, written in the thread that commits: handing each to another one costs more."""

from collections.abc import Iterator
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import (
    _dataframe_to_data_files,
    _determine_partitions,
    data_file_statistics_from_parquet_metadata,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import Table, TableProperties
from pyiceberg.typedef import Record

from cdc.lake.known import ParquetForm, parquet_form

SMALL_BYTES = 64 << 20
"""Rows of more bytes in memory are written as pyiceberg does it, in files of the table's target size."""

PLAIN_BYTES = 4 << 20
"""Rows of fewer bytes in memory are written without dictionaries: it takes two thirds of the time and of the space."""


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
    if (only := _only_partition(table, rows)) is not None:
        yield only, rows
        return
    for part in _determine_partitions(table.spec(), table.schema(), rows):
        yield part.partition_key, part.arrow_table_partition


def _only_partition(table: Table, rows: pa.Table) -> PartitionKey | None:
    """Return the partition of all rows, None if they are of several: to group and filter them takes threads."""
    values = []
    for field in table.spec().fields:
        source, name = table.schema().find_field(field.source_id), table.schema().find_column_name(field.source_id)
        if name not in rows.column_names:  # part of another column
            return None
        placed = field.transform.pyarrow_transform(source.field_type)(rows[name].unique()).unique()
        if len(placed) != 1:
            return None
        values.append(PartitionFieldValue(field, placed[0].as_py()))
    return PartitionKey(values, table.spec(), table.schema())


def _written(table: Table, rows: pa.Table, key: PartitionKey | None) -> DataFile:
    form = parquet_form(table)
    shaped = [column.cast(field.type) for column, field in zip(rows.columns, form.columns, strict=True)]
    output = table.io.new_output(table.location_provider().new_data_location(f"{uuid4()}.parquet", key))
    with output.create(overwrite=True) as opened:  # its name is new: it need not be looked for
        with _writer(opened, form, rows) as writer:
            writer.write_table(pa.Table.from_arrays(shaped, schema=form.columns), row_group_size=form.row_group)
        size = opened.tell()
    found = data_file_statistics_from_parquet_metadata(writer.writer.metadata, form.statistics, form.numbers)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=output.location,
        file_format=FileFormat.PARQUET,
        partition=key.partition if key else Record(),
        file_size_in_bytes=size,
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **found.to_serialized_dict(),
    )


def _writer(opened: OutputStream, form: ParquetForm, rows: pa.Table) -> pq.ParquetWriter:
    dictionaries = rows.nbytes > PLAIN_BYTES
    return pq.ParquetWriter(
        opened, form.columns, store_decimal_as_integer=True, use_dictionary=dictionaries, **form.options
    )
