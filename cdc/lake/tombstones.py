"""Tombstones of a small batch, appended without a JVM; Spark makes their table, and reads it (docs/decisions/0009)."""

from datetime import UTC, datetime

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.core.errors import CdcError, TerminalError
from cdc.lake.held import HeldTable
from cdc.lake.own_tables import append


class Tombstones:
    """The tombstones of one table, for one batch. ``held`` is their own table."""

    def __init__(self, held: HeldTable) -> None:
        self._held = held

    def append(self, keys: pa.Table) -> bool:
        """Commit keys with their ``_cdc_position``; returns False, with nothing done, where that is Spark's.

        Raises CommitConflict, CommitStateUnknown and TransientError; one that was appended twice does no harm.
        """
        if self._held.avoided:
            return False
        try:
            append(self._held, lambda schema: _shaped(keys, schema))
        except TerminalError:  # there is no such table yet
            return False
        except CdcError:
            raise
        except Exception as error:  # noqa: BLE001 - a key of other columns, or a value that pyiceberg does not know
            self._held.avoided = type(error).__name__
            return False
        return True


def _shaped(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    now = pa.repeat(pa.scalar(datetime.now(UTC), schema.field("deleted_at").type), keys.num_rows)
    return keys.append_column("deleted_at", now).cast(schema)
