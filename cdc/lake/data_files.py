"""Data files written where the rows are read: Arrow batches to Parquet in a task, without a detour through a JVM.

The driver commits what tasks have written (``cdc.lake.shadow``); a file that was never committed belongs to no table.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform

from cdc.core.errors import IncompatibleSchema

ROW_GROUP_BYTES = 32 << 20
"""Arrow bytes of a row group, and so about what a task holds of rows that come in order."""

SORTED_BYTES = 192 << 20
"""Arrow bytes that a task holds of rows that come in no order, so that it can sort them."""


SAMPLE = 4096
"""Rows that are looked at to tell which columns are worth a dictionary."""


class WrittenFile(NamedTuple):
    """A data file that stands, and is not yet in any table; ``partition`` holds its values as Iceberg's texts."""

    path: str
    bytes: int
    rows: int
    partition: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileWriter:
    """Writes the data files of one table; can be pickled.

    ``schema`` and ``spec`` are Iceberg's JSON, ``folder`` is where data files lie, ``constants`` the values of columns
    that are the same in every row, ``file_io`` the settings of pyiceberg's file access. Rows that do not come
    ordered are sorted by ``key``.
    """

    schema: str
    spec: str
    folder: str
    key: tuple[str, ...]
    constants: Mapping[str, Any]
    file_io: Mapping[str, str] = field(default_factory=dict)
    codec: str = "zstd"

    def write(self, name: str, batches: Iterable[Any], *, ordered: bool) -> list[WrittenFile]:
        """Write the batches to files whose names begin with ``name``, which no file has yet.

        Raises IncompatibleSchema when a value does not fit its column.
        """
        schema = Schema.model_validate_json(self.schema)
        arrow = schema_to_pyarrow(schema)
        spec = PartitionSpec.model_validate_json(self.spec)
        files: dict[tuple[str, ...], _OpenFile] = {}
        io = load_file_io(dict(self.file_io), self.folder)
        try:
            for table in self._gathered(batches, arrow, ordered=ordered):
                for partition, rows in _parts(table, spec, schema):
                    if partition not in files:
                        path = f"{self.folder}/{name}-{len(files):05}.parquet"
                        files[partition] = _OpenFile(io.new_output(path), arrow, self.codec, repetitive(rows))
                    files[partition].writer.write_table(rows, row_group_size=rows.num_rows)
            return [file.finish(partition) for partition, file in files.items()]
        finally:
            for file in files.values():
                file.close()

    def _gathered(self, batches: Iterable[Any], arrow: pa.Schema, *, ordered: bool) -> Iterator[pa.Table]:
        """Yield tables of a row group's size, or of as much as is sorted at once."""
        limit = ROW_GROUP_BYTES if ordered else SORTED_BYTES
        held: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            held.append(self._typed(batch, arrow))
            size += batch.nbytes
            if size >= limit:
                yield from self._arranged(held, arrow, ordered=ordered)
                held, size = [], 0
        if held:
            yield from self._arranged(held, arrow, ordered=ordered)

    def _arranged(self, held: list[pa.RecordBatch], arrow: pa.Schema, *, ordered: bool) -> Iterator[pa.Table]:
        table = pa.Table.from_batches(held, arrow)
        if not ordered and self.key:
            table = table.sort_by([(name, "ascending") for name in self.key])
        rows = max(1, table.num_rows * ROW_GROUP_BYTES // max(1, table.nbytes))
        for start in range(0, table.num_rows, rows):
            yield table.slice(start, rows)

    def _typed(self, batch: pa.RecordBatch, arrow: pa.Schema) -> pa.RecordBatch:
        columns = [self._column(batch, field) for field in arrow]
        return pa.RecordBatch.from_arrays(columns, schema=arrow)

    def _column(self, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        if field.name in self.constants:
            return pa.repeat(pa.scalar(self.constants[field.name], field.type), batch.num_rows)
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            return pa.nulls(batch.num_rows, field.type)
        column = batch.column(index)
        try:
            return column if column.type == field.type else column.cast(field.type)
        except pa.ArrowInvalid:
            raise IncompatibleSchema(
                f"a value of column {field.name!r} does not fit {field.type}",
                hint="compare the column's type in the source and in the lake: `cdc tables reset TABLE` makes it anew",
            ) from None


class _OpenFile:
    """A Parquet file that is being written."""

    def __init__(self, output: Any, schema: pa.Schema, codec: str, dictionaries: list[str]) -> None:  # noqa: ANN401 - pyiceberg's OutputFile
        self._output = output
        self._stream = output.create()
        self.writer = pq.ParquetWriter(
            self._stream, schema, compression=codec, version="2.6", use_dictionary=dictionaries
        )
        self._closed = False

    def finish(self, partition: tuple[str, ...]) -> WrittenFile:
        """Close the file and describe it."""
        self.writer.close()
        rows = sum(
            self.writer.writer.metadata.row_group(n).num_rows for n in range(self.writer.writer.metadata.num_row_groups)
        )
        self.close()
        return WrittenFile(self._output.location, len(self._output), rows, partition)

    def close(self) -> None:
        """Close what is open; idempotent."""
        if not self._closed:
            self._closed = True
            self._stream.close()


def repetitive(table: pa.Table) -> list[str]:
    """Return the columns whose values repeat in the first rows, at least twice each on average.

    Parquet's writer makes a dictionary of each column by default, and gives it up only when it has grown to 1 MiB: for
    keys and free text that is a third of the write's processor time, for nothing. Nested columns get none.
    """
    first = table.slice(0, SAMPLE)
    flat = [field.name for field in first.schema if not pa.types.is_nested(field.type)]
    return [name for name in flat if pc.count_distinct(first[name], mode="all").as_py() * 2 <= len(first)]


def _parts(table: pa.Table, spec: PartitionSpec, schema: Schema) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """Yield the rows of each partition with the partition's values; an unpartitioned table is one."""
    if spec.is_unpartitioned():
        yield (), table
        return
    texts = [_partition_texts(table, schema, field) for field in spec.fields]
    names = [f"_partition_{n}" for n in range(len(texts))]
    marked = table
    for name, column in zip(names, texts, strict=True):
        marked = marked.append_column(name, column)
    for values in marked.select(names).group_by(names).aggregate([]).to_pylist():
        chosen = None
        for name in names:
            same = pc.equal(marked[name], values[name])
            chosen = same if chosen is None else pc.and_(chosen, same)
        yield tuple(values[name] for name in names), table.filter(chosen)


def _partition_texts(table: pa.Table, schema: Schema, field: Any) -> pa.Array:  # noqa: ANN401 - PartitionField
    """Return the partition values of rows in the form that ``Conversions.fromPartitionString`` reads."""
    source = schema.find_field(field.source_id)
    transform = field.transform.pyarrow_transform(source.field_type)
    values = transform(table[source.name])
    if isinstance(field.transform, DayTransform):
        values = pc.cast(pc.cast(values, pa.int32()), pa.date32())
    return pc.coalesce(pc.cast(values, pa.string()), pa.scalar("__HIVE_DEFAULT_PARTITION__"))
