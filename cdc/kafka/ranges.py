"""Ranges of offsets read by this process itself: small ones, each beginning where the one before it ended.

One consumer fetches ahead what later ranges will ask for, so a range has usually come before it is asked for.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import pyarrow as pa  # type: ignore[import-untyped]
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from cdc.config.services import KafkaConfig
from cdc.core.progress import Ranges
from cdc.kafka.client import librdkafka_settings
from cdc.kafka.fetched import Fetched, Place

SECONDS = 5.0
"""For so long nothing may come of the partitions that are waited for."""

_POLL = 0.01
"""Seconds between two looks at the positions: the marker of a transaction moves them, and is no message."""

_AT_ONCE = 2_000
_ROUNDS = 20
_HEADERS = pa.list_(pa.field("element", pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())])))


Found = TypeVar("Found")


class RangeReader:
    """Reads the ranges of one stream; for one thread, but ``close`` may come from another.

    ``make`` makes the consumer, whenever none is left of an earlier read.
    """

    def __init__(
        self, kafka: KafkaConfig, *, seconds: float = SECONDS, make: Callable[[dict[str, object]], Consumer] = Consumer
    ) -> None:
        self._settings = librdkafka_settings(kafka) | {
            "group.id": "cdc-ranges",  # has to be there, and is joined by nobody
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 32_768,
            "fetch.queue.backoff.ms": 50,  # once there is room again
            "fetch.message.max.bytes": 262_144,  # of each of many partitions so much may come that is not asked for yet
        }
        self._seconds, self._make = seconds, make
        self._consumer: Consumer | None = None
        self._fetched = Fetched()
        self._resting = set[Place]()
        self._lock, self._closed = threading.Lock(), threading.Event()

    def begin(self, starts: Mapping[str, Mapping[int, int]]) -> None:
        """Begin to fetch, from where the first ranges are likely to begin; waits for nothing."""
        self._guarded(lambda: self._aimed({(topic, p): of[p] for topic, of in starts.items() for p in of}))

    def read(self, ranges: Ranges, limit: int) -> pa.Table | str:
        """Return the messages of the ranges, or why they could not be read; then the next call starts anew.

        The columns are those of Spark's Kafka source, the messages of a topic stand together. ``limit`` bounds what is
        held meanwhile, in bytes. Partitions that later ranges will be of are to be named, too, with an empty range.
        """
        return self._guarded(lambda: self._read(ranges, limit))

    def read_on(self, ranges: Ranges, beyond: Mapping[str, int], limit: int) -> tuple[pa.Table, Ranges] | str:
        """Return the messages of the topics in ``beyond``, and how far they go, as ``read`` does.

        Of their partitions comes what was fetched behind the range already, too, so many offsets of each at most.
        """
        return self._guarded(lambda: self._read_on(ranges, beyond, limit))

    def _guarded(self, read: Callable[[], Found | str]) -> Found | str:
        with self._lock:
            if self._closed.is_set():
                return "the query has ended"
            try:
                found = read()
            except KafkaException as error:
                found = f"Kafka says {error.args[0]}"
            except UnicodeDecodeError:
                found = "a header whose name is no text"
            if isinstance(found, str):
                self._discard()
        return found

    def close(self) -> None:
        """Let go of the consumer; a read that goes on ends."""
        self._closed.set()
        with self._lock:
            self._discard()

    def _read(self, ranges: Ranges, limit: int) -> pa.Table | str:
        ends = _places(ranges, 1)
        why = self._fetch(ranges, ends, limit)
        return why or _table(self._fetched.take(ends))

    def _read_on(self, ranges: Ranges, beyond: Mapping[str, int], limit: int) -> tuple[pa.Table, Ranges] | str:
        ends = _places({topic: ranges[topic] for topic in beyond}, 1)
        if why := self._fetch(ranges, ends, limit) or self._keep_what_came(limit // 4):
            return why
        for place, end in ends.items():
            ends[place] = max(end, min(self._fetched.reached(place), end + beyond[place[0]]))
        read = {topic: {p: (of[0], ends[topic, p]) for p, of in ranges[topic].items()} for topic in beyond}
        return _table(self._fetched.take(ends)), read

    def _fetch(self, ranges: Ranges, ends: Mapping[Place, int], limit: int) -> str:
        """Fetch from the starts of the ranges on, until these ends are there; return why that cannot be done."""
        starts = _places(ranges, 0)
        if any(end < starts[place] for place, end in ends.items()):
            return "a range that ends before it begins"
        consumer, deadline = self._aimed(starts), time.monotonic() + self._seconds
        while missing := self._missing(consumer, ends):
            if self._closed.is_set():
                return "the query has ended"
            if time.monotonic() > deadline:
                return f"{missing[0][0]}[{missing[0][1]}] did not come within {self._seconds:.0f} s"
            messages = consumer.consume(_AT_ONCE, 0) or consumer.consume(1, _POLL)
            if _are_of(messages, missing):
                deadline = time.monotonic() + self._seconds
            if (error := self._fetched.add(messages)) is not None:
                return f"Kafka says {error.str()}"
            if self._fetched.size > limit:
                return f"more than {limit} bytes came"
            if self._fetched.size > limit // 4:
                self._rest(consumer, starts.keys() - set(missing))
        return ""

    def _rest(self, consumer: Consumer, places: Iterable[Place]) -> None:
        """Fetch no more of partitions that have what is asked for: it would take the room of what is missing."""
        if resting := [place for place in places if place not in self._resting]:
            consumer.pause([TopicPartition(*place) for place in resting])
            self._resting.update(resting)

    def _keep_what_came(self, room: int) -> str:
        """Keep what was fetched meanwhile, as far as there is room for it; return what Kafka says against it."""
        for _ in range(_ROUNDS):
            messages = self._consumer.consume(_AT_ONCE, 0) if self._consumer and self._fetched.size < room else []
            if not messages:
                break
            if (error := self._fetched.add(messages)) is not None:
                return f"Kafka says {error.str()}"
        return ""

    def _aimed(self, starts: Mapping[Place, int]) -> Consumer:
        """Return a consumer that fetches from the starts on."""
        if self._fetched.goes_back(starts):
            self._discard()  # what a consumer tells of its positions could be of what came before
        if self._consumer is None:
            self._consumer = self._make(dict(self._settings))
        if self._resting:
            self._consumer.resume([TopicPartition(*place) for place in self._resting])
            self._resting.clear()
        left, new = self._fetched.aim(starts)
        if left:
            self._consumer.incremental_unassign([TopicPartition(*place) for place in left])
        if new:
            self._consumer.incremental_assign([TopicPartition(*place, starts[place]) for place in new])
        return self._consumer

    def _missing(self, consumer: Consumer, ends: Mapping[Place, int]) -> list[Place]:
        """Return the partitions of which more has to come, where the last offsets of a range may be no messages."""
        missing = self._fetched.missing(ends)
        if missing:
            for at in consumer.position([TopicPartition(*place) for place in missing]):
                self._fetched.reach((at.topic, at.partition), at.offset)  # negative as long as nothing came
        return self._fetched.missing({place: ends[place] for place in missing})

    def _discard(self) -> None:
        consumer, self._consumer, self._fetched = self._consumer, None, Fetched()
        self._resting.clear()
        if consumer is not None:
            consumer.close()


def _places(ranges: Ranges, end: int) -> dict[Place, int]:
    """Return the starts of ranges, or their ends, by partition."""
    return {(topic, p): of_topic[p][end] for topic, of_topic in ranges.items() for p in of_topic}


def _are_of(messages: Sequence[Message], places: Sequence[Place]) -> bool:
    """Return whether something came of these partitions; others may be fetched ahead all the time."""
    wanted = set(places)
    return any((message.topic(), message.partition()) in wanted for message in messages)


def _table(found: Mapping[Place, Sequence[Message]]) -> pa.Table:
    """Return messages as Arrow; the times are in UTC."""
    places = sorted(found)
    messages = [message for place in places for message in found[place]]
    headers = [message.headers() or None for message in messages]
    columns = {
        "topic": pa.array([topic for topic, p in places for _ in found[topic, p]], pa.string()),
        "partition": pa.array([p for topic, p in places for _ in found[topic, p]], pa.int32()),
        "offset": pa.array([message.offset() for message in messages], pa.int64()),
        "timestamp": pa.array([m.timestamp()[1] * 1000 for m in messages], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "key": pa.array([message.key() for message in messages], pa.binary()),
        "value": pa.array([message.value() for message in messages], pa.binary()),
        "headers": pa.array(headers, _HEADERS) if any(headers) else pa.nulls(len(messages), _HEADERS),
    }
    return pa.table(columns)
