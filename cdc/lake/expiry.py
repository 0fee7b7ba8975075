"""Expiry of the oldest snapshots without Spark: in one line of snapshots, what one has left out does not come again.

Iceberg's own expiry reads the manifests of all that stay, which took a second for every forty commits of a table. Here
only those of the snapshots that go are read, and the files that ``main`` has now.
"""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AssertTableUUID

from cdc.core.errors import CdcError
from cdc.core.names import TableName
from cdc.lake.commits import commit_errors
from cdc.lake.listing import Manifests, ancestors
from cdc.lake.outdated import files_of, removing
from cdc.lake.producing import FORMAT
from cdc.lake.publishing import CommitsInPlace, committed

FILES = 2_000
"""A table of more files is left to Spark: all of them are looked at."""

DELETERS = 4
"""Files that are deleted at the same time."""

_TOTALS = ("total-data-files", "total-delete-files")


def expire(catalog: Catalog, name: TableName, numbers: Collection[int], go_on: Callable[[], None]) -> int | None:
    """Let go of snapshots and of the files that only they need; return how many went, None where Spark has to do it.

    Raises CommitConflict if somebody has committed meanwhile, and what ``go_on`` does, before anything is changed.
    """
    if not isinstance(catalog, CommitsInPlace):
        return None  # where changes are committed, and not whole metadata, a tag that is made meanwhile would go
    try:
        table = catalog.load_table(name)
        gone = oldest(table, numbers)
        files = _only_theirs(table, gone) if gone else frozenset()
    except CdcError:
        raise
    except Exception:  # noqa: BLE001 - files that are read otherwise: Spark does it, or tells
        return None
    if not gone:
        return None
    go_on()
    with commit_errors(f"expire snapshots of {name}"):
        committed(catalog, table, (removing(gone), (AssertTableUUID(uuid=table.metadata.table_uuid),)))
    _delete(table.io, files)
    return len(gone)


def oldest(table: Table, numbers: Collection[int]) -> list[Snapshot]:
    """Return the snapshots of these numbers, newest first, if the table is one line and they are its oldest ones.

    None are returned otherwise, nor of a table whose files are shared, or not to be deleted, or are too many.
    """
    metadata = table.metadata
    line = list(ancestors(table, metadata.current_snapshot_id))
    wanted = {one.snapshot_id for one in metadata.snapshots} & set(numbers)
    gone = line[len(line) - len(wanted) :]
    kept = {one.snapshot_id for one in line[: len(line) - len(wanted)]}
    head = line[0].summary if line else None
    plain = (
        metadata.format_version == FORMAT
        and table.properties.get("gc.enabled", "true") == "true"
        and not metadata.statistics
        and not metadata.partition_statistics
        and len(line) == len(metadata.snapshots)
        and {ref.snapshot_id for ref in metadata.refs.values()} <= kept
        and head is not None
        and sum(int(head.get(total) or FILES) for total in _TOTALS) <= FILES
    )
    return gone if plain and {one.snapshot_id for one in gone} == wanted else []


def _only_theirs(table: Table, gone: list[Snapshot]) -> frozenset[str]:
    """Return the files that go with them; one that somebody has added again, by its old name, stays."""
    listing = Manifests().listing(table, table.metadata.current_snapshot_id or 0)
    return files_of(table, gone) - listing.data.keys() - listing.deletes


def _delete(io: FileIO, files: Collection[str]) -> None:
    def delete(path: str) -> None:
        with suppress(Exception):  # what stays is removed as an orphan
            io.delete(path)

    with ThreadPoolExecutor(DELETERS, "expire") as pool:
        list(pool.map(delete, files))
