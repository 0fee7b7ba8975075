"""Rewind: move a table back to one of its snapshots; the stream then applies the events again from there.

One commit moves the rows, the progress and what mirrors it. A stream that runs notices, and starts again where the
table now is; one that does not, starts there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from cdc.core.checkpoints import find_snapshot
from cdc.core.errors import CdcError, CommitConflict, CommitStateUnknown, PositionLost
from cdc.core.names import TableName
from cdc.core.progress import Progress, TopicState
from cdc.core.rewind import RewindPlan, plan_rewind
from cdc.pipeline.checkpoints import Histories

log = structlog.get_logger()

RETRY_SECONDS = 60.0
"""How long a rewind tries to come between two publishes of a running stream."""


class Rewinder(Protocol):
    """Moves ``main`` of a table, atomically."""

    def move(self, plan: RewindPlan) -> int:
        """Do what the plan says and return the new snapshot.

        Raises CommitConflict if ``main`` has moved since, CommitStateUnknown if nobody knows whether it was done,
        ConfigError where the catalog cannot be written to.
        """
        ...


class Topics(Protocol):
    """Topics as the cluster has them."""

    def state(self, topic: str) -> TopicState | None:
        """Return the topic's id and watermarks, None if there is none; raises TransientError."""
        ...


class Control(Protocol):
    """The way to tell a running stream."""

    def moved(self, target: str) -> None:
        """Say that ``main`` of a table was moved from outside; idempotent."""
        ...


class Audit(Protocol):
    """The log of what operators do."""

    def write(self, command: str, target: str, what: str, why: str, outcome: str = "done") -> None:
        """Append an entry."""
        ...


@dataclass(frozen=True)
class Operations:
    """What an operator's command on tables works with."""

    histories: Histories
    topics: Topics
    control: Control
    audit: Audit


def rewind_plan(operations: Operations, target: TableName, topic: str, reference: str) -> RewindPlan:
    """Return what a rewind would do now; raises TerminalError or PositionLost if it cannot be done."""
    history = operations.histories.read(target)
    return plan_rewind(
        history, find_snapshot(history, reference), topic, topic_state(operations, topic), datetime.now(UTC)
    )


def topic_state(operations: Operations, topic: str) -> TopicState:
    """Return a topic's state; raises PositionLost if it is not there."""
    state = operations.topics.state(topic)
    if state is None:
        raise PositionLost(
            f"topic {topic!r} does not exist",
            hint="is it the right cluster? `cdc tables reset TABLE` loads the table anew",
        )
    return state


def rewind(operations: Operations, rewinder: Rewinder, plan: RewindPlan, topic: str, why: str) -> RewindPlan:
    """Move the table as planned and tell the stream; return the plan that was carried out.

    Where the stream publishes meanwhile, the plan is made anew from where ``main`` is then. What was done, or tried, is
    in the audit log.
    """
    what = describe(plan)
    try:
        done = _told(operations, rewinder, plan, topic)
    except CdcError as error:
        note(operations.audit, "rewind", plan.target, what, why, f"failed: {error}")
        raise
    log.info("rewound", table=str(plan.target), snapshot=done.to_snapshot, messages=done.messages)
    note(operations.audit, "rewind", plan.target, describe(done), why, "done")
    return done


def _told(operations: Operations, rewinder: Rewinder, plan: RewindPlan, topic: str) -> RewindPlan:
    try:
        done = _move(operations, rewinder, plan, topic)
    except CommitStateUnknown:
        operations.control.moved(str(plan.target))  # it may have been done
        raise
    operations.control.moved(str(plan.target))
    return done


def _move(operations: Operations, rewinder: Rewinder, plan: RewindPlan, topic: str) -> RewindPlan:
    for attempt in Retrying(
        retry=retry_if_exception_type(CommitConflict),
        stop=stop_after_delay(RETRY_SECONDS),
        wait=wait_exponential_jitter(multiplier=0.05, max=1),
        reraise=True,
    ):
        with attempt:
            if attempt.retry_state.attempt_number > 1:
                plan = rewind_plan(operations, plan.target, topic, str(plan.to_snapshot))
            rewinder.move(plan)
    return plan


def note(audit: Audit, command: str, target: TableName, what: str, why: str, outcome: str) -> None:
    """Write what was done into the log of operations; it is done also where that fails."""
    try:
        audit.write(command, str(target), what, why, outcome)
    except CdcError as error:
        log.warning("operation not written down", command=command, table=str(target), outcome=outcome, error=str(error))


def describe(plan: RewindPlan) -> str:
    """Return one line for the audit log: snapshots and offsets."""
    offsets = ", ".join(f"{p}: {now} to {then}" for p, (now, then) in plan.offsets.items())
    return f"from snapshot {plan.from_snapshot} to {plan.to_snapshot}; offsets {offsets or 'none'}; tag {plan.tag}"


def wait_until_back(
    histories: Histories,
    plan: RewindPlan,
    *,
    seconds: float,
    pause: Callable[[], object],
    show: Callable[[int, int], object],
) -> bool:
    """Wait until the stream has brought the table's progress to where it was, and return whether it did in time.

    ``show`` is told how many messages of all have been applied again; ``pause`` is called between two looks.
    """
    deadline = datetime.now(UTC).timestamp() + seconds
    while True:
        history = histories.read(plan.target)
        left = _left(history.progress(history.head), plan.before)
        show(max(0, plan.messages - left), plan.messages)
        if not left:
            return True
        if datetime.now(UTC).timestamp() >= deadline:
            return False
        pause()


def _left(now: Progress | None, before: Progress) -> int:
    reached = now or Progress(before.topic, before.topic_id)
    return sum(max(0, s.next_offset - reached.of(p).next_offset) for p, s in before.partitions.items())
