"""A consumer over messages in memory, as far as ranges are read with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, Message, TopicPartition

Place = tuple[str, int]


class MemoryConsumer:
    """Hands out what comes of its partitions, ``at_once`` messages a call, partition by partition.

    ``log`` holds the messages by partition, ``ends`` the offsets behind them, markers of transactions included.
    """

    def __init__(self, log: Mapping[Place, Sequence[Message]], ends: Mapping[Place, int], at_once: int = 3) -> None:
        self._log, self._ends, self._at_once = log, ends, at_once
        self.next: dict[Place, int] = {}
        self.assigned: list[tuple[Place, int]] = []
        self.errors: list[Message] = []
        self.resting = set[Place]()
        self.closed = False
        self._positions: dict[Place, int] = {}

    def incremental_assign(self, partitions: Sequence[TopicPartition]) -> None:
        for at in partitions:
            place = (at.topic, at.partition)
            assert place not in self.next
            self.next[place] = at.offset
            self.assigned.append((place, at.offset))

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self.resting |= {(at.topic, at.partition) for at in partitions}

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self.resting -= {(at.topic, at.partition) for at in partitions}

    def incremental_unassign(self, partitions: Sequence[TopicPartition]) -> None:
        for at in partitions:
            assert (at.topic, at.partition) not in self.resting
            del self.next[at.topic, at.partition]
            self._positions.pop((at.topic, at.partition), None)

    def consume(self, number: int, _timeout: float) -> list[Message]:
        if self.errors:
            return [self.errors.pop()]
        for place, offset in self.next.items():
            if place in self.resting:
                continue
            found = [m for m in self._log.get(place, ()) if offset_of(m) >= offset][: min(number, self._at_once)]
            if found:
                self.next[place] = self._positions[place] = offset_of(found[-1]) + 1
                return found
            if offset < self._ends.get(place, 0):
                self.next[place] = self._positions[place] = self._ends[place]
        return []

    def position(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [
            TopicPartition(p.topic, p.partition, self._positions.get((p.topic, p.partition), -1001)) for p in partitions
        ]

    def close(self) -> None:
        self.closed = True


def message(topic: str, partition: int, offset: int, value: bytes | None = b"v", **more: Any) -> Message:
    """Return a message of a second for each offset."""
    return Message(topic, partition, offset, b"k", value, timestamp=(1, 1000 * offset), **more)


def offset_of(found: Message) -> int:
    offset = found.offset()
    assert offset is not None
    return offset


def failure(code: int, topic: str | None = None, partition: int = 0, offset: int = 0) -> Message:
    """Return what a consumer says of an error, or of the end of a partition."""
    return Message(topic, partition, offset, error=KafkaError(code))
