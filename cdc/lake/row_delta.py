"""The commit of a row delta: data files are added, rows of others deleted by position, and no file is rewritten.

Everything is Iceberg's format 2 without partitions. pyiceberg writes data files, manifests and the commit; position
deletes and their manifests, which it only reads, are written here.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles, _ManifestMergeManager
from pyiceberg.typedef import Record
from pyiceberg.utils.properties import property_as_bool, property_as_int

from cdc.lake.producing import KnownManifest, Produced
from cdc.lake.publishing import Staged, Staging

MERGED = 10
"""Small manifests of a kind that are merged, unless the table has another number.

Of both kinds together there are fewer then than maintenance would find too many: Spark takes seconds to rewrite them.
"""

_PATH_ID, _POS_ID = 2147483546, 2147483545
"""Reserved by Iceberg for the columns of position deletes."""

_COLUMNS = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(_PATH_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(_POS_ID)}),
    ]
)

Taken = Mapping[str, np.ndarray[Any, Any]]
"""Per data file, as manifests name it, the rows that are deleted, ascending."""


def write_deletes(table: Table, taken: Taken) -> DataFile:
    """Write one file of position deletes, sorted as readers expect it; returns it as manifests describe it."""
    paths = sorted(taken, key=str.encode)
    counts = [len(taken[path]) for path in paths]
    names = pa.DictionaryArray.from_arrays(np.repeat(np.arange(len(paths), dtype=np.int32), counts), paths)
    rows = np.concatenate([taken[path] for path in paths]).astype(np.int64)
    found = pa.table([names.cast(pa.string()), rows], schema=_COLUMNS)
    location = table.location_provider().new_data_location(f"{uuid4()}-deletes.parquet")
    output = table.io.new_output(location)
    with output.create(overwrite=True) as opened:  # its name is new: it need not be looked for
        pq.write_table(found, opened, compression="zstd", use_dictionary=["file_path"])
        size = opened.tell()
    described = _described(location, size, paths, rows)
    described.spec_id = table.metadata.default_spec_id
    return described


def _described(location: str, size: int, paths: Sequence[str], rows: np.ndarray[Any, Any]) -> DataFile:
    counts = {_PATH_ID: len(rows), _POS_ID: len(rows)}
    return DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(rows),
        file_size_in_bytes=size,
        column_sizes=None,
        value_counts=counts,
        null_value_counts=dict.fromkeys(counts, 0),
        nan_value_counts=None,
        lower_bounds={_PATH_ID: paths[0].encode(), _POS_ID: _long(rows.min())},
        upper_bounds={_PATH_ID: paths[-1].encode(), _POS_ID: _long(rows.max())},
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
    )


def _long(number: int) -> bytes:
    return int(number).to_bytes(8, "little", signed=True)


def delta_of(
    table: Table,
    added: Sequence[DataFile],
    summary: Mapping[str, str],
    before: Sequence[ManifestFile] | None = None,
) -> Staged:
    """Return a snapshot that adds files, or only says something, with the manifests and the list that it needs.

    ``before`` are the manifests of ``main``, if they are known.
    """
    staging = Staging(table)
    with RowDelta(staging, table, summary, added, before) as update:
        pass
    return staging.staged(update.manifests)


class _DeleteManifest(KnownManifest):
    """Writes a manifest of delete files."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class RowDelta(Produced, _FastAppendFiles):
    """Adds data and delete files on top of ``main``; small manifests of either kind are merged when they are many.

    How many, and how large a merged one is, say the table's properties (``commit.manifest.*``), as everywhere.
    """

    def __init__(
        self,
        staging: Staging,
        table: Table,
        summary: Mapping[str, str],
        added: Sequence[DataFile],
        before: Sequence[ManifestFile] | None,
    ) -> None:
        kinds = {file.content for file in added}
        operation = {
            frozenset[DataFileContent](): Operation.APPEND,
            frozenset({DataFileContent.DATA}): Operation.APPEND,
            frozenset({DataFileContent.POSITION_DELETES}): Operation.DELETE,
        }.get(frozenset(kinds), Operation.OVERWRITE)
        super().__init__(operation, staging.transaction, table.io, None, dict(summary), MAIN_BRANCH)
        self._properties, self._before = table.properties, before
        for file in added:
            self.append_data_file(file)

    def _manifests(self) -> list[ManifestFile]:
        """Return the manifests of the snapshot: for each kind of file those added, then those from before."""
        before = self._existing_manifests() if self._before is None else list(filter(_lists_files, self._before))
        found = [
            manifest
            for kind, producer in ((ManifestContent.DATA, self), (ManifestContent.DELETES, _Deletes(self)))
            for manifest in self._merged(producer, [*self._added(kind), *(m for m in before if m.content == kind)])
        ]
        self._forget_others(found)
        return found

    def _forget_others(self, found: Sequence[ManifestFile]) -> None:
        """Remove manifests that were written for this snapshot and merged into another one at once."""
        for path in set(self._written_manifests) - {manifest.manifest_path for manifest in found}:
            with suppress(Exception):  # what stays is removed as an orphan
                self._io.delete(path)

    def _added(self, kind: ManifestContent) -> list[ManifestFile]:
        deletes = kind == ManifestContent.DELETES
        files = [file for file in self._added_data_files if (file.content != DataFileContent.DATA) == deletes]
        if not files:
            return []
        spec = self._transaction.table_metadata.spec()
        with (self.delete_manifest_writer if deletes else self.new_manifest_writer)(spec) as writer:
            for file in files:
                writer.add(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, data_file=file))
        return [writer.to_manifest_file()]

    def _merged(self, producer: Any, manifests: list[ManifestFile]) -> list[ManifestFile]:  # noqa: ANN401 - or one alike
        names = TableProperties
        size = property_as_int(
            self._properties, names.MANIFEST_TARGET_SIZE_BYTES, names.MANIFEST_TARGET_SIZE_BYTES_DEFAULT
        )
        least = property_as_int(self._properties, names.MANIFEST_MIN_MERGE_COUNT, MERGED) or MERGED
        if len(manifests) < least:
            return manifests
        merged: list[ManifestFile] = _ManifestMergeManager(
            target_size_bytes=size or names.MANIFEST_TARGET_SIZE_BYTES_DEFAULT,
            min_count_to_merge=least,
            merge_enabled=property_as_bool(self._properties, names.MANIFEST_MERGE_ENABLED, default=True) is not False,
            snapshot_producer=producer,
        ).merge_manifests(manifests)
        return merged

    def delete_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        """Return a writer of a manifest of delete files."""
        output = self.new_manifest_output()
        return _DeleteManifest(spec, self.schema(), output, self._snapshot_id, self._compression)


def _lists_files(manifest: ManifestFile) -> bool:
    """Return whether a manifest says more than what its snapshot has taken out."""
    return manifest.has_added_files() or manifest.has_existing_files()


class _Deletes:
    """A row delta as the merging of manifests of delete files needs it."""

    def __init__(self, delta: RowDelta) -> None:
        self.new_manifest_writer = delta.delete_manifest_writer
        self.fetch_manifest_entry = delta.fetch_manifest_entry
        self.spec = delta.spec
        self.snapshot_id = delta.snapshot_id
