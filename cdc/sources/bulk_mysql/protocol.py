"""Rows of MySQL's text protocol as Arrow columns of bytes, found by whole columns instead of cell by cell.

A row is a packet: four bytes of header, then for each column its length and its bytes. Python only steps from packet
to packet; where the cells of a column begin and end is computed for all rows of a block at once. Against a cursor that
makes Python objects this takes a seventh of the time.
"""

import struct
from collections.abc import Iterator
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import COMMAND, CR
from pymysql.cursors import DictCursor
from pymysql.err import OperationalError, raise_mysql_exception

BLOCK = 4 * 2**20
"""Bytes that a block of rows has at least, unless it is the last one; one row more than that at most."""
_PIECE = 2**18
_FULL = 2**24 - 1
"""The length of a packet that the next one continues."""
_END, _ERROR, _NULL = 0xFE, 0xFF, 0xFB
_WIDTHS = ((0xFC, 2), (0xFD, 3), (0xFE, 8))
"""First bytes that announce a length of so many bytes; below them the first byte is the length."""
_PADDING = bytes(16)
_header = struct.Struct("<I").unpack_from

Integers = npt.NDArray[np.int64]


class Block(NamedTuple):
    """Whole rows as they came: ``starts`` are the places where the first cell of each begins."""

    data: bytearray
    starts: list[int]


if TYPE_CHECKING:
    _Connection = Connection[DictCursor]
else:
    _Connection = Connection  # generic in its types only


class PacketConnection(_Connection):
    """A connection of pymysql that can also give the rows of a statement undecoded."""

    def blocks(self, statement: str) -> Iterator[Block]:
        """Yield the rows of a statement; the connection can be used again when they are exhausted."""
        driver: Any = self  # the parts of pymysql below it that it has no types for
        driver._execute_command(COMMAND.COM_QUERY, statement)  # noqa: SLF001
        result: Any = MySQLResult(driver)
        result.init_unbuffered_query()
        # We read to the end ourselves: a result that thinks it is active would read on when it is collected.
        result.unbuffered_active = False
        return blocks_of(driver._rfile)  # noqa: SLF001


def blocks_of(file: BufferedReader) -> Iterator[Block]:
    """Yield the rows of an answer whose columns have been read, up to its end."""
    data, starts, at, more = bytearray(), list[int](), 0, True
    while more:
        if not (piece := file.read1(_PIECE)):
            raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
        data += piece
        at, more = _walk(data, at, starts)
        if starts and (at >= BLOCK or not more):
            rest = data[at:]
            data += _PADDING
            yield Block(data, starts)
            data, starts, at = rest, [], 0


def _walk(data: bytearray, at: int, starts: list[int]) -> tuple[int, bool]:
    """Step over the rows that are there as a whole; return where the next begins, and whether more are to come."""
    available = len(data) - 4
    while at <= available:
        length = _header(data, at)[0] & _FULL
        if length == _FULL:
            length, available = _join(data, at)
        if at + length > available:
            break
        first = data[at + 4]
        if first == _END and length < 9:
            return at, False
        if first == _ERROR:
            raise_mysql_exception(bytes(data[at + 4 : at + 4 + length]))
        starts.append(at + 4)
        at += 4 + length
    return at, True


def _join(data: bytearray, at: int) -> tuple[int, int]:
    """Take out the headers inside a row of several packets, once all of them are there.

    Returns the row's length (beyond the data if it is not complete) and the length of the data without a header.
    """
    ends, end, length = [], at + 4, _FULL
    while length == _FULL:
        end += length
        if end + 4 > len(data):
            return len(data), len(data) - 4
        length = _header(data, end)[0] & _FULL
        ends.append(end)
        end += 4
    if end + length > len(data):
        return len(data), len(data) - 4
    for header in reversed(ends):
        del data[header : header + 4]
    return end + length - 4 * len(ends) - at - 4, len(data) - 4


def cells(block: Block, columns: int) -> list[pa.Array]:
    """Return the columns of a block as Arrow binary arrays."""
    raw = np.frombuffer(block.data, np.uint8)
    at = np.array(block.starts, np.int64)
    found = []
    for _ in range(columns):
        start, end, missing = _extent(raw, at)
        found.append(_column(block.data, start, end, missing))
        at = end
    return found


def _extent(raw: npt.NDArray[np.uint8], at: Integers) -> tuple[Integers, Integers, npt.NDArray[np.bool_] | None]:
    first = raw[at]
    start, length, missing = at + 1, first.astype(np.int64), None
    if first.max(initial=0) >= _NULL:
        for mark, width in _WIDTHS:
            where = np.flatnonzero(first == mark)
            octets = [raw[at[where] + 1 + i].astype(np.int64) << 8 * i for i in range(width)]
            length[where] = sum(octets)
            start[where] += width
        missing = first == _NULL
        length[missing] = 0
    return start, start + length, missing


def _column(data: bytearray, start: Integers, end: Integers, missing: npt.NDArray[np.bool_] | None) -> pa.Array:
    # All of the data as one array whose elements are, in turn, a cell and what lies between it and the next row's.
    offsets = np.empty(2 * len(start), np.int32)
    offsets[0::2], offsets[1::2] = start, end
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    everything = pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)
    return everything.take(pa.array(np.arange(0, len(offsets), 2, dtype=np.int32), mask=missing))
