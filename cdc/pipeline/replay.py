"""Replay: apply a range of messages again, to a shadow of the live table or to a new one (docs/architecture.md).

Live: a shadow shares the table's files; the range is applied to it with the table's own tombstones. Where that changes
no row, nothing happened and the shadow goes away. Where it does, the shadow catches up with the topic and takes the
table's place in one compare-and-swap; the stream goes on meanwhile.
New: the rows of a checkpoint are copied, or none, and what came after it is applied to them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Protocol

import structlog

from cdc.core.batch import Problem
from cdc.core.errors import CdcError, CommitConflict, TerminalError
from cdc.core.evolution import CDC_COLUMNS
from cdc.core.history import KIND, LAST_DELETE, LOAD_OFFSETS, PIPELINE, PROGRESS, TOKEN, TRUNCATED
from cdc.core.names import TableName
from cdc.core.progress import Progress
from cdc.core.replay import ReplayPlan
from cdc.pipeline.apply import Applied, Applier, TableMemory, create_table, progress_of
from cdc.pipeline.catch_up import CatchUp, RangeEngine
from cdc.pipeline.load_parts import ShadowTable
from cdc.pipeline.quiet import PATIENCE
from cdc.pipeline.rewind import Audit, Control, note
from cdc.pipeline.table import TableSpec, TargetState

log = structlog.get_logger()

REPLAY = "replay.range"
"""Property of a shadow that a replay has made, so that the next one knows it from a load's."""

_CARRIED = (TRUNCATED, LAST_DELETE, PIPELINE, LOAD_OFFSETS)


class Copier(Protocol):
    """Copies rows of a table into a new one."""

    def copy(self, spec: TableSpec, into: TableName, snapshot: int, summary: Mapping[str, str]) -> int:
        """Insert the rows of a snapshot into an empty table in one commit with this summary; return how many."""
        ...


@dataclass(frozen=True)
class ReplayParts:
    """What a replay works with; ``still_holder`` raises Fenced once somebody else makes shadows of the source.

    ``quiet`` keeps a running service from a table while that is swapped in.
    """

    engine: RangeEngine
    shadow: Callable[[TableSpec], ShadowTable]
    copier: Copier
    control: Control
    audit: Audit
    still_holder: Callable[[], None] = lambda: None
    quiet: Callable[[TableSpec], AbstractContextManager[None]] = lambda _spec: nullcontext()
    blocked_keys: int = 1000


@dataclass(frozen=True)
class Replayed:
    """What became of a replay: messages read, events applied, rows changed, rows copied, the snapshot it ended with."""

    messages: int
    events: int
    changed: int
    copied: int = 0
    snapshot_id: int | None = None

    @property
    def no_op(self) -> bool:
        """Return whether no row was changed."""
        return self.changed == 0


