"""Small tables that are written anew as a whole, without a JVM (docs/decisions/0022)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.types import BinaryType, StringType

from cdc.lake.held import Content, HeldTable
from cdc.lake.known import arrow_schema
from cdc.lake.producing import FORMAT, Produced
from cdc.lake.publishing import Staged, Staging
from cdc.lake.small_files import data_files
from cdc.lake.tables import MERGE_MODE, SMALL_BYTES, SMALL_ROWS

ROW_BYTES = 64 << 20
"""Bytes that the texts of all rows may take in memory."""


class RewrittenTable:
    """One target table, for one batch: ``rows`` is the look-up that ``replace`` builds on.

    What pyiceberg cannot do is told, so that Spark does it; the held table remembers it for the life of the process.
    """

    def __init__(self, held: HeldTable) -> None:
        self._held = held

    def rows(self) -> pa.Table | str:
        """Return the rows of ``main``, or why they are not to be rewritten."""
        if self._held.avoided:
            return self._held.avoided
        try:
            found = unfit(self._held.table) or self._content()
        except Exception as error:  # noqa: BLE001 - whatever it is, Spark reads it, or tells why it cannot either
            return f"it was not read without Spark: {type(error).__name__}"
        return found if isinstance(found, str) else found.rows

    def replace(self, rows: pa.Table, summary: Mapping[str, str]) -> str | None:
        """Stage these rows, in place of all that are there, with ``summary``.

        Returns why that cannot be done, None if it was.
        """
        content = self._content()
        if isinstance(content, str):
            return content
        try:
            staged, files = replacement(self._held.table, content.files, rows, summary)
            self._held.stage(staged, Content(files, rows.combine_chunks()))
        except Exception as error:  # noqa: BLE001 - a value or a property that pyiceberg does not know
            self._held.avoided = f"it was not written without Spark: {type(error).__name__}"
            return self._held.avoided
        return None

    def _content(self) -> Content | str:
        """Return what the table holds, read if that is not known."""
        known = self._held.content
        found = known if known and known.rows is not None else _read(self._held.table)
        if not isinstance(found, str):
            self._held.keep(found)
        return found


class _Replacement(Produced, _OverwriteFiles):
    """An overwrite whose files are known: ``gone`` are taken out, ``kept`` stay, in a manifest of their own."""

    def __init__(
        self,
        staging: Staging,
        table: Table,
        summary: Mapping[str, str],
        gone: Sequence[ManifestEntry],
        kept: Sequence[ManifestEntry],
    ) -> None:
        super().__init__(Operation.OVERWRITE, staging.transaction, table.io, None, dict(summary), MAIN_BRANCH)
        self._gone, self._kept = gone, kept
        for entry in gone:
            self.delete_data_file(entry.data_file)

    def _manifests(self) -> list[ManifestFile]:
        """Write them one by one: handing each to another thread costs more. What goes stands with what comes."""
        spec = self._transaction.table_metadata.default_spec_id
        new = [ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, data_file=f) for f in self._added_data_files]
        gone = [marked(entry, ManifestEntryStatus.DELETED, self.snapshot_id) for entry in self._gone]
        kept = [marked(entry, ManifestEntryStatus.EXISTING, entry.snapshot_id) for entry in self._kept]
        here, elsewhere = ([one for one in gone if (_spec_of(one) == spec) is of_it] for of_it in (True, False))
        found = [self._changed(new, here)] if new or here else []
        return [*found, *self._of_each_spec(elsewhere), *self._of_each_spec(kept)]

    def _changed(self, new: Sequence[ManifestEntry], gone: Sequence[ManifestEntry]) -> ManifestFile:
        with self.new_manifest_writer(self._transaction.table_metadata.spec()) as writer:
            for entry in new:
                writer.add(entry)
            for entry in gone:
                writer.add_entry(entry)
        return writer.to_manifest_file()

    def _of_each_spec(self, entries: Sequence[ManifestEntry]) -> Iterator[ManifestFile]:
        for spec, of_spec in groupby(sorted(entries, key=_spec_of), key=_spec_of):
            with self.new_manifest_writer(self.spec(spec)) as writer:
                for entry in of_spec:
                    writer.add_entry(entry)
            yield writer.to_manifest_file()


def replacement(
    table: Table,
    gone: Sequence[ManifestEntry],
    rows: pa.Table,
    summary: Mapping[str, str],
    kept: Sequence[ManifestEntry] = (),
) -> tuple[Staged, list[ManifestEntry]]:
    """Write the rows, and return the snapshot that has them in place of files that go, with the entries of new files.

    ``gone`` and ``kept`` are all live data files; there are no others, and no delete files.
    """
    new = data_files(table, rows)
    staging = Staging(table)
    with _Replacement(staging, table, summary, gone, kept) as update:
        for file in new:
            update.append_data_file(file)
    staged = staging.staged(update.manifests)
    return staged, [added(staged, file) for file in new]


def _spec_of(entry: ManifestEntry) -> int:
    return entry.data_file.spec_id


def added(staged: Staged, file: DataFile) -> ManifestEntry:
    """Return the entry of a file as it is read from the manifest of a snapshot that has added it."""
    number, file.spec_id = staged.snapshot.sequence_number, staged.base.metadata.default_spec_id
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED,
        snapshot_id=staged.snapshot.snapshot_id,
        sequence_number=number,
        file_sequence_number=number,
        data_file=file,
    )


def marked(entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None) -> ManifestEntry:
    """Return the entry of a file that was there before, as another snapshot has it."""
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )


def live(table: Table) -> list[ManifestEntry]:
    """Return the entries of the data files of ``main``."""
    snapshot = table.current_snapshot()
    manifests = [m for m in snapshot.manifests(table.io) if m.content == ManifestContent.DATA] if snapshot else []
    return [entry for manifest in manifests for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)]


def _read(table: Table) -> Content | str:
    """Return the rows and their files; repeated values, small in a file, are counted before they are laid out."""
    repeating = [f.name for f in table.schema().fields if isinstance(f.field_type, StringType | BinaryType)]
    rows = table.scan().to_arrow(dictionary_columns=tuple(repeating))
    size = sum(_laid_out(chunk) for name in repeating for chunk in rows[name].chunks)
    return f"its rows take {size >> 20} MiB" if size > ROW_BYTES else _content(table, rows)


def content_of(table: Table) -> Content:
    """Return the rows of ``main`` and their files, whatever their size."""
    return _content(table, table.scan().to_arrow())


def _content(table: Table, rows: pa.Table) -> Content:
    return Content(live(table), rows.cast(arrow_schema(table)))


def _laid_out(values: pa.Array) -> int:
    if pa.types.is_dictionary(values.type):
        return pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0
    return int(values.nbytes)


def unfit(table: Table) -> str | None:
    """Return why a table is not to be rewritten in this way, None if it is."""
    snapshot = table.current_snapshot()
    if table.metadata.format_version != FORMAT:
        return f"format version {table.metadata.format_version}"
    if table.properties.get(MERGE_MODE) != "copy-on-write":
        return "its merge mode is not copy-on-write"
    return _too_large(snapshot) if snapshot else "it has no commit yet"


def _too_large(snapshot: Snapshot) -> str | None:
    summary: Any = snapshot.summary
    known = dict(summary.additional_properties) if summary else {}
    size, rows, deletes = (int(known.get(f"total-{n}") or 0) for n in ("files-size", "records", "delete-files"))
    if deletes:
        return "it has delete files"
    if size > SMALL_BYTES:
        return f"it has {size} bytes"
    return f"it has {rows} rows" if rows > SMALL_ROWS else None
