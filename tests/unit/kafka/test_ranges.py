"""Ranges of offsets, read one behind the other by a consumer that goes on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, Message

from cdc.config.services import KafkaConfig
from cdc.kafka.fetched import OBJECTS, Fetched
from cdc.kafka.ranges import RangeReader
from tests.fakes.consumer import MemoryConsumer, failure, message

ROOM = 1 << 20
KAFKA = KafkaConfig(bootstrap_servers="localhost:1")


class Rig:
    """A reader over messages in memory; ``made`` are the consumers that it made."""

    def __init__(
        self, log: Mapping[tuple[str, int], Sequence[Message]], ends: Mapping[tuple[str, int], int] | None = None
    ) -> None:
        self.log, self.made = log, list[MemoryConsumer]()
        self.ends = ends or {place: (messages[-1].offset() or 0) + 1 for place, messages in log.items() if messages}
        self.errors: list[Message] = []
        self.reader = RangeReader(KAFKA, seconds=0.2, make=self._make)  # type: ignore[arg-type]

    def _make(self, settings: dict[str, object]) -> MemoryConsumer:
        assert settings["isolation.level"] == "read_committed"
        assert settings["enable.auto.commit"] is False
        assert settings["auto.offset.reset"] == "error"
        self.made.append(MemoryConsumer(self.log, self.ends))
        self.made[-1].errors, self.errors = self.errors, []
        return self.made[-1]

    def read(self, ranges: Any, limit: int = ROOM) -> Any:
        found = self.reader.read(ranges, limit)
        if isinstance(found, str):
            return found
        return list(
            zip(found["topic"].to_pylist(), found["partition"].to_pylist(), found["offset"].to_pylist(), strict=True)
        )


def of(topic: str, partition: int, offsets: Sequence[int]) -> list[Message]:
    return [message(topic, partition, offset) for offset in offsets]


def places(topic: str, partition: int, offsets: Sequence[int]) -> list[tuple[str, int, int]]:
    return [(topic, partition, offset) for offset in offsets]


def test_ranges_that_follow_each_other_are_read_without_a_word_to_kafka() -> None:
    """What came behind the end of a range is the next one's."""
    rig = Rig({("a", 0): of("a", 0, range(10)), ("b", 0): of("b", 0, range(5))})
    assert rig.read({"a": {0: (0, 2)}, "b": {0: (0, 0)}}) == places("a", 0, range(2))
    assert rig.read({"a": {0: (2, 7)}, "b": {0: (0, 3)}}) == places("a", 0, range(2, 7)) + places("b", 0, range(3))
    assert rig.read({"a": {0: (7, 7)}, "b": {0: (3, 3)}}) == []
    assert rig.read({"a": {0: (7, 10)}, "b": {0: (3, 5)}}) == places("a", 0, range(7, 10)) + places("b", 0, [3, 4])
    assert [c.assigned for c in rig.made] == [[(("a", 0), 0), (("b", 0), 0)]]


def test_what_was_begun_is_not_asked_for_again() -> None:
    """The query is planned meanwhile; a partition that was not known then comes with its range."""
    rig = Rig({("a", 0): of("a", 0, range(10)), ("b", 0): of("b", 0, range(5))})
    rig.reader.begin({"a": {0: 3}})
    assert rig.read({"a": {0: (3, 7)}, "b": {0: (0, 0)}}) == places("a", 0, range(3, 7))
    assert [c.assigned for c in rig.made] == [[(("a", 0), 3), (("b", 0), 0)]]


def test_a_beginning_that_proves_wrong_is_forgotten() -> None:
    """The first range begins elsewhere, before it or behind it; and a closed reader begins nothing."""
    for start in (0, 5):
        rig = Rig({("a", 0): of("a", 0, range(10))})
        rig.reader.begin({"a": {0: 3}})
        assert rig.read({"a": {0: (start, 7)}}) == places("a", 0, range(start, 7))
    rig.reader.close()
    rig.reader.begin({"a": {0: 3}})
    assert len(rig.made) == 1


def test_a_range_may_end_in_offsets_of_no_message() -> None:
    """K8: markers of transactions, messages that were given up, what compaction removed."""
    rig = Rig({("a", 0): of("a", 0, [0, 3, 8])}, {("a", 0): 12})
    assert rig.read({"a": {0: (0, 7)}}) == places("a", 0, [0, 3])
    assert rig.read({"a": {0: (7, 12)}}) == places("a", 0, [8])
    assert rig.read({"a": {0: (12, 12)}}) == []


def test_partitions_come_and_go() -> None:
    """Only what begins elsewhere is asked for; messages of one that has gone are nobody's."""
    log = {("a", p): of("a", p, range(10)) for p in range(3)}
    rig = Rig(log)
    assert rig.read({"a": {0: (0, 2), 1: (0, 1)}}) == places("a", 0, range(2)) + places("a", 1, [0])
    assert rig.read({"a": {0: (5, 6), 2: (4, 5)}}) == places("a", 0, [5]) + places("a", 2, [4])
    assert rig.made[0].assigned[2:] == [(("a", 0), 5), (("a", 2), 4)]
    assert set(rig.made[0].next) == {("a", 0), ("a", 2)}


