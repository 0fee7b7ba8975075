"""Stream: one source, one Spark query, its tables; always on.

A start takes the lease, fences every table with the lease's token, asks each table for its progress and starts the
query exactly there. Each micro-batch is read once and applied to its tables side by side; a table that cannot go on
stops alone. Nothing but the tables remembers how far they are.

Whatever changes the set of tables that take part (a load that is through, a rewind, a pause that ends, another
configuration) makes the query start again where the tables say, so that no batch passes a table by unnoticed.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from cdc.core.errors import (
    CdcError,
    CommitStateUnknown,
    Fenced,
    HeldBack,
    LeaseHeld,
    Moved,
    TerminalError,
    TransientError,
)
from cdc.core.names import heartbeat_topic
from cdc.core.preflight import Finding
from cdc.core.progress import Progress, TopicState, backlog, check_continuity, past_markers, same_capture
from cdc.pipeline.apply import Applied, Applier
from cdc.pipeline.begin import begin, loaded
from cdc.pipeline.comeback import Comeback, may_pass
from cdc.pipeline.control import POLL_SECONDS, Control, Marks
from cdc.pipeline.engine import Batch, Engine, Query, capture_id
from cdc.pipeline.fitness import RESET, Fitness
from cdc.pipeline.hold import Lease, beating, release
from cdc.pipeline.report import Report
from cdc.pipeline.roster import Roster
from cdc.pipeline.side_by_side import Width, side_by_side
from cdc.pipeline.table import TableSpec
from cdc.pipeline.turns import Turns

log = structlog.get_logger()

DRAIN_SECONDS = 20.0
"""How long a stopping service lets a running batch come to its end before it abandons it."""

CAPTURE_SECONDS = 10.0
"""How often it is looked whether the connector has begun anew."""

STALE = "stale"
"""The name of the trouble of a table that has to be loaded anew, whatever it began with."""

REST, REST_SECONDS = 3, 10.0
"""A query goes on for so many times as long as its start took, and no longer, before it ends for tables just loaded."""

HEALTHY_SECONDS = 60.0
"""A query that ran this long was well: when it ends, pauses are short again."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a pipeline: times, parallel tables and quarantined messages per table."""

    lease_ttl: timedelta
    retry_for: timedelta
    parallel_tables: int
    blocked_keys: int


