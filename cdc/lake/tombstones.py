"""Tombstones of a small batch, in a table like the one that Spark makes, without a JVM (docs/decisions/0009)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.exceptions import TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import FixedType, NestedField, StringType, TimestamptzType, TimeType, UUIDType

from cdc.core.errors import CdcError, TerminalError
from cdc.lake.commits import commit_errors
from cdc.lake.file_rows import FileRows
from cdc.lake.foreign import lake_errors
from cdc.lake.held import HeldTable
from cdc.lake.known import arrow_schema
from cdc.lake.own_tables import append, files_at, has_deletes

ROWS, KEYS = 1_000_000, 20_000
"""So many tombstones are looked through without Spark, and so many of them may be late enough to count."""

_NOT_SPARKS = (UUIDType, FixedType, TimeType)
"""Types for which Spark has others."""

_PROPERTIES = {
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    "write.distribution-mode": "none",
    "write.metadata.metrics.column._cdc_position": "full",
    "write.parquet.compression-codec": "zstd",
}


class Tombstones:
    """The tombstones of one table, for one batch. ``held`` is their own table, ``target`` the one that they are of."""

    def __init__(self, held: HeldTable, target: HeldTable) -> None:
        self._held = held
        self._target = target

    def append(self, keys: pa.Table) -> bool:
        """Commit keys with their ``_cdc_position``; returns False, with nothing done, where that is Spark's.

        Raises CommitConflict, CommitStateUnknown and TransientError; one that was appended twice does no harm.
        """
        if self._held.avoided:
            return False
        try:
            self._append(keys)
        except TerminalError:  # it is Spark's to make or to write
            return False
        except CdcError:
            raise
        except Exception as error:  # noqa: BLE001 - a key of other columns, or a value that pyiceberg does not know
            self._held.avoided = type(error).__name__
            return False
        return True

    def since(self, position: str, key: Sequence[str]) -> pa.Table | None:
        """Return the keys deleted at a position or later, with ``_cdc_position``; None where Spark has to look.

        Raises TransientError.
        """
        if self._held.avoided:
            return None
        try:
            return self._since(position, [*key, "_cdc_position"])
        except CdcError:
            raise
        except Exception as error:  # noqa: BLE001 - as for appending
            self._held.avoided = type(error).__name__
            return None

    def _since(self, position: str, names: Sequence[str]) -> pa.Table | None:
        with lake_errors(f"read table {self._held.name}"):
            table = self._held.look()
            if table is None:
                target = arrow_schema(self._target.table)
                fields = [target.field(name) for name in names]
                return pa.schema(fields).empty_table()
            if has_deletes(table):
                return None
            number = table.schema().find_field("_cdc_position").field_id
            files = [one for one in files_at(self._held) if _reaches(one.data_file.upper_bounds, number, position)]
            if sum(one.data_file.record_count for one in files) > ROWS:
                return None
            reader = FileRows.of(table, names)
            pieces = [piece for one in files for piece in reader.all(one.data_file.file_path)]
        found = pa.concat_tables([reader.schema.empty_table(), *pieces]).select(list(names))
        later = found.filter(pc.greater_equal(found["_cdc_position"], position))
        return later if later.num_rows <= KEYS else None

    def _append(self, keys: pa.Table) -> None:
        try:
            append(self._held, lambda schema: _shaped(keys, schema))
        except TerminalError:
            if not self._made([name for name in keys.column_names if name != "_cdc_position"]):
                raise
            append(self._held, lambda schema: _shaped(keys, schema))

    def _made(self, key: Sequence[str]) -> bool:
        """Make the table if there is none, and Spark would make the same; returns whether it was made, by whomever."""
        kinds = {name: self._target.table.schema().find_field(name).field_type for name in key}
        if self._held.look() is not None or any(isinstance(kind, _NOT_SPARKS) for kind in kinds.values()):
            return False
        columns = {**kinds, "_cdc_position": StringType(), "deleted_at": TimestamptzType()}
        fields = [NestedField(n, name, kind, required=False) for n, (name, kind) in enumerate(columns.items(), 1)]
        by_day = PartitionField(len(fields), 1000, DayTransform(), "deleted_at_day")
        with commit_errors(f"make {self._held.name}"), suppress(TableAlreadyExistsError):
            self._held.catalog.create_table(
                self._held.name, Schema(*fields), partition_spec=PartitionSpec(by_day), properties=_PROPERTIES
            )
        return True


def _reaches(bounds: Mapping[int, bytes] | None, number: int, position: str) -> bool:
    """Return whether a file may hold a position, or a greater one; bounds may be longer than what they bound."""
    upper = (bounds or {}).get(number)
    return upper is None or upper.decode() >= position


def _shaped(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    now = pa.repeat(pa.scalar(datetime.now(UTC), schema.field("deleted_at").type), keys.num_rows)
    return keys.append_column("deleted_at", now).cast(schema)
