"""What maintenance has to know of the files of a snapshot, read from its manifests: to ask Spark takes it a job.

A manifest never changes, so each is read once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestEntryStatus
from pyiceberg.table import Table

from cdc.core.compaction import DataFile, DeleteFile, Packing, deleted_rows, surplus_deletes, takes_part
from cdc.core.errors import CdcError
from cdc.core.maintenance import MANY_MANIFESTS
from cdc.core.names import TableName
from cdc.lake.listing import not_plain
from cdc.lake.outdated import listed, records

FILES = 2_000
"""A table of more files is left to Spark."""

PATHS = 2147483546
"""Iceberg's number of the column of paths in position deletes; a file of one data file alone has it as both bounds."""


class Files(NamedTuple):
    """The files of a snapshot, as far as they matter."""

    files: tuple[DataFile, ...] = ()
    delete_files: int = 0
    surplus_deletes: int = 0
    manifests: int = 0
    manifest_bytes: int = 0


class Manifests:
    """What was read of the manifests of tables, as long as these hold them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[TableName, Mapping[str, tuple[DataFile | DeleteFile, ...]]] = {}

    def measured(self, name: TableName, snapshot: int, summary: Mapping[str, str], packing: Packing) -> Files | None:
        """Return the files of a snapshot; None where Spark has to tell: partitions, other formats, many files."""
        data, deletes = (int(summary.get(f"total-{kind}-files") or 0) for kind in ("data", "delete"))
        if data + deletes > FILES:
            return None
        try:
            return self._measured(name, snapshot, data, deletes, packing)
        except CdcError:
            raise
        except Exception:  # noqa: BLE001 - files that are read otherwise: Spark does it, or tells
            return None

    def _measured(self, name: TableName, snapshot: int, data: int, deletes: int, packing: Packing) -> Files | None:
        table = self._catalog.load_table(name)
        if not_plain(table) is not None:
            return None
        lists = _lists(table, snapshot)
        some = data >= packing.fewest or deletes  # otherwise nothing is due
        found = files_of(self._read(name, lists, table.io), packing) if some else Files()
        size = sum(int(one["manifest_length"]) for one in lists) if len(lists) >= MANY_MANIFESTS else 0
        return found._replace(manifests=len(lists), manifest_bytes=size)

    def _read(self, name: TableName, lists: list[dict[str, Any]], io: FileIO) -> list[DataFile | DeleteFile]:
        known = self._known.get(name, {})
        paths = [(str(one["manifest_path"]), int(one["partition_spec_id"])) for one in lists]
        self._known[name] = {path: known.get(path) or tuple(_live(path, spec, io)) for path, spec in paths}
        return [file for of_manifest in self._known[name].values() for file in of_manifest]


def files_of(found: list[DataFile | DeleteFile], packing: Packing) -> Files:
    """Return what there is of these live files."""
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
