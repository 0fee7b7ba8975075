"""Tombstones of a small batch, without a JVM (docs/decisions/0009).

A few wait in the properties of their target (docs/decisions/0028); the others are in a table like the one that Spark
makes.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.exceptions import TableAlreadyExistsError
from pyiceberg.manifest import ManifestEntry
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import FixedType, NestedField, StringType, TimestamptzType, TimeType, UUIDType

from cdc.core.errors import CdcError, TerminalError
from cdc.core.history import TOMBSTONES
from cdc.lake.commits import commit_errors
from cdc.lake.file_rows import FileRows
from cdc.lake.foreign import lake_errors
from cdc.lake.held import HeldTable
from cdc.lake.known import arrow_schema
from cdc.lake.own_tables import append, files_at, has_deletes
from cdc.lake.packed_rows import packed, unpacked

WAITING, TEXT = 500, 3_000
"""Up to so many tombstones are tried to be packed, and so many characters may wait in a table's properties."""

ROWS, KEYS = 1_000_000, 20_000
"""So many tombstones are looked through without Spark, and so many of them may be late enough to count."""

POSITION = "_cdc_position"

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
    """The tombstones of one table, for one batch. ``held`` is their own table, ``target`` the one that is written.

    They are ``of`` the target, or of another table whose rows it has. Those of the target itself may wait in its
    properties, as long as they are few: then a batch that deletes is one commit, too.
    """

    def __init__(self, held: HeldTable, target: HeldTable, of: HeldTable | None = None, *, wait: bool = True) -> None:
        self._held = held
        self._target = target
        self._of = of or target
        self._wait = wait and of is None

    def keep(self, keys: pa.Table, *, wait: bool = True) -> Mapping[str, str] | None:
        """Keep keys with their ``_cdc_position``; returns properties that are to be published with their deletes.

        None, with nothing done, where that is Spark's. Unless they may ``wait`` for the publication they are committed.
        Raises CommitConflict, CommitStateUnknown and TransientError; one that was kept twice does no harm.
        """
        if self._held.avoided:
            return None
        try:
            return self._kept(keys) if wait and self._wait else self._append(keys)
        except TerminalError:  # it is Spark's to make or to write
            return None
        except CdcError:
            raise
        except Exception as error:  # noqa: BLE001 - a key of other columns, or a value that pyiceberg does not know
            self._held.avoided = type(error).__name__
            return None

    def since(self, position: str, key: Sequence[str]) -> pa.Table | None:
        """Return the keys deleted at a position or later, with ``_cdc_position``; None where Spark has to look.

        Raises TransientError.
        """
        if self._held.avoided:
            return None
        try:
            return self._since(position, key)
        except CdcError:
            raise
        except Exception as error:  # noqa: BLE001 - as for keeping
            self._held.avoided = type(error).__name__
            return None

    def waiting(self, key: Sequence[str]) -> pa.Table | None:
        """Return those that wait in the table's properties, None if there are none of this key; raises TransientError.

        Whoever looks in their table, too, looks here first: they may be moved there meanwhile.
        """
        names = [*key, POSITION]
        with lake_errors(f"read table {self._of.name}"):
            table = self._of.table if self._of is self._target else self._of.look()
        text = table.properties.get(TOMBSTONES) if table else None
        found = unpacked(text) if text else None
        if table is None or found is None or set(found.column_names) != set(names):  # of before a load by another key
            return None
        try:
            return found.select(names).cast(_columns(table, names))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a key of the same name that is another one
            return None

    def _since(self, position: str, key: Sequence[str]) -> pa.Table | None:
        names, waiting = [*key, POSITION], self.waiting(key)
        stored = self._stored(position, names)
        if stored is None:
            return None
        schema = _columns(self._target.table, names)
        parts = [*stored, *([] if waiting is None else [waiting])]
        found = pa.concat_tables([schema.empty_table(), *(part.select(names).cast(schema) for part in parts)])
        later = found.filter(pc.greater_equal(found[POSITION], position))
        return later if later.num_rows <= KEYS else None

    def _stored(self, position: str, names: Sequence[str]) -> list[pa.Table] | None:
        """Return what may reach a position in their table, if there is one; None where that is Spark's to read."""
        with lake_errors(f"read table {self._held.name}"):
            table = self._held.look()
            if table is None:
                return []
            if has_deletes(table):
                return None
            files = self._files(table, position)
            if sum(one.data_file.record_count for one in files) > ROWS:
                return None
            reader = FileRows.of(table, names)
            return [piece for one in files for piece in reader.all(one.data_file.file_path)]

    def _files(self, table: Table, position: str) -> list[ManifestEntry]:
        """Return the files that may hold a position, or a greater one."""
        number = table.schema().find_field(POSITION).field_id
        return [one for one in files_at(self._held) if _reaches(one.data_file.upper_bounds, number, position)]

    def _kept(self, keys: pa.Table) -> Mapping[str, str]:
        names = _key_of(keys)
        if keys.num_rows > WAITING or self._not_sparks(names):
            return self._append(keys)
        waiting, new = self.waiting(names), keys.cast(_columns(self._target.table, keys.column_names))
        every = new if waiting is None else pa.concat_tables([waiting.select(new.column_names), new])
        text = packed(every)
        if len(text) <= TEXT:
            return {TOMBSTONES: text}
        self._append(every)
        return {TOMBSTONES: ""}

    def _append(self, keys: pa.Table) -> Mapping[str, str]:
        try:
            append(self._held, lambda schema: _shaped(keys, schema), alone=True)
        except TerminalError:
            if not self._made(_key_of(keys)):
                raise
            append(self._held, lambda schema: _shaped(keys, schema))
        return {}

    def _not_sparks(self, key: Sequence[str]) -> bool:
        kinds = [self._target.table.schema().find_field(name).field_type for name in key]
        return any(isinstance(kind, _NOT_SPARKS) for kind in kinds)

    def _made(self, key: Sequence[str]) -> bool:
        """Make the table if there is none, and Spark would make the same; returns whether it was made, by whomever."""
        kinds = {name: self._target.table.schema().find_field(name).field_type for name in key}
        if self._held.look() is not None or self._not_sparks(key):
            return False
        columns = {**kinds, POSITION: StringType(), "deleted_at": TimestamptzType()}
        fields = [NestedField(n, name, kind, required=False) for n, (name, kind) in enumerate(columns.items(), 1)]
        by_day = PartitionField(len(fields), 1000, DayTransform(), "deleted_at_day")
        with commit_errors(f"make {self._held.name}"), suppress(TableAlreadyExistsError):
            self._held.catalog.create_table(
                self._held.name, Schema(*fields), partition_spec=PartitionSpec(by_day), properties=_PROPERTIES
            )
        return True


def _key_of(keys: pa.Table) -> list[str]:
    return [name for name in keys.column_names if name != POSITION]


def _columns(table: Table, names: Sequence[str]) -> pa.Schema:
    return pa.schema([arrow_schema(table).field(name) for name in names])


def _reaches(bounds: Mapping[int, bytes] | None, number: int, position: str) -> bool:
    """Return whether a file may hold a position, or a greater one; bounds may be longer than what they bound."""
    upper = (bounds or {}).get(number)
    return upper is None or upper.decode() >= position


def _shaped(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    now = pa.repeat(pa.scalar(datetime.now(UTC), schema.field("deleted_at").type), keys.num_rows)
    return keys.append_column("deleted_at", now).cast(schema)
