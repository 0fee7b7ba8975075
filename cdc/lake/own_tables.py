"""Writes to the service's own tables, without a JVM: each is one commit on top of the table as it is.

They keep themselves small: an append puts small files together once there are many, and commits let go of old
snapshots, for nobody goes back in these tables (docs/decisions/0027).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from cdc.core.errors import CommitConflict, TerminalError
from cdc.lake.commits import commit_errors, repeated
from cdc.lake.file_rows import FileRows
from cdc.lake.held import Content, HeldTable
from cdc.lake.known import arrow_schema
from cdc.lake.outdated import delete, files_of, outdated, removing
from cdc.lake.producing import FORMAT
from cdc.lake.publishing import Staged, committed
from cdc.lake.rewriting import added, content_of, live, replacement
from cdc.lake.row_delta import delta_of
from cdc.lake.small_files import data_files

FILES = 20
"""Small files of a partition that are put together."""

SMALL_BYTES = 1 << 20


Rows = Callable[[pa.Schema], pa.Table]
"""Return rows in the columns of a table."""


def append(held: HeldTable, made: Rows, *, alone: bool = False) -> None:
    """Append rows; raises TerminalError if the table is not there or is Spark's to write, and as a commit does.

    A table that hardly anybody else writes to is not looked at first: the commit is refused if somebody has.
    """

    def staged(table: Table) -> tuple[Staged, Content]:
        known = files_at(held)
        folded = [] if has_deletes(table) else _small(known)
        rows = made(arrow_schema(table))
        if folded:
            paths = {entry.data_file.file_path for entry in folded}
            kept = [entry for entry in known if entry.data_file.file_path not in paths]
            change, new = replacement(table, folded, pa.concat_tables([*_rows(table, folded), rows]), {}, kept)
            return change, Content([*kept, *new], manifests=change.manifests)
        files = data_files(table, rows)
        change = delta_of(table, files, {}, held.content.manifests if held.content else None)
        return change, Content([*known, *(added(change, file) for file in files)], manifests=change.manifests)

    _commit(held, staged, alone=alone)


def overwrite(held: HeldTable, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace all rows by what ``change`` makes of them, for small tables; raises as ``append`` does."""

    def staged(table: Table) -> tuple[Staged, Content]:
        content = held.content if held.content and held.content.rows is not None else content_of(table)
        rows = change(content.rows).cast(arrow_schema(table))
        done, new = replacement(table, content.files, rows, {})
        return done, Content(new, rows.combine_chunks())

    _commit(held, staged)


def _small(files: Sequence[ManifestEntry]) -> list[ManifestEntry]:
    """Return the small files of those partitions that have too many."""
    parts: dict[tuple[int, str], list[ManifestEntry]] = defaultdict(list)
    for entry in files:
        if entry.data_file.file_size_in_bytes < SMALL_BYTES:
            parts[entry.data_file.spec_id, repr(entry.data_file.partition)].append(entry)
    return [entry for part in parts.values() if len(part) >= FILES for entry in part]


def files_at(held: HeldTable) -> Sequence[ManifestEntry]:
    """Return the entries of the data files of ``main`` as it was looked at."""
    return held.content.files if held.content else live(held.table)


def has_deletes(table: Table) -> bool:
    """Return whether rows of data files were deleted."""
    snapshot = table.current_snapshot()
    return bool(snapshot and snapshot.summary and int(snapshot.summary.get("total-delete-files") or 0))


def _rows(table: Table, files: Sequence[ManifestEntry]) -> list[pa.Table]:
    reader = FileRows.of(table, [field.name for field in table.schema().fields])
    return [piece for entry in files for piece in reader.all(entry.data_file.file_path)]


def _looked(held: HeldTable, *, known: bool) -> Table:
    with commit_errors(f"write to {held.name}"):
        found = (held.last if known else None) or held.look()
        if found is None:
            raise NoSuchTableError(f"Table does not exist: {held.name}")
    if found.metadata.format_version != FORMAT:
        version = found.metadata.format_version
        raise TerminalError(f"{held.name} has format version {version}", hint="nothing: Spark writes to it instead")
    return found


def _commit(held: HeldTable, stage: Callable[[Table], tuple[Staged, Content]], *, alone: bool = False) -> None:
    for attempt in repeated(CommitConflict):
        with attempt:
            table = _looked(held, known=alone and attempt.retry_state.attempt_number == 1)
            with commit_errors(f"write to {held.name}"):
                staged, content = stage(table)
                gone = outdated(table)
                updates, requirements = staged.appending()
                done = committed(held.catalog, table, ((*updates, *removing(gone)), requirements), held.texts)
                held.moved_to(done, content)
            with suppress(Exception):  # what stays is removed as an orphan
                delete(table.io, files_of(table, gone))
