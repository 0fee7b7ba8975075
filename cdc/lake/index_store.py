"""What an index holds on disk: a place for each key, and the snapshot and files that the places belong to.

A store that has no snapshot is unfinished: whoever changes it in several steps takes the snapshot out first and writes
it with the last step. Steps are atomic; nothing is forced to the disk, for a lost index is made again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rocksdict import (
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    Options,
    Rdict,
    SstFileWriter,
    WriteBatch,
    WriteOptions,
)

from cdc.cores import cut, on_cores
from cdc.lake.folders import make_private
from cdc.lake.live_files import LiveFiles

Values = np.ndarray[Any, Any]

CACHE_BYTES = 256 << 20
"""Blocks in memory, of all indexes of the process together."""

BUFFER_BYTES = 4 << 20
"""What is written and not sorted into files yet, of each index."""

AT_ONCE, READERS = 1_200, 16
"""Keys that are looked up in one go, and how many at the same time: of a large index each key is a read from a disk."""

_YES = True
"""RocksDB's switches have no names for their values."""

_cache = Cache(CACHE_BYTES)
_STATE = b"state"
_DATA, _DELETES = b"data:", b"deletes:"


def value_type(width: int) -> np.dtype[Any]:
    """Return the type of a place: data file, row, whether the row is marked, ``width`` characters of its position.

    Positions are padded with zeros, so that they compare as texts do.
    """
    return np.dtype([("file", "<u4"), ("row", "<u4"), ("marked", "u1"), ("position", f"S{width}")])


class IndexInUse(Exception):
    """Another process has the folder."""


class IndexBroken(Exception):
    """The folder holds something that cannot be read."""


@contextmanager
def _errors() -> Iterator[None]:
    """Raise what RocksDB does, which has no class of its own, as errors that do; what it says may name values."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise (IndexInUse() if "/LOCK" in str(error) else IndexBroken()) from error


class _Open(NamedTuple):
    """A folder in use: the keys' places, and beside them records of files."""

    entries: Rdict
    files: Rdict
    handle: ColumnFamily


class IndexStore:
    """The store in a folder, made if it is not there; of one process at a time, which may close it when it is idle.

    Whatever is asked of it raises IndexInUse and IndexBroken.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self._folder = folder
        self._type = value_type(width)
        self._opened: _Open | None = None

    @property
    def _open(self) -> _Open:
        if self._opened is None:
            make_private(self._folder)
            entries = Rdict(str(self._folder), _options(), {"files": _options()})
            files, handle = entries.get_column_family("files"), entries.get_column_family_handle("files")
            self._opened = _Open(entries, files, handle)
        return self._opened

    @_errors()
    def find(self, keys: Sequence[bytes]) -> tuple[Values, Values]:
        """Return which of the keys have a place, and the places, undefined where there is none."""
        blank = bytes(self._type.itemsize)
        parts = on_cores(self._look_up, [keys[part] for part in cut(len(keys), AT_ONCE)], READERS)
        found = [place for part in parts for place in part]
        there = np.array([one is not None for one in found], bool)
        return there, np.frombuffer(b"".join([one or blank for one in found]), self._type)

    def _look_up(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(self._open.entries.get(list(keys)) or ())

    @_errors()
    def state(self) -> dict[str, Any] | None:
        """Return what was written with the last step, None for an unfinished store."""
        found = self._open.files.get(_STATE)
        return None if found is None else dict(json.loads(found))

    @_errors()
    def begin(self) -> None:
        """Begin a change of several steps: unfinished until a step writes the state."""
        self._open.files.delete(_STATE)

    def write(
        self,
        entries: Iterable[tuple[bytes, bytes]],
        *,
        without: Iterable[bytes] = (),
        files: Mapping[bytes, bytes | None] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Write places, take keys out, write records of files (None takes one out) and the state, in one step."""
        batch = WriteBatch(raw_mode=True)
        for key in without:
            batch.delete(key)
        for key, value in entries:
            batch.put(key, value)
        for name, content in (files or {}).items():
            if content is None:
                batch.delete(name, self._open.handle)
            else:
                batch.put(name, content, self._open.handle)
        if state is not None:
            batch.put(_STATE, json.dumps(state).encode(), self._open.handle)
        self._open.entries.write(batch, WriteOptions())

    @_errors()
    def ingest(self, ordered: Iterable[tuple[bytes, bytes]]) -> None:
        """Take in many places at once, in the order of their keys, none twice."""
        entries, path = self._open.entries, self._folder.with_name(f"{self._folder.name}.part")
        writer = SstFileWriter(_options())
        writer.open(str(path))
        for key, value in ordered:
            writer[key] = value
        writer.finish()
        entries.ingest_external_file([str(path)])
        path.unlink(missing_ok=True)

    @_errors()
    def settled(self) -> int:
        """Bring everything that was taken in into one order; returns how many keys there are."""
        self._open.entries.compact_range(None, None)
        return int(self._open.entries.property_int_value("rocksdb.estimate-num-keys") or 0)

    @_errors()
    def files(self) -> LiveFiles:
        """Return the files that were recorded, without the rows that deletes have taken."""
        found = LiveFiles()
        records = [(name, json.loads(content)) for name, content in _all(self._open.files) if name != _STATE]
        for name, content in records:
            if name.startswith(_DATA):
                found.add(name.removeprefix(_DATA).decode(), content["rows"], content["number"])
            else:
                found.deletes[name.removeprefix(_DELETES).decode()] = frozenset(content)
        return found

    def close(self) -> None:
        """Let go of the folder."""
        if self._opened is not None:
            self._opened.entries.close()
        self._opened = None


def _all(files: Rdict) -> Iterator[tuple[bytes, bytes]]:
    for name, content in files.items():
        assert isinstance(name, bytes)  # noqa: S101 - raw mode has no other names
        yield name, content


def pairs(keys: Sequence[bytes], values: Values) -> Iterator[tuple[bytes, bytes]]:
    """Return keys with their places as bytes."""
    return zip(keys, np.ascontiguousarray(values).view(f"V{values.itemsize}").tolist(), strict=True)


def data_record(path: str, rows: int, number: int) -> tuple[bytes, bytes]:
    """Return the record of a data file."""
    return data_name(path), json.dumps({"rows": rows, "number": number}).encode()


def data_name(path: str) -> bytes:
    """Return the name of a data file's record."""
    return _DATA + path.encode()


def delete_record(path: str, numbers: Iterable[int]) -> tuple[bytes, bytes]:
    """Return the record of a delete file, with the numbers of the data files that it names."""
    return delete_name(path), json.dumps(sorted(numbers)).encode()


def delete_name(path: str) -> bytes:
    """Return the name of a delete file's record."""
    return _DELETES + path.encode()


def _options() -> Options:
    """Return settings for places: few look-ups miss, memory is bounded, deep levels have no filters."""
    blocks = BlockBasedOptions()
    blocks.set_block_cache(_cache)
    blocks.set_cache_index_and_filter_blocks(_YES)
    blocks.set_bloom_filter(10, not _YES)
    blocks.set_format_version(5)
    options = Options(raw_mode=True)
    options.create_if_missing(_YES)
    options.create_missing_column_families(_YES)
    options.set_block_based_table_factory(blocks)
    options.set_optimize_filters_for_hits(_YES)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_total_wal_size(4 * BUFFER_BYTES)
    options.set_max_background_jobs(2)
    options.set_max_open_files(64)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    return options
