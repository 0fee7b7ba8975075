"""Target tables as they were looked at last: a batch asks the catalog once, and all of it builds on the answer.

What is remembered between batches saves reading; the catalog's compare-and-swap is what a commit relies on.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import Protocol, runtime_checkable

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table

from cdc.core.names import TableName
from cdc.lake.metadata_text import SnapshotTexts
from cdc.lake.publishing import Staged
from cdc.lazy import lazy

HELD_BYTES = 256 << 20
"""What all tables of an engine may keep between batches, about; those that were not used for longest let go first."""

SNAPSHOT_BYTES = 4_500
"""What one snapshot of a table's metadata takes in memory, its text included, about."""

_SHORT = 24
"""Texts of up to so many characters are mostly those of other snapshots, too."""


@runtime_checkable
class Locates(Protocol):
    """A catalog that tells where a table's metadata are without reading them."""

    def location_of(self, name: TableName) -> str | None:
        """Return the location of a table's metadata, None if there is no such table."""
        ...


@dataclass(frozen=True)
class Content:
    """The entries of a table's live data files at one snapshot; rows and manifests, too, where those are kept."""

    files: Sequence[ManifestEntry]
    rows: pa.Table | None = None
    manifests: Sequence[ManifestFile] | None = None

    @lazy
    def row_bytes(self) -> int:
        """Return how many bytes the rows take, counted once: it is asked at every look-up."""
        return 0 if self.rows is None else int(self.rows.nbytes)


class HeldTable:
    """One target table, for one thread at a time; a batch begins with ``look``."""

    def __init__(self, catalog: Catalog, name: TableName) -> None:
        self.catalog = catalog
        self.name = name
        self.avoided = ""
        """Why it is not written without Spark, for the life of the process; nothing where it is."""
        self.texts: SnapshotTexts = {}
        """What commits have written of its snapshots."""
        self._table: Table | None = None
        self._content: tuple[int | None, int, Content] | None = None
        self._staged: tuple[Staged, Content | None] | None = None

    def look(self) -> Table | None:
        """Return the table as it is now, None if it is not there."""
        try:
            self._table = self._newest()
        except NoSuchTableError:
            self._table = None
        return self._table

    def _newest(self) -> Table:
        known = self._table
        located = self.catalog.location_of(self.name) if known and isinstance(self.catalog, Locates) else None
        return known if known and located == known.metadata_location else _sharing(self.catalog.load_table(self.name))

    @property
    def last(self) -> Table | None:
        """Return the table as it was looked at or written last, None if it was neither yet."""
        return self._table

    @property
    def table(self) -> Table:
        """Return the table as it was looked at last; raises NoSuchTableError."""
        found = self._table or self.look()
        if found is None:
            raise NoSuchTableError(f"Table does not exist: {self.name}")
        return found

    @property
    def content(self) -> Content | None:
        """Return what ``main`` holds, if that is known."""
        metadata = self.table.metadata
        at = (metadata.current_snapshot_id, metadata.current_schema_id)
        return self._content[2] if self._content and self._content[:2] == at else None

    def keep(self, content: Content) -> None:
        """Keep what ``main`` holds."""
        metadata = self.table.metadata
        self._content = (metadata.current_snapshot_id, metadata.current_schema_id, content)

    @property
    def staged(self) -> Staged | None:
        """Return what was staged last and is neither published nor dropped."""
        return self._staged[0] if self._staged else None

    def stage(self, staged: Staged, content: Content | None = None) -> None:
        """Keep a snapshot until it is published; ``content`` is what the table then holds, if that is known."""
        self._staged = (staged, content)

    def drop(self) -> None:
        """Forget what was staged; its files belong to no table."""
        self._staged = None

    def moved_to(self, table: Table, content: Content | None = None) -> None:
        """Note the table as it is after a commit of ours, of the staged snapshot by default, and what it then holds."""
        content = content or (self._staged[1] if self._staged else None)
        self._table, self._staged, self._content = table, None, None
        if content:
            self.keep(content)

    def moved_beneath(self, table: Table) -> None:
        """Note the table as it is after a commit that is not what was staged, which can be published no more."""
        self._table = table

    @property
    def size(self) -> int:
        """Return about how many bytes it keeps."""
        snapshots = len(self._table.metadata.snapshots) if self._table else 0
        return snapshots * SNAPSHOT_BYTES + (self._content[2].row_bytes if self._content else 0)


def is_empty(table: Table) -> bool:
    """Return whether a table is known to have no rows, by what its last commit says of them."""
    snapshot = table.current_snapshot()
    return snapshot is None or bool(snapshot.summary and snapshot.summary.get("total-records") == "0")


def _sharing(table: Table) -> Table:
    """Return the table with equal texts in its snapshots' summaries being one: what was read holds each anew."""
    for snapshot in table.metadata.snapshots:
        entries = snapshot.summary.additional_properties if snapshot.summary else {}
        shared = {intern(name): intern(text) if len(text) <= _SHORT else text for name, text in entries.items()}
        entries.clear()
        entries.update(shared)
    return table


class HeldTables:
    """The tables of an engine; safe to use from any thread, for different tables."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._held: OrderedDict[TableName, HeldTable] = OrderedDict()
        self._sizes: dict[TableName, int] = {}
        self._total = 0

    def of(self, name: TableName) -> HeldTable:
        """Return a table; whoever has one that was let go meanwhile goes on with it."""
        with self._lock:
            found = self._held.pop(name, None) or HeldTable(self._catalog, name)
            self._held[name] = found
            self._count(name, found.size)
            while self._total > HELD_BYTES and len(self._held) > 1:
                oldest, _ = self._held.popitem(last=False)
                self._count(oldest, 0)
            return found

    def _count(self, name: TableName, size: int) -> None:
        self._total += size - self._sizes.get(name, 0)
        self._sizes[name] = size
