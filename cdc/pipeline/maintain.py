"""Maintain: look at tables now and then, and do what is due, in small steps between their batches.

A step is one or two commits that change no row and no progress. Whatever commits to the table meanwhile comes first: a
step that lost, or was given up for a batch, is due again at the next look.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from cdc.core.compaction import Compact
from cdc.core.errors import CdcError, Fenced, Yielded
from cdc.core.maintenance import Done, Limits, MaintenancePlan, RemoveOrphans, Step, TableShape, plan_maintenance
from cdc.core.names import TableName
from cdc.pipeline.turns import Turns

log = structlog.get_logger()

PATIENCE = 20.0
"""Seconds for which the turn of a table is waited for; then another one is looked at."""

BATCHES = 20
"""So many batches of a table make it due before its interval is over: each may have left a file, and one of deletes."""

AGAIN = 8
"""So many are enough for one that had to be compacted at its last look: its batches wait for a shorter time each."""

LEAST_BYTES = 8 << 20
"""So small a step becomes, however often it is given up."""

MOST_DOUBLINGS = 5
"""How often the time that a batch waits for a step is doubled, when the step is as small as it gets."""


@dataclass(frozen=True)
class Kept:
    """A table that is maintained; ``turn`` names whose turn it shares with batches, a target's name."""

    name: TableName
    limits: Limits
    turn: str = ""

    @property
    def turn_name(self) -> str:
        """Return the name of its turn, its own if it shares none."""
        return self.turn or str(self.name)


class Maintainer(Protocol):
    """The hands of maintenance. Each step is atomic, and safe whoever writes to the table meanwhile."""

    def look(self, table: TableName, limits: Limits) -> TableShape | None:
        """Return what the table is like, None if it is not there; raises what a catalog raises."""
        ...

    def do(self, table: TableName, step: Step, wanted: Callable[[], bool], patience: float) -> Done:
        """Carry a step out.

        Raises CommitConflict if another writer was first, Yielded if it was ``wanted`` for longer than ``patience``
        seconds after its beginning: nothing is changed then.
        """
        ...


class Metrics(Protocol):
    """Counters of maintenance."""

    def maintained(self, pipeline: str, table: str, step: str, seconds: float, removed: int, added: int) -> None:
        """Count a step that was done, with the files it removed and added."""
        ...

    def expired(self, pipeline: str, table: str, snapshots: int) -> None:
        """Count expired snapshots."""
        ...

    def maintenance_failed(self, pipeline: str, table: str, step: str) -> None:
        """Count a step that failed, or was given up."""
        ...

    def maintenance_over(self, pipeline: str, table: str, *, at: float, left: int) -> None:
        """Record when a table was looked at (Unix time), and how many steps are still due."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a step; ``error`` is empty if it was done."""

    step: Step
    done: Done = field(default_factory=Done)
    seconds: float = 0.0
    error: str = ""


