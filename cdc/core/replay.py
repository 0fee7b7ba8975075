"""Replay: apply a range of a topic's messages again, as a value: from where, up to where, onto which rows.

A point is ``earliest``, ``latest``, a checkpoint or snapshot, ``tag:NAME``, a time, ``offset:P=N[,P=N]`` or
``position:TEXT``. Messages that are applied again change nothing, so a point may stand for an earlier one.

In a table that lives, messages of an earlier epoch are left out: everything that the present epoch began with came
after them, and what it did not bring was gone by then.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cdc.core.checkpoints import (
    Checkpoint,
    Reach,
    checkpoints_of,
    find_snapshot,
    kind_of,
    missing,
    moment_of,
    reachable,
)
from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import LOAD_OFFSETS, TableHistory
from cdc.core.names import TableName
from cdc.core.progress import PartitionProgress, Progress, TopicState


@dataclass(frozen=True)
class Known:
    """What a replay is planned with: the table's history, its checkpoints (also expired ones), and the topic."""

    history: TableHistory
    checkpoints: Sequence[Checkpoint]
    topic_name: str
    topic: TopicState

    @property
    def head(self) -> Progress:
        """Return how far the table is."""
        found = self.history.progress(self.history.head)
        return found or Progress(self.topic_name, self.topic.topic_id)


@dataclass(frozen=True)
class ReplayPlan:
    """A range of messages and the rows that they are applied to.

    ``into`` is the table to make, None for the live table. ``base`` is the snapshot whose rows the new table begins
    with, None for none, and ``entries`` what the service had recorded there. ``left_out`` says which messages are left
    out because the present epoch covers them, empty if none.
    """

    target: TableName
    into: TableName | None
    start: Progress
    end: Progress
    head: Progress
    base: int | None = None
    entries: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""

    @property
    def offsets(self) -> dict[int, tuple[int, int]]:
        """Return partition -> (first offset to apply, offset to end before)."""
        ends = {p: state.next_offset for p, state in sorted(self.end.partitions.items())}
        return {p: (min(self.start.of(p).next_offset, end), end) for p, end in ends.items()}

    @property
    def messages(self) -> int:
        """Return how many offsets will be read."""
        return sum(end - first for first, end in self.offsets.values())


def plan_replay(known: Known, start: str, end: str) -> ReplayPlan:
    """Return the replay of a range in the live table; raises PositionLost if the topic has it no more."""
    until = _end(known, end)
    asked = find_point(known, start)
    begins = present_epoch(known)
    covered = _before(asked, begins)
    chosen = begins if covered else asked
    _require(known, chosen, until)
    return ReplayPlan(
        known.history.target, None, chosen, until, known.head, left_out=_left_out(asked, begins) if covered else ""
    )


def plan_retry(known: Known, places: Iterable[tuple[int, int]]) -> ReplayPlan:
    """Return the replay that begins at the first of these messages, (partition, offset), in each partition.

    Raises PositionLost if the topic has one of them no more.
    """
    first: dict[int, int] = {}
    for partition, offset in places:
        if offset < known.head.of(partition).next_offset:  # the others come with the next batch of their own accord
            first[partition] = min(offset, first.get(partition, offset))
    if not first:
        return plan_replay(known, "latest", "latest")
    try:
        return plan_replay(
            known, "offset:" + ",".join(f"{p}={offset}" for p, offset in sorted(first.items())), "latest"
        )
    except PositionLost as error:
        raise PositionLost(
            f"messages in the quarantine of {known.history.target} are in the topic no more: {error}",
            hint="`cdc tables reset TABLE` loads the table anew, and lets go of them",
        ) from error


