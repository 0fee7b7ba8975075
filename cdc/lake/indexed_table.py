"""Large tables whose batches are staged as row deltas, without a JVM: the keys' places come from an index."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.table import Table

from cdc.lake.file_rows import FileRows
from cdc.lake.held import HeldTable
from cdc.lake.index_entries import Entries, KeyColumns
from cdc.lake.index_files import Handover, IndexedFiles
from cdc.lake.index_store import IndexBroken
from cdc.lake.key_encoding import as_bytes
from cdc.lake.key_indexes import KeyIndexes
from cdc.lake.known import arrow_schema
from cdc.lake.listing import NotIndexed, not_plain
from cdc.lake.live_files import LiveFiles, Numbers, grouped
from cdc.lake.publishing import Staged
from cdc.lake.row_delta import delta_of, write_deletes
from cdc.lake.small_files import data_files
from cdc.lake.tables import MERGE_MODE

_ALWAYS = "_cdc_position"
"""A column that every file has: rows are counted by it."""


class IndexedTable:
    """One target table, for one batch, with its index as of the ``main`` that it was loaded with.

    ``read`` and ``write`` are about places that ``find`` has told last.
    """

    def __init__(self, held: HeldTable, indexes: KeyIndexes, columns: KeyColumns) -> None:
        self._held = held
        self._indexes = indexes
        self._columns = columns
        self._asked: IndexedFiles | None = None

    def why_not(self) -> str | None:
        """Return why batches cannot be staged as row deltas, None if they can; empty for a table that is rewritten."""
        if self._held.avoided:
            return self._held.avoided
        try:
            table = self._held.table
        except Exception as error:  # noqa: BLE001 - whatever it is, Spark reads it, or tells why it cannot either
            return f"it was not read without Spark: {type(error).__name__}"
        if (reason := unfit(table)) is not None:
            return reason
        with self._indexes.of(self._held.name, table, self._columns) as index:
            found = index.at(table)
        return found if isinstance(found, str) else None

    @property
    def schema(self) -> pa.Schema:
        """Return all columns, as Arrow has them."""
        return arrow_schema(self._held.table)

    def find(self, keys: pa.StructArray) -> pa.Table | str:
        """Return for each key its row's ``key, file, row, position, marked``, or why that is not known.

        All but ``key`` are null where no row has the key; ``position`` has its leading characters alone.
        """
        table = self._held.table
        if [field.name for field in keys.type] != list(self._columns.names):
            return "its key is not whole"
        with self._indexes.of(self._held.name, table, self._columns) as index:
            files = index.at(table)
            if isinstance(files, str):
                return files
            self._asked = files
            try:
                return _found(files, self._columns.encoded(pa.Table.from_struct_array(keys)))
            except NotIndexed as error:
                return str(error)
            except IndexBroken:
                return index.broken()

    def read(self, places: pa.Table, names: Sequence[str], limit: int) -> pa.Table | None:
        """Return these columns of the rows at ``places``, in their order; None if they take more bytes than that."""
        reader = FileRows.of(self._held.table, list(dict.fromkeys([*names, _ALWAYS])))
        paths = {number: self._places.path(number) for number in set(places["file"].to_pylist())}
        numbers, rows = places["file"].to_numpy(), places["row"].to_numpy()
        parts, order, size = [reader.schema.empty_table()], [np.empty(0, np.int64)], 0
        for number, at in grouped(numbers):
            ascending = at[np.argsort(rows[at], kind="stable")]
            parts.append(reader.take(paths[number], rows[ascending]))
            order.append(ascending)
            size += parts[-1].nbytes
            if size > limit:
                return None
        back = np.argsort(np.concatenate(order), kind="stable")
        return pa.concat_tables(parts).take(pa.array(back)).select(list(names))

    def write(self, fresh: pa.Table, replaced: pa.Table, deleted: pa.Table, summary: Mapping[str, str]) -> str | None:
        """Stage new rows, and deletes of those at the places that are replaced or deleted.

        Returns why that cannot be done, None if it was.
        """
        table = self._held.table
        try:
            taken = _taken(self._places, pa.concat_tables([replaced, deleted]))
            added = [*data_files(table, fresh), *([write_deletes(table, taken)] if taken else [])]
            staged = delta_of(table, added, summary)
            done = self._handover(staged, added, fresh, taken, deleted)
        except Exception as error:  # noqa: BLE001 - a value or a property that pyiceberg does not know
            return f"it was not written without Spark: {type(error).__name__}"
        self._held.stage(staged)
        if done is not None:
            with self._indexes.of(self._held.name, table, self._columns) as index:
                index.hand_over(done)
        return None

    def _handover(
        self,
        staged: Staged,
        added: Sequence[DataFile],
        fresh: pa.Table,
        taken: dict[str, Numbers],
        deleted: pa.Table,
    ) -> Handover | None:
        """Return what the commit does to the index; None if that has to be read: rows of several files."""
        data = [file for file in added if file.content == DataFileContent.DATA]
        deletes = [file.file_path for file in added if file.content != DataFileContent.DATA]
        snapshot = staged.snapshot
        if len(data) > 1 or snapshot.parent_snapshot_id is None:
            return None
        places = self._columns.places(fresh, 0, np.arange(fresh.num_rows))
        return Handover(
            snapshot.parent_snapshot_id,
            snapshot.snapshot_id,
            data[0].file_path if data else None,
            Entries(self._columns.encoded(fresh), places) if data else None,
            deletes[0] if deletes else None,
            taken,
            as_bytes(deleted["key"].combine_chunks()),
        )

    @property
    def _places(self) -> LiveFiles:
        """Return the files in which the places are that were found."""
        if self._asked is None:
            raise RuntimeError("find comes first")
        return self._asked.files


def unfit(table: Table) -> str | None:
    """Return why batches of a table are not staged as row deltas, whatever its index, None if they are.

    Empty for a table that rewrites its files, as small ones do, and those whose owner has chosen so.
    """
    return not_plain(table) if table.properties.get(MERGE_MODE) == "merge-on-read" else ""


def _found(files: IndexedFiles, keys: pa.Array) -> pa.Table:
    there, places = files.find(keys)
    absent = ~there
    columns = {name: pa.array(places[name], mask=absent) for name in ("file", "row")}
    position = pa.array([text.decode() for text in places["position"].tolist()], pa.string(), mask=absent)
    marked = pa.array(places["marked"].astype(bool), mask=absent)
    return pa.table({"key": keys, **columns, "position": position, "marked": marked})


def _taken(files: LiveFiles, places: pa.Table) -> dict[str, Numbers]:
    """Return the rows at the places, per data file, ascending."""
    numbers, rows = places["file"].to_numpy(), places["row"].to_numpy()
    return {files.path(number): np.sort(rows[at]) for number, at in grouped(numbers)}