@dataclass
class Maintenance:
    """Maintenance of the tables of one pipeline; ``run`` goes on until it is told to stop.

    ``tables`` gives those that take part now: none while the pipeline has no lease. ``still_holder`` is asked before
    each step, and raises Fenced. ``budget`` bounds what is begun in one look at a table, in seconds.
    """

    pipeline: str
    tables: Callable[[], Sequence[Kept]]
    maintainer: Maintainer
    metrics: Metrics
    interval: timedelta
    budget: timedelta
    turns: Turns = field(default_factory=Turns)
    still_holder: Callable[[], None] = lambda: None
    patience: float = PATIENCE
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    _due: dict[TableName, float] = field(default_factory=dict)
    _seen: Counter[TableName] = field(default_factory=Counter)
    _put_off: dict[TableName, tuple[str, ...]] = field(default_factory=dict)
    _given_up: Counter[tuple[TableName, str]] = field(default_factory=Counter)
    _compacted: set[TableName] = field(default_factory=set)

    def run(self, stop: threading.Event, pause: float = 1.0) -> None:
        """Look at the tables, each once an interval, until ``stop`` is set; trouble with one is logged, and is its own.

        The first look at a table is spread over the interval, so that not all are due at once. One that has had many
        batches is due at once.
        """
        while not stop.wait(pause):
            tables = self.tables()
            for number, table in enumerate(tables):
                spread = self.interval.total_seconds() * (number + 1) / len(tables)
                due = self._due.setdefault(table.name, self.clock() + spread)
                if not stop.is_set() and (self._is_busy(table) or self.clock() >= due):
                    self._look(table)

    def _is_busy(self, table: Kept) -> bool:
        batches = self.turns.batches(table.turn_name) - self._seen[table.name]
        return batches >= (AGAIN if table.name in self._compacted else BATCHES)

    def _look(self, table: Kept) -> None:
        self._due[table.name] = self.clock() + self.interval.total_seconds()
        self._seen[table.name] = self.turns.batches(table.turn_name)
        self._compacted.discard(table.name)
        try:
            outcomes = self.maintain(table)
            if any(isinstance(one.step, Compact) and not one.error for one in outcomes):
                self._compacted.add(table.name)
        except Fenced:
            log.info("maintenance ended, another instance took over", pipeline=self.pipeline)
        except Exception as error:  # noqa: BLE001 - nothing depends on it, and the table has its next look
            what = str(error) if isinstance(error, CdcError) else type(error).__name__
            log.warning("maintenance failed", pipeline=self.pipeline, table=str(table.name), error=what)
            self.metrics.maintenance_failed(self.pipeline, str(table.name), "look")

    def plan(self, table: Kept) -> MaintenancePlan:
        """Return what is due of a table; of one that is not there, nothing."""
        smaller = table.limits.step_bytes >> self._given_up[table.name, Compact.kind]
        limits = replace(table.limits, step_bytes=max(min(LEAST_BYTES, table.limits.step_bytes), smaller))
        shape = self.maintainer.look(table.name, limits)
        return MaintenancePlan(table.name) if shape is None else plan_maintenance(shape, limits, self.now())

    def maintain(self, table: Kept) -> list[Outcome]:
        """Do what is due of a table, as far as the budget goes; return what was tried.

        What a look had no time for comes first in the next one.
        """
        plan, until = self.plan(table), self.clock() + self.budget.total_seconds()
        first = self._put_off.get(table.name, ())
        steps = sorted(plan.steps, key=lambda step: first.index(step.kind) if step.kind in first else len(first))
        outcomes: list[Outcome] = []
        for step in steps:
            if outcomes and self.clock() >= until:
                break
            outcome = self._step(table, step)
            if outcome is None:
                break
            outcomes.append(outcome)
        self._put_off[table.name] = _kinds(steps[len(outcomes) :])
        left = len(plan.steps) - sum(not one.error for one in outcomes)
        self.metrics.maintenance_over(self.pipeline, str(table.name), at=self.now().timestamp(), left=left)
        return outcomes

    def _step(self, table: Kept, step: Step) -> Outcome | None:
        """Do a step in the table's turn; None if the turn did not come.

        Orphans are older than any commit that is under way, and finding them takes long: no batch waits for that.
        """
        if isinstance(step, RemoveOrphans):
            return self._try(table, step, lambda: False)
        with self.turns.maintenance(table.turn_name, self.patience) as wanted:
            if wanted is None:
                log.info("maintenance waits, batches have no gap", pipeline=self.pipeline, table=str(table.name))
                return None
            return self._try(table, step, wanted)

    def _try(self, table: Kept, step: Step, wanted: Callable[[], bool]) -> Outcome:
        self.still_holder()
        began = self.clock()
        try:
            done = self.maintainer.do(table.name, step, wanted, self._patience(table, step))
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one step keeps none of the others from being done
            return self._failed(table, step, error, self.clock() - began)
        return self._done(table, step, done, self.clock() - began)

    def _patience(self, table: Kept, step: Step) -> float:
        """Return for how long a batch has to wait: longer for what was given up and cannot be made smaller any more.

        Otherwise what never fits between two batches would never be done, and every one of them would pay for it.
        """
        doublings = max(0, self._given_up[table.name, step.kind] - _halvings(table, step))
        return float((self.budget * 2 ** min(doublings, MOST_DOUBLINGS)).total_seconds())

    def _done(self, table: Kept, step: Step, done: Done, seconds: float) -> Outcome:
        name, key = str(table.name), (table.name, step.kind)
        if self._given_up[key]:
            self._given_up[key] = min(self._given_up[key], _halvings(table, step) or MOST_DOUBLINGS) - 1
        self.metrics.maintained(self.pipeline, name, step.kind, seconds, done.files_removed, done.files_added)
        self.metrics.expired(self.pipeline, name, done.snapshots)
        log.info(
            "table maintained",
            pipeline=self.pipeline,
            table=name,
            step=step.kind,
            reason=step.reason,
            files_removed=done.files_removed,
            files_added=done.files_added,
            snapshots_expired=done.snapshots,
            seconds=round(seconds, 3),
        )
        return Outcome(step, done, seconds)

    def _failed(self, table: Kept, step: Step, error: Exception, seconds: float) -> Outcome:
        name, known = str(table.name), isinstance(error, CdcError)
        what = str(error) if known else f"{type(error).__name__}, which is a bug: please report what the log says"
        if isinstance(error, Yielded):
            self._given_up[table.name, step.kind] += 1
        self.metrics.maintenance_failed(self.pipeline, name, step.kind)
        log.warning(
            "maintenance step not done",
            pipeline=self.pipeline,
            table=name,
            step=step.kind,
            error=what,
            exc_info=None if known else error,
        )
        return Outcome(step, Done(), seconds, what)


def _kinds(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the kinds of steps, each once, in their order."""
    return tuple(dict.fromkeys(step.kind for step in steps))


def _halvings(table: Kept, step: Step) -> int:
    """Return how often a step can be made half as large; one of a single file cannot."""
    if not isinstance(step, Compact) or len(step.paths) == 1:
        return 0
    return max(0, (table.limits.step_bytes // LEAST_BYTES).bit_length() - 1)