def plan_copy(known: Known, start: str, end: str, into: TableName, *, from_connector: bool) -> ReplayPlan:
    """Return the replay into a new table: rows of a checkpoint at or before ``start``, or none, and what came after it.

    Empty it begins only if the topic holds the table's whole history: ``from_connector`` says that its first rows came
    through it, too. Raises PositionLost if there is no such checkpoint.
    """
    until = _end(known, end)
    loads = [v for v in known.history.ancestry(known.history.head) if kind_of(v.summary) == "load"]
    fresh = Progress(known.topic_name, known.topic.topic_id)
    whole = from_connector and not loads and all(first == 0 for first, _ in known.topic.watermarks.values())
    whole = whole and not known.history.before_accepted(fresh)
    if start == "earliest" and whole:
        return ReplayPlan(known.history.target, into, fresh, until, known.head)
    fit = [one for one in _copies(known) if _at_or_before(one.progress, until)]
    oldest = min(fit, key=lambda one: one.committed_at, default=None)
    if start == "earliest":
        chosen = oldest
    else:
        asked = find_point(known, start)
        chosen = next((one for one in fit if _at_or_before(one.progress, asked)), None)
    if chosen is None:
        raise PositionLost(
            f"no checkpoint of {known.history.target} can be copied for this range", hint=_earliest(oldest)
        )
    entries = known.history.recorded(chosen.table_snapshot) or {}
    target = known.history.target
    return ReplayPlan(target, into, chosen.progress, until, known.head, chosen.table_snapshot, entries)


def find_point(known: Known, reference: str) -> Progress:
    """Return the progress that a reference to a point stands for; raises TerminalError or PositionLost."""
    kind, separator, text = reference.partition(":")
    special: Mapping[str, Callable[[Known, str], Progress]] = {"offset": _offset, "position": _position}
    if separator and kind in special:
        return special[kind](known, text)
    if reference == "earliest":
        return _first(known)
    if reference == "latest":
        return known.head
    listed = [one for one in known.checkpoints if reference.isdigit() and str(one.table_snapshot).startswith(reference)]
    if len(listed) == 1:
        return listed[0].progress
    try:
        found = known.history.progress(find_snapshot(known.history, reference))
    except PositionLost:
        return _remembered(known, reference)
    return found or Progress(known.topic_name, known.topic.topic_id)


def present_epoch(known: Known) -> Progress:
    """Return the earliest progress of the present epoch that is known; the first epoch begins with the topic."""
    epoch = _epoch(known.head)
    if epoch == 0:
        return Progress(known.topic_name, known.topic.topic_id)
    loads = [version.summary.get(LOAD_OFFSETS) for version in known.history.ancestry(known.history.head)]
    found = [*(one.progress for one in known.checkpoints), *(Progress.from_json(text) for text in loads if text)]
    same = [
        one
        for one in found
        if _epoch(one) == epoch and one.topic_id == known.topic.topic_id and not known.history.before_accepted(one)
    ]
    return min(same, key=_total, default=known.head)


def _copies(known: Known) -> list[Checkpoint]:
    """Return the checkpoints whose rows and following messages are there, back to the newest load, newest first.

    What comes after them is of one history of the source.
    """
    found: list[Checkpoint] = []
    for one in checkpoints_of(known.history):
        if known.history.before_accepted(one.progress):
            break
        if reachable(one, known.history.versions.keys(), known.topic) is Reach.REWIND:
            found.append(one)
        if one.kind == "load":
            break
    return found


def _first(known: Known) -> Progress:
    """Return the first point that the topic has; which epoch it belongs to, a checkpoint has to tell."""
    if all(first == 0 for first, _ in known.topic.watermarks.values()):
        return Progress(known.topic_name, known.topic.topic_id)
    reached = [one.progress for one in known.checkpoints if not missing(one.progress, known.topic)]
    if not reached:
        raise PositionLost(
            f"the topic of {known.history.target} has nothing that any checkpoint goes on from", hint="load it again"
        )
    return min(reached, key=_total)


