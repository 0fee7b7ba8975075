"""The streaming service: the pipelines of a configuration with their operations, from start to stop."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import structlog
from pyspark.sql import SparkSession

from cdc.bootstrap.auto_load import AutoLoads, auto_loading, wanted
from cdc.bootstrap.connectors import connectors_of, watched_capture
from cdc.bootstrap.databases import source_database
from cdc.bootstrap.declared import Completion
from cdc.bootstrap.engine import SparkEngine
from cdc.bootstrap.health import add_dependencies, add_liveness, add_troubles, new_health
from cdc.bootstrap.keep import Keeper
from cdc.bootstrap.maintenance import maintaining
from cdc.bootstrap.proving import ServiceProver, proving
from cdc.bootstrap.reload import Reloader
from cdc.bootstrap.spark import open_session
from cdc.bootstrap.specs import specs_of
from cdc.bootstrap.watches import watches_of, watching
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.connect.render import table_pattern
from cdc.core.errors import CdcError, PreflightError, TransientError
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.core.status import StatusRow
from cdc.lake.control import Control
from cdc.lake.folders import make_private
from cdc.lake.lease import Lease
from cdc.lake.pyiceberg_catalog import direct_catalog, open_catalog
from cdc.lake.status import DirectStatusTables, StatusTables
from cdc.lake.status_reader import has_status, read_status
from cdc.ops.health import Health
from cdc.ops.http import OperationsServer
from cdc.ops.memory import kept_small
from cdc.ops.metrics import Metrics
from cdc.pipeline.enrol import Enrolment
from cdc.pipeline.preflight import check_source, require_fit, unfit_topics
from cdc.pipeline.report import Report
from cdc.pipeline.stream import DRAIN_SECONDS, Limits, Pipeline
from cdc.pipeline.table import TableSpec
from cdc.pipeline.watch import Watch
from cdc.spark.jvm import shrink

log = structlog.get_logger()


def build_pipeline(config: Config, source: SourceConfig, session: SparkSession, metrics: Metrics) -> Pipeline:
    """Return the pipeline of one source, not yet running."""
    catalog, namespace = config.catalog.name, config.metadata_namespace
    status = StatusTables(session, catalog, namespace)
    direct = direct_catalog(config.catalog)
    store = DirectStatusTables(status, direct, namespace) if direct else status
    store.create()
    ttl, specs = config.stream.lease_ttl.total_seconds(), specs_of(source)
    report = Report(source.name, store, metrics, config.stream.status_interval)
    report.remember(_known_rows(config, specs))
    return Pipeline(
        name=source.name,
        specs=specs,
        engine=SparkEngine(config, source, session),
        lease=Lease(session, catalog, namespace, source.name, ttl),
        report=report,
        limits=Limits(
            config.stream.lease_ttl, config.stream.retry_for, config.stream.parallel_tables, config.stream.blocked_keys
        ),
        control=open_control(config),
    )


def _known_rows(config: Config, specs: Sequence[TableSpec]) -> list[StatusRow]:
    """Return what an earlier run wrote of these tables; nothing where that cannot be read."""
    wanted = {(spec.topic, str(spec.target)) for spec in specs}
    try:
        rows = read_status(open_catalog(config.catalog), config.metadata_namespace)
    except Exception as error:  # noqa: BLE001 - derived data: nothing depends on it
        log.warning("status of the last run not read", error=type(error).__name__)
        return []
    return [row for row in rows if (row.source, row.target) in wanted]


def open_control(config: Config) -> Control:
    """Return the control table, made if it is missing; where it cannot be made, there is nothing to heed."""
    control = Control(open_catalog(config.catalog), config.metadata_namespace)
    try:
        control.create()
    except CdcError as error:
        log.warning("tables cannot be paused or moved while this runs", reason=str(error), hint=error.hint)
    return control


def run_stream(
    config: Config,
    stop: threading.Event,
    *,
    standby: bool = False,
    reload: Callable[[], Config] | None = None,
    reload_now: threading.Event | None = None,
) -> None:
    """Run the pipelines of all sources until ``stop`` is set.

    A pipeline that cannot go on leaves the others alone, and is begun again; the first one's error is raised when all
    have ended.
    ``reload`` returns the configuration as it is by then: other tables of a source are taken up now and then, and at
    once when ``reload_now`` is set.
    """
    completion, metrics = Completion(), Metrics()
    health = new_health(metrics)
    require_checkpoint(config.stream.checkpoint)
    require_catalog(config)
    with _operations(config, metrics, health):
        config = completion.tell(completion.of(config))
        unfit_tables = require_sources(config)
        add_dependencies(health, config)
        if stop.is_set():  # each step of the start takes seconds; a stop does not wait for all of them
            return
        capture = watched_capture(config, stop) if wanted(config) else None
        session = open_session(config)
        try:
            if not stop.is_set():
                pipelines = [build_pipeline(config, source, session, metrics) for source in config.sources]
                for pipeline in pipelines:
                    pipeline.judge(unfit_tables[pipeline.name])
                watches = watches_of(config, pipelines, metrics)
                add_troubles(health, watches, pipelines)
                running = [
                    AutoLoads(config, source, session, metrics, threading.Event(), capture)
                    for source in config.sources
                    if capture is not None
                ]
                prover = ServiceProver(config, pipelines, session, metrics)
                followers = Followers(pipelines, watches, running, prover, session)
                with (
                    kept_small(partial(shrink, session)),
                    watching(watches),
                    auto_loading(running, DRAIN_SECONDS),
                    maintaining(config, pipelines, session, metrics),
                    proving(config, prover, metrics),
                    _reloading(config, completion, followers, reload, reload_now or threading.Event()),
                ):
                    Keeper(pipelines, stop, standby).run(partial(add_liveness, health))
        finally:
            session.stop()


def require_catalog(config: Config) -> None:
    """Ask the catalog once, before a JVM is started for it; raises what its look-ups do."""
    has_status(open_catalog(config.catalog), config.metadata_namespace)


def require_checkpoint(address: str) -> None:
    """Make the folder of checkpoints, where it is one of this machine; raises PreflightError if that cannot be."""
    if "://" in address:
        return
    try:
        make_private(Path(address))
        with TemporaryFile(dir=address):
            pass
    except OSError as error:
        what = f"checkpoints cannot be written to {address}: {error.strerror}"
        raise PreflightError(what, hint="set stream.checkpoint (CDC_STREAM__CHECKPOINT) to a folder of ours") from error


def require_sources(config: Config) -> dict[str, dict[str, Finding]]:
    """Return the tables that are unfit, by source and topic; raises PreflightError if no source is fit as a whole.

    A source that does not answer is no reason: what is in Kafka can be merged without it.
    """
    found: dict[str, dict[str, Finding]] = {source.name: {} for source in config.sources}
    refused: list[PreflightError] = []
    for source in config.sources:
        try:
            found[source.name] = _require(source)
        except PreflightError as error:
            refused.append(error)
    if len(refused) == len(config.sources):
        raise refused[0]
    for reason in refused:
        log.error("source is unfit", error=str(reason), hint=reason.hint)
    return found


def _require(source: SourceConfig) -> dict[str, Finding]:
    """Return the source's tables that are unfit, by topic; raises PreflightError if the source is, or all of them."""
    try:
        found = check_source(source, source_database(source))
    except TransientError as error:
        log.warning("source not checked", pipeline=source.name, error=str(error))
        return {}
    require_fit(source, found)
    for finding in found:
        if not finding.fatal:  # the others stop their tables, which is told then
            log.warning("preflight", pipeline=source.name, finding=finding.name, what=finding.what, hint=finding.hint)
    return unfit_topics(source, found)


