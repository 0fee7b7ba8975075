"""The quarantine as operators see it: messages that could not be used, and those behind them; without Spark."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysFalse, And, BooleanExpression, EqualTo, In, Or

from cdc.core.batch import BEHIND
from cdc.core.errors import CommitConflict
from cdc.lake.commits import commit_errors, repeated, writable
from cdc.lake.foreign import lake_errors

TABLE = "quarantine"


@dataclass(frozen=True)
class Quarantined:
    """A message in the quarantine: where it is, when it came there (UTC), why, and its bytes."""

    topic: str
    partition: int
    offset: int
    reason: str
    quarantined_at: datetime
    key: bytes | None
    value: bytes | None

    @property
    def waits(self) -> bool:
        """Return whether it only waits behind another message of its key."""
        return self.reason == BEHIND


@dataclass(frozen=True)
class Held:
    """What the quarantine holds of a topic: messages, keys whose events wait, since when, and why, most often."""

    topic: str
    messages: int
    keys: int
    since: datetime
    reason: str


class Quarantine:
    """The quarantine of all topics. A read is of one snapshot; ``discard`` is one commit, repeated on conflict."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def held(self, topics: Collection[str]) -> list[Held]:
        """Return what is held of these topics, by name; none of those of which nothing is."""
        found: dict[str, list[Quarantined]] = {}
        for message in self._read(In(term="topic", literals=set(topics)), _ABOUT):
            found.setdefault(message.topic, []).append(message)
        return [_held(topic, messages) for topic, messages in sorted(found.items())]

    def messages(self, topic: str) -> list[Quarantined]:
        """Return the messages of a topic, values included, in the order of their places."""
        found = self._read(EqualTo(term="topic", value=topic), (*_ABOUT, "value"))
        return sorted(found, key=lambda message: (message.partition, message.offset))

    def places(self, topic: str) -> list[Quarantined]:
        """Return the messages of a topic without their values, in the order of their places."""
        found = self._read(EqualTo(term="topic", value=topic), _ABOUT)
        return sorted(found, key=lambda message: (message.partition, message.offset))

    def release(self, topic: str, places: Collection[tuple[int, int]]) -> None:
        """Let go of the messages of a topic at these (partition, offset), in one commit; none, none."""
        offsets: dict[int, set[int]] = {}
        for partition, offset in places:
            offsets.setdefault(partition, set()).add(offset)
        here: BooleanExpression = AlwaysFalse()
        for partition, found in offsets.items():
            here = Or(here, And(EqualTo(term="partition", value=partition), In(term="offset", literals=found)))
        if offsets:
            self._delete(And(EqualTo(term="topic", value=topic), here))

    def discard(self, topic: str, keys: Collection[bytes] | None = None) -> None:
        """Let go of a topic's messages, or of those with these raw keys."""
        wanted: BooleanExpression = EqualTo(term="topic", value=topic)
        if keys is not None:
            wanted = And(wanted, In(term="key", literals=set(keys)))
        self._delete(wanted)

    def _delete(self, wanted: BooleanExpression) -> None:
        writable(self._catalog)
        for attempt in repeated(CommitConflict):
            with attempt, commit_errors("write to the quarantine"):
                self._catalog.load_table(self._name).delete(wanted)

    def _read(self, which: BooleanExpression, columns: Sequence[str]) -> Iterator[Quarantined]:
        try:
            table = self._catalog.load_table(self._name)
        except NoSuchTableError:
            return
        with lake_errors("read the quarantine"):
            rows = table.scan(row_filter=which, selected_fields=tuple(columns)).to_arrow().to_pylist()
        yield from map(_message, rows)


_ABOUT = ("topic", "partition", "offset", "key", "reason", "quarantined_at")


def _message(row: dict[str, Any]) -> Quarantined:
    return Quarantined(
        row["topic"],
        row["partition"],
        row["offset"],
        row["reason"],
        row["quarantined_at"],
        row["key"],
        row.get("value"),
    )


def _held(topic: str, messages: Sequence[Quarantined]) -> Held:
    causes = Counter(one.reason for one in messages if not one.waits) or Counter([BEHIND])
    keys = {one.key for one in messages if one.key is not None}
    return Held(
        topic, len(messages), len(keys), min(one.quarantined_at for one in messages), causes.most_common(1)[0][0]
    )
