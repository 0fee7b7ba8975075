"""Maintain: look at tables now and then, and do what is due, in small steps between their batches.

A step is one or two commits that change no row and no progress. Whatever commits to the table meanwhile comes first: a
step that lost, or was given up for a batch, is due again at the next look.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from cdc.core.errors import CdcError, Fenced, Yielded
from cdc.core.maintenance import Done, Limits, MaintenancePlan, RemoveOrphans, Step, TableShape, plan_maintenance
from cdc.core.names import TableName
from cdc.pipeline.turns import Turns

log = structlog.get_logger()

PATIENCE = 20.0
"""Seconds for which the turn of a table is waited for; then another one is looked at."""

LEAST_BYTES = 8 << 20
"""So small a step becomes, however often it is given up."""


@dataclass(frozen=True)
class Kept:
    """A table that is maintained; ``turn`` names whose turn it shares with batches, a target's name."""

    name: TableName
    limits: Limits
    turn: str = ""


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
    _bytes: dict[TableName, int] = field(default_factory=dict)

    def run(self, stop: threading.Event, pause: float = 1.0) -> None:
        """Look at the tables, each once an interval, until ``stop`` is set; trouble with one is logged, and is its own.

        The first look at a table is spread over the interval, so that not all are due at once.
        """
        while not stop.wait(pause):
            tables = self.tables()
            for number, table in enumerate(tables):
                spread = self.interval.total_seconds() * (number + 1) / len(tables)
                due = self._due.setdefault(table.name, self.clock() + spread)
                if not stop.is_set() and self.clock() >= due:
                    self._look(table)

    def _look(self, table: Kept) -> None:
        self._due[table.name] = self.clock() + self.interval.total_seconds()
        try:
            self.maintain(table)
        except Fenced:
            log.info("maintenance ended, another instance took over", pipeline=self.pipeline)
        except Exception as error:  # noqa: BLE001 - nothing depends on it, and the table has its next look
            what = str(error) if isinstance(error, CdcError) else type(error).__name__
            log.warning("maintenance failed", pipeline=self.pipeline, table=str(table.name), error=what)
            self.metrics.maintenance_failed(self.pipeline, str(table.name), "look")

    def plan(self, table: Kept) -> MaintenancePlan:
        """Return what is due of a table; of one that is not there, nothing."""
        limits = replace(table.limits, step_bytes=self._bytes.get(table.name, table.limits.step_bytes))
        shape = self.maintainer.look(table.name, limits)
        return MaintenancePlan(table.name) if shape is None else plan_maintenance(shape, limits, self.now())

    def maintain(self, table: Kept) -> list[Outcome]:
        """Do what is due of a table, as far as the budget goes; return what was tried."""
        plan, until = self.plan(table), self.clock() + self.budget.total_seconds()
        outcomes: list[Outcome] = []
        for step in plan.steps:
            if outcomes and self.clock() >= until:
                break
            outcome = self._step(table, step)
            if outcome is None:
                break
            outcomes.append(outcome)
        left = len(plan.steps) - sum(not one.error for one in outcomes)
        self.metrics.maintenance_over(self.pipeline, str(table.name), at=self.now().timestamp(), left=left)
        return outcomes

    def _step(self, table: Kept, step: Step) -> Outcome | None:
        """Do a step in the table's turn; None if the turn did not come.

        Orphans are older than any commit that is under way, and finding them takes long: no batch waits for that.
        """
        if isinstance(step, RemoveOrphans):
            return self._try(table, step, lambda: False)
        with self.turns.maintenance(table.turn or str(table.name), self.patience) as wanted:
            if wanted is None:
                log.info("maintenance waits, batches have no gap", pipeline=self.pipeline, table=str(table.name))
                return None
            return self._try(table, step, wanted)

    def _try(self, table: Kept, step: Step, wanted: Callable[[], bool]) -> Outcome:
        self.still_holder()
        began = self.clock()
        try:
            done = self.maintainer.do(table.name, step, wanted, self.budget.total_seconds())
        except Fenced:
            raise
        except CdcError as error:
            return self._failed(table, step, error, self.clock() - began)
        return self._done(table, step, done, self.clock() - began)

    def _done(self, table: Kept, step: Step, done: Done, seconds: float) -> Outcome:
        name = str(table.name)
        if table.name in self._bytes:
            self._bytes[table.name] = min(2 * self._bytes[table.name], table.limits.step_bytes)
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

    def _failed(self, table: Kept, step: Step, error: CdcError, seconds: float) -> Outcome:
        name = str(table.name)
        if isinstance(error, Yielded):
            held = self._bytes.get(table.name, table.limits.step_bytes)
            self._bytes[table.name] = max(LEAST_BYTES, held // 2)
        self.metrics.maintenance_failed(self.pipeline, name, step.kind)
        log.warning("maintenance step not done", pipeline=self.pipeline, table=name, step=step.kind, error=str(error))
        return Outcome(step, Done(), seconds, str(error))
