"""Old snapshots of a table of the service's own, which only grows in one line, and the files that only they have."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from typing import Any

from fastavro import reader
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotsUpdate

from cdc.lake.listing import ancestors

KEEP = 15
"""Newest snapshots that stay, for whoever reads the table meanwhile."""

DELETERS = 4
"""Files that are deleted at the same time."""

LOT = 15
"""Snapshots that go together: finding their files costs a look at each."""


def outdated(table: Table) -> list[Snapshot]:
    """Return the snapshots that may go; none as long as they are few, or where there is more than one line of them."""
    line = list(ancestors(table, table.metadata.current_snapshot_id))
    gone = line[KEEP:]
    one_line = len(line) == len(table.metadata.snapshots) and set(table.metadata.refs) == {"main"}
    return gone if one_line and len(gone) >= LOT else []


def removing(gone: Sequence[Snapshot]) -> tuple[RemoveSnapshotsUpdate, ...]:
    """Return the change of a table that lets go of snapshots."""
    return (RemoveSnapshotsUpdate(snapshot_ids=[one.snapshot_id for one in gone]),) if gone else ()


def files_of(table: Table, gone: Sequence[Snapshot]) -> frozenset[str]:
    """Return the files that only these snapshots need, the oldest of a table as it was loaded."""
    if not gone:
        return frozenset()
    oldest_kept = list(ancestors(table, table.metadata.current_snapshot_id))[-len(gone) - 1]
    return frozenset(_only_in(gone, oldest_kept, table.io))


def delete(io: FileIO, paths: Collection[str]) -> None:
    """Delete files that no table needs any more; one that stays is removed as an orphan."""

    def one(path: str) -> None:
        with suppress(Exception):  # each by itself
            io.delete(path)

    with ThreadPoolExecutor(DELETERS, "delete") as pool:
        list(pool.map(one, paths))


def _only_in(gone: Sequence[Snapshot], oldest_kept: Snapshot, io: FileIO) -> Iterator[str]:
    """Yield the files that only these need: in one line, what a snapshot has left out does not come again."""
    kept = {str(manifest["manifest_path"]) for manifest in listed(oldest_kept, io)}
    left_out = {snapshot.snapshot_id for snapshot in (*gone, oldest_kept)}
    seen: set[str] = set()
    for snapshot in (*gone, oldest_kept):
        for manifest in listed(snapshot, io):
            path = str(manifest["manifest_path"])
            if path in seen:
                continue
            seen.add(path)
            yield from _deleted(manifest, left_out, io)
            if path not in kept:
                yield path
    yield from (snapshot.manifest_list for snapshot in gone)


def listed(snapshot: Snapshot, io: FileIO) -> list[dict[str, Any]]:
    """Return the lines of a manifest list, by the names that the format gives them."""
    return records(snapshot.manifest_list, io)


def _deleted(manifest: dict[str, Any], by: set[int], io: FileIO) -> Iterator[str]:
    """Yield the files that these snapshots have taken out of the table."""
    if manifest.get("deleted_files_count") == 0:
        return
    for entry in records(manifest["manifest_path"], io):
        if entry["status"] == ManifestEntryStatus.DELETED.value and entry["snapshot_id"] in by:
            yield str(entry["data_file"]["file_path"])


def records(path: str, io: FileIO) -> list[dict[str, Any]]:
    """Return the records of an Avro file as plain values: pyiceberg makes its reader anew for every file."""
    with io.new_input(path).open() as opened:
        return list(reader(BytesIO(opened.read())))  # type: ignore[arg-type]
