"""A backlog is cut into pieces that lose no message and keep the order of each partition."""

import random

import pyarrow as pa
import pytest

from cdc.core.progress import Ranges, messages_in
from cdc.spark.microbatch import GATHERED_BYTES
from cdc.spark.pieces import PIECES, Read, cut, in_pieces

MESSAGES = pa.table({"offset": [1]})


class Reader:
    """Reads everything that it is asked for, until it fails."""

    def __init__(self, reads: int = 99) -> None:
        self.asked: list[Ranges] = []
        self._reads = reads

    def read(self, ranges: Ranges, limit: int) -> pa.Table | str:
        assert limit == GATHERED_BYTES
        self.asked.append(ranges)
        return MESSAGES if len(self.asked) <= self._reads else "it is away"


def backlog(*messages: int) -> Ranges:
    return {"t": {p: (100 * p, 100 * p + n) for p, n in enumerate(messages)}}


def test_pieces_put_together_are_the_whole() -> None:
    rng = random.Random(5)
    for _ in range(300):
        ranges = {
            f"t{n}": {p: (start := rng.randrange(1000), start + rng.randrange(50)) for p in range(rng.randrange(1, 5))}
            for n in range(rng.randrange(1, 4))
        }
        parts = cut(ranges, pieces := rng.randrange(1, 6))
        assert len(parts) == pieces
        for topic, of_topic in ranges.items():
            for p, (start, end) in of_topic.items():
                bounds = [part[topic][p] for part in parts]
                assert [start, *(stop for _, stop in bounds)] == [*(begin for begin, _ in bounds), end]
        sizes = [messages_in(part) for part in parts]
        assert sum(sizes) == messages_in(ranges)
        assert max(sizes) - min(sizes) <= sum(len(of_topic) for of_topic in ranges.values())


@pytest.mark.parametrize(("messages", "pieces"), [(0, 0), (10, 0), (11, 2), (100, 10), (101, 0)])
def test_a_backlog_of_a_few_pieces_is_read_in_pieces(messages: int, pieces: int) -> None:
    assert PIECES == 10
    reader = Reader()
    found = list(in_pieces(backlog(messages), 10, reader))
    assert [piece for piece, _ in found] == reader.asked == (cut(backlog(messages), pieces) if pieces else [])
    assert all(isinstance(read, Read) and read.read({}, 0) is MESSAGES for _, read in found)


def test_nothing_is_read_at_the_driver_where_all_is_sparks() -> None:
    assert list(in_pieces(backlog(100), 0, Reader())) == []


def test_a_piece_that_cannot_be_read_ends_them_and_says_why() -> None:
    first, *rest = in_pieces(backlog(15, 15), 10, Reader(reads=1))
    assert first[0] == cut(backlog(15, 15), 3)[0]
    assert rest == ["it is away"]
