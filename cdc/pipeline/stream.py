"""Stream: one source, one Spark query, its tables; always on.

A start takes the lease, fences every table with the lease's token, asks each table for its progress and starts the
query exactly there. Each micro-batch is read once and applied to its tables side by side; a table that cannot go on
stops alone. Nothing but the tables remembers how far they are.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from cdc.core.errors import CdcError, CommitStateUnknown, Fenced, HeldBack, LeaseHeld, TerminalError, TransientError
from cdc.core.progress import Progress, TopicState, check_continuity
from cdc.pipeline.apply import TOKEN, Applied, Applier, TableMemory, check_token, progress_of
from cdc.pipeline.report import Report
from cdc.pipeline.table import TableBatch, TableSpec, TargetTable

log = structlog.get_logger()

DRAIN_SECONDS = 20.0
"""How long a stopping service lets a running batch come to its end before it abandons it."""

HEALTHY_SECONDS = 60.0
"""A query that ran this long was well: when it ends, the time for retries begins anew."""


class Lease(Protocol):
    """Exclusive right to write the pipeline's tables; the token grows with every holder."""

    def acquire(self, *, wait: bool, stopping: Callable[[], bool], pause: Callable[[float], object]) -> int:
        """Return the fencing token; raises LeaseHeld while another instance lives."""
        ...

    def renew(self) -> None:
        """Beat; raises Fenced if the lease is lost, TransientError if the catalog is away."""
        ...

    def check(self) -> None:
        """Raise Fenced unless the lease was renewed lately."""
        ...

    def release(self) -> None:
        """Give the lease back."""
        ...


class Query(Protocol):
    """A running streaming query."""

    def failure(self) -> Exception | None:
        """Return why the query ended; None while it runs."""
        ...

    def stop(self) -> None:
        """End the query; a running batch is abandoned."""
        ...


class Batch(Protocol):
    """A micro-batch: read once, shared by its tables."""

    def topics(self) -> Sequence[str]:
        """Return the topics that it has messages of."""
        ...

    def of(self, spec: TableSpec) -> AbstractContextManager[TableBatch]:
        """Open one table's share of it, for the calling thread."""
        ...

    def close(self) -> None:
        """Let go of cached data."""
        ...


class Engine(Protocol):
    """What a pipeline runs on: topics, tables and queries."""

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """Return the topics that exist."""
        ...

    def table(self, spec: TableSpec) -> AbstractContextManager[TargetTable]:
        """Open a table for the calling thread."""
        ...

    def blocked(self, topics: Sequence[str]) -> Mapping[str, dict[bytes, tuple[int, int]]]:
        """Return per topic the raw keys that wait behind a quarantined message."""
        ...

    def start(
        self, progress: Mapping[str, tuple[Progress, frozenset[int]]], on_batch: Callable[[Batch], None]
    ) -> Query:
        """Start reading every topic at its progress; ``on_batch`` is called for one batch after another."""
        ...


@dataclass(frozen=True)
class Limits:
    """Bounds of a pipeline: times, parallel tables and quarantined messages per table."""

    lease_ttl: timedelta
    retry_for: timedelta
    parallel_tables: int
    blocked_keys: int