@dataclass(frozen=True)
class Followers:
    """What follows the configuration of a source while it runs."""

    pipelines: Sequence[Pipeline]
    watches: Sequence[Watch]
    loads: Sequence[AutoLoads]
    prover: ServiceProver
    session: SparkSession

    def pipeline(self, source: SourceConfig) -> Pipeline:
        """Return the pipeline of a source."""
        return next(one for one in self.pipelines if one.name == source.name)

    def take_up(self, config: Config, source: SourceConfig) -> None:
        """Take up a source as it is configured now; raises PreflightError if it is unfit."""
        unfit_tables = _require(source)
        pipeline = self.pipeline(source)
        pipeline.reconfigure(specs_of(source), SparkEngine(config, source, self.session))
        pipeline.judge(unfit_tables)
        for watch in self.watches:
            if watch.source.name == source.name:
                watch.reconfigure(source)
        for one in self.loads:
            if one.source.name == source.name:
                one.reconfigure(config, source)
        self.prover.reconfigure(config, source)


@contextmanager
def _reloading(
    config: Config,
    completion: Completion,
    followers: Followers,
    reload: Callable[[], Config] | None,
    now: threading.Event,
) -> Iterator[None]:
    """Follow the configuration, and what its patterns fit, while the block runs."""
    enrolment = Enrolment(connectors_of, table_pattern, stale_tables)

    def enrol(held: Config) -> None:
        for source in held.sources:
            if source.name in completion.patterned and followers.pipeline(source).holding:
                enrolment.look(held, source)

    if reload is None:
        yield
        return
    ended = threading.Event()
    reloader = Reloader(config, lambda: completion.tell(completion.of(reload())), followers.take_up, enrol)
    interval = config.stream.reload_interval.total_seconds()
    thread = threading.Thread(target=reloader.run, args=(ended, now, interval), name="reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(DRAIN_SECONDS)


def stale_tables(config: Config, source: SourceConfig) -> list[TableName]:
    """Return the tables of a source that are marked as to be loaded anew; raises TransientError."""
    marks = Control(open_catalog(config.catalog), config.metadata_namespace).read().stale
    return [table.source for table in source.captured if str(source.target_of(table)) in marks]


@contextmanager
def _operations(config: Config, metrics: Metrics, health: Health) -> Iterator[None]:
    if not config.operations.http_port:
        yield
        return
    with OperationsServer(metrics, health, config.operations.http_host, config.operations.http_port):
        yield
