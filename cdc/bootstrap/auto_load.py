"""Loads within the running service: a table that waits for its first rows gets them without anybody asking."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from pyspark.sql import SparkSession

from cdc.bootstrap.load import SourceLoads, is_loaded, lacking_capture
from cdc.bootstrap.specs import specs_of
from cdc.config.models import Config
from cdc.config.services import HadoopCatalog
from cdc.config.sources import SourceConfig
from cdc.core.errors import CdcError, LeaseHeld
from cdc.core.load import LoadProgress, LoadState
from cdc.lake.loads import read_loads
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.ops.metrics import Metrics
from cdc.pipeline.capture import Capture
from cdc.pipeline.table import TableSpec
from cdc.spark.session import sibling_session

log = structlog.get_logger()

_LOOK_SECONDS = 2.0
_RETRY_SECONDS = 30.0
_LOG_SECONDS = 10.0


@dataclass
class AutoLoads:
    """Loads the tables of one source that wait for it, in a thread beside its pipeline.

    A table that fails is tried again every half minute; while another process loads tables of the source, it waits.
    """

    config: Config
    source: SourceConfig
    session: SparkSession
    metrics: Metrics
    stop: threading.Event
    capture: Capture
    _done: set[str] = field(default_factory=set)
    _told: dict[str, tuple[LoadState, float]] = field(default_factory=dict)
    _changed: threading.Event = field(default_factory=threading.Event)

    def reconfigure(self, config: Config, source: SourceConfig) -> None:
        """Take up another configuration; a load that runs comes to its end first."""
        self.config, self.source = config, source
        self._changed.set()

    def run(self) -> None:
        """Load what waits, until told to stop."""
        session = sibling_session(self.session, self.config.catalog)
        while not self.stop.is_set():
            self._changed.clear()
            self._changed.wait(self._look(session))

    def end(self) -> None:
        """Tell the loads to end, each behind its next commit."""
        self.stop.set()
        self._changed.set()

    def _look(self, session: SparkSession) -> float:
        """Load what waits now; return the seconds after which to look again."""
        try:
            waiting = [spec for spec in specs_of(self.source) if self._waits(session, spec)]
            if not waiting:
                return _LOOK_SECONDS
            if not (ready := self._ready(waiting)):
                return _LOOK_SECONDS
            loads = SourceLoads(self.config, self.source, session, self._show, self.stop.is_set, None, self.capture)
            failed = loads.run(ready)
        except LeaseHeld:
            return _LOOK_SECONDS  # another process loads them; its progress is in `cdc status`
        except CdcError as error:
            log.error("tables cannot be loaded", pipeline=self.source.name, error=str(error), hint=error.hint)  # noqa: TRY400
            return _RETRY_SECONDS
        except Exception as error:
            if self.stop.is_set():
                return 0.0
            log.exception("tables cannot be loaded", pipeline=self.source.name, error=type(error).__name__)
            return _RETRY_SECONDS
        return _RETRY_SECONDS if failed else _LOOK_SECONDS

    def _ready(self, waiting: Sequence[TableSpec]) -> list[TableSpec]:
        """Return the tables whose changes are captured, or were when their loads began; the others hold nobody up."""
        lacking = lacking_capture(self.capture, self.source, waiting)
        if lacking:
            for load in read_loads(open_catalog(self.config.catalog), self.config.metadata_namespace, list(lacking)):
                del lacking[load.target]
        for target, reason in lacking.items():
            self._show(LoadProgress(target, LoadState.WAITING, detail=reason))
        return [spec for spec in waiting if spec.target not in lacking]

    def _waits(self, session: SparkSession, spec: TableSpec) -> bool:
        if spec.snapshot != "load" or spec.topic in self._done:
            return False
        try:
            if is_loaded(session, self.config.catalog.name, spec.target):
                self._done.add(spec.topic)
                return False
        except CdcError as error:
            log.warning("table not looked at", table=str(spec.target), error=str(error))
            return False
        return True

    def _show(self, progress: LoadProgress) -> None:
        name = str(progress.target)
        self.metrics.load(self.source.name, name, progress.rows, progress.rows_estimate, progress.bytes)
        state, at = self._told.get(name, (None, 0.0))
        if state is not progress.state or time.monotonic() - at > _LOG_SECONDS:
            self._told[name] = (progress.state, time.monotonic())
            log.info(
                "load",
                pipeline=self.source.name,
                table=name,
                state=str(progress.state),
                rows=progress.rows,
                rows_estimate=progress.rows_estimate,
                rows_per_second=round(progress.rows_per_second),
                ranges=f"{progress.ranges_done}/{progress.ranges}",
                seconds_left=None if progress.seconds_left is None else round(progress.seconds_left),
                detail=progress.detail,
            )


@contextmanager
def auto_loading(loads: Sequence[AutoLoads], seconds: float) -> Iterator[None]:
    """Run the loads beside what the block does; at its end a task that runs has so many seconds to end."""
    threads = [threading.Thread(target=one.run, name=f"{one.source.name}-loads", daemon=True) for one in loads]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for one in loads:
            one.end()
        for thread in threads:
            thread.join(seconds)


def wanted(config: Config) -> bool:
    """Return whether the service loads tables by itself."""
    return config.load.auto and not isinstance(config.catalog, HadoopCatalog)
