"""Old snapshots of a table of the service's own, which only grows in one line, and the files that only they have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestEntryStatus, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotsUpdate

KEEP = 15
"""Newest snapshots that stay, for whoever reads the table meanwhile."""

LOT = 15
"""Snapshots that go together: finding their files costs a look at each."""


@dataclass(frozen=True)
class Outdated:
    """What a commit lets go of: updates to make with it, and files to remove after it."""

    updates: tuple[RemoveSnapshotsUpdate, ...] = ()
    files: frozenset[str] = frozenset()


def outdated(table: Table) -> Outdated:
    """Return what may go; nothing as long as it is little, or where there is more than one line of snapshots."""
    line = _line(table)
    gone = line[KEEP:]
    if len(gone) < LOT or len(line) < len(table.metadata.snapshots) or set(table.metadata.refs) != {"main"}:
        return Outdated()
    files = frozenset(_only_in(gone, line[KEEP - 1], table.io))
    return Outdated((RemoveSnapshotsUpdate(snapshot_ids=[snapshot.snapshot_id for snapshot in gone]),), files)


def _line(table: Table) -> list[Snapshot]:
    """Return the snapshots from the newest one back."""
    known = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    found, at = list[Snapshot](), table.metadata.current_snapshot_id
    while at in known:
        found.append(known[at])
        at = known[at].parent_snapshot_id
    return found


def _only_in(gone: Sequence[Snapshot], oldest_kept: Snapshot, io: FileIO) -> Iterator[str]:
    """Yield the files that only these need: in one line, what a snapshot has left out does not come again."""
    kept = {manifest.manifest_path for manifest in oldest_kept.manifests(io)}
    left_out = {snapshot.snapshot_id for snapshot in (*gone, oldest_kept)}
    seen: set[str] = set()
    for snapshot in (*gone, oldest_kept):
        for manifest in snapshot.manifests(io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield from _deleted(manifest, left_out, io)
            if manifest.manifest_path not in kept:
                yield manifest.manifest_path
    yield from (snapshot.manifest_list for snapshot in gone)


def _deleted(manifest: ManifestFile, by: set[int], io: FileIO) -> Iterator[str]:
    """Yield the files that these snapshots have taken out of the table."""
    if manifest.deleted_files_count == 0:
        return
    for entry in manifest.fetch_manifest_entry(io, discard_deleted=False):
        if entry.status == ManifestEntryStatus.DELETED and entry.snapshot_id in by:
            yield entry.data_file.file_path
