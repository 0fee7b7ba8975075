"""A table with an index in a catalog without Spark: rows written and published by hand, as a pipeline would."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update import SetSnapshotRefUpdate

from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS
from cdc.lake.held import HeldTable
from cdc.lake.index_entries import KeyColumns
from cdc.lake.indexed_table import IndexedTable
from cdc.lake.key_indexes import KeyIndexes
from cdc.lake.publishing import committed
from tests.sql_catalog import sql_catalog

LAYOUT = LAYOUTS["postgres"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = [
    pa.field("_cdc_position", pa.string()),
    pa.field("_cdc_op", pa.string()),
    pa.field("_cdc_source_ts", pa.timestamp("us", tz="UTC")),
    pa.field("_cdc_committed_at", pa.timestamp("us", tz="UTC")),
]
PROPERTIES = {"format-version": "2", "write.merge.mode": "merge-on-read"}


def position(number: int) -> str:
    """Return a position whose order is the number."""
    return f"{0:08x}-{number // 10:016x}-1-{number:016x}-{number:016x}"


@dataclass
class Lake:
    """A folder with a catalog and indexes."""

    folder: Path
    catalog: SqlCatalog = field(init=False)
    indexes: KeyIndexes = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = sql_catalog(self.folder)
        self.catalog.create_namespace_if_not_exists("ns")
        self.restart()

    def restart(self) -> None:
        """Forget everything that a process remembers."""
        if hasattr(self, "indexes"):
            self.indexes.close()
        self.indexes = KeyIndexes(self.folder / "index")

    def table(self, name: str, key: Sequence[pa.Field], **properties: str) -> "Indexed":
        """Return a new table with these key columns and a number."""
        schema = pa.schema([*key, pa.field("n", pa.int64()), *OURS])
        chosen = {**PROPERTIES, **{n.replace("_", "."): v for n, v in properties.items()}}
        self.catalog.create_table(("ns", name), schema, properties=chosen)
        found = Indexed(self, TableName("ns", name), tuple(one.name for one in key))
        found.append([])
        return found


@dataclass
class Indexed:
    """One table of the lake."""

    lake: Lake
    name: TableName
    key: tuple[str, ...]
    at: int = 0

    def load(self) -> Table:
        """Return the table as it is by now."""
        return self.lake.catalog.load_table(self.name)

    def __post_init__(self) -> None:
        self.held = HeldTable(self.lake.catalog, self.name)

    def opened(self) -> IndexedTable:
        """Return the table for one batch."""
        self.held.look()
        return IndexedTable(self.held, self.lake.indexes, KeyColumns(self.key, LAYOUT.order_width))

    def made(self, rows: Sequence[dict[str, Any]]) -> pa.Table:
        """Return rows with columns of ours."""
        self.at += 10
        ours = {"_cdc_position": position(self.at), "_cdc_op": "c", "_cdc_source_ts": NOW, "_cdc_committed_at": NOW}
        schema = schema_to_pyarrow(self.load().schema(), include_field_ids=False)
        return pa.Table.from_pylist([{**ours, **row} for row in rows], schema)

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows as somebody else does."""
        self.load().append(self.made(rows))

    def publish(self) -> None:
        """Commit what was staged."""
        staged = self.held.staged
        assert staged is not None
        self.held.moved_to(committed(self.lake.catalog, staged.base, staged.publishing({})))

    def rewind(self, snapshot_id: int) -> None:
        """Point main at another snapshot."""
        update = SetSnapshotRefUpdate(ref_name="main", type=SnapshotRefType.BRANCH, snapshot_id=snapshot_id)
        self.lake.catalog.commit_table(self.load(), (), (update,))

    def keys(self, rows: Sequence[dict[str, Any]]) -> pa.StructArray:
        """Return the keys of rows."""
        made = self.made(rows)
        return pa.StructArray.from_arrays([made[name].combine_chunks() for name in self.key], list(self.key))

    def put(
        self, rows: Sequence[dict[str, Any]], deleted: Sequence[dict[str, Any]] = (), *, publish: bool = True
    ) -> None:
        """Insert or update rows and delete others, as a batch does."""
        table = self.opened()
        found = table.find(self.keys(rows))
        gone = table.find(self.keys(deleted))
        assert not isinstance(found, str), found
        assert not isinstance(gone, str), gone
        held, lost = (one.filter(one["file"].is_valid()) for one in (found, gone))
        why = table.write(self.made(rows), held, lost, {})
        assert why is None, why
        if publish:
            self.publish()

    def places(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Return for each key the ``n`` of the row at its place, None where there is none."""
        table = self.opened()
        found = table.find(self.keys(rows))
        assert not isinstance(found, str), found
        held = found.filter(found["file"].is_valid())
        read = table.read(held, ["n"], 1 << 30)
        assert read is not None
        numbers = iter(read["n"].to_pylist())
        return [next(numbers) if there else None for there in found["file"].is_valid().to_pylist()]

    def numbers(self) -> list[int]:
        """Return the numbers of all rows, as pyiceberg reads them."""
        return sorted(self.load().scan().to_arrow()["n"].to_pylist())
