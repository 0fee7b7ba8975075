"""An index brought to a snapshot: made from nothing, or by the files that came and went since the one that it is at."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.io import FileIO
from pyiceberg.table import Table

from cdc.lake.index_entries import Entries, KeyColumns, together
from cdc.lake.index_store import IndexBroken, IndexStore, data_name, data_record, delete_name, delete_record, pairs
from cdc.lake.key_encoding import as_bytes, order_of
from cdc.lake.listing import Listing, NotIndexed, deleted_by, descends
from cdc.lake.live_files import LiveFiles

PIECE_ROWS = 1 << 19
"""Rows whose entries are in memory together."""

Tell = Callable[[int], None]
"""Told of rows as they are done."""


@dataclass
class IndexedFiles:
    """A store together with the files of the snapshot that it is at."""

    store: IndexStore
    files: LiveFiles
    snapshot_id: int
    signature: str

    @property
    def state(self) -> dict[str, Any]:
        """Return what the store's last step writes."""
        return {"snapshot": self.snapshot_id, "signature": self.signature}

    def find(self, keys: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return which of the encoded keys have a row that lives, and the places, undefined where there is none."""
        order = order_of(keys)  # neighbours are in one block
        there, places = self.store.find(as_bytes(keys.take(pa.array(order))))
        there[there] = self.files.lives(places["file"][there], places["row"][there])
        back = np.argsort(order)
        return there[back], places[back]


def opened(folder: Path, width: int, signature: str, table: Table, listing: Listing) -> IndexedFiles | None:
    """Return the index in a folder, None if there is none that is finished and made for such a table.

    Deletes that are gone by the listing are not read: ``follows`` tells whether they matter.
    """
    if not folder.exists():
        return None
    store = IndexStore(folder, width)
    try:
        state = store.state()
    except IndexBroken:
        store.close()
        return None
    if state is None or state["signature"] != signature:
        store.close()
        return None
    files = store.files()
    for path, rows in deleted_by(table.io, files.deletes.keys() & listing.deletes).items():
        files.delete(path, rows)
    return IndexedFiles(store, files, state["snapshot"], signature)


def built(
    folder: Path, columns: KeyColumns, signature: str, table: Table, listing: Listing, tell: Tell
) -> IndexedFiles:
    """Return an index made from nothing; raises NotIndexed, and leaves an unfinished one then."""
    shutil.rmtree(folder, ignore_errors=True)
    index = IndexedFiles(IndexStore(folder, columns.width), LiveFiles(), listing.snapshot_id, signature)
    try:
        _fill(index, columns, table, listing, tell)
    except BaseException:
        index.store.close()
        raise
    return index


def _fill(index: IndexedFiles, columns: KeyColumns, table: Table, listing: Listing, tell: Tell) -> None:
    records, taken = _taken_up(index.files, table.io, listing), 0
    for piece in _pieces(index.files, columns, table, list(listing.data), tell):
        ordered = piece.ordered()
        index.store.ingest(pairs(ordered.bytes(), ordered.values))
        taken += len(ordered.values)
    if taken and index.store.settled() != taken:
        raise NotIndexed("a key is there more than once")
    index.store.write((), files=records, state=index.state)


def follows(index: IndexedFiles, table: Table, listing: Listing) -> bool:
    """Return whether the snapshot came from the index's own, by files that it tells of.

    A delete file that goes while a data file stays that it names may be gone with its rows, or in another one.
    """
    files = index.files
    staying = {file.number for path, file in files.data.items() if path in listing.data}
    lost = (files.deletes[path] for path in files.deletes.keys() - listing.deletes)
    return not any(named & staying for named in lost) and descends(table, listing.snapshot_id, index.snapshot_id)


def to_read(index: IndexedFiles, listing: Listing) -> int:
    """Return how many rows are read to follow."""
    return sum(rows for path, rows in listing.data.items() if path not in index.files.data)


def follow(index: IndexedFiles, columns: KeyColumns, table: Table, listing: Listing, tell: Tell) -> None:
    """Bring an index to the snapshot of the listing; raises NotIndexed, and leaves an unfinished one then."""
    store, files = index.store, index.files
    added = [path for path in listing.data if path not in files.data]
    store.begin()
    records: dict[bytes, bytes | None] = dict(_left_out(files, listing))
    records |= _taken_up(files, table.io, listing)
    for piece in _pieces(files, columns, table, added, tell):
        keys = piece.bytes()
        if index.find(piece.keys)[0].any():
            raise NotIndexed("a key is there more than once")
        store.write(pairs(keys, piece.values))
    index.snapshot_id = listing.snapshot_id
    store.write((), files=records, state=index.state)


@dataclass(frozen=True)
class Handover:
    """What a commit of our own has changed, so that nothing of it is read again.

    ``entries`` are of the data file at ``path``, if it has written one; ``taken`` are the rows that its delete file has
    taken, ``without`` the keys of those that no row has followed.
    """

    base: int
    snapshot_id: int
    path: str | None
    entries: Entries | None
    delete_file: str | None
    taken: dict[str, np.ndarray[Any, Any]]
    without: list[bytes]


def advance(index: IndexedFiles, done: Handover) -> None:
    """Bring an index from before a commit of our own to behind it, in one step."""
    records: dict[bytes, bytes | None] = {}
    entries: Iterable[tuple[bytes, bytes]] = ()
    if done.path is not None and done.entries is not None:
        file = index.files.add(done.path, len(done.entries.values))
        done.entries.values["file"] = file.number
        entries = pairs(as_bytes(done.entries.keys), done.entries.values)
        records |= dict([data_record(done.path, file.rows, file.number)])
    if done.delete_file is not None:
        index.files.delete(done.delete_file, done.taken)
        records |= dict([delete_record(done.delete_file, index.files.deletes[done.delete_file])])
    index.snapshot_id = done.snapshot_id
    index.store.write(entries, without=done.without, files=records, state=index.state)


def _left_out(files: LiveFiles, listing: Listing) -> Iterator[tuple[bytes, None]]:
    """Take out files that are not listed; returns their records' ends."""
    for path in [path for path in files.data if path not in listing.data]:
        files.remove(path)
        yield data_name(path), None
    for path in files.deletes.keys() - listing.deletes:
        del files.deletes[path]
        yield delete_name(path), None


def _taken_up(files: LiveFiles, io: FileIO, listing: Listing) -> dict[bytes, bytes]:
    """Take up listed files that are new; returns their records."""
    new = {path: files.add(path, rows) for path, rows in listing.data.items() if path not in files.data}
    records = dict(data_record(path, file.rows, file.number) for path, file in new.items())
    for path, rows in deleted_by(io, listing.deletes - files.deletes.keys()).items():
        files.delete(path, rows)
        records |= dict([delete_record(path, files.deletes[path])])
    return records


def _pieces(files: LiveFiles, columns: KeyColumns, table: Table, paths: list[str], tell: Tell) -> Iterator[Entries]:
    """Return the entries of these files' living rows, those of small files together."""
    waiting: list[Entries] = []
    for path in paths:
        for entries in columns.of_file(table, path, files.data[path]):
            waiting.append(entries)
            tell(len(entries.values))
            if sum(len(one.values) for one in waiting) >= PIECE_ROWS:
                yield together(waiting)
                waiting = []
    if waiting:
        yield together(waiting)
