"""Replays with their real parts: Spark, Kafka and the lease under which shadows of a source are made."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from cdc.bootstrap.engine import SparkEngine
from cdc.bootstrap.operations import OperatorParts
from cdc.config.models import Config
from cdc.config.services import HadoopCatalog
from cdc.config.sources import SourceConfig
from cdc.core.errors import ConfigError
from cdc.core.names import TableName
from cdc.core.replay import ReplayPlan
from cdc.lake.audit import operator
from cdc.lake.control import Control
from cdc.lake.copies import copy_rows
from cdc.lake.lease import Lease
from cdc.lake.quarantine import Quarantine
from cdc.lake.shadow import Shadow
from cdc.pipeline.apply import Applied
from cdc.pipeline.hold import beating, release
from cdc.pipeline.quiet import quiet
from cdc.pipeline.replay import Replay, Replayed, ReplayParts
from cdc.pipeline.retry import Retried, Retry
from cdc.pipeline.table import TableSpec


@dataclass(frozen=True)
class _Copier:
    session: SparkSession
    catalog: str

    def copy(self, spec: TableSpec, into: TableName, snapshot: int, summary: Mapping[str, str]) -> int:
        return copy_rows(self.session, self.catalog, spec.target, snapshot, into, summary)


def run_replay(
    config: Config,
    source: SourceConfig,
    session: SparkSession,
    spec: TableSpec,
    plan: ReplayPlan,
    why: str,
    *,
    on_applied: Callable[[Applied], None] = lambda _applied: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Replayed:
    """Carry a replay out; raises LeaseHeld while another process loads or replays tables of the source."""
    if plan.into is None and isinstance(config.catalog, HadoopCatalog):
        raise ConfigError(
            "a hadoop catalog cannot swap a replayed table in", hint="use another catalog, or replay --into a new table"
        )
    with _lease(config, source, session, stopping) as still_holder:
        parts = _parts(config, source, session, still_holder)
        return Replay(parts, spec, plan, why, on_applied, stopping).run()


def run_retry(
    config: Config,
    source: SourceConfig,
    session: SparkSession,
    make: Callable[[ReplayParts, Quarantine], Retry],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Retried:
    """Try quarantined messages again, as ``make`` puts it together; raises LeaseHeld as ``run_replay`` does."""
    if isinstance(config.catalog, HadoopCatalog):
        raise ConfigError(
            "a hadoop catalog cannot swap a table in", hint="use another catalog: jdbc, rest, glue or hive"
        )
    quarantine = Quarantine(OperatorParts(config).catalog, config.metadata_namespace)
    with _lease(config, source, session, stopping) as still_holder:
        parts = _parts(config, source, session, still_holder)
        return make(parts, quarantine).run()


def _parts(
    config: Config, source: SourceConfig, session: SparkSession, still_holder: Callable[[], None]
) -> ReplayParts:
    operations = OperatorParts(config).operations
    catalog, namespace = config.catalog.name, config.metadata_namespace
    return ReplayParts(
        engine=SparkEngine(config, source, session),
        shadow=lambda spec: Shadow(session, catalog, namespace, spec.target),
        copier=_Copier(session, catalog),
        control=operations.control,
        audit=operations.audit,
        still_holder=still_holder,
        quiet=lambda spec: quiet(
            Control(OperatorParts(config).catalog, namespace), spec.target, operator(), "replayed rows take their place"
        ),
        blocked_keys=config.stream.blocked_keys,
    )


@contextmanager
def _lease(
    config: Config, source: SourceConfig, session: SparkSession, stopping: Callable[[], bool]
) -> Iterator[Callable[[], None]]:
    ttl = config.stream.lease_ttl.total_seconds()
    name = f"{source.name}_load"
    lease = Lease(session, config.catalog.name, config.metadata_namespace, name, ttl)
    lease.acquire(wait=False, stopping=stopping, pause=time.sleep)
    try:
        with beating(lease, ttl / 4, name, lambda _error: None):  # whoever asks ``check`` is told
            yield lease.check
    finally:
        release(lease, name)
