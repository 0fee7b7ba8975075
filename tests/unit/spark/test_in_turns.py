"""Tables of a micro-batch that come some after others, each with what has come since."""

import random
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.progress import Ranges
from cdc.spark.in_turns import SECONDS, InTurns, in_order
from cdc.spark.microbatch import GATHERED_OF_A_TOPIC
from cdc.spark.pieces import Read

NOTHING = pa.table({})
MOST = 500_000


class Log:
    """Topics of one partition that grow; reads of them, and the time that it is."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.now = 0.0
        self.asked: list[list[str]] = []
        self.broken = False

    def read(self, _ranges: Ranges, _limit: int) -> pa.Table | str:
        raise AssertionError("whoever has the ranges reads them")

    def read_on(self, ranges: Ranges, beyond: Mapping[str, int], _limit: int) -> tuple[pa.Table, Ranges] | str:
        assert beyond.keys() <= ranges.keys()
        self.asked.append(list(beyond))
        if self.broken:
            return "it is away"
        found = {}
        for topic in beyond:
            start, end = ranges[topic][0]
            found[topic] = {0: (start, max(end, min(self.ends[topic], end + beyond[topic])))}
        return NOTHING, found


def planned(log: Log, before: Ranges | None = None) -> Ranges:
    """Return what a trigger plans: from the last one's ends to those of now."""
    return {topic: {0: (before[topic][0][1] if before else 0, end)} for topic, end in log.ends.items()}


def work(log: Log, turns: InTurns, ranges: Ranges, seconds: float = 0.1, grow: int = 0) -> list[dict[str, Any]]:
    """Work on a micro-batch, so long for each table; the log grows meanwhile. Return the ranges of each turn."""
    found = []
    for part in turns.of(turns.left(ranges)):
        assert not isinstance(part, str), part
        read, reader = part
        tables = sum(end > start for of in read.values() for start, end in of.values())
        assert reader is log or isinstance(reader, Read)
        found.append({topic: of[0] for topic, of in read.items() if of[0][1] > of[0][0]})
        log.now += seconds * tables
        log.ends = {topic: end + grow for topic, end in log.ends.items()}
    return found


def rig(tables: int, messages: int = 5) -> tuple[Log, InTurns]:
    log = Log()
    log.ends = {f"t{n:02}": messages for n in range(tables)}
    return log, InTurns(log, 4, MOST, lambda: log.now)


def test_tables_that_a_second_does_for_come_at_once_and_are_read_as_planned() -> None:
    log, turns = rig(4)
    first = planned(log)
    assert work(log, turns, first, seconds=0.01, grow=3) == [{f"t{n:02}": (0, 5) for n in range(4)}]
    log.ends |= {f"t{n:02}": 9 for n in range(4, 50)}
    second = planned(log, {**planned(log), **first})
    assert len(work(log, turns, second, seconds=0.01)) == 1, "a hundred a second"
    assert log.asked == []


def test_many_tables_come_in_turns_of_about_a_second() -> None:
    log, turns = rig(40)
    sizes = [len(turn) for turn in work(log, turns, planned(log), seconds=0.1)]
    assert sizes == [4, 10, 10, 10, 6], "four at first, then as many as a second does for"
    assert SECONDS == 10 * 0.1


def test_tables_that_may_be_less_late_come_first() -> None:
    log, turns = rig(12)
    turns.freshness = dict.fromkeys(log.ends, 300.0) | {"t11": 5.0, "t10": 60.0}
    log.ends["t11"] = 2 * GATHERED_OF_A_TOPIC
    assert list(work(log, turns, planned(log), seconds=0.25)[0]) == ["t11", "t10", "t00", "t01"]


def test_what_has_come_since_is_read_with_a_table_and_not_again() -> None:
    log, turns = rig(12)
    first = planned(log)
    taken = work(log, turns, first, seconds=0.25, grow=2)
    assert taken[0] == {f"t{n:02}": (0, 5) for n in range(4)}
    assert taken[1] == {f"t{n:02}": (0, 7) for n in range(4, 8)}
    assert taken[2] == {f"t{n:02}": (0, 9) for n in range(8, 12)}
    second = planned(log, first)
    assert second["t11"] == {0: (5, 11)}
    taken = work(log, turns, second, seconds=0.25, grow=2)
    assert (taken[0]["t00"], taken[1]["t04"], taken[2]["t08"]) == ((5, 11), (7, 13), (9, 15))


def test_a_table_that_was_read_beyond_the_next_micro_batch_has_none_of_it() -> None:
    log, turns = rig(8)
    first = planned(log)
    work(log, turns, first, seconds=0.25, grow=10)
    log.ends["t00"] += 1
    second = {topic: {0: (of[0][1], 11)} for topic, of in first.items()}
    assert turns.left(second)["t04"] == {0: (15, 15)}
    assert turns.left(second)["t00"] == {0: (5, 11)}
    assert [set(turn) for turn in work(log, turns, second, seconds=0.25)] == [{"t00", "t01", "t02", "t03"}]


def test_a_table_whose_changes_never_end_is_not_read_for_ever() -> None:
    log, turns = rig(8)
    first = planned(log)
    log.ends = dict.fromkeys(log.ends, 10**9)
    assert work(log, turns, first)[0]["t00"] == (0, 5 + GATHERED_OF_A_TOPIC)
    large = {"a": {0: (0, 10_000)}, "b": {0: (0, 1)}, **{f"c{n}": {0: (0, 1)} for n in range(4)}}
    log.ends = dict.fromkeys(large, 10**9)
    turns = InTurns(log, 4, MOST, lambda: log.now)
    assert in_order(large, {})[-1] == "a", "large ones last"
    assert work(log, turns, large)[-1]["a"] == (0, 20_000)


def test_a_micro_batch_does_not_become_larger_than_one_may_be() -> None:
    """S40: whoever wants batches of 300 messages got 500 of each table."""
    log, turns = rig(12)
    turns.most = 12 * 5 + 30
    taken = work(log, turns, planned(log), seconds=0.25, grow=100)
    assert [sum(end - start for start, end in turn.values()) for turn in taken] == [20, 20 + 28, 20]


def test_one_that_cannot_be_read_ends_them_and_says_why() -> None:
    log, turns = rig(8)
    parts = iter(turns.of(planned(log)))
    assert not isinstance(next(parts), str)
    log.broken = True
    assert list(parts) == ["it is away"]


def test_nothing_new_is_nothing_to_do() -> None:
    log, turns = rig(8)
    first = planned(log)
    work(log, turns, first)
    [(ranges, reader)] = list(turns.of(turns.left(planned(log, first))))  # type: ignore[misc]
    assert reader is log
    assert all(start == end for of in ranges.values() for start, end in of.values())


@pytest.mark.parametrize("seed", range(10))
def test_every_message_comes_once_and_in_order(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    log, turns = rig(rng.randrange(1, 40))
    reached, before = dict.fromkeys(log.ends, 0), None
    for _ in range(8):
        ranges = planned(log, before)
        for part in turns.of(turns.left(ranges)):
            assert not isinstance(part, str)
            for topic, of in part[0].items():
                assert of[0][0] == reached[topic]
                reached[topic] = of[0][1]
            log.now += rng.random() / 2
            log.ends = {topic: end + rng.choice([0, 0, 1, 30, 700]) for topic, end in log.ends.items()}
        before = ranges
        assert all(reached[topic] >= of[0][1] for topic, of in ranges.items())
