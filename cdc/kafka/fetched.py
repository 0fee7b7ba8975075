"""What has been fetched of partitions that are read in ranges, one range behind the other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, Message

Place = tuple[str, int]
"""A topic and one of its partitions."""

OBJECTS = 500
"""What a message takes beside its value, in bytes, about."""


@dataclass
class Partition:
    """Where the next range begins, and the messages that came and were not yet taken, oldest first."""

    start: int
    messages: list[Message] = field(default_factory=list)
    known: int = 0
    """Everything before it has come, though the last of it may be no message."""

    @property
    def reached(self) -> int:
        """Return the offset before which everything has come."""
        return max(self.start, self.known, _offset(self.messages[-1]) + 1 if self.messages else 0)

    def take(self, end: int) -> list[Message]:
        """Return what came before ``end``, where the next range begins."""
        found, behind = self.messages, len(self.messages)
        while behind and _offset(found[behind - 1]) >= end:
            behind -= 1
        self.known, self.start, self.messages = self.reached, end, found[behind:]
        return found[:behind]


class Fetched:
    """The partitions that are fetched; ``size`` is about what the messages take that were not yet taken, in bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._partitions: dict[Place, Partition] = {}

    def goes_back(self, starts: Mapping[Place, int]) -> bool:
        """Return whether a range begins before one that was taken."""
        known = self._partitions
        return any(place in known and start < known[place].start for place, start in starts.items())

    def aim(self, starts: Mapping[Place, int]) -> tuple[list[Place], list[Place]]:
        """Return the partitions that are to be fetched no more, and those that are to be fetched from their start.

        The others go on: their ranges begin where the last ones ended.
        """
        known = self._partitions
        left = [place for place, partition in known.items() if starts.get(place) != partition.start]
        for place in left:
            del known[place]
        new = [place for place in starts if place not in known]
        known.update({place: Partition(starts[place]) for place in new})
        self._measure()
        return left, new

    def add(self, messages: Iterable[Message]) -> KafkaError | None:
        """Keep what came next, and return the first error; of partitions that are fetched no more nothing counts."""
        known = self._partitions
        for message in messages:
            partition = known.get((message.topic(), message.partition()))  # type: ignore[arg-type]
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF and partition:  # noqa: SLF001 - librdkafka's own name
                    partition.known = max(partition.known, _offset(message))
                elif partition or (message.topic() is None and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED):
                    return error
            elif partition is not None:
                partition.messages.append(message)
                self.size += len(message) + OBJECTS
        return None

    def reach(self, place: Place, offset: int) -> None:
        """Note that everything before an offset has come."""
        partition = self._partitions[place]
        partition.known = max(partition.known, offset)

    def reached(self, place: Place) -> int:
        """Return the offset of a partition before which everything has come."""
        return self._partitions[place].reached

    def missing(self, ends: Mapping[Place, int]) -> list[Place]:
        """Return the partitions of which more has to come before their ranges end."""
        return [place for place, end in ends.items() if self._partitions[place].reached < end]

    def take(self, ends: Mapping[Place, int]) -> dict[Place, list[Message]]:
        """Return the messages of ranges that are complete; what came behind them is kept for the next ones."""
        taken = {place: self._partitions[place].take(end) for place, end in ends.items()}
        self._measure()
        return {place: messages for place, messages in taken.items() if messages}

    def _measure(self) -> None:
        self.size = sum(len(m) + OBJECTS for partition in self._partitions.values() for m in partition.messages)


def _offset(message: Message) -> int:
    return message.offset()  # type: ignore[return-value]  # what was fetched has one
