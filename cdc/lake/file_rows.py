"""Rows of single data files, by their number in the file: what a scan does not tell."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyiceberg.io.pyarrow import _to_requested_schema, pyarrow_to_schema, schema_to_pyarrow
from pyiceberg.schema import Schema, prune_columns
from pyiceberg.table import Table
from pyiceberg.types import ListType, MapType

from cdc.lake.live_files import Numbers

BATCH_ROWS = 1 << 18


@dataclass(frozen=True)
class FileRows:
    """Columns of a table's data files, as the table has them by now: renamed, widened, null where a file has none."""

    table: Table
    wanted: Schema

    @classmethod
    def of(cls, table: Table, names: Sequence[str]) -> "FileRows":
        """Return the rows with these columns, in the order of the table."""
        ids = {table.schema().find_field(name).field_id for name in names}
        return cls(table, prune_columns(table.schema(), ids, select_full_types=True))

    @property
    def schema(self) -> pa.Schema:
        """Return the columns as Arrow has them."""
        return schema_to_pyarrow(self.wanted, include_field_ids=False)

    def all(self, path: str) -> Iterator[pa.Table]:
        """Return the rows of a file in their order, piece by piece."""
        with self._opened(path) as (file, part):
            for batch in file.iter_batches(BATCH_ROWS, columns=_names(part)):
                yield self._shaped(batch, part)

    def take(self, path: str, rows: Numbers) -> pa.Table:
        """Return single rows, whose numbers ascend; row groups without any of them are not read."""
        with self._opened(path) as (file, part):
            counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
            starts = np.cumsum([0, *counts])
            pieces = [
                file.read_row_group(n, columns=_names(part)).take(pa.array(at - starts[n]))
                for n in range(len(counts))
                if len(at := rows[np.searchsorted(rows, starts[n]) : np.searchsorted(rows, starts[n + 1])])
            ]
            shaped = [self._shaped(batch, part) for piece in pieces for batch in piece.combine_chunks().to_batches()]
        return pa.concat_tables(shaped) if shaped else self.schema.empty_table()

    @property
    def _leaves(self) -> set[int]:
        """Return the fields that are asked for: lists and maps come with their elements, and may not be named."""
        nested = (ListType, MapType)
        return {one for one in self.wanted.field_ids if not isinstance(self.wanted.find_type(one), nested)}

    @contextmanager
    def _opened(self, path: str) -> Iterator[tuple[pq.ParquetFile, Schema]]:
        with self.table.io.new_input(path).open() as opened:
            file = pq.ParquetFile(opened, pre_buffer=True)
            whole = pyarrow_to_schema(file.schema_arrow, self.table.name_mapping(), downcast_ns_timestamp_to_us=True)
            yield file, prune_columns(whole, self._leaves, select_full_types=False)

    def _shaped(self, batch: pa.RecordBatch, part: Schema) -> pa.Table:
        shaped = _to_requested_schema(
            self.wanted, part, batch, downcast_ns_timestamp_to_us=True, allow_timestamp_tz_mismatch=True
        )
        return pa.Table.from_batches([shaped]).cast(self.schema)


def _names(part: Schema) -> list[str]:
    return [column.name for column in part.columns]