def test_who_goes_back_begins_anew() -> None:
    """A position that a consumer tells could be of what it has read before."""
    rig = Rig({("a", 0): of("a", 0, range(10))})
    assert rig.read({"a": {0: (0, 9)}}) == rig.read({"a": {0: (0, 9)}}) == places("a", 0, range(9))
    assert [c.closed for c in rig.made] == [True, False]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (failure(KafkaError._AUTO_OFFSET_RESET, "a"), "Kafka says "),  # noqa: SLF001
        (failure(KafkaError.SASL_AUTHENTICATION_FAILED), "Kafka says "),
        (failure(KafkaError._AUTO_OFFSET_RESET, "elsewhere"), ""),  # noqa: SLF001
        (failure(KafkaError.GROUP_AUTHORIZATION_FAILED), ""),
    ],
)
def test_errors_are_told_and_the_next_range_is_read_anew(error: Message, why: str) -> None:
    rig = Rig({("a", 0): of("a", 0, range(10))})
    rig.errors = [error]
    found = rig.read({"a": {0: (0, 3)}})
    assert found.startswith(why) if why else found == places("a", 0, range(3))
    assert [c.closed for c in rig.made] == [bool(why)]
    assert rig.read({"a": {0: (3, 5)}}) == places("a", 0, [3, 4])


def test_what_does_not_come_is_not_waited_for() -> None:
    """X11."""
    rig = Rig({("a", 0): of("a", 0, range(3))})
    assert rig.read({"a": {0: (0, 5)}}) == "a[0] did not come within 0 s"
    assert rig.read({"a": {0: (0, 3)}}) == places("a", 0, range(3))


def test_a_partition_that_does_not_come_is_not_waited_for_while_others_go_on() -> None:
    """Whatever was fetched ahead of another one made the wait begin anew, and nothing was applied any more."""

    class Endless(MemoryConsumer):
        def consume(self, _number: int, _timeout: float) -> list[Message]:
            self.next["a", 0] += 1
            return [message("a", 0, self.next["a", 0] - 1)]

    reader = RangeReader(KAFKA, seconds=0.2, make=lambda _settings: Endless({}, {}))  # type: ignore[arg-type,return-value]
    assert reader.read({"a": {0: (0, 1)}, "b": {0: (0, 1)}}, 256 << 20) == "b[0] did not come within 0 s"


def test_a_header_that_is_no_text_is_sparks_to_read() -> None:
    class Odd(Message):  # type: ignore[misc]
        def headers(self) -> Any:
            return b"\xff".decode()

    assert Rig({("a", 0): [Odd("a", 0, 0)]}).read({"a": {0: (0, 1)}}) == "a header whose name is no text"


def test_no_more_is_held_than_there_is_room_for() -> None:
    rig = Rig({("a", 0): of("a", 0, range(9))})
    assert rig.read({"a": {0: (0, 9)}}, limit=5 * OBJECTS) == f"more than {5 * OBJECTS} bytes came"
    assert rig.read({"a": {0: (0, 4)}}) == places("a", 0, range(4))


def test_what_comes_of_many_partitions_took_the_room_of_what_was_missing() -> None:
    """Fifty tables with a backlog: a partition that has what is asked for rests until its next range."""
    names = [f"t{n}" for n in range(5)]
    rig = Rig({(name, 0): of(name, 0, range(30)) for name in names})
    room = 5 * 18 * (OBJECTS + 50)
    for start in (0, 10, 20):
        found = rig.read({name: {0: (start, start + 10)} for name in names}, room)
        assert found == [(name, 0, n) for name in names for n in range(start, start + 10)]
    (consumer,) = rig.made
    assert consumer.resting
    rig.read({"t0": {0: (30, 30)}})
    assert consumer.resting == set()


def test_a_range_that_ends_before_it_begins_is_left_to_spark() -> None:
    assert Rig({}).read({"a": {0: (5, 4)}}) == "a range that ends before it begins"


def test_nothing_is_read_once_it_is_closed() -> None:
    rig = Rig({("a", 0): of("a", 0, range(9))})
    rig.read({"a": {0: (0, 1)}})
    rig.reader.close()
    assert rig.read({"a": {0: (1, 2)}}) == "the query has ended"
    assert [c.closed for c in rig.made] == [True]


def test_the_end_of_a_partition_is_as_far_as_it_goes() -> None:
    fetched = Fetched()
    fetched.aim({("a", 0): 3})
    assert fetched.missing({("a", 0): 7}) == [("a", 0)]
    assert fetched.add([failure(KafkaError._PARTITION_EOF, "a", 0, 7)]) is None  # noqa: SLF001
    assert fetched.missing({("a", 0): 7}) == []


