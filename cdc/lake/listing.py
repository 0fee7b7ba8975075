"""The live files of a snapshot, from its manifests: each is read once, for they never change."""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from cdc.lake.live_files import Numbers, grouped
from cdc.lake.producing import FORMAT

READERS = 8
"""Delete files that are read at the same time."""


class NotIndexed(Exception):
    """A table has something that an index does not follow; the text says what."""


@dataclass(frozen=True)
class Listing:
    """The live files of one snapshot: data files with their rows, and position delete files."""

    snapshot_id: int
    data: Mapping[str, int]
    deletes: frozenset[str]


@dataclass
class Manifests:
    """What the manifests of a table list, as far as they were read."""

    _known: dict[str, tuple[tuple[str, int | None], ...]] = field(default_factory=dict)

    def listing(self, table: Table, snapshot_id: int) -> Listing:
        """Return the live files of a snapshot; raises NotIndexed."""
        snapshot = table.snapshot_by_id(snapshot_id)
        if snapshot is None:
            raise NotIndexed("its snapshot is gone")
        manifests = snapshot.manifests(table.io)
        self._known = {m.manifest_path: self._known.get(m.manifest_path) or _listed(m, table.io) for m in manifests}
        files = [file for manifest in manifests for file in self._known[manifest.manifest_path]]
        data = {path: rows for path, rows in files if rows is not None}
        return Listing(snapshot_id, data, frozenset(path for path, rows in files if rows is None))


def _listed(manifest: ManifestFile, io: FileIO) -> tuple[tuple[str, int | None], ...]:
    """Return path and rows of each data file, path and None of each delete file."""
    return tuple(_checked(entry.data_file) for entry in manifest.fetch_manifest_entry(io, discard_deleted=True))


def _checked(file: DataFile) -> tuple[str, int | None]:
    if file.content == DataFileContent.EQUALITY_DELETES:
        raise NotIndexed("it has equality deletes")
    if file.file_format != FileFormat.PARQUET:
        raise NotIndexed(f"it has files in the format {file.file_format.value}")
    return file.file_path, file.record_count if file.content == DataFileContent.DATA else None


def deleted_rows(io: FileIO, path: str) -> dict[str, Numbers]:
    """Return per data file the rows that a position delete file takes."""
    with io.new_input(path).open() as opened:
        table = pq.ParquetFile(opened, read_dictionary=["file_path"]).read(columns=["file_path", "pos"])
    names = table["file_path"].combine_chunks()
    names = names if hasattr(names, "dictionary") else pc.dictionary_encode(names)
    rows = table["pos"].to_numpy()
    paths = names.dictionary.to_pylist()
    return {paths[code]: rows[at] for code, at in grouped(np.asarray(names.indices)) if len(rows)}


def deleted_by(
    io: FileIO, paths: Collection[str], go_on: Callable[[], None] = lambda: None
) -> dict[str, dict[str, Numbers]]:
    """Return what each of these position delete files takes, read side by side; ``go_on`` is asked before each."""

    def read(path: str) -> dict[str, Numbers]:
        go_on()
        return deleted_rows(io, path)

    with ThreadPoolExecutor(READERS) as readers:
        return dict(zip(paths, readers.map(read, paths), strict=True))


def not_plain(table: Table) -> str | None:
    """Return why a table is not one of Parquet files in format 2 and without partitions, None if it is."""
    properties = table.properties
    if table.metadata.format_version != FORMAT:
        return f"format version {table.metadata.format_version}"
    if len(table.specs()) > 1 or table.spec().fields:
        return "it is or was partitioned"
    written = {
        properties.get("write.format.default", "parquet"),
        properties.get("write.delete.format.default", "parquet"),
    }
    return None if written == {"parquet"} else "its files are not Parquet"


def ancestors(table: Table, snapshot_id: int | None) -> Iterator[Snapshot]:
    """Yield a snapshot and what it came from, newest first, as far as the table remembers."""
    known = {one.snapshot_id: one for one in table.metadata.snapshots}
    while snapshot_id in known:
        yield known[snapshot_id]
        snapshot_id = known[snapshot_id].parent_snapshot_id


def descends(table: Table, snapshot_id: int | None, ancestor: int) -> bool:
    """Return whether a snapshot is another one, or came from it."""
    return any(one.snapshot_id == ancestor for one in ancestors(table, snapshot_id))
