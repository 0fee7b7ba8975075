"""Administration of topics: what they must be, what they are, and making them so."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not marked as exported
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from cdc.config.services import KafkaConfig
from cdc.core.errors import TransientError
from cdc.kafka.client import librdkafka_settings
from cdc.kafka.errors import translate, translated

TIMEOUT = 15.0
"""Seconds that one request to the cluster may take."""


class Watermarks(NamedTuple):
    """The offsets of a partition: of the first message kept, and behind the last one committed."""

    low: int
    high: int


class Topic(NamedTuple):
    """A topic as it is; the id changes when a topic is deleted and made again under the same name."""

    name: str
    id: str
    replication_factor: int
    watermarks: Mapping[int, Watermarks]

    @property
    def partitions(self) -> int:
        """Return the number of partitions."""
        return len(self.watermarks)


class KafkaTopics:
    """Topics of one cluster. Requests are idempotent; TransientError when the cluster does not answer."""

    def __init__(self, kafka: KafkaConfig, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._settings = librdkafka_settings(kafka)
        self._admin = AdminClient(self._settings)

    def cluster_id(self) -> str:
        """Return the id of the cluster."""
        with translated("describe the Kafka cluster"):
            return str(self._admin.describe_cluster(request_timeout=self._timeout).result().cluster_id)

    def existing(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of the topics that exist."""
        with translated("list topics"):
            known = self._admin.list_topics(timeout=self._timeout).topics
        return frozenset(name for name in names if name in known)

    def create(self, name: str, *, partitions: int, replication_factor: int, settings: Mapping[str, str]) -> bool:
        """Create the topic; False if it exists, also when it appeared meanwhile."""
        topic = NewTopic(name, partitions, replication_factor, config=dict(settings))
        try:
            self._admin.create_topics([topic], request_timeout=self._timeout)[name].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise translate(f"create topic {name!r}", error.args[0]) from error
        return True

    def configure(self, name: str, settings: Mapping[str, str]) -> None:
        """Set the settings on an existing topic, leaving its others alone."""
        entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        with translated(f"configure topic {name!r}"):
            self._admin.incremental_alter_configs([resource], request_timeout=self._timeout)[resource].result()

    def delete(self, names: Iterable[str]) -> tuple[str, ...]:
        """Delete the topics that exist and return their names."""
        wanted = sorted(self.existing(names))
        futures = self._admin.delete_topics(wanted, request_timeout=self._timeout) if wanted else {}
        for name, future in futures.items():
            with translated(f"delete topic {name!r}"):
                future.result()
        return tuple(wanted)

    def describe(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return the topics that exist, by name; watermarks as a reader of committed messages sees them."""
        wanted = sorted(self.existing(names))
        if not wanted:
            return {}
        with translated("describe topics"):
            described = self._admin.describe_topics(TopicCollection(wanted), request_timeout=self._timeout)
            topics = {name: future.result() for name, future in described.items()}
        marks = self._watermarks([TopicPartition(n, p.id) for n, t in topics.items() for p in t.partitions])
        return {
            name: Topic(name, str(t.topic_id), len(t.partitions[0].replicas), marks[name]) for name, t in topics.items()
        }

    def settled_ends(self, name: str, *, seconds: float = 30.0) -> dict[int, int]:
        """Return the ends of a topic's partitions, behind every message that a producer has been told is written.

        A producer's transaction may be known to be over before its marker has reached every partition: readers of
        committed messages see its end only then, and it is waited for. Raises TransientError if it does not come.
        """
        with translated("describe topics"):
            found = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[name].result()
        partitions = [TopicPartition(name, p.id) for p in found.partitions]
        wanted = self._offsets(partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + seconds
        while True:
            ends = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            if all(ends[place] >= offset for place, offset in wanted.items()):
                return {partition: offset for (_, partition), offset in ends.items()}
            if time.monotonic() > deadline:
                raise TransientError(
                    f"a transaction on topic {name!r} has not ended within {seconds:.0f} s",
                    hint="does the connector's producer hang? cdc connectors status",
                )
            time.sleep(0.05)

    def newest_at(self, name: str) -> int | None:
        """Return the greatest time of a message of a topic, in Unix milliseconds; None if there is no message."""
        with translated("describe topics"):
            found = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[name].result()
        with translated("read offsets"):
            wanted = {TopicPartition(name, p.id): OffsetSpec.max_timestamp() for p in found.partitions}  # type: ignore[no-untyped-call]
            futures = self._admin.list_offsets(wanted, request_timeout=self._timeout)
            return max((t for f in futures.values() if (t := f.result().timestamp) > 0), default=None)

    def end(self, name: str) -> tuple[str, int] | None:
        """Return a topic's id, and the end of its first partition; None if it does not exist."""
        if not self.existing([name]):
            return None
        with translated("describe topics"):
            found = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[name].result()
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return str(found.topic_id), self._offsets([TopicPartition(name, 0)], latest)[name, 0]

    def values(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the values of a topic's first partition between two offsets; raises TransientError if one is late."""
        consumer = Consumer({**self._settings, "group.id": "cdc-values", "enable.auto.commit": False})
        try:
            with translated(f"read topic {name!r}"):
                consumer.assign([TopicPartition(name, 0, start)])
                while start < end:
                    message = consumer.poll(self._timeout)
                    if message is None:
                        raise TransientError(f"topic {name!r} does not answer", hint="is Kafka up?")
                    if error := message.error():
                        raise translate(f"read topic {name!r}", error)
                    start = (message.offset() or 0) + 1
                    yield message.value() or b""
        finally:
            consumer.close()

    def settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return all settings in force of each existing topic."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        with translated("read the settings of topics"):
            futures = self._admin.describe_configs(resources, request_timeout=self._timeout)
            return {r.name: {k: e.value for k, e in f.result().items()} for r, f in futures.items()}

    def offsets_for_time(self, milliseconds: Mapping[TopicPartition, int]) -> dict[tuple[str, int], int]:
        """Return the first offset of each partition whose message is not older; -1 where all are."""
        consumer = Consumer({**self._settings, "group.id": "cdc-offsets", "enable.auto.commit": False})
        try:
            with translated("look up offsets by time"):
                asked = [TopicPartition(p.topic, p.partition, at) for p, at in milliseconds.items()]
                return {
                    (p.topic, p.partition): p.offset for p in consumer.offsets_for_times(asked, timeout=self._timeout)
                }
        finally:
            consumer.close()

    def _watermarks(self, partitions: list[TopicPartition]) -> dict[str, dict[int, Watermarks]]:
        low = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        high = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        result: dict[str, dict[int, Watermarks]] = {}
        for p in partitions:
            result.setdefault(p.topic, {})[p.partition] = Watermarks(
                low[p.topic, p.partition], high[p.topic, p.partition]
            )
        return result

    def _offsets(
        self,
        partitions: list[TopicPartition],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[tuple[str, int], int]:
        with translated("read offsets"):
            futures = self._admin.list_offsets(
                dict.fromkeys(partitions, spec), isolation_level=isolation, request_timeout=self._timeout
            )
            return {(p.topic, p.partition): f.result().offset for p, f in futures.items()}
