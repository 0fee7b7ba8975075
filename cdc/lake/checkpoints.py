"""Histories of target tables and the ledger of their commits, read and written again without Spark."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import EqualTo
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, IcebergType, LongType, NestedField, StringType, TimestamptzType

from cdc.core.errors import TerminalError
from cdc.core.history import TableHistory, Version
from cdc.core.names import TableName
from cdc.core.status import LedgerRow
from cdc.lake.audit import append_rows
from cdc.lake.foreign import lake_errors

LEDGER = "commits"
_KINDS: dict[str, type[IcebergType]] = {
    "table_snapshot": LongType,
    "parent_snapshot": LongType,
    "token": LongType,
    "events": LongType,
    "inserted": LongType,
    "updated": LongType,
    "deleted": LongType,
    "source_at": TimestamptzType,
    "committed_at": TimestamptzType,
    "seconds": DoubleType,
}
_SCHEMA = Schema(
    *(
        NestedField(number, column.name, _KINDS.get(column.name, StringType)(), required=False)
        for number, column in enumerate(fields(LedgerRow), 1)
    )
)
_SPEC = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "pipeline"))
"""The ledger as ``cdc.lake.status`` makes it with Spark."""


class Histories:
    """Reads the histories of tables from the catalog, each afresh."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def read(self, target: TableName) -> TableHistory:
        """Return the table's history; raises TerminalError if there is no such table."""
        found = self.find(target)
        if found is None:
            raise TerminalError(f"there is no table {target} in the lake", hint="has `cdc stream` run?")
        return found

    def find(self, target: TableName) -> TableHistory | None:
        """Return the table's history, None if there is no such table."""
        try:
            return history_of(target, self._catalog.load_table(tuple(target)))
        except NoSuchTableError:
            return None


def history_of(target: TableName, table: Table) -> TableHistory:
    """Return the history of a loaded table."""
    metadata = table.metadata
    return TableHistory(
        target=target,
        head=metadata.current_snapshot_id,
        versions={one.snapshot_id: version_of(one) for one in metadata.snapshots},
        main_log=tuple((_instant(entry.timestamp_ms), entry.snapshot_id) for entry in metadata.snapshot_log),
        refs={name: ref.snapshot_id for name, ref in metadata.refs.items() if name != MAIN_BRANCH},
        schema_id=metadata.current_schema_id,
        schemas={schema.schema_id: {f.name: f.field_id for f in schema.fields} for schema in metadata.schemas},
        properties=dict(metadata.properties),
    )


def version_of(snapshot: Snapshot) -> Version:
    """Return a snapshot of a loaded table as history knows it."""
    summary = dict(snapshot.summary.additional_properties) if snapshot.summary else {}
    parent = snapshot.parent_snapshot_id
    return Version(snapshot.snapshot_id, parent, _instant(snapshot.timestamp_ms), snapshot.schema_id, summary)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


class Ledger:
    """The ledger of commits in the metadata namespace: derived, so that it can be written again."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, LEDGER)

    def read(self, target: TableName) -> list[LedgerRow]:
        """Return the rows of a target, newest first; none if there is no ledger."""
        try:
            table = self._catalog.load_table(self._name)
        except NoSuchTableError:
            return []
        with lake_errors("read the ledger of commits"):
            rows = table.scan(row_filter=EqualTo(term="target", value=str(target))).to_arrow().to_pylist()
        return sorted((LedgerRow(**row) for row in rows), key=lambda row: row.committed_at, reverse=True)

    def append(self, rows: Iterable[LedgerRow]) -> None:
        """Append rows in one commit; none, none."""
        if found := [asdict(row) for row in rows]:
            append_rows(self._catalog, self._name, _SCHEMA, found, _SPEC)