@dataclass
class Pipeline:
    """One source's pipeline; ``run`` blocks until it is told to stop or cannot go on."""

    name: str
    specs: Sequence[TableSpec]
    engine: Engine
    lease: Lease
    report: Report
    limits: Limits
    _memory: dict[str, TableMemory] = field(default_factory=dict)
    _stopped: dict[str, CdcError | Exception] = field(default_factory=dict)
    _fatal: Exception | None = None
    _batches: int = 0
    _held: HeldBack | None = None
    _idle: threading.Event = field(default_factory=threading.Event)
    _draining: threading.Event = field(default_factory=threading.Event)

    def run(self, stop: threading.Event, *, standby: bool = False) -> None:
        """Stream until ``stop`` is set.

        Raises LeaseHeld or Fenced when another instance writes, the first TerminalError when no table can go on, and
        TransientError when a dependency stays away.
        """
        self._idle.set()
        log.info("asking for the lease", pipeline=self.name, standby=standby)
        try:
            token = self.lease.acquire(wait=standby, stopping=stop.is_set, pause=stop.wait)
        except LeaseHeld:
            if stop.is_set():
                return
            raise
        log.info("lease taken", pipeline=self.name, token=token)
        try:
            with self._beating():
                applier = Applier(token, self.limits.blocked_keys, self.lease.check)
                self._run_queries(applier, stop)
        finally:
            self.report.flush(stopping=True)
            self._release()

    def _run_queries(self, applier: Applier, stop: threading.Event) -> None:
        """Run one query after another: a dependency that was away for a while does not end the service."""
        waited, failing_since = 0.0, 0.0
        while not stop.is_set():
            batches, began = self._batches, time.monotonic()
            try:
                self._run_query(applier, stop)
            except TransientError as error:
                now = time.monotonic()
                if self._batches > batches or now - began > HEALTHY_SECONDS:
                    waited = 0.0
                failing_since = failing_since if waited else now
                if waited and now - failing_since > self.limits.retry_for.total_seconds():
                    raise
                waited = min(waited * 2 + 1, 15.0)
                log.warning("query ended, starting again", pipeline=self.name, error=str(error), seconds=waited)
                stop.wait(waited)

    def _run_query(self, applier: Applier, stop: threading.Event) -> None:
        self._held = None
        query = self.engine.start(self._positions(applier), lambda batch: self._on_batch(applier, batch))
        self.report.started()
        log.info("query started", pipeline=self.name)
        failure: Exception | None = None
        try:
            while not stop.is_set() and self._fatal is None and failure is None:
                stop.wait(0.2)
                failure = query.failure() or self._held
                self.report.flush_when_due()
        finally:
            self._drain(query)
        if self._fatal is not None or failure is not None:
            raise self._fatal or failure or AssertionError

    def _drain(self, query: Query) -> None:
        self._draining.set()
        if not self._idle.wait(DRAIN_SECONDS):
            log.warning("running batch abandoned", pipeline=self.name)
        query.stop()
        self._draining.clear()

    def _positions(self, applier: Applier) -> dict[str, tuple[Progress, frozenset[int]]]:
        active = [spec for spec in self.specs if spec.topic not in self._stopped]
        topics = self.engine.topics([spec.topic for spec in active])
        blocked = self.engine.blocked(list(topics))
        found: dict[str, tuple[Progress, frozenset[int]]] = {}
        for spec in active:
            try:
                found[spec.topic] = self._position(applier, spec, topics.get(spec.topic), blocked)
            except Fenced:
                raise
            except TerminalError as error:
                self._stop_table(spec, error)
        self._require_tables()
        return found

    def _position(
        self,
        applier: Applier,
        spec: TableSpec,
        topic: TopicState | None,
        blocked: Mapping[str, dict[bytes, tuple[int, int]]],
    ) -> tuple[Progress, frozenset[int]]:
        if topic is None:
            raise TerminalError(
                f"topic {spec.topic!r} does not exist", hint="run `cdc connectors apply`, which creates it"
            )
        memory = self._memory.setdefault(spec.topic, TableMemory())
        memory.topic_id = topic.topic_id
        memory.blocked = dict(blocked.get(spec.topic, {}))
        with self.engine.table(spec) as table:
            progress = fence(spec, table, applier.token, topic.topic_id)
        check_continuity(progress, topic)
        self.report.found(spec, progress)
        return progress, frozenset(topic.watermarks)

    def _on_batch(self, applier: Applier, batch: Batch) -> None:
        if self._draining.is_set() or self._fatal is not None or self._held is not None:
            batch.close()
            return  # Spark may take it for done: where the next query goes on is what the tables say
        self._idle.clear()
        try:
            self._apply_all(applier, batch)
            self._batches += 1
        finally:
            batch.close()
            self._idle.set()

    def _apply_all(self, applier: Applier, batch: Batch) -> None:
        present = set(batch.topics())
        specs = [spec for spec in self.specs if spec.topic in present and spec.topic not in self._stopped]
        if not specs:
            return
        with ThreadPoolExecutor(min(self.limits.parallel_tables, len(specs)), self.name) as pool:
            futures = [pool.submit(self._apply, applier, batch, spec) for spec in specs]
        for spec, future in zip(specs, futures, strict=True):
            error = future.exception()
            if error is None:
                applied = future.result()
                self.report.applied(spec, applier.token, applied)
                if applied.held:
                    self._held = HeldBack(
                        f"{spec.target} holds messages back until a key change is whole",
                        hint="large changes of keys make this ordinary: the query starts again where the tables say",
                    )
            elif isinstance(error, Fenced) or not isinstance(error, Exception):
                self._fatal = error if isinstance(error, Exception) else TerminalError("interrupted")
            else:
                self._stop_table(spec, error)
        self._end_without_tables()

    def _apply(self, applier: Applier, batch: Batch, spec: TableSpec) -> Applied:
        memory = self._memory[spec.topic]
        with structlog.contextvars.bound_contextvars(pipeline=self.name, table=str(spec.target)):
            for attempt in Retrying(
                retry=retry_if_exception_type((TransientError, CommitStateUnknown)),
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

    def _stop_table(self, spec: TableSpec, error: BaseException) -> None:
        known = isinstance(error, CdcError)
        hint = error.hint if isinstance(error, CdcError) else "this is a bug: please report the traceback"
        stopped = error if isinstance(error, Exception) else TerminalError(str(error))
        self._stopped[spec.topic] = stopped
        log.error(
            "table stopped",
            pipeline=self.name,
            table=str(spec.target),
            error=str(error) if known else type(error).__name__,
            hint=hint,
            exc_info=None if known else error,
        )
        self.report.stopped(spec, str(error) if known else f"{type(error).__name__}: see the log")

    def _require_tables(self) -> None:
        self._end_without_tables()
        if self._fatal is not None:
            raise self._fatal

    def _end_without_tables(self) -> None:
        """End the pipeline once no table is left that could go on."""
        if len(self._stopped) == len(self.specs) and self._fatal is None:
            self._fatal = next(iter(self._stopped.values()))

    @contextmanager
    def _beating(self) -> Iterator[None]:
        ended = threading.Event()
        interval = self.limits.lease_ttl.total_seconds() / 4

        def beat() -> None:
            while not ended.wait(interval):
                try:
                    self.lease.renew()
                except TransientError as error:
                    log.warning("lease not renewed", pipeline=self.name, error=str(error))
                except Exception as error:  # noqa: BLE001 - whatever it is, the pipeline must end with it
                    self._fatal = error
                    return

        thread = threading.Thread(target=beat, name=f"{self.name}-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _release(self) -> None:
        try:
            self.lease.release()
        except CdcError as error:
            log.warning("lease not released", pipeline=self.name, error=str(error))


def fence(spec: TableSpec, table: TargetTable, token: int, topic_id: str) -> Progress:
    """Make a table ours: whoever staged a commit with an older token can no longer publish it.

    Once a token: the query may start again and again. Returns the table's progress; raises Fenced if the table bears a
    newer token already.
    """
    if not table.exists():
        return Progress(spec.topic, topic_id)
    state = table.read()
    check_token(state, token, spec)
    if state.summary.get(TOKEN) == str(token):
        return progress_of(state, spec, topic_id)
    # The fence bears nothing but the token: a former holder may publish progress until the moment that it stands.
    table.fence({TOKEN: str(token), "cdc.pipeline": spec.pipeline})
    return progress_of(table.read(), spec, topic_id)