def _offset(known: Known, text: str) -> Progress:
    """Return the progress of the head with other offsets in some partitions; epochs are those of checkpoints."""
    if not re.fullmatch(r"\d{1,9}=\d{1,18}(,\d{1,9}=\d{1,18})*", text, re.ASCII):
        raise TerminalError(f"offset:{text} is no offset", hint="write offset:0=1200 or offset:0=1200,1=900")
    wanted = {int(partition): int(offset) for partition, _, offset in (one.partition("=") for one in text.split(","))}
    unknown = sorted(wanted.keys() - known.topic.watermarks.keys())
    if unknown:
        known_ones = ", ".join(map(str, sorted(known.topic.watermarks)))
        raise TerminalError(f"{known.topic_name!r} has no partition {unknown[0]}", hint=f"it has {known_ones}")
    states = {p: _state_at(known, p, offset) for p, offset in wanted.items()}
    return replace(known.head, partitions={**known.head.partitions, **states})


def _state_at(known: Known, partition: int, offset: int) -> PartitionProgress:
    states = [*(one.progress.of(partition) for one in known.checkpoints), PartitionProgress(0)]
    before = max((s for s in states if s.next_offset <= offset), key=lambda s: (s.next_offset, s.epoch))
    behind = min((s for s in states if s.next_offset > offset), key=lambda s: s.next_offset, default=before)
    if before.epoch != behind.epoch:
        return before  # a new epoch begins somewhere between: where, the messages tell
    return replace(before, next_offset=offset)


def _position(known: Known, text: str) -> Progress:
    """Return the newest checkpoint that has no change at or behind a position."""
    highest, chosen = "", None
    for one in sorted(known.checkpoints, key=lambda one: one.committed_at):
        highest = max(highest, one.last_position)
        if highest >= text:
            break
        chosen = one
    return chosen.progress if chosen else _first(known)


def _remembered(known: Known, reference: str) -> Progress:
    at = moment_of(reference)
    older = [one for one in known.checkpoints if one.committed_at <= at]
    if not older:
        raise PositionLost(f"no checkpoint of {known.history.target} is as old as {reference}", hint="--from earliest")
    return max(older, key=lambda one: one.committed_at).progress


def _end(known: Known, reference: str) -> Progress:
    until = find_point(known, reference)
    if not _at_or_before(until, known.head):
        raise TerminalError(
            f"{known.history.target} itself is not that far", hint="leave --to out, or give an earlier one"
        )
    return until


def _require(known: Known, start: Progress, end: Progress) -> None:
    lost = missing(start, known.topic)
    if lost:
        raise PositionLost(f"{known.history.target} cannot be replayed from there: {lost}", hint=_reached(known))
    if not _at_or_before(start, end):
        raise TerminalError("the range ends before it begins", hint="--from has to lie before --to")


def _reached(known: Known) -> str:
    reached = [one for one in known.checkpoints if not missing(one.progress, known.topic)]
    return _earliest(min(reached, key=lambda one: one.committed_at, default=None))


def _earliest(one: Checkpoint | None) -> str:
    if one is None:
        return "none can be had any more: `cdc tables reset TABLE` loads the table anew"
    return f"the earliest that can be had is {one.table_snapshot}, of {one.committed_at.isoformat()}"


def _before(point: Progress, other: Progress) -> bool:
    return any(point.of(p).next_offset < state.next_offset for p, state in other.partitions.items())


def _at_or_before(point: Progress, other: Progress) -> bool:
    return all(state.next_offset <= other.of(p).next_offset for p, state in point.partitions.items())


def _left_out(asked: Progress, begins: Progress) -> str:
    parts = {p: (asked.of(p).next_offset, state.next_offset) for p, state in sorted(begins.partitions.items())}
    ranges = ", ".join(f"{p}: {first} to {end}" for p, (first, end) in parts.items() if first < end)
    return f"offsets {ranges}: the rows of a later load or snapshot cover them"


def _epoch(progress: Progress) -> int:
    return max((state.epoch for state in progress.partitions.values()), default=0)


def _total(progress: Progress) -> int:
    return sum(state.next_offset for state in progress.partitions.values())
