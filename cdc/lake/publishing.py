"""A batch that pyiceberg stages: files that stand, and the one commit to ``main`` that is made of them, or never.

The snapshot is audited before it is committed, so nothing has to be committed to a branch first (docs/decisions/0027).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import CommitTableResponse, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
    UpdatesAndRequirements,
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)

from cdc.lake.metadata_text import SnapshotTexts
from cdc.lake.tables import BRANCH, merge_mode


class Staging:
    """Stands for a transaction where a snapshot is produced: pyiceberg's own copies all metadata at each look at it."""

    def __init__(self, table: Table) -> None:
        self.table_metadata = table.metadata
        self._table = table
        self._produced: Snapshot | None = None

    @property
    def transaction(self) -> Transaction:
        """Return it as producers of snapshots want it."""
        return cast("Transaction", self)

    def staged(self, manifests: Sequence[ManifestFile]) -> "Staged":
        """Return what was produced, with the manifests of it; raises RuntimeError before that."""
        if self._produced is None:
            raise RuntimeError("nothing was produced")
        return Staged(self._table, self._produced, manifests)

    def _register_snapshot_producer(self, _producer: Any) -> None:  # noqa: ANN401 - pyiceberg's
        """Nothing is produced again: where another writer was first, the batch is applied again."""

    def _apply(self, updates: tuple[TableUpdate, ...], _requirements: Any = ()) -> None:  # noqa: ANN401 - pyiceberg's
        self._produced = next(one.snapshot for one in updates if isinstance(one, AddSnapshotUpdate))


@dataclass(frozen=True)
class Staged:
    """A snapshot that is not in its table yet, and the table that it is to be on top of."""

    base: Table
    snapshot: Snapshot
    manifests: Sequence[ManifestFile] = ()

    @property
    def summary(self) -> dict[str, str]:
        """Return the entries of its summary."""
        return dict(self.snapshot.summary.additional_properties) if self.snapshot.summary else {}

    def publishing(self, properties: Mapping[str, str]) -> UpdatesAndRequirements:
        """Return what publishes it: both branches, mirrored properties, and the merge mode that suits its size."""
        wanted = {**properties, **merge_mode(self.base.properties, self.summary)}
        new = {name: value for name, value in wanted.items() if self.base.properties.get(name) != value}
        mirrored = (SetPropertiesUpdate(updates=new),) if new else ()
        updates, requirements = self.appending()
        return (*updates, _pointed(BRANCH, self.snapshot), *mirrored), requirements

    def appending(self) -> UpdatesAndRequirements:
        """Return what makes it ``main`` and nothing else, as for the tables of the service's own."""
        metadata = self.base.metadata
        at_base = AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=metadata.current_snapshot_id)
        updates = AddSnapshotUpdate(snapshot=self.snapshot), _pointed(MAIN_BRANCH, self.snapshot)
        return updates, (AssertTableUUID(uuid=metadata.table_uuid), at_base)


def _pointed(branch: str, snapshot: Snapshot) -> SetSnapshotRefUpdate:
    return SetSnapshotRefUpdate.model_validate(
        {"ref-name": branch, "type": SnapshotRefType.BRANCH, "snapshot-id": snapshot.snapshot_id}
    )


@runtime_checkable
class CommitsInPlace(Protocol):
    """A catalog that commits on top of a table as it was loaded, without reading it again."""

    def commit_at(self, table: Table, changed: TableMetadata, texts: SnapshotTexts) -> CommitTableResponse:
        """Make the metadata the table's; raises CommitFailedException if it is no longer as it was loaded.

        ``texts`` are those of its snapshots as they were written last, and as they are written now.
        """
        ...


def committed(
    catalog: Catalog, table: Table, change: UpdatesAndRequirements, texts: SnapshotTexts | None = None
) -> Table:
    """Commit, and return the table as it is then; raises what catalogs raise. ``texts`` are for the next commit."""
    updates, requirements = change
    if isinstance(catalog, CommitsInPlace):
        done = catalog.commit_at(table, changed(table, updates), {} if texts is None else texts)
    else:
        done = catalog.commit_table(table, requirements, updates)
    with suppress(Exception):  # a file that stays does no harm
        catalog._delete_old_metadata(table.io, table.metadata, done.metadata)  # noqa: SLF001
    return Table(table.name(), done.metadata, done.metadata_location, table.io, catalog)


def changed(table: Table, updates: tuple[TableUpdate, ...]) -> TableMetadata:
    """Return the table's metadata after updates; what stays the same is shared with those before, not copied."""
    metadata, context = table.metadata, _TableMetadataUpdateContext()
    for update in updates:
        metadata = _apply_table_update(update, metadata, context)
    return _update_table_metadata_log(metadata, table.metadata_location, table.metadata.last_updated_ms)
