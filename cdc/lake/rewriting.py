"""Small tables that are written anew as a whole, without a JVM (docs/decisions/0022)."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import _dataframe_to_data_files, schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AssertTableUUID
from pyiceberg.types import BinaryType, StringType

from cdc.core.errors import CommitConflict
from cdc.core.names import TableName
from cdc.lake.commits import commit_errors
from cdc.lake.tables import BRANCH, MERGE_MODE, SMALL_BYTES

ROWS = 20_000
"""Rows up to which a table is rewritten here; their keys are compared one by one."""

ROW_BYTES = 64 << 20
"""Bytes that the texts of all rows may take in memory."""

_FORMAT = 2


class RewrittenTable:
    """One target table, for one batch: ``rows`` is the look-up that ``replace`` builds on.

    Both raise the errors of ``commit_errors``; ``replace`` raises CommitConflict if the branch has moved meanwhile.
    """

    def __init__(self, catalog: Catalog, name: TableName, tombstones: TableName) -> None:
        self._catalog = catalog
        self._name = name
        self._tombstones = tombstones
        self._table: Table | None = None
        self._rows: pa.Table | str = ""

    def rows(self) -> pa.Table | str:
        """Return the rows of ``main``, read once, or why they are not to be rewritten."""
        if self._table is None:
            with commit_errors(f"read table {self._name}"):
                table = self._catalog.load_table(self._name)
                self._rows = unfit(table) or _read(table)
                self._table = table
        return self._rows

    def bury(self, keys: pa.Table) -> bool:
        """Append to the tombstones; returns False if there is no such table."""
        with commit_errors(f"write tombstones of {self._name}"):
            try:
                table = self._catalog.load_table(self._tombstones)
            except NoSuchTableError:
                return False
            table.append(_typed(keys, table))
            return True

    def replace(self, rows: pa.Table, summary: Mapping[str, str]) -> None:
        """Commit these rows, in place of all that are there, to the staging branch, with ``summary``."""
        if self._table is None:
            raise RuntimeError("rows come first")
        with commit_errors(f"rewrite {self._name}"):
            table = self._staging(self._table)
            old = [task.file for task in table.scan().plan_files()]
            transaction = table.transaction()
            with transaction.update_snapshot(dict(summary), branch=BRANCH).overwrite() as update:
                for file in old:
                    update.delete_data_file(file)
                if rows.num_rows:
                    for file in _dataframe_to_data_files(table.metadata, rows, table.io):
                        update.append_data_file(file)
            # Committed here and not by the transaction, which would begin again on what another writer has made of it.
            requirements = (*transaction._requirements, AssertTableUUID(uuid=table.metadata.table_uuid))  # noqa: SLF001
            self._catalog.commit_table(table, requirements, transaction._updates)  # noqa: SLF001

    def _staging(self, read: Table) -> Table:
        """Return the table with its branch where the rows were read; raises CommitConflict where that is not so."""
        table = read if _branch(read) == _main(read) else self._catalog.load_table(self._name)
        if not (_branch(table) == _main(table) == _main(read)):
            raise CommitConflict(f"could not rewrite {self._name}: it was moved by another writer")
        return table


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


def _main(table: Table) -> int | None:
    return table.metadata.current_snapshot_id


def _branch(table: Table) -> int | None:
    branch = table.metadata.refs.get(BRANCH)
    return branch.snapshot_id if branch else None


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
