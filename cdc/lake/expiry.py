"""Expiry of the oldest snapshots without Spark: in one line of snapshots, what one has left out does not come again.

Iceberg's own expiry reads the manifests of all that stay, which took a second for every forty commits of a table. Here
only those of the snapshots that go are read, and the files that ``main`` has now.
"""

from collections.abc import Callable, Collection

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AssertTableUUID

from cdc.core.names import TableName
from cdc.lake.commits import commit_errors
from cdc.lake.foreign import attempted
from cdc.lake.listing import Manifests, ancestors
from cdc.lake.measuring import few_files
from cdc.lake.outdated import delete, files_of, removing
from cdc.lake.producing import FORMAT
from cdc.lake.publishing import CommitsInPlace, committed

Due = tuple[Table, list[Snapshot], frozenset[str]]
"""A table, the snapshots that go, and the files that go with them."""


def expire(catalog: Catalog, name: TableName, numbers: Collection[int], go_on: Callable[[], None]) -> int | None:
    """Let go of snapshots and of the files that only they need; return how many went, None where Spark has to do it.

    Raises CommitConflict if somebody has committed meanwhile, and what ``go_on`` does, before anything is changed.
    """
    if not isinstance(catalog, CommitsInPlace):
        return None  # where changes are committed, and not whole metadata, a tag that is made meanwhile would go
    due = attempted(lambda: _due(catalog, name, numbers))
    if due is None:
        return None
    table, gone, files = due
    go_on()
    with commit_errors(f"expire snapshots of {name}"):
        committed(catalog, table, (removing(gone), (AssertTableUUID(uuid=table.metadata.table_uuid),)))
    delete(table.io, files)
    return len(gone)


def _due(catalog: Catalog, name: TableName, numbers: Collection[int]) -> Due | None:
    table = catalog.load_table(name)
    gone = oldest(table, numbers)
    return (table, gone, _only_theirs(table, gone)) if gone else None


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
        and few_files(head.additional_properties)
    )
    return gone if plain and {one.snapshot_id for one in gone} == wanted else []


def _only_theirs(table: Table, gone: list[Snapshot]) -> frozenset[str]:
    """Return the files that go with them; one that somebody has added again, by its old name, stays."""
    listing = Manifests().listing(table, table.metadata.current_snapshot_id or 0)
    return files_of(table, gone) - listing.data.keys() - listing.deletes
