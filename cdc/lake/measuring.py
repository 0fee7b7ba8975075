"""What maintenance has to know of the files of a snapshot, read from its manifests: to ask Spark takes it a job.

A manifest never changes, so each is read once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestEntryStatus
from pyiceberg.table import Table

from cdc.core.compaction import DataFile, DeleteFile, Packing, deleted_rows, surplus_deletes, takes_part
from cdc.core.maintenance import MANY_MANIFESTS
from cdc.core.names import TableName
from cdc.lake.foreign import attempted
from cdc.lake.listing import not_plain
from cdc.lake.outdated import listed, records

MOST_FILES = 2_000
"""A table of more files is left to Spark: all of them are looked at."""

_DATA, _DELETES = "total-data-files", "total-delete-files"

PATHS = 2147483546
"""Iceberg's number of the column of paths in position deletes; a file of one data file alone has it as both bounds."""


class Files(NamedTuple):
    """The files of a snapshot, as far as they matter."""

    files: tuple[DataFile, ...] = ()
    delete_files: int = 0
    surplus_deletes: int = 0
    manifests: int = 0
    manifest_bytes: int = 0


class Measuring:
    """Reads the manifests of tables, and keeps what it read for as long as the tables hold them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[TableName, Mapping[str, tuple[DataFile | DeleteFile, ...]]] = {}

    def measured(self, name: TableName, snapshot: int, summary: Mapping[str, str], packing: Packing) -> Files | None:
        """Return the files of a snapshot; None where Spark has to tell: partitions, other formats, many files."""
        return attempted(lambda: self._measured(name, snapshot, summary, packing)) if few_files(summary) else None

    def _measured(self, name: TableName, snapshot: int, summary: Mapping[str, str], packing: Packing) -> Files | None:
        table = self._catalog.load_table(name)
        if not_plain(table) is not None:
            return None
        lists = _lists(table, snapshot)
        found = measured(self._read(name, lists, table.io), packing) if worth_a_look(summary, packing) else Files()
        size = sum(int(one["manifest_length"]) for one in lists) if len(lists) >= MANY_MANIFESTS else 0
        return found._replace(manifests=len(lists), manifest_bytes=size)

    def _read(self, name: TableName, lists: list[dict[str, Any]], io: FileIO) -> list[DataFile | DeleteFile]:
        known = self._known.get(name, {})
        paths = [(str(one["manifest_path"]), int(one["partition_spec_id"])) for one in lists]
        self._known[name] = {path: known.get(path) or tuple(_live(path, spec, io)) for path, spec in paths}
        return [file for of_manifest in self._known[name].values() for file in of_manifest]


def few_files(summary: Mapping[str, str]) -> bool:
    """Return whether a snapshot is known by its summary to have no more files than are looked at here."""
    return {_DATA, _DELETES} <= summary.keys() and int(summary[_DATA]) + int(summary[_DELETES]) <= MOST_FILES


def worth_a_look(summary: Mapping[str, str], packing: Packing) -> bool:
    """Return whether anything may be due for the files of a snapshot."""
    return int(summary.get(_DATA) or 0) >= packing.fewest or int(summary.get(_DELETES) or 0) > 0


def measured(found: Sequence[DataFile | DeleteFile], packing: Packing) -> Files:
    """Return what there is of these live files; how many of a data file's rows are deleted its delete files tell."""
    deletes = [one for one in found if isinstance(one, DeleteFile)]
    gone = deleted_rows(deletes)
    data = (replace(one, deleted=gone[one.path]) for one in found if isinstance(one, DataFile))
    return Files(tuple(one for one in data if takes_part(one, packing)), len(deletes), surplus_deletes(deletes))


def _lists(table: Table, snapshot: int) -> list[dict[str, Any]]:
    found = table.snapshot_by_id(snapshot)
    return listed(found, table.io) if found else []


def _live(path: str, spec: int, io: FileIO) -> Iterator[DataFile | DeleteFile]:
    for entry in records(path, io):
        if entry["status"] == ManifestEntryStatus.DELETED.value:
            continue
        file = entry["data_file"]
        if file["content"] == DataFileContent.DATA.value:
            yield DataFile(file["file_path"], file["file_size_in_bytes"], file["record_count"], spec)
        else:
            yield DeleteFile(file["record_count"], file.get("referenced_data_file") or _only_file(file), spec)


def _only_file(file: Mapping[str, Any]) -> str | None:
    least, most = (_bound(file.get(name)) for name in ("lower_bounds", "upper_bounds"))
    return least.decode() if least is not None and least == most else None


def _bound(bounds: list[dict[str, Any]] | None) -> bytes | None:
    return next((one["value"] for one in bounds or () if one["key"] == PATHS), None)
