"""A backlog is cut into pieces that lose no message and keep the order of each partition."""

import random

import pyarrow as pa
import pytest

from cdc.core.progress import Ranges, messages_in
from cdc.spark.pieces import PIECES, READ_BYTES, Read, cut, in_pieces, of_size

MESSAGES = pa.table({"offset": [1]})


class Reader:
    """Reads everything that it is asked for, until it fails."""

    def __init__(self, reads: int = 99) -> None:
        self.asked: list[Ranges] = []
        self._reads = reads

    def read(self, ranges: Ranges, limit: int) -> pa.Table | str:
        assert limit == READ_BYTES
        self.asked.append(ranges)
        return MESSAGES if len(self.asked) <= self._reads else "it is away"


def backlog(*messages: int) -> Ranges:
    return {"t": {p: (100 * p, 100 * p + n) for p, n in enumerate(messages)}}


def test_pieces_put_together_are_the_whole() -> None:
    """S40."""
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


def test_a_piece_of_many_bytes_is_cut_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is in the piece of its offset, and none is in two; where some offsets are of no message, too."""
    rng = random.Random(6)
    ranges = {f"t{n}": {p: (1000 * p, 1000 * p + rng.randrange(300)) for p in range(3)} for n in range(3)}
    rows = [
        {"topic": topic, "partition": p, "offset": offset, "value": rng.randbytes(50)}
        for topic, of in ranges.items()
        for p, (start, end) in of.items()
        for offset in range(start, end)
        if rng.random() < 0.9
    ]
    schema = pa.schema(
        [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("value", pa.binary())]
    )
    messages = pa.Table.from_pylist(rows, schema)
    monkeypatch.setattr("cdc.spark.pieces.PIECE_BYTES", messages.nbytes // 5 + 100)
    monkeypatch.setattr("cdc.spark.pieces.FEW", 100)
    found = list(of_size(ranges, Read(messages)))
    assert len(found) == 5
    for piece, read in found:
        part = read.read({}, 0)
        assert isinstance(part, pa.Table)
        for row in part.to_pylist():
            start, end = piece[row["topic"]][row["partition"]]
            assert start <= row["offset"] < end
    assert sum(read.read({}, 0).num_rows for _, read in found) == len(rows)  # type: ignore[union-attr]


def test_a_piece_that_is_small_or_was_not_read_is_one() -> None:
    assert list(of_size(backlog(9000), Read(MESSAGES))) == [(backlog(9000), Read(MESSAGES))]
    assert list(of_size(backlog(9000), Read("it is away"))) == [(backlog(9000), Read("it is away"))]


def test_few_messages_are_not_read_before_somebody_wants_them() -> None:
    reader = Reader()
    assert list(of_size(backlog(100), reader)) == [(backlog(100), reader)]
    assert reader.asked == []