def test_columns_are_those_of_a_kafka_source() -> None:
    """Nothing is not the same as no bytes; no headers at all are null."""
    found = RangeReader(KAFKA, make=lambda _: MemoryConsumer({("a", 1): list(odd())}, {("a", 1): 4})).read(  # type: ignore[arg-type, return-value]
        {"a": {1: (0, 4)}}, ROOM
    )
    assert isinstance(found, pa.Table)
    assert found.column_names == ["topic", "partition", "offset", "timestamp", "key", "value", "headers"]
    assert found["value"].to_pylist() == [None, b"", b"v", b"v"]
    assert found["timestamp"].cast(pa.int64()).to_pylist() == [0, 1_000_000, 2_000_000, 3_000_000]
    assert found["headers"].to_pylist() == [
        None,
        None,
        [{"key": "h", "value": None}, {"key": "h", "value": b""}],
        None,
    ]


def odd() -> Iterator[Message]:
    yield message("a", 1, 0, None)
    yield message("a", 1, 1, b"", headers=[])
    yield message("a", 1, 2, headers=[("h", None), ("h", b"")])
    yield message("a", 1, 3)


def on(rig: Rig, ranges: Any, beyond: Mapping[str, int]) -> Any:
    """Read on, and return the offsets of each topic, and how far each range goes."""
    found = rig.reader.read_on(ranges, beyond, ROOM)
    if isinstance(found, str):
        return found
    messages, read = found
    offsets: dict[str, list[int]] = {}
    for topic, offset in zip(messages["topic"].to_pylist(), messages["offset"].to_pylist(), strict=True):
        offsets.setdefault(topic, []).append(offset)
    return offsets, read


def test_what_was_fetched_behind_a_range_is_read_with_it_and_the_next_begins_there() -> None:
    rig = Rig({("a", 0): of("a", 0, range(9)), ("b", 0): of("b", 0, range(9))})
    ranges = {"a": {0: (0, 2)}, "b": {0: (0, 3)}}
    assert on(rig, ranges, {"a": 500}) == ({"a": list(range(9))}, {"a": {0: (0, 9)}})
    assert on(rig, {**ranges, "a": {0: (9, 9)}}, {"b": 2}) == ({"b": list(range(5))}, {"b": {0: (0, 5)}})
    assert rig.read({"a": {0: (9, 9)}, "b": {0: (5, 9)}}) == places("b", 0, range(5, 9))
    assert [c.assigned for c in rig.made] == [[(("a", 0), 0), (("b", 0), 0)]], "one consumer, asked once"


@pytest.mark.parametrize("more", [0, 1])
def test_all_of_a_range_is_read_and_no_more_beyond_it_than_may_be(more: int) -> None:
    rig = Rig({("a", 0): of("a", 0, range(9)), ("a", 1): of("a", 1, range(9))})
    found, read = on(rig, {"a": {0: (0, 4), 1: (0, 1)}}, {"a": more})
    assert read == {"a": {0: (0, 4 + more), 1: (0, 1 + more)}}
    assert found == {"a": [*range(4 + more), *range(1 + more)]}


def test_reading_on_waits_for_its_own_topics_alone() -> None:
    rig = Rig({("a", 0): of("a", 0, range(3)), ("b", 0): []}, {("a", 0): 3})
    assert on(rig, {"a": {0: (0, 2)}, "b": {0: (0, 7)}}, {"a": 500}) == ({"a": [0, 1, 2]}, {"a": {0: (0, 3)}})
    assert on(rig, {"a": {0: (3, 3)}, "b": {0: (0, 7)}}, {"b": 500}) == "b[0] did not come within 0 s"


def test_reading_on_goes_no_further_than_there_is_room_for() -> None:
    """Messages of a megabyte each: what is fetched ahead is bounded, and no reason to leave a batch to Spark."""
    rig = Rig({("a", 0): of("a", 0, range(90)), ("b", 0): of("b", 0, range(9))})
    found = rig.reader.read_on({"a": {0: (0, 2)}, "b": {0: (0, 0)}}, {"a": 500}, 32 * OBJECTS)
    assert not isinstance(found, str)
    assert found[1] == {"a": {0: (0, 9)}}, "three at a time, until a quarter is full"
    assert rig.read({"a": {0: (9, 12)}, "b": {0: (0, 0)}}) == places("a", 0, range(9, 12))


def test_errors_that_come_while_reading_on_are_told() -> None:
    rig = Rig({("a", 0): of("a", 0, range(3))})
    assert on(rig, {"a": {0: (0, 3)}}, {"a": 3}) == ({"a": [0, 1, 2]}, {"a": {0: (0, 3)}})
    rig.made[0].errors = [failure(KafkaError.SASL_AUTHENTICATION_FAILED)]
    assert on(rig, {"a": {0: (3, 3)}}, {"a": 3}).startswith("Kafka says ")
    assert rig.made[0].closed
