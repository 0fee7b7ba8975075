"""Load: the first rows of a table, or all of them anew, while its changes go on (docs/decisions/0014).

1. Capture has begun: every change from now on will be in the topic. Note where the topic ends, and then the log.
2. Make the shadow, with the plan in it: from here on a crash costs only what was not committed yet.
3. Read the ranges, in parallel; each commit to the shadow names the ranges that it holds.
4. Apply the topic from the noted end on, until the connector has passed the log's end after the last range. Rows with
   values that no event had are read again.
5. Swap: the shadow's head becomes ``main``, with its progress, if it is at least as far as ``main`` is.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, NoReturn

import structlog

from cdc.core.collapse import READ_AGAIN, UNKNOWN
from cdc.core.errors import CdcError, CommitConflict, TerminalError, TransientError
from cdc.core.evolution import plan_schema
from cdc.core.history import LAST_DELETE, LOAD, LOAD_OFFSETS, LOAD_WHERE, PIPELINE, PROGRESS, TOKEN, TRUNCATED
from cdc.core.identity import Identity
from cdc.core.load import (
    BYTES,
    FAILURE,
    PLAN,
    RANGES,
    ROWS,
    LoadPlan,
    LoadProgress,
    LoadState,
    RangeResult,
    Stamp,
    audit_ranges,
    loaded,
    may_repeat,
    new_epoch,
    summary_of,
)
from cdc.core.names import TableName, heartbeat_topic
from cdc.core.progress import Progress, TopicState, further, same_capture
from cdc.pipeline.apply import Applied, Applier, TableMemory, progress_of
from cdc.pipeline.catch_up import CatchUp
from cdc.pipeline.engine import capture_id
from cdc.pipeline.load_parts import (
    MENDED,
    RETENTION_SECONDS,
    LoadParts,
    arrange,
    bring_columns,
    draft,
    warn_of_retention,
)
from cdc.pipeline.quiet import PATIENCE
from cdc.pipeline.table import TableSpec, TargetTable

log = structlog.get_logger()

COMMIT_SECONDS = 5.0
"""Results of ranges are gathered so long before they are committed together."""


@dataclass
class Load:
    """The load of one table; ``where`` is the part to load, None what a load that was interrupted began with."""

    parts: LoadParts
    spec: TableSpec
    source: TableName
    on_progress: Callable[[LoadProgress], None] = lambda _progress: None
    stopping: Callable[[], bool] = lambda: False
    where: str | None = None
    pause: Callable[[float], object] = time.sleep
    _progress: LoadProgress = field(init=False)
    _began: float = 0.0
    _retention_at: float = 0.0

    def __post_init__(self) -> None:
        self._progress = LoadProgress(self.spec.target, LoadState.WAITING)
        self._shadow = self.parts.shadow(self.spec)
        self._shadow_spec = replace(self.spec, target=self._shadow.name)

    def run(self, *, again: bool = False) -> LoadProgress:
        """Load the table unless it is loaded, and return how it stands; with ``again`` load it anew.

        A load that was interrupted goes on behind its last commit. Raises the errors of the parts: TransientError
        where trying again may help, TerminalError where an operator has to act; what was committed stays.
        """
        with self.parts.engine.table(self.spec) as table:
            if not again and not self._shadow.exists() and table.exists() and loaded(table.read().summary):
                return self._tell(state=LoadState.LOADED, detail="it is loaded already")
        plan = self._plan()
        self._read(plan)
        self._require_columns(plan)
        self._seal(plan)
        self._publish(plan)
        return self._tell(state=LoadState.LOADED, seconds_left=0.0)

    def _plan(self) -> LoadPlan:
        kept = self._shadow.properties().get(PLAN) if self._shadow.exists() else None
        if kept is not None:
            plan = LoadPlan.from_json(kept)
            declared = dict(self.parts.declared(self.spec))
            where = plan.where if self.where is None else self.where
            wanted = declared, self.spec.key, where, self.parts.identity(self.spec)
            if (plan.columns, plan.key, plan.where, plan.relation) == wanted and self._same_topic(plan):
                log.info("load goes on", table=str(self.spec.target), load=plan.id)
                self._shadow.set_properties({FAILURE: ""})
                self._bring_columns(plan)
                return plan
            log.info("load begins anew: what it is of has changed", table=str(self.spec.target), load=plan.id)
        self._shadow.drop()  # also one that a replay left behind
        return self._begin()

    def _same_topic(self, plan: LoadPlan) -> bool:
        topic, capture = self._topic()
        known = plan.progress
        return topic is not None and topic.topic_id == known.topic_id and same_capture(known.capture, capture)

    def _topic(self) -> tuple[TopicState | None, str]:
        """Return the topic, and what names the stretch of the log that is captured into it now."""
        found = self.parts.engine.topics([self.spec.topic, heartbeat_topic(self.spec.pipeline)])
        return found.get(self.spec.topic), capture_id(found, self.spec.pipeline, self.parts.places())

    def _begin(self) -> LoadPlan:
        columns = self.parts.declared(self.spec)  # what is wrong with the table itself is said now, not waited for
        self._await_capture()
        before = self._target()
        topic, capture = self._topic()
        if topic is None:
            raise TransientError(
                f"topic {self.spec.topic!r} is gone again",
                hint="`cdc connectors apply` makes it; then start the load again",
            )
        ends = {p: marks[1] for p, marks in topic.watermarks.items()}
        base = self.parts.bulk.position()  # after the ends: what is before them was committed at or before it
        plan = replace(
            draft(self.parts.bulk, self.source, self.spec, columns, self.parts.rows_per_range, self.where or ""),
            id=uuid.uuid4().hex[:12],
            progress=new_epoch(self.spec.topic, topic.topic_id, ends, before, capture),
            base=base,
            relation=self.parts.identity(self.spec),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self._shadow.create({PLAN: plan.to_json()})
        self._bring_columns(plan)
        with self.parts.engine.table(self._shadow_spec) as table:
            arrange(table, self._shadow, self.spec)
        told = {"load": plan.id, "ranges": len(plan.ranges), "rows_estimate": plan.size.rows, "position": base}
        log.info("load begins", table=str(self.spec.target), **told)
        return plan

    def _await_capture(self) -> None:
        """Wait until changes are captured; they are what the rows read are set right with."""
        deadline, lacking = time.monotonic() + self.parts.capture_seconds, ""
        while True:
            found = self.parts.capture.lacking(self.source)
            if not found and self.spec.topic in self.parts.engine.topics([self.spec.topic]):
                return
            apply = f"cdc connectors apply {self.spec.pipeline}"
            found = found or f"topic {self.spec.topic!r} does not exist; run `{apply}`"
            if found != lacking:
                log.warning("load waits for capture", table=str(self.spec.target), lacking=found)
                self._tell(state=LoadState.WAITING, detail=found)
            lacking = found
            if self.stopping() or time.monotonic() > deadline:
                raise TransientError(f"{self.spec.target} is not loaded: {lacking}", hint=apply)
            self.pause(0.5)

    def _target(self) -> Progress | None:
        """Create the target, empty, unless it is there; return its progress if it has any."""
        with self.parts.engine.table(self.spec) as table:
            if not table.exists():
                columns = dict(self.parts.declared(self.spec))
                plan_schema({}, columns)  # refuses names that are ours
                table.create(columns, self.spec.key, self.spec.partition_by, self.spec.properties)
            state = table.read()
            return progress_of(state, self.spec, "") if loaded(state.summary) else None

    def _bring_columns(self, plan: LoadPlan) -> None:
        with self.parts.engine.table(self._shadow_spec) as table:
            bring_columns(table, self._shadow, plan.columns)

    def _read(self, plan: LoadPlan) -> None:
        """Read the ranges that no commit holds yet."""
        history = self._shadow.history()
        if any(PROGRESS in summary for summary in history):
            return  # sealed: all ranges are in
        done = {int(n) for summary in history for n in summary.get(RANGES, "").split(",") if n}
        rows = sum(int(summary.get(ROWS, "0")) for summary in history)
        self._tell(
            state=LoadState.READING, ranges=len(plan.ranges), ranges_done=len(done), rows_estimate=plan.size.rows
        )
        self._tell(rows=rows, rows_before=rows, bytes=sum(int(summary.get(BYTES, "0")) for summary in history))
        self._began = time.monotonic()
        pending: list[RangeResult] = []
        committed_at = time.monotonic()
        left = [part for part in plan.ranges if part.number not in done]
        results = self.parts.read(self.spec, plan, left, Stamp())
        try:
            for result in results:
                pending.append(result)
                self._count(result)
                if time.monotonic() - committed_at > COMMIT_SECONDS:
                    ready, pending = pending, []  # once: a commit whose answer was lost may have been made
                    self._commit(plan, ready)
                    committed_at = time.monotonic()
                self._heed_stop()
        except Exception:
            with suppress(CdcError):  # what else is wrong then says less than why the reading ended
                self._commit(plan, pending)
            raise
        finally:
            results.close()
        self._commit(plan, pending)

    def _heed_stop(self) -> None:
        if self.stopping():
            raise TransientError(f"load of {self.spec.target} was told to stop", hint="start it again: it goes on")

    def _count(self, result: RangeResult) -> None:
        now = self._progress
        rows, done = now.rows + result.rows, now.ranges_done + 1
        seconds = time.monotonic() - self._began
        read = rows - now.rows_before
        left = seconds * max(0, now.rows_estimate - rows) / read if read else None
        self._tell(rows=rows, ranges_done=done, bytes=now.bytes + result.bytes, seconds=seconds, seconds_left=left)
        if left is not None and time.monotonic() - self._retention_at > RETENTION_SECONDS:
            self._retention_at = time.monotonic()
            warn_of_retention(self.parts.capture, self.spec.target, seconds + left)

    def _commit(self, plan: LoadPlan, results: Sequence[RangeResult]) -> None:
        if not results:
            return
        self.parts.still_holder()
        self._shadow.append([file for result in results for file in result.files], summary_of(results))
        numbers = [result.number for result in results]
        log.info("ranges committed", table=str(self.spec.target), load=plan.id, ranges=numbers)

    def _require_columns(self, plan: LoadPlan) -> None:
        """A column that was added or changed meanwhile is not in the ranges read before it."""
        if dict(self.parts.declared(self.spec)) != plan.columns:
            self._give_up(f"the columns of {self.source} were changed while it was loaded")

    def _require_capture(self, plan: LoadPlan) -> None:
        """What a connector that began anew has passed by is in no topic."""
        if not self._same_topic(plan):
            self._give_up(f"the connector of {self.spec.pipeline} began anew while {self.source} was loaded")
        now, then = Identity.parse(self.parts.identity(self.spec)), Identity.parse(plan.relation)
        if now.another_relation(then) or now.another_history(then):
            self._give_up(f"{self.source} was made anew, or out of what is captured, while it was loaded")

    def _give_up(self, why: str) -> NoReturn:
        self._shadow.drop()
        raise TransientError(why, hint="the load begins anew")

    def _seal(self, plan: LoadPlan) -> None:
        """Commit the progress that the stream goes on from; from here on the shadow is a table like any other."""
        if any(PROGRESS in summary for summary in self._shadow.history()):
            return
        self._audit(plan)
        while may_repeat(plan) and (keys := self._shadow.repeated_keys(plan.key, MENDED)):
            self._mend(plan, keys)
        self._shadow.append(
            [],
            {
                PROGRESS: plan.progress.to_json(),
                LOAD_OFFSETS: plan.progress.to_json(),
                LOAD: plan.id,
                PIPELINE: self.spec.pipeline,
            },
        )

    def _audit(self, plan: LoadPlan) -> None:
        if wrong := audit_ranges(plan, self._shadow.history()):
            hint = f"begin it anew: `cdc tables reset {self.source}`"
            raise TerminalError(f"audit of the load of {self.spec.target} failed: {wrong}", hint=hint)

    def _publish(self, plan: LoadPlan) -> None:
        """Catch up until nothing is missing, and swap; whoever publishes to the target meanwhile is caught up with."""
        memory = self._memory(plan.progress.topic_id)
        applier = Applier(
            0,
            self.parts.blocked_keys,
            self.parts.still_holder,
            doubtful="r" + READ_AGAIN,
            ends=self.parts.engine.ends,
        )
        catch_up = CatchUp(
            self.parts.engine, applier, on_applied=self._applied, stopping=self.stopping, pause=self.pause
        )
        self._tell(state=LoadState.CATCHING_UP)
        progress = self._whole(plan, catch_up, memory)
        self._require_capture(plan)
        strict = replace(catch_up, applier=replace(applier, doubtful=""))  # now it is a table like any other
        with ExitStack() as kept:
            for tries in count(1):
                if self._swapped(plan, progress):
                    break
                if tries == PATIENCE:
                    kept.enter_context(self.parts.quiet(self.spec))
                progress = strict.run(self._shadow_spec, memory, self._ends())
            self._shadow.drop()
            self._let_go(plan)
            self.parts.moved(self.spec, plan)
        log.info("table loaded", table=str(self.spec.target), load=plan.id, rows=self._progress.rows)

    def _memory(self, topic_id: str) -> TableMemory:
        """Return what is known of the table: no key waits behind a quarantined message, for its row was read."""
        return TableMemory(topic_id)

    def _let_go(self, plan: LoadPlan) -> None:
        """Let go of what the quarantine holds from before: the rows that were read have it."""
        began = plan.progress.partitions
        self.parts.engine.release(self.spec.topic, {p: state.next_offset for p, state in began.items()})

    def _whole(self, plan: LoadPlan, catch_up: CatchUp, memory: TableMemory) -> Progress:
        """Catch up with everything that was committed when the last row was read, and read again what lacks values."""
        while True:
            self._await_passed(self.parts.bulk.position())
            progress = catch_up.run(self._shadow_spec, memory, self._ends())
            # What was read first is behind the events now, and can be trusted; what is read again is not yet.
            catch_up = replace(catch_up, applier=replace(catch_up.applier, doubtful=READ_AGAIN))
            marked = self._shadow.marked_keys(plan.key, UNKNOWN, MENDED)
            if not marked:
                return progress
            self._mend(plan, marked)

    def _mend(self, plan: LoadPlan, keys: Sequence[Sequence[Any]]) -> None:
        """Read rows again by their keys; a later position is waited for then."""
        log.info("rows read again", table=str(self.spec.target), rows=len(keys))
        part = replace(self.parts.bulk.keys(self.source, plan.key, keys), number=len(plan.ranges))
        with self.parts.engine.table(self._shadow_spec) as table:
            stamp = Stamp(READ_AGAIN, table.read().summary.get(TRUNCATED, ""))
        results = list(self.parts.read(self.spec, plan, [part], stamp))
        if sum(result.rows for result in results) > len(keys):
            raise TerminalError(
                f"key ({', '.join(plan.key)}) of {self.source} is not unique",
                hint="choose a key with a unique constraint in tables[].key",
            )
        self._shadow.replace_rows(plan.key, keys, [file for result in results for file in result.files])

    def _await_passed(self, high: str) -> None:
        deadline = time.monotonic() + self.parts.passed_seconds
        told: str | None = None
        while not self.parts.capture.passed(high):
            trouble = self.parts.capture.trouble()
            if trouble != told:
                detail = f"waiting for the connector to pass {high}" + (f"; {trouble}" if trouble else "")
                self._tell(state=LoadState.CATCHING_UP, detail=detail)
                told = trouble
            if self.stopping() or time.monotonic() > deadline:
                raise TransientError(
                    f"{self.spec.target} is read, and the connector has not passed {high} yet"
                    + (f": {trouble}" if trouble else ""),
                    hint=f"cdc connectors status {self.spec.pipeline}; the load goes on from here when started again",
                )
            self.pause(0.2)

    def _ends(self) -> dict[int, int]:
        return dict(self.parts.engine.ends(self.spec.topic))

    def _swapped(self, plan: LoadPlan, progress: Progress) -> bool:
        """Return whether the shadow took the target's place; not while the target is further than it."""
        with self.parts.engine.table(self.spec) as table:
            try:
                return self._swap(plan, table, progress)
            except CommitConflict as error:
                log.info("swap tried again", table=str(self.spec.target), reason=str(error))
                return False

    def _swap(self, plan: LoadPlan, table: TargetTable, progress: Progress) -> bool:
        self.parts.still_holder()
        state = table.read()
        if further(progress_of(state, self.spec, ""), progress):
            return False
        self._shadow.hand_over_tombstones(plan.key)
        with self.parts.engine.table(self._shadow_spec) as shadow:
            last_delete = max(state.summary.get(LAST_DELETE, ""), shadow.read().summary.get(LAST_DELETE, ""))
        entries = {
            PROGRESS: progress.to_json(),
            TOKEN: state.summary.get(TOKEN, "0"),
            LAST_DELETE: last_delete,
            PIPELINE: self.spec.pipeline,
        }
        told = {name: value for name, value in entries.items() if value} | self._told_of(plan)
        self._shadow.graft(state.snapshot_id, told)
        return True

    def _told_of(self, plan: LoadPlan) -> dict[str, str]:
        """Return what the commit says of how the rows came."""
        return {LOAD: plan.id, LOAD_OFFSETS: plan.progress.to_json(), LOAD_WHERE: plan.where}

    def _applied(self, applied: Applied) -> None:
        said = f"applied {applied.collapsed.events:,} changes made meanwhile"
        self._tell(state=LoadState.CATCHING_UP, detail=said)

    def _tell(self, **changes: Any) -> LoadProgress:  # noqa: ANN401 - the fields of LoadProgress
        if "state" in changes and changes["state"] is not self._progress.state:
            changes = {"detail": "", **changes}
        self._progress = replace(self._progress, **changes)
        self.on_progress(self._progress)
        return self._progress

    @property
    def ranges_done(self) -> int:
        """Return how many ranges are read, of the newest attempt."""
        return self._progress.ranges_done

    def failed(self, error: CdcError) -> None:
        """Note why the load does not go on, where `cdc status` finds it."""
        said = error.said_of(self.spec.target)
        self._tell(state=LoadState.FAILED, detail=said)
        if self._shadow.exists():
            self._shadow.set_properties({FAILURE: said})