@dataclass
class Pipeline:
    """One source's pipeline; ``run`` blocks until it is told to stop or cannot go on.

    It is ``holding`` while it has the lease.
    """

    name: str
    specs: Sequence[TableSpec]
    engine: Engine
    lease: Lease
    report: Report
    limits: Limits
    control: Control
    poll: float = POLL_SECONDS
    turns: Turns = field(default_factory=Turns)
    holding: bool = False
    _fatal: Exception | None = None
    _token: int = 0
    _failing: dict[str, float] = field(default_factory=dict)
    _batches: int = 0
    _held: HeldBack | Moved | None = None
    _again: bool = False
    _moved: bool = False
    _rests_until: float = 0.0
    _look_at: float = 0.0
    _capture: str = ""
    _capture_at: float = 0.0
    _wanted: deque[tuple[Sequence[TableSpec], Engine]] = field(default_factory=lambda: deque(maxlen=1))
    _idle: threading.Event = field(default_factory=threading.Event)
    _draining: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._roster, self._width = Roster(self.name, self.specs), Width(self.limits.parallel_tables)
        self._marks = Marks(self.name, self.control, self.poll)
        self._fitness = Fitness(self._roster, self.control, self._stop_table, self._tell_stopped)

    def run(self, stop: threading.Event, *, standby: bool = False) -> None:
        """Stream until ``stop`` is set.

        Tables that stop, all of them too, and dependencies that stay away do not end it: both are tried again. Raises
        LeaseHeld or Fenced when another instance writes. What has ended may be run again.
        """
        self._begin_anew()
        log.info("asking for the lease", pipeline=self.name, standby=standby)
        try:
            token = self.lease.acquire(wait=standby, stopping=stop.is_set, pause=stop.wait)
        except LeaseHeld:
            if stop.is_set():
                return
            raise
        log.info("lease taken", pipeline=self.name, token=token)
        self._token = token
        self.holding = True
        try:
            with beating(self.lease, self.limits.lease_ttl.total_seconds() / 4, self.name, self._end_with):
                applier = Applier(
                    token,
                    self.limits.blocked_keys,
                    self.lease.check,
                    outdated=self._marks.outdate,
                    ends=self._ends,
                    judges=True,
                )
                self._run_queries(applier, stop)
        finally:
            self.holding = False
            self.report.flush(stopping=True)
            release(self.lease, self.name)

    def _begin_anew(self) -> None:
        """Forget what was true while the last run had the lease."""
        self._fatal, self._marks = None, Marks(self.name, self.control, self.poll)
        self._roster.forget()
        self._comeback = Comeback(self._roster, lambda spec: self._marks.stale_of(spec) or self._fitness.unmarked(spec))
        self._failing, self._held, self._again, self._moved = {}, None, False, False
        self._draining.clear()
        self._idle.set()

    def reconfigure(self, specs: Sequence[TableSpec], engine: Engine) -> None:
        """Go on with these tables on this engine, from the next batch on; safe to call from another thread.

        The running batch comes to its end first. Of a table that is not among them everything stays as it is.
        """
        self._wanted.append((tuple(specs), engine))

    def judge(self, unfit: Mapping[str, Finding]) -> None:
        """Let these tables, by topic, rest for as long as they are unfit; safe to call from another thread."""
        self._fitness.judge(unfit)

    def streaming(self) -> list[TableSpec]:
        """Return the tables that take part now, none while another instance has the lease; from any thread."""
        return self._roster.of_batch(set(self._roster.reading)) if self.holding else []

    def _run_queries(self, applier: Applier, stop: threading.Event) -> None:
        """Run one query after another: a dependency that is away, for however long, does not end the service."""
        waited = 0.0
        while not stop.is_set():
            batches, began = self._batches, time.monotonic()
            try:
                self._run_query(applier, stop)
            except (TransientError, CommitStateUnknown) as error:
                if self._batches > batches or time.monotonic() - began > HEALTHY_SECONDS:
                    waited = 0.0
                waited = min(waited * 2 + 1, 15.0)
                said = {"error": str(error), "hint": error.hint}
                log.warning("query ended, starting again", pipeline=self.name, seconds=waited, **said)
                stop.wait(waited)

    def _run_query(self, applier: Applier, stop: threading.Event) -> None:
        """Run a query until it fails or another one is needed, none if there is no table to read."""
        self._reconfigure()
        self._heed()  # before the tables are read: whoever moves one after this is noticed
        self._held, self._again, self._moved = None, False, False
        began = time.monotonic()
        found = self._positions(applier)
        query = self.engine.start(found, partial(self._on_batch, applier)) if found else None
        self._rests_until = time.monotonic() + min(REST * (time.monotonic() - began), REST_SECONDS)
        self.report.started()
        log.info("query started" if query else "no table to read yet", pipeline=self.name, tables=len(found))
        failure: Exception | None = None
        try:
            while not (stop.is_set() or self._fatal or failure or self._again):
                stop.wait(0.2)
                failure = (query.failure() if query else None) or self._held
                self._heed()
                self._look_for_loaded()
                self._look_at_capture()
                self._again = self._comeback.due() or self._moved_long_ago() or self._again
                self.report.flush_when_due()
        finally:
            self._drain(query, stop)
        if self._fatal is not None or failure is not None:
            raise self._fatal or failure or AssertionError

    def _drain(self, query: Query | None, stop: threading.Event) -> None:
        self._draining.set()
        while self._again and not (stop.is_set() or self._fatal or self._idle.wait(0.2)):
            self.report.flush_when_due()  # nothing is wrong: the batch may take its time
        if not self._idle.wait(DRAIN_SECONDS):
            log.warning("running batch abandoned", pipeline=self.name)
        try:
            if query:
                query.stop()
        finally:
            self._draining.clear()

    def _heed(self) -> None:
        """Take up what the control table and a new configuration ask for."""
        self._again = self._fitness.heed() or self._again or bool(self._wanted)
        blind = not self._marks.known
        heard = self._marks.poll(self._roster.specs)
        if heard is None:
            return
        for spec in heard.paused:
            self._pause(spec)
        for spec in heard.stale:
            if spec.topic not in self._roster.stopped:
                self._stop_table(spec, self._stale(spec), STALE)
        for spec in heard.moved:
            self._roster.pardon(spec)
        self._moved = self._moved or bool(heard.moved)
        self._again = self._again or blind or bool(heard.resumed)

    def _moved_long_ago(self) -> bool:
        """Return whether to begin again for tables that were moved, or loaded: one after another, with many tables."""
        return self._moved and time.monotonic() >= self._rests_until

    def _stale(self, spec: TableSpec) -> TerminalError:
        return TerminalError(self._marks.stale_of(spec), hint=RESET)

    def _look_for_loaded(self) -> None:
        """Look at one table that waits: a load that was killed right after its end has not told of it."""
        if self._roster.loading and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + self.poll
            self._roster.loading.rotate()
            with suppress(CdcError), self.engine.table(self._roster.loading[0]) as table:
                self._moved = self._moved or loaded(table)

    def _look_at_capture(self) -> None:
        """Begin again where the connector has: what it has passed by is in no topic. Measure what is left to read."""
        if time.monotonic() >= self._capture_at:
            self._capture_at = time.monotonic() + CAPTURE_SECONDS
            heartbeat, reading = heartbeat_topic(self.name), self._roster.of_batch(self._roster.reading)
            with suppress(CdcError):
                topics = self.engine.topics([heartbeat, *(spec.topic for spec in reading)])
                self._again = self._again or not same_capture(self._captured(topics), self._capture)
                alive_at = self.engine.newest_at(heartbeat) if heartbeat in topics else None
                self._measure(reading, topics, alive_at)

    def _captured(self, topics: Mapping[str, TopicState]) -> str:
        return capture_id(topics, self.name, self._marks.state.places) if self._marks.known else ""

    def _measure(self, specs: Sequence[TableSpec], topics: Mapping[str, TopicState], alive_at: datetime | None) -> None:
        for spec in specs:
            progress, topic = self._roster.remember(spec).progress, topics.get(spec.topic)
            if progress and topic and progress.partitions:
                self.report.behind(spec, backlog(progress, topic, transactional=spec.transactional), alive_at)

    def _pause(self, spec: TableSpec) -> None:
        self._roster.reading.discard(spec.topic)
        if spec.topic not in self._roster.stopped:
            self.report.paused(spec, self._marks.pause_of(spec))

    def _reconfigure(self) -> None:
        if not self._wanted:
            return
        specs, self.engine = self._wanted.pop()
        for spec in self._roster.take(specs):
            self.report.removed(spec)

    def _positions(self, applier: Applier) -> dict[str, tuple[Progress, frozenset[int]]]:
        self._roster.reading = set()
        candidates = self._roster.candidates()
        active = []
        for spec in candidates:
            if self._marks.pause_of(spec):
                self._pause(spec)
            elif self._marks.stale_of(spec):
                self._stop_table(spec, self._stale(spec), STALE)
            else:
                active.append(spec)
        topics = self.engine.topics([*(spec.topic for spec in active), heartbeat_topic(self.name)])
        self._capture = self._captured(topics)
        blocked = self.engine.blocked([spec.topic for spec in active if spec.topic in topics])
        found: dict[str, tuple[Progress, frozenset[int]]] = {}
        for spec in active:
            try:
                position = self._position(applier, spec, topics.get(spec.topic), blocked)
            except Fenced:
                raise
            except (TransientError, CommitStateUnknown) as error:
                self._wait_for(spec, error)
            except Exception as error:  # noqa: BLE001 - as with its batches: one table stops alone
                self._stop_table(spec, error)
            else:
                self._failing.pop(spec.topic, None)
                found |= {spec.topic: position} if position else {}
        self._roster.reading = set(found)
        return found

    def _wait_for(self, spec: TableSpec, error: TransientError | CommitStateUnknown) -> None:
        """Begin again while a table may answer yet; after ``retry_for`` it alone stops, to be tried again later."""
        since = self._failing.setdefault(spec.topic, time.monotonic())
        if time.monotonic() - since < self.limits.retry_for.total_seconds():
            raise error
        self._failing.pop(spec.topic)
        self._stop_table(spec, error)

    def _position(
        self,
        applier: Applier,
        spec: TableSpec,
        topic: TopicState | None,
        blocked: Mapping[str, dict[bytes, tuple[int, int]]],
    ) -> tuple[Progress, frozenset[int]] | None:
        memory = self._roster.remember(spec)
        memory.topic_id = topic.topic_id if topic else ""
        memory.partitions = frozenset(topic.watermarks) if topic else frozenset()
        memory.blocked = dict(blocked.get(spec.topic, {}))
        with self.engine.table(spec) as table:
            progress = begin(spec, table, applier.token, memory, partial(self._declared, spec))
        if progress is None:
            self._roster.loading.append(spec)
            self.report.loading(spec)
            return None
        if topic is None:
            raise TerminalError(
                f"topic {spec.topic!r} does not exist", hint="run `cdc connectors apply`, which creates it"
            )
        if spec.transactional:
            progress = past_markers(progress, topic)  # where the query begins; of the table nothing changes
        check_continuity(progress, topic, self._capture)
        self.report.found(spec, progress)
        return progress, frozenset(topic.watermarks)

    def _declared(self, spec: TableSpec) -> Mapping[str, str] | None:
        try:
            return self.engine.declared(spec)
        except TransientError as error:
            log.warning("table not made yet", pipeline=self.name, table=str(spec.target), error=str(error))
            return None  # its first events bring its columns

    def _ends(self, topic: str) -> Mapping[int, int]:
        found = self.engine.topics([topic]).get(topic)
        return {p: end for p, (_, end) in found.watermarks.items()} if found else {}

    def _on_batch(self, applier: Applier, batch: Batch) -> None:
        self._idle.clear()  # before the look at what goes on: whoever drains waits for this batch, or it does nothing
        try:
            if not (self._draining.is_set() or self._fatal or self._held or self._again):
                self._apply_all(applier, batch)
                self._batches += 1
            # Otherwise Spark may take it for done: where the next query goes on is what the tables say.
        finally:
            batch.close()
            self._idle.set()

    def _apply_all(self, applier: Applier, batch: Batch) -> None:
        order = {topic: n for n, topic in enumerate(batch.topics())}
        specs = sorted(self._roster.of_batch(order), key=lambda spec: (spec.freshness, order[spec.topic]))
        if not specs:
            return
        work = partial(self._apply, applier, batch)
        with ThreadPoolExecutor(self.limits.parallel_tables, self.name) as pool:
            # A table that takes long does not keep quiet about the others.
            for spec, future in side_by_side(pool, work, specs, self._width):
                self._note(applier, spec, future)

    def _note(self, applier: Applier, spec: TableSpec, future: Future[Applied]) -> None:
        error = future.exception()
        if applier.token != self._token:
            return  # a batch that was abandoned, of a run that is over
        if error is None:
            applied = future.result()
            self.report.applied(spec, applier.token, applied)
            self._marks.breaks(spec, applied.broken.values())
            if applied.held:
                self._held = HeldBack(
                    f"{spec.target} holds messages back until what belongs to them has come",
                    hint="ordinary with large changes of keys, and when partitions were added to a topic that is "
                    "behind: the query starts again where the tables say",
                )
        elif isinstance(error, Moved):
            self._held = error
        elif isinstance(error, Fenced) or not isinstance(error, Exception):
            self._end_with(error if isinstance(error, Exception) else TerminalError("interrupted"))
        else:
            self._stop_table(spec, error)

    def _apply(self, applier: Applier, batch: Batch, spec: TableSpec) -> Applied:
        memory = self._roster.remember(spec)
        with (
            self.turns.batch(str(spec.target)),
            structlog.contextvars.bound_contextvars(pipeline=self.name, table=str(spec.target)),
        ):
            for attempt in Retrying(
                retry=retry_if_exception(_worth_another_try),
                stop=stop_after_delay(self.limits.retry_for),
                wait=wait_exponential_jitter(multiplier=0.2, max=5),
                before_sleep=lambda state: log.warning(
                    "retrying", error=str(state.outcome and state.outcome.exception())
                ),
                reraise=True,
            ):
                with attempt, batch.of(spec) as part, self.engine.table(spec) as table:
                    return applier.apply(spec, table, part, memory)
        raise AssertionError("tenacity ends with a result or an exception")

    def _stop_table(self, spec: TableSpec, error: BaseException, trouble: str = "") -> None:
        self._roster.stop(spec, error if isinstance(error, Exception) else TerminalError(str(error)))
        self._tell_stopped(spec, error, trouble or type(error).__name__)

    def _tell_stopped(self, spec: TableSpec, error: BaseException, trouble: str) -> None:
        known = error if isinstance(error, CdcError) else None
        log.error(
            "table stopped",
            pipeline=self.name,
            table=str(spec.target),
            trouble=trouble,
            error=str(error) if known else type(error).__name__,
            hint=known.hint_for(spec.target) if known else "this is a bug: please report the traceback",
            exc_info=None if known else error,
        )
        self.report.stopped(spec, known.said_of(spec.target) if known else f"{type(error).__name__}: see the log")

    def _end_with(self, error: Exception) -> None:
        self._fatal = error


def _worth_another_try(error: BaseException) -> bool:
    """A table that was moved is not: the batch does not begin where it is now."""
    return may_pass(error) and not isinstance(error, Moved)
