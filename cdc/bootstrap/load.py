"""Loads with their real parts: tables of a source, one after another or side by side, under the lease for loads."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

import structlog
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from cdc.bootstrap.connectors import SourceCapture, capture_of, places_now
from cdc.bootstrap.databases import source_database
from cdc.bootstrap.engine import SparkEngine
from cdc.bootstrap.range_task import RangeFailure, RangeTask
from cdc.bootstrap.writers import source_columns
from cdc.config.models import Config
from cdc.config.services import HadoopCatalog
from cdc.config.sources import MySqlSource, OracleSource, PostgresSource, SourceConfig
from cdc.core.errors import (
    CdcError,
    ConfigError,
    Fenced,
    LeaseHeld,
    PreflightError,
    TerminalError,
    TransientError,
)
from cdc.core.load import (
    BulkSource,
    LoadPlan,
    LoadProgress,
    LoadState,
    Range,
    RangeReader,
    RangeResult,
    Stamp,
    TableSize,
    loaded,
    loaded_position,
    reread_position,
)
from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS
from cdc.core.preflight import check_key, check_part, check_text
from cdc.lake.audit import operator
from cdc.lake.control import Control
from cdc.lake.lease import Lease
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.shadow import Shadow
from cdc.lake.tables import IcebergTable
from cdc.lazy import lazy
from cdc.pipeline.capture import Capture
from cdc.pipeline.hold import beating, release
from cdc.pipeline.load import Load
from cdc.pipeline.load_parts import LoadParts, draft
from cdc.pipeline.load_queue import ready_groups
from cdc.pipeline.quiet import quiet
from cdc.pipeline.repair import Repair
from cdc.pipeline.table import TableSpec
from cdc.sources.bulk_mysql import MySqlBulk
from cdc.sources.bulk_oracle import OracleBulk
from cdc.sources.bulk_postgres import PostgresBulk
from cdc.spark.bulk import run_here, run_tasks, task_failure
from cdc.spark.session import Siblings

log = structlog.get_logger()

Progressed = Callable[[LoadProgress], None]

CAPTURE_SECONDS = 300.0
"""How long loads wait for capture before they give up."""

SMALL = 4 << 20
"""Bytes of a table, by its database's estimate, up to which the driver reads it by itself."""


def rows_per_range(config: Config, size: TableSize) -> int:
    """Return how many rows of a table one task reads."""
    return max(1000, int(config.load.range_bytes * max(size.rows, 1) / max(size.bytes, 1)))


def name_of(source: SourceConfig, spec: TableSpec) -> TableName:
    """Return the source's table behind a target."""
    return next(table.source for table in source.tables if source.topic_of(table) == spec.topic)


def load_order(spec: TableSpec, size: TableSize) -> tuple[int, int]:
    """Return what tables are sorted by before they are loaded: by priority, then the largest first."""
    return -spec.load_priority, -size.bytes


def is_loaded(session: SparkSession, catalog: str, target: TableName) -> bool:
    """Return whether a target has got its first rows."""
    table = IcebergTable(session, catalog, target)
    return table.exists() and loaded(table.read().summary)


def lacking_capture(capture: Capture, source: SourceConfig, specs: Sequence[TableSpec]) -> dict[TableName, str]:
    """Return the targets whose changes are not captured yet, or of which it cannot be told now, and why."""
    names = {spec.target: name_of(source, spec) for spec in specs}
    try:
        reasons = capture.lacking(source, list(names.values()))
    except CdcError as error:  # Connect away, or the database refuses everything
        return {target: error.said_of(target) for target in names}
    return {target: reasons[name] for target, name in names.items() if name in reasons}


def bulk_source(source: SourceConfig, config: Config, *, replica: bool) -> BulkSource:
    """Return the source's database as a load reads it: its replica, if it has one and ``replica`` is asked for."""
    host = source.load_host if replica else None
    timeout = config.load.statement_timeout.total_seconds()
    match source:
        case PostgresSource():
            return PostgresBulk(source, host=host, statement_timeout=timeout)
        case MySqlSource():
            return MySqlBulk(source, host=host, statement_timeout=timeout)
        case OracleSource():
            return OracleBulk(source, host=host, statement_timeout=timeout)


