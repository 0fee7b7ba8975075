"""The topics of a micro-batch, some after others, each read when its turn comes (docs/decisions/0032)."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.core.progress import Ranges, messages_in, offsets_in
from cdc.spark.microbatch import GATHERED_BYTES, GATHERED_OF_A_TOPIC, RangeReader
from cdc.spark.pieces import Read

SECONDS = 1.0
"""About so long some tables are worked on before the next ones are read."""


class ReadsOn(RangeReader, Protocol):
    """Reads ranges, and what has come behind them."""

    def read_on(self, ranges: Ranges, beyond: Mapping[str, int], limit: int) -> tuple[pa.Table, Ranges] | str:
        """Return the messages of the topics in ``beyond`` and how far they go, or why they could not be read.

        So many offsets more than its range has are taken of each partition, at most. The other topics' ranges are
        named to be fetched.
        """
        ...


@dataclass
class InTurns:
    """Hands out the topics of the micro-batches of one query; at least ``fewest`` at a time.

    ``freshness`` are the seconds that topics may be late: those with the fewest come first. A micro-batch does not come
    to be of more than ``most`` messages by what has come since it began.
    """

    reader: ReadsOn
    fewest: int
    most: int
    clock: Callable[[], float] = time.monotonic
    freshness: Mapping[str, float] = field(default_factory=dict)
    _begins: dict[tuple[str, int], int] = field(default_factory=dict)
    _rate: float = 0.0

    def left(self, ranges: Ranges) -> Ranges:
        """Return what of the next micro-batch was not read already."""
        return {topic: {p: self._cut(topic, p, *of[p]) for p in of} for topic, of in ranges.items()}

    def _cut(self, topic: str, partition: int, start: int, end: int) -> tuple[int, int]:
        begins = max(start, self._begins.get((topic, partition), start))
        return begins, max(begins, end)

    def of(self, ranges: Ranges) -> Iterator[tuple[Ranges, RangeReader] | str]:
        """Yield some topics after others, with what reads them; the last is why one could not be read, if that is so.

        All of them come at once where a second is likely to do for them.
        """
        waiting = in_order(ranges, self.freshness)
        if len(waiting) <= self._some():
            yield from self._timed(len(waiting), ranges, self.reader)
            return
        room = self.most - messages_in(ranges)
        while waiting:
            some, waiting = waiting[: self._some()], waiting[self._some() :]
            found = self.reader.read_on(self.left(ranges), _beyond(ranges, some, room), GATHERED_BYTES)
            if isinstance(found, str):
                yield found
                return
            messages, read = found
            room -= messages_in(read) - messages_in({topic: ranges[topic] for topic in some})
            self._begins |= {(topic, p): end for topic, of in read.items() for p, (_, end) in of.items()}
            yield from self._timed(len(some), read, Read(messages))

    def _some(self) -> int:
        return max(self.fewest, int(self._rate * SECONDS))

    def _timed(self, tables: int, ranges: Ranges, reader: RangeReader) -> Iterator[tuple[Ranges, RangeReader]]:
        began = self.clock()
        yield ranges, reader
        if tables >= self.fewest:
            self._rate = tables / max(self.clock() - began, 1e-3)


def in_order(ranges: Ranges, freshness: Mapping[str, float]) -> list[str]:
    """Return the topics that have messages: in the same order each time, large ones of the same freshness last."""
    sizes = {topic: offsets_in(of) for topic, of in ranges.items()}

    def turn(topic: str) -> tuple[float, bool, str]:
        return freshness.get(topic, 0.0), sizes[topic] > GATHERED_OF_A_TOPIC, topic

    return sorted((topic for topic in ranges if sizes[topic]), key=turn)


def _beyond(ranges: Ranges, topics: list[str], room: int) -> dict[str, int]:
    """Return how far each partition may be read beyond its end: as much again, or a few, if there is room for it."""
    each = max(0, room) // sum(len(ranges[topic]) for topic in topics)
    return {topic: min(max(offsets_in(ranges[topic]), GATHERED_OF_A_TOPIC), each) for topic in topics}