@dataclass
class Replay:
    """The replay of one table; ``reached`` is how far the rows are that it ends with.

    With ``blocked`` keys no others wait from the beginning: what the quarantine holds of them is tried again.
    """

    parts: ReplayParts
    spec: TableSpec
    plan: ReplayPlan
    why: str = ""
    on_applied: Callable[[Applied], None] = lambda _applied: None
    stopping: Callable[[], bool] = lambda: False
    pause: Callable[[float], object] = time.sleep
    command: str = "replay"
    blocked: Mapping[bytes, tuple[int, int]] | None = None
    on_problems: Callable[[Sequence[Problem]], None] = lambda _problems: None
    reached: Progress = field(init=False)
    _events: int = 0
    _changed: int = 0
    _memory: TableMemory = field(init=False)

    def __post_init__(self) -> None:
        self._memory = self._fresh_memory(self.blocked)
        self.reached = self.plan.end

    def run(self) -> Replayed:
        """Carry the plan out; done again after a failure it begins anew. What was done, or tried, is audited.

        Raises the errors of ``Applier.apply``, TerminalError while a load has the table's shadow.
        """
        try:
            done = self._live() if self.plan.into is None else self._copy(self.plan.into)
        except CdcError as error:
            self._audit(f"failed: {error}")
            raise
        counts = f"{done.messages} messages applied again, {done.changed} rows changed"
        self._audit(f"no-op, {counts}" if done.no_op and self.plan.into is None else counts)
        return done

    def _live(self) -> Replayed:
        shadow = self.parts.shadow(self.spec)
        self._forget_former(shadow)
        with self.parts.engine.table(self.spec) as table:
            state = table.read()
        head = progress_of(state, self.spec, self.plan.head.topic_id)
        shadow.create({REPLAY: describe(self.plan)}, snapshot=state.snapshot_id)
        shadow.append([], {**_carried(state), PROGRESS: self.plan.start.to_json()})
        spec = replace(self.spec, target=shadow.name, beside=self.spec.target)
        reached = self._catch_up(head).run(spec, self._memory, _ends(self.plan))
        if not self._changed and self.blocked is None:
            shadow.drop()
            return Replayed(self.plan.messages, self._events, 0)
        changed, events = self._changed, self._events
        snapshot = self._publish(shadow, spec, _further(reached, head))
        if self.blocked is not None:  # what was to be applied may have come just now
            changed, events = self._changed, self._events
        shadow.drop()
        if snapshot is None:
            return Replayed(self.plan.messages, events, 0)
        return Replayed(self.plan.messages, events, changed, snapshot_id=snapshot)

    def _publish(self, shadow: ShadowTable, spec: TableSpec, progress: Progress) -> int | None:
        """Let the shadow be as far as the table is, and swap; whoever publishes meanwhile is caught up with.

        Return the snapshot, or None if no row has changed: what is tried again may lie behind the table's progress,
        which does not move with messages that cannot be used.
        """
        with self.parts.engine.table(spec) as table:
            shadow.append([], {**_carried(table.read()), PROGRESS: progress.to_json()})
        held = self._fresh_memory(None).blocked
        still = held if self.blocked is None else {key: at for key, at in self._memory.blocked.items() if key in held}
        self._memory = self._fresh_memory(still)
        catch_up = self._catch_up(None)
        with ExitStack() as kept:
            for tries in count(1):
                progress = self.reached = catch_up.run(spec, self._memory, self.parts.engine.ends(self.spec.topic))
                if not self._changed:
                    return None
                if (snapshot := self._swapped(shadow, spec, progress)) is not None:
                    self.parts.control.moved(str(self.spec.target))
                    return snapshot
                if tries == PATIENCE:
                    kept.enter_context(self.parts.quiet(self.spec))
        return None

    def _swapped(self, shadow: ShadowTable, spec: TableSpec, progress: Progress) -> int | None:
        try:
            return self._swap(shadow, spec, progress)
        except CommitConflict as error:
            log.info("swap tried again", table=str(self.spec.target), reason=str(error))
            return None

    def _swap(self, shadow: ShadowTable, spec: TableSpec, progress: Progress) -> int | None:
        """Return the snapshot that is ``main`` now; None while the table is further than its shadow."""
        self.parts.still_holder()
        with self.parts.engine.table(self.spec) as table:
            state = table.read()
        if _further(progress_of(state, self.spec, ""), progress) != progress:
            return None
        with self.parts.engine.table(spec) as table:
            made = table.read()
        entries = {
            **_carried(made),
            LAST_DELETE: max(state.summary.get(LAST_DELETE, ""), made.summary.get(LAST_DELETE, "")),
            PROGRESS: progress.to_json(),
            TOKEN: state.summary.get(TOKEN, "0"),
            KIND: "replay",
        }
        return shadow.graft(state.snapshot_id, {name: value for name, value in entries.items() if value})

    def _forget_former(self, shadow: ShadowTable) -> None:
        if not shadow.exists():
            return
        if REPLAY not in shadow.properties():
            raise TerminalError(
                f"{self.spec.target} is being loaded", hint="`cdc load` goes on with it; replay the table afterwards"
            )
        shadow.drop()

    def _copy(self, into: TableName) -> Replayed:
        spec = replace(self.spec, target=into, beside=self.spec.target)
        with self.parts.engine.table(self.spec) as table:
            columns = {n: kind for n, kind in table.read().columns.items() if n not in CDC_COLUMNS}
        with self.parts.engine.table(spec) as table:
            if table.exists():
                raise TerminalError(f"table {into} is there already", hint="choose another name, or drop it first")
            create_table(spec, table, columns, 0)
        copied = 0
        if self.plan.base is not None:
            kept = {n: v for n, v in self.plan.entries.items() if n in (PROGRESS, *_CARRIED)}
            copied = self.parts.copier.copy(self.spec, into, self.plan.base, kept)
        self._catch_up(None).run(spec, self._memory, _ends(self.plan))
        with self.parts.engine.table(spec) as table:
            snapshot = table.read().snapshot_id
        return Replayed(self.plan.messages, self._events, self._changed, copied, snapshot)

    def _catch_up(self, published: Progress | None) -> CatchUp:
        parts, told = self.parts, self.on_problems
        applier = Applier(
            0, parts.blocked_keys, parts.still_holder, published=published, on_problems=told, ends=parts.engine.ends
        )
        return CatchUp(self.parts.engine, applier, on_applied=self._applied, stopping=self.stopping, pause=self.pause)

    def _fresh_memory(self, blocked: Mapping[bytes, tuple[int, int]] | None) -> TableMemory:
        if blocked is None:
            blocked = self.parts.engine.blocked([self.spec.topic]).get(self.spec.topic, {})
        return TableMemory(self.plan.head.topic_id, blocked=dict(blocked))

    def _applied(self, applied: Applied) -> None:
        self._events += applied.collapsed.events
        self._changed += sum(applied.counts.values())
        self.on_applied(applied)

    def _audit(self, outcome: str) -> None:
        note(self.parts.audit, self.command, self.spec.target, describe(self.plan), self.why, outcome)


def describe(plan: ReplayPlan) -> str:
    """Return one line for the audit log: offsets and where they go."""
    offsets = ", ".join(f"{p}: {first} to {end}" for p, (first, end) in plan.offsets.items())
    return f"offsets {offsets or 'none'} into {plan.into or 'the table itself'}"


def _carried(state: TargetState) -> dict[str, str]:
    """Return what has to stand in the newest commit of a table for those that come after it."""
    return {name: state.summary[name] for name in _CARRIED if name in state.summary}


def _ends(plan: ReplayPlan) -> dict[int, int]:
    return {p: end for p, (_, end) in plan.offsets.items()}


def _further(one: Progress, other: Progress) -> Progress:
    """Return, for each partition, the one of both that is further; the other where they are alike."""
    ahead = {p: s for p, s in one.partitions.items() if s.next_offset > other.of(p).next_offset}
    return replace(other, partitions={**other.partitions, **ahead})