@dataclass
class SourceLoads:
    """The loads of one source's tables; at most one instance of all processes is at work for a source."""

    config: Config
    source: SourceConfig
    session: SparkSession
    on_progress: Progressed = lambda _progress: None
    stopping: Callable[[], bool] = lambda: False
    rows_per_second: int | None = None
    capture: Capture | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.config.catalog, HadoopCatalog):
            raise ConfigError(
                "a hadoop catalog cannot swap a loaded table in",
                hint="use a jdbc, rest, glue or hive catalog, or set `snapshot: connector`",
            )
        self._engine = SparkEngine(self.config, self.source, self.session)
        self._fit: set[TableName] = set()
        self._sessions = Siblings(self.session, self.config.catalog)
        self._slots = threading.BoundedSemaphore(self.config.load.parallel)
        self._capture = self.capture or capture_of(self.config)
        self._lease = Lease(
            self.session,
            self.config.catalog.name,
            self.config.metadata_namespace,
            f"{self.source.name}_load",
            self.config.stream.lease_ttl.total_seconds(),
        )

    def run(self, specs: Sequence[TableSpec], *, again: bool = False) -> dict[TableName, CdcError]:
        """Load the tables and return the errors of those that failed; the others go on.

        Those with a higher priority come first, then the largest, in the end those that wait for capture.
        Raises LeaseHeld while another process loads tables of this source.
        """
        groups = ready_groups(
            self.in_order(specs),
            lambda left: self._lacking_alone(left, again=again),
            self._waits,
            seconds=CAPTURE_SECONDS,
            stopping=self.stopping,
        )
        results: list[tuple[TableName, CdcError | None]] = []
        with self._held():
            self._warn_of_part(specs)
            with ThreadPoolExecutor(self.config.load.parallel_tables, "load") as pool:
                for group in groups:
                    results += pool.map(lambda spec: self._one(spec, again=again), group)
        return {target: error for target, error in results if error is not None}

    def repair(self, spec: TableSpec, keys: Sequence[Sequence[object]]) -> LoadProgress:
        """Read rows again by their keys and put them in the place of the lake's; raises the errors of ``Repair``."""
        with self._held(), self._sessions.lend() as session:
            parts, name = self._parts(session), name_of(self.source, spec)
            return Repair(parts, spec, name, self.on_progress, self.stopping, keys=keys).run()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lease for loads of the source; raises LeaseHeld while another process does."""
        try:
            self._lease.acquire(wait=False, stopping=self.stopping, pause=time.sleep)
        except LeaseHeld as error:
            raise LeaseHeld(
                f"tables of source {self.source.name!r} are being loaded already: {error}",
                hint="`cdc status` shows how far it is; start this again when it is over",
            ) from error
        interval, name = self.config.stream.lease_ttl.total_seconds() / 4, f"{self.source.name}_load"
        try:
            with beating(self._lease, interval, name, lambda _error: None):  # whoever asks still_holder is told
                yield
        finally:
            release(self._lease, self.source.name)

    def _warn_of_part(self, specs: Sequence[TableSpec]) -> None:
        for spec in specs if self.where else ():
            name = name_of(self.source, spec)
            for finding in check_part(source_database(self.source).table(*name)):
                log.warning(finding.what, table=str(spec.target), hint=finding.hint)

    def in_order(self, specs: Sequence[TableSpec]) -> list[TableSpec]:
        """Return the tables in the order in which they are loaded."""
        if len(specs) == 1:
            return list(specs)
        return sorted(specs, key=lambda spec: load_order(spec, self._size(spec)))

    def _lacking_alone(self, specs: Sequence[TableSpec], *, again: bool) -> dict[TableName, str]:
        """Return those that lack nothing else: what else there is to say of a table is said now."""
        reasons = lacking_capture(self._capture, self.source, specs)
        for spec in specs:
            if spec.target in reasons and spec.target not in self._fit:
                if self._needs_capture(spec, again=again):
                    self._fit.add(spec.target)
                else:
                    del reasons[spec.target]
        return reasons

    def _needs_capture(self, spec: TableSpec, *, again: bool) -> bool:
        """Return whether a table has yet to begin, and could: a load that has begun had its capture then."""
        try:
            self._declared(spec)
            begun = self._shadow(self.session, spec).exists()
            return not begun and (again or not is_loaded(self.session, self.config.catalog.name, spec.target))
        except CdcError:
            return False

    def _waits(self, spec: TableSpec, reason: str) -> None:
        log.warning("load waits for capture", table=str(spec.target), lacking=reason)
        self.on_progress(LoadProgress(spec.target, LoadState.WAITING, detail=reason))

    def _size(self, spec: TableSpec) -> TableSize:
        try:
            return bulk_source(self.source, self.config, replica=True).size(name_of(self.source, spec))
        except CdcError:
            return TableSize(0, 0)  # what is wrong with it is said when its turn comes

    def _one(self, spec: TableSpec, *, again: bool) -> tuple[TableName, CdcError | None]:
        with self._sessions.lend() as session:
            return self._tried(spec, self._load_of(spec, session), again=again)

    def _tried(self, spec: TableSpec, load: Load, *, again: bool) -> tuple[TableName, CdcError | None]:
        with structlog.contextvars.bound_contextvars(pipeline=self.source.name, table=str(spec.target)):
            try:
                self._with_retries(load, again=again)
            except CdcError as error:
                if not self.stopping():
                    log.error("load failed", error=str(error), hint=error.hint_for(spec.target))  # noqa: TRY400 - known: no traceback
                    load.failed(error)
                return spec.target, error
            except Exception as error:
                if self.stopping():
                    return spec.target, TransientError("told to stop")
                log.exception(
                    "load failed", error=type(error).__name__
                )  # a bug, or a failure not known: the others go on
                return spec.target, TerminalError(f"{type(error).__name__}: see the log", hint="please report it")
        return spec.target, None

    def _with_retries(self, load: Load, *, again: bool) -> None:
        """Go on after transient errors for as long as the service retries; progress starts that time anew."""
        failing_since, done = 0.0, -1
        while True:
            try:
                load.run(again=again)
            except Fenced:
                raise
            except TransientError as error:
                if load.ranges_done != done:
                    failing_since, done = time.monotonic(), load.ranges_done
                spent = time.monotonic() - failing_since
                if self.stopping() or spent > self.config.stream.retry_for.total_seconds():
                    raise
                log.warning("load is tried again", error=str(error))
                time.sleep(min(5.0, 0.5 + spent / 4))
            else:
                return

    @staticmethod
    def plan_of(config: Config, source: SourceConfig, spec: TableSpec, where: str = "") -> LoadPlan:
        """Return the plan of a load that would begin now; needs no JVM and changes nothing."""
        bulk = bulk_source(source, config, replica=True)
        columns = source_columns(source)(spec.topic)[1].columns()
        return draft(bulk, name_of(source, spec), spec, columns, lambda size: rows_per_range(config, size), where)

    def _load_of(self, spec: TableSpec, session: SparkSession) -> Load:
        """Return the load of one table, not yet begun."""
        source = name_of(self.source, spec)
        parts, where = self._parts(session), self.where
        return Load(parts, spec, source, on_progress=self.on_progress, stopping=self.stopping, where=where)

    def _parts(self, session: SparkSession) -> LoadParts:
        reader = bulk_source(self.source, self.config, replica=True)
        return LoadParts(
            bulk=_Bulk(reader, bulk_source(self.source, self.config, replica=False)),
            engine=self._engine,
            capture=SourceCapture(self._capture, self.source),
            read=lambda spec, plan, parts, stamp: self._read(session, reader, (spec, plan, stamp), parts),
            shadow=lambda spec: self._shadow(session, spec),
            declared=self._declared,
            identity=lambda spec: source_database(self.source).table(*name_of(self.source, spec)).id,
            moved=self._moved,
            places=lambda: places_now(self.config, self.source, self._control),
            quiet=lambda spec: quiet(self._control, spec.target, operator(), "rows that were read take their place"),
            still_holder=self._lease.check,
            rows_per_range=lambda size: rows_per_range(self.config, size),
            blocked_keys=self.config.stream.blocked_keys,
        )

    def _shadow(self, session: SparkSession, spec: TableSpec) -> Shadow:
        return Shadow(session, self.config.catalog.name, self.config.metadata_namespace, spec.target)

    def _declared(self, spec: TableSpec) -> dict[str, str]:
        columns = self._engine.declared(spec)
        if columns is None:
            raise ConfigError(
                f"{name_of(self.source, spec)} has a column whose type in events is not known beforehand",
                hint="set `snapshot: connector` for this table, or leave the column out with column.exclude.list",
            )
        name = name_of(self.source, spec)
        declared = source_database(self.source).table(*name)
        text = next(table.text for table in self.source.tables if table.source == name)
        for finding in [*check_key(declared, spec.key), *check_text(declared, text)]:
            if finding.fatal:  # what was right when the connector was registered may be so no more
                raise PreflightError(finding.what, hint=finding.hint)
        return dict(columns)

    @lazy
    def _control(self) -> Control:
        return Control(open_catalog(self.config.catalog), self.config.metadata_namespace)

    def _moved(self, spec: TableSpec, plan: LoadPlan) -> None:
        self._control.loaded(spec.target, plan.relation, plan.started_at)

    def _read(
        self, session: SparkSession, reader: BulkSource, what: tuple[TableSpec, LoadPlan, Stamp], parts: Sequence[Range]
    ) -> Generator[RangeResult]:
        spec, plan, stamp = what
        parallel = self.config.load.parallel
        limit = self.config.load.rows_per_second if self.rows_per_second is None else self.rows_per_second
        epoch = max((state.epoch for state in plan.progress.partitions.values()), default=1)
        loaded_at = loaded_position(spec.engine, epoch, plan.base).text(LAYOUTS[spec.engine])
        position = reread_position(loaded_at, stamp.truncated)
        task = RangeTask(
            reader.reader(plan.source, plan.key, plan.columns),
            self._shadow(session, spec).file_writer(
                spec.key, {"_cdc_position": position, "_cdc_op": stamp.operation}, dict(self.config.catalog.properties)
            ),
            plan.id,
            limit / parallel,
        )
        if plan.size.bytes <= SMALL:
            results = run_here(task, parts, slots=self._slots)
        else:
            results = run_tasks(session, task, parts, slots=self._slots, parallel=parallel, group=f"load {spec.topic}")
        try:
            with closing(results):  # now, and not when the session may have ended
                for result in results:
                    if isinstance(result, RangeFailure):
                        raise result.error()
                    yield result
        except (PySparkException, Py4JJavaError) as error:
            raise task_failure(spec.target, error) from error


@dataclass(frozen=True)
class _Bulk:
    """Rows from the replica, if there is one; positions from the database whose log is captured."""

    reads: BulkSource
    log: BulkSource

    def size(self, table: TableName) -> TableSize:
        return self.reads.size(table)

    def ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[Range, ...]:
        return self.reads.ranges(table, key, rows_per_range)

    def reader(self, table: TableName, key: Sequence[str], columns: dict[str, str]) -> RangeReader:
        return self.reads.reader(table, key, columns)

    def keys(self, table: TableName, key: Sequence[str], values: Sequence[Sequence[object]]) -> Range:
        return self.reads.keys(table, key, values)

    def position(self) -> str:
        return self.log.position()
