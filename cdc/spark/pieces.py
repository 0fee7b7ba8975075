"""A backlog in pieces that the driver takes at once, each of them committed by itself (docs/decisions/0029).

Without them a service that has just been started worked for a minute on its first batch, and one that was killed before
that had done nothing.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.core.progress import Ranges, messages_in
from cdc.spark.microbatch import GATHERED_BYTES, RangeReader

PIECES = 10
"""A micro-batch of more pieces is Spark's: so large a one was asked for, and it has more than one machine perhaps."""


@dataclass(frozen=True)
class Read:
    """Messages that were read already, for whoever wants to read them; implements ``RangeReader``."""

    messages: pa.Table

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
        coming = ahead.submit(reader.read, parts[0], GATHERED_BYTES)
        for piece, following in zip_longest(parts, parts[1:]):
            found = coming.result()
            if isinstance(found, str):
                yield found
                return
            if following is not None:
                coming = ahead.submit(reader.read, following, GATHERED_BYTES)
            yield piece, Read(found)


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
