"""Retry: bring quarantined messages, and those behind them, into their table once what was wrong is mended.

In rounds, each sound alone (docs/decisions/0010): the topic is replayed from the first message that is held, with no
key waiting but those that are left alone; the shadow takes the table's place if a row changed; only then the quarantine
lets go of what is in the table now. What still cannot be used stays held, and its key goes on to wait. Messages that
the service has put behind meanwhile, not knowing yet, are the next round's.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cdc.core.errors import TransientError
from cdc.core.progress import Progress
from cdc.core.replay import ReplayPlan
from cdc.pipeline.apply import Applied
from cdc.pipeline.replay import Replay, ReplayParts
from cdc.pipeline.table import TableSpec

log = structlog.get_logger()

ROUNDS = 5
SETTLE_SECONDS = 3.0
"""How long a service takes to notice that keys are free, its present batch aside."""

Place = tuple[int, int]


class Message(Protocol):
    """A message that is held."""

    @property
    def partition(self) -> int:
        """Return its partition."""
        ...

    @property
    def offset(self) -> int:
        """Return its offset."""
        ...

    @property
    def key(self) -> bytes | None:
        """Return its raw key."""
        ...


class Quarantine(Protocol):
    """What is held. A read is of one moment, a release atomic and idempotent; both raise TransientError."""

    def places(self, topic: str) -> Sequence[Message]:
        """Return the messages of a topic that are held, in the order of their places."""
        ...

    def release(self, topic: str, places: Collection[Place]) -> None:
        """Let go of messages; those that are not held do not matter."""
        ...


@dataclass(frozen=True)
class Retried:
    """What became of it: messages let go of, rows changed, and those that still cannot be used, by place, with why."""

    released: int
    changed: int
    left: dict[Place, str]


@dataclass
class Retry:
    """A retry of one table's messages, all or those of some raw keys; ``plan`` tells how places are replayed now."""

    parts: ReplayParts
    quarantine: Quarantine
    plan: Callable[[Collection[Place]], ReplayPlan]
    spec: TableSpec
    keys: Collection[bytes] | None = None
    why: str = ""
    on_applied: Callable[[Applied], None] = lambda _applied: None
    stopping: Callable[[], bool] = lambda: False
    pause: Callable[[float], object] = time.sleep
    _left: dict[Place, str] = field(default_factory=dict)
    _stuck: set[bytes] = field(default_factory=set)

    def run(self) -> Retried:
        """Carry it out; interrupted or done again it loses and doubles nothing.

        Raises the errors of ``Replay.run``, PositionLost where the topic has the messages no more, TransientError if
        the service puts messages behind free keys again and again.
        """
        released = changed = 0
        for number in range(ROUNDS):
            held = self._held()
            if not held:
                return Retried(released, changed, self._left)
            gone, rows = self._round(held)
            released, changed = released + len(gone), changed + rows
            log.info("quarantine tried again", table=str(self.spec.target), round=number, released=len(gone))
            if not gone:  # the rest is not in the table yet: its batch comes, and judges anew
                return Retried(released, changed, self._left)
            self.pause(SETTLE_SECONDS)
        if not self._held():
            return Retried(released, changed, self._left)
        raise TransientError(
            f"messages of {self.spec.target} go on to wait behind keys that are free",
            hint=f"does the service take it up? see its log; then cdc quarantine retry {self.spec.target}",
        )

    def _held(self) -> list[Message]:
        return [one for one in self.quarantine.places(self.spec.topic) if self._wanted(one)]

    def _wanted(self, one: Message) -> bool:
        known = (one.partition, one.offset) in self._left or one.key in self._stuck
        return not known and (self.keys is None or one.key in self.keys)

    def _round(self, held: Sequence[Message]) -> tuple[set[Place], int]:
        """Replay from the first of these messages on, and let go of those that are in the table then."""
        places = {(one.partition, one.offset) for one in held}
        failing: dict[Place, str] = {}
        waiting = self.parts.engine.blocked([self.spec.topic]).get(self.spec.topic, {})
        others = {} if self.keys is None else {key: at for key, at in waiting.items() if key not in self.keys}
        replay = Replay(
            self.parts,
            self.spec,
            self.plan(places),
            self.why,
            self.on_applied,
            self.stopping,
            self.pause,
            "quarantine retry",
            others,
            lambda problems: failing.update({(one.partition, one.offset): one.reason for one in problems}),
        )
        rows = replay.run().changed
        self._left |= {place: failing[place] for place in places & failing.keys()}
        self._stuck |= {one.key for one in held if (one.partition, one.offset) in self._left and one.key is not None}
        gone = {place for place in places - self._left.keys() if _read(place, replay.reached)}
        self.quarantine.release(self.spec.topic, gone)
        self.parts.control.moved(str(self.spec.target))  # the service looks anew which keys wait
        return gone, rows


def _read(place: Place, reached: Progress) -> bool:
    partition, offset = place
    return offset < reached.of(partition).next_offset
