"""Small tables that are written anew as a whole, without a JVM (docs/decisions/0022)."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import _dataframe_to_data_files, schema_to_pyarrow
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import AssertTableUUID
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.types import BinaryType, StringType

from cdc.core.errors import CommitConflict, CommitStateUnknown, TransientError
from cdc.core.names import TableName
from cdc.lake.commits import commit_errors
from cdc.lake.foreign import UP
from cdc.lake.tables import BRANCH, MERGE_MODE, SMALL_BYTES

ROWS = 20_000
"""Rows up to which a table is rewritten here; their keys are compared one by one."""

ROW_BYTES = 64 << 20
"""Bytes that the texts of all rows may take in memory."""

_FORMAT = 2


class RewrittenTable:
    """One target table, for one batch: ``rows`` is the look-up that ``replace`` builds on.

    What pyiceberg cannot do is told, so that Spark does it; ``avoided`` remembers it for the life of the process.
    """

    def __init__(self, catalog: Catalog, name: TableName, avoided: dict[TableName, str]) -> None:
        self._catalog = catalog
        self._name = name
        self._avoided = avoided
        self._table: Table | None = None
        self._rows: pa.Table | str = ""

    def rows(self) -> pa.Table | str:
        """Return the rows of ``main``, read once, or why they are not to be rewritten."""
        if self._name in self._avoided:
            return self._avoided[self._name]
        if self._table is None:
            try:
                table = self._catalog.load_table(self._name)
                self._rows = unfit(table) or _read(table)
            except Exception as error:  # noqa: BLE001 - whatever it is, Spark reads it, or tells why it cannot either
                return f"it was not read without Spark: {type(error).__name__}"
            self._table = table
        return self._rows

    def replace(self, rows: pa.Table, summary: Mapping[str, str]) -> str | None:
        """Commit these rows, in place of all that are there, to the staging branch, with ``summary``.

        Returns why that cannot be done, None if it was; nothing is committed then. Raises CommitConflict if the table
        or its branch was moved meanwhile, CommitStateUnknown and TransientError.
        """
        if self._table is None:
            raise RuntimeError("rows come first")
        with commit_errors(f"rewrite {self._name}"):
            table = self._staging(self._table)
        try:
            transaction = _replaced(table, rows, summary)
        except Exception as error:  # noqa: BLE001 - a value or a property that pyiceberg does not know
            self._avoided[self._name] = f"it was not written without Spark: {type(error).__name__}"
            return self._avoided[self._name]
        self._commit(table, transaction)
        return None

    def _commit(self, table: Table, transaction: Transaction) -> None:
        """Commit here: the transaction itself would begin again on what another writer has made of the table."""
        requirements = (*transaction._requirements, AssertTableUUID(uuid=table.metadata.table_uuid))  # noqa: SLF001
        try:
            with commit_errors(f"rewrite {self._name}"):
                done = self._catalog.commit_table(table, requirements, transaction._updates)  # noqa: SLF001
        except (TransientError, CommitStateUnknown):
            raise
        except Exception as error:  # nothing is published yet: the batch is staged again, by Spark
            self._avoided[self._name] = f"it was not committed without Spark: {type(error).__name__}"
            raise TransientError(f"could not rewrite {self._name}: {type(error).__name__}", hint=UP) from error
        with suppress(Exception):  # a file that stays does no harm
            self._catalog._delete_old_metadata(table.io, table.metadata, done.metadata)  # noqa: SLF001

    def _staging(self, read: Table) -> Table:
        """Return the table with its branch where the rows were read; raises CommitConflict where that is not so."""
        table = read if _branch(read) == _main(read) else self._catalog.load_table(self._name)
        if not (_branch(table) == _main(table) == _main(read)):
            raise CommitConflict(f"could not rewrite {self._name}: it was moved by another writer")
        return table


class _Replacement(_OverwriteFiles):
    """An overwrite that keeps nothing: every live file goes, so no manifest from before is needed any more."""

    def _existing_manifests(self) -> list[ManifestFile]:
        return []


def _replaced(table: Table, rows: pa.Table, summary: Mapping[str, str]) -> Transaction:
    """Write the rows and return the transaction that puts them in place of all others; nothing is committed."""
    old = [task.file for task in table.scan().plan_files()]
    transaction = table.transaction()
    with _Replacement(Operation.OVERWRITE, transaction, table.io, None, dict(summary), BRANCH) as update:
        for file in old:
            update.delete_data_file(file)
        if rows.num_rows:
            for file in _dataframe_to_data_files(table.metadata, rows, table.io):
                update.append_data_file(file)
    return transaction


def _main(table: Table) -> int | None:
    return table.metadata.current_snapshot_id


def _branch(table: Table) -> int | None:
    branch = table.metadata.refs.get(BRANCH)
    return branch.snapshot_id if branch else None


def _read(table: Table) -> pa.Table | str:
    """Return the rows; values that repeat are small in their file, and are counted before they are laid out."""
    repeating = [f.name for f in table.schema().fields if isinstance(f.field_type, StringType | BinaryType)]
    rows = table.scan().to_arrow(dictionary_columns=tuple(repeating))
    size = sum(_laid_out(chunk) for name in repeating for chunk in rows[name].chunks)
    return f"its rows take {size >> 20} MiB" if size > ROW_BYTES else _typed(rows, table)


def _laid_out(values: pa.Array) -> int:
    if pa.types.is_dictionary(values.type):
        return pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0
    return int(values.nbytes)


def _typed(rows: pa.Table, table: Table) -> pa.Table:
    return rows.cast(schema_to_pyarrow(table.schema(), include_field_ids=False))


def unfit(table: Table) -> str | None:
    """Return why a table is not to be rewritten in this way, None if it is."""
    snapshot = table.current_snapshot()
    if table.metadata.format_version != _FORMAT:
        return f"format version {table.metadata.format_version}"
    if table.properties.get(MERGE_MODE) != "copy-on-write":
        return "its merge mode is not copy-on-write"
    return _too_large(snapshot) if snapshot else "it has no commit yet"


def _too_large(snapshot: Snapshot) -> str | None:
    summary: Any = snapshot.summary
    known = dict(summary.additional_properties) if summary else {}
    size, rows, deletes = (int(known.get(f"total-{n}") or 0) for n in ("files-size", "records", "delete-files"))
    if deletes:
        return "it has delete files"
    if size > SMALL_BYTES:
        return f"it has {size} bytes"
    return f"it has {rows} rows" if rows > ROWS else None
