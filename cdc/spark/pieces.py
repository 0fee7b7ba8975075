"""A backlog in pieces that the driver takes at once, each of them committed by itself (docs/decisions/0029).

Without them a service that has just been started worked for a minute on its first batch, and one that was killed before
that had done nothing.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.progress import Ranges, messages_in
from cdc.spark.microbatch import RangeReader

PIECES = 10
"""A micro-batch of more pieces is Spark's: so large a one was asked for, and it has more than one machine perhaps."""

READ_BYTES = 320 << 20
"""What may be held of a piece while it is read, and of what comes behind it in each partition."""

FEW = 5_000
"""Messages that are not cut, whatever their bytes."""

PIECE_BYTES = 64 << 20
"""A piece of more bytes is cut once more: rows may be wide."""


@dataclass(frozen=True)
class Read:
    """Messages that were read already, or why not, for whoever wants to read them; implements ``RangeReader``."""

    messages: pa.Table | str

    def read(self, _ranges: Ranges, _limit: int) -> pa.Table | str:
        """Return them."""
        return self.messages


def in_pieces(ranges: Ranges, most: int, reader: RangeReader) -> Iterator[tuple[Ranges, Read] | str]:
    """Read ranges in pieces of at most so many messages; the last is why one could not be read, if that is so.

    Nothing comes where one piece would do, or more than ``PIECES`` would be needed. While one is worked on the next is
    read.
    """
    pieces = pieces_of(ranges, most)
    if pieces < 2:
        return
    parts = cut(ranges, pieces)
    with ThreadPoolExecutor(1, "read-ahead") as ahead:
        coming = ahead.submit(reader.read, parts[0], READ_BYTES)
        for piece, following in zip_longest(parts, parts[1:]):
            found = coming.result()
            if isinstance(found, str):
                yield found
                return
            if following is not None:
                coming = ahead.submit(reader.read, following, READ_BYTES)
            yield piece, Read(found)


def of_size(ranges: Ranges, reader: RangeReader) -> Iterator[tuple[Ranges, RangeReader]]:
    """Read ranges, and yield them in as many pieces as their bytes ask for; of a few messages that is not asked."""
    if messages_in(ranges) <= FEW:
        yield ranges, reader
        return
    found = reader.read(ranges, READ_BYTES)
    pieces = 1 if isinstance(found, str) else -(-found.nbytes // PIECE_BYTES)
    if isinstance(found, str) or pieces < 2:
        yield ranges, Read(found)
        return
    parts = cut(ranges, pieces)
    numbers = _numbers(found, parts)
    for number, piece in enumerate(parts):
        yield piece, Read(found.filter(pa.array(numbers == number)))


def _numbers(messages: pa.Table, parts: list[Ranges]) -> np.ndarray[Any, Any]:
    """Return in which of the parts, as ``cut`` makes them, each message is."""
    topics = pc.dictionary_encode(messages["topic"].combine_chunks())
    codes, names = topics.indices.to_numpy(zero_copy_only=False), topics.dictionary.to_pylist()
    partitions, offsets = (messages[name].to_numpy() for name in ("partition", "offset"))
    found = np.zeros(len(offsets), np.int64)
    for code, topic in enumerate(names):
        for p in parts[0][topic]:
            here = (codes == code) & (partitions == p)
            found[here] = np.searchsorted([part[topic][p][1] for part in parts], offsets[here], side="right")
    return found


def pieces_of(ranges: Ranges, most: int) -> int:
    """Return in how many pieces of so many messages the driver takes ranges; none where they are Spark's."""
    pieces = max(1, -(-messages_in(ranges) // most)) if most else 0
    return pieces if pieces <= PIECES else 0


def cut(ranges: Ranges, pieces: int) -> list[Ranges]:
    """Return the ranges cut into as many parts of each partition, in their order."""

    def part(start: int, end: int, n: int) -> tuple[int, int]:
        return start + (end - start) * n // pieces, start + (end - start) * (n + 1) // pieces

    return [
        {topic: {p: part(*bounds, n) for p, bounds in of_topic.items()} for topic, of_topic in ranges.items()}
        for n in range(pieces)
    ]
