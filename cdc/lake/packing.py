"""Compaction of a few megabytes without Spark: a hot table has to be packed often, and its batches wait for it.

The rules are those of ``cdc.lake.compaction``; larger steps, and tables of other kinds, are left to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.manifest import ManifestEntryStatus as Status
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary

from cdc.core.compaction import Compact
from cdc.core.errors import CommitConflict
from cdc.core.names import TableName
from cdc.lake.commits import commit_errors
from cdc.lake.file_rows import FileRows
from cdc.lake.foreign import attempted
from cdc.lake.listing import deleted_by, not_plain
from cdc.lake.live_files import Numbers
from cdc.lake.outdated import delete
from cdc.lake.publishing import Staged, Staging, committed
from cdc.lake.rewriting import marked
from cdc.lake.row_delta import RowDelta
from cdc.lake.small_files import data_files

BYTES, ROWS = 16 << 20, 500_000
"""A step is taken here up to so many bytes of files, and rows in them."""

Entries = dict[str, tuple[ManifestFile, list[ManifestEntry]]]
"""The live entries of each manifest, by its path."""


@dataclass(frozen=True)
class _Chosen:
    """What a step is about: the table's entries, the files that go, and the rows of these that live on."""

    entries: Entries
    gone: Mapping[str, DataFile]
    rows: pa.Table


def pack(
    catalog: Catalog, name: TableName, step: Compact, summary: Mapping[str, str], go_on: Callable[[], None]
) -> tuple[int, int] | None:
    """Rewrite the files of a step; return how many files are gone, and how many are new; None where Spark has to do it.

    Raises CommitConflict if one of the files is not there any more, or somebody has committed meanwhile. ``go_on`` is
    asked before each file.
    """
    made = attempted(lambda: _made(catalog.load_table(name), step, summary, go_on)) if step.bytes <= BYTES else None
    if made is None:
        return None
    staged, chosen, new = made
    try:
        with commit_errors(f"compact {name}"):
            committed(catalog, staged.base, staged.appending())
    except CommitConflict:  # nothing has landed; of any other failure nobody knows
        delete(staged.base.io, [file.file_path for file in new])
        raise
    return len(chosen.gone), len(new)


def _made(
    table: Table, step: Compact, summary: Mapping[str, str], go_on: Callable[[], None]
) -> tuple[Staged, _Chosen, list[DataFile]] | None:
    plain = not_plain(table) is None and not table.sort_order().fields
    chosen = _choose(table, step, go_on) if plain else None
    if chosen is None:
        return None
    staged, new = _staged(table, chosen, summary)
    return staged, chosen, new


def _choose(table: Table, step: Compact, go_on: Callable[[], None]) -> _Chosen | None:
    entries, wanted = _entries(table), set(step.paths)
    files = {entry.data_file.file_path: entry.data_file for entry in _all(entries)}
    data = {path: file for path, file in files.items() if file.content == DataFileContent.DATA}
    if absent := wanted - data.keys():
        raise CommitConflict(f"{len(absent)} of the files to rewrite are not in {'.'.join(table.name())} any more")
    deletes = [file for file in files.values() if file.content != DataFileContent.DATA]
    if any(file.content != DataFileContent.POSITION_DELETES for file in deletes):
        return None
    if any(file.file_format != FileFormat.PARQUET for file in [*deletes, *(data[path] for path in wanted)]):
        return None
    if sum(data[path].record_count for path in wanted) > ROWS:
        return None
    taken = deleted_by(table.io, [file.file_path for file in deletes], go_on)
    gone = {path: data[path] for path in step.paths}
    gone |= {path: files[path] for path, rows in taken.items() if not (rows.keys() & data.keys()) - wanted}
    return _Chosen(entries, gone, _living(table, step.paths, list(taken.values()), go_on))


def _entries(table: Table) -> Entries:
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    return {one.manifest_path: (one, one.fetch_manifest_entry(table.io)) for one in manifests}


def _all(entries: Entries) -> Iterator[ManifestEntry]:
    return (entry for _, listed in entries.values() for entry in listed)


def _living(
    table: Table, paths: Sequence[str], taken: Sequence[Mapping[str, Numbers]], go_on: Callable[[], None]
) -> pa.Table:
    """Return the rows of these files that no delete file takes."""
    reader = FileRows.of(table, [field.name for field in table.schema().fields])
    parts = [reader.schema.empty_table()]
    for path in paths:
        go_on()
        rows = pa.concat_tables([reader.schema.empty_table(), *reader.all(path)])
        lives = np.ones(rows.num_rows, bool)
        for of_file in taken:
            if path in of_file:
                lives[of_file[path]] = False
        parts.append(rows.filter(pa.array(lives)))
    return pa.concat_tables(parts)


def _staged(table: Table, chosen: _Chosen, summary: Mapping[str, str]) -> tuple[Staged, list[DataFile]]:
    new, staging = data_files(table, chosen.rows), Staging(table)
    with _Packed(staging, table, summary, new, chosen) as update:
        for file in chosen.gone.values():
            update.delete_data_file(file)
    return staging.staged(update.manifests), new


class _Packed(RowDelta):
    """Adds files in place of others that hold the same rows; manifests that have none of these stay as they are."""

    def __init__(
        self, staging: Staging, table: Table, summary: Mapping[str, str], added: Sequence[DataFile], chosen: _Chosen
    ) -> None:
        super().__init__(staging, table, summary, added, None)
        self._operation = Operation.OVERWRITE  # pyiceberg's own totals know no other
        self._chosen = chosen

    def _manifests(self) -> list[ManifestFile]:
        kept = [self._without(manifest, entries) for manifest, entries in self._chosen.entries.values()]
        return [*self._added(ManifestContent.DATA), *kept]

    def _without(self, manifest: ManifestFile, entries: Sequence[ManifestEntry]) -> ManifestFile:
        gone = self._chosen.gone
        if not any(entry.data_file.file_path in gone for entry in entries):
            return manifest
        spec, deletes = self.spec(manifest.partition_spec_id), manifest.content == ManifestContent.DELETES
        with (self.delete_manifest_writer if deletes else self.new_manifest_writer)(spec) as writer:
            for entry in entries:
                goes = entry.data_file.file_path in gone
                of = self.snapshot_id if goes else entry.snapshot_id
                writer.add_entry(marked(entry, Status.DELETED if goes else Status.EXISTING, of))
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: dict[str, str] = {}) -> Summary:  # noqa: B006 - pyiceberg's own form
        found = super()._summary(snapshot_properties)
        return Summary(Operation.REPLACE, **found.additional_properties)
