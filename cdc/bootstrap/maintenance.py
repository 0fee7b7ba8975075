"""Maintenance with its real parts: which tables there are, how long each keeps what, and the threads that look."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from pyspark.sql import SparkSession

from cdc.config.models import Config
from cdc.core.maintenance import Limits, Pruning
from cdc.core.names import TableName, tombstones_of
from cdc.core.retention import Keep
from cdc.lake.audit import TABLE as OPERATIONS
from cdc.lake.checkpoints import LEDGER, Histories
from cdc.lake.definitions import TABLE as DEFINITIONS
from cdc.lake.holder import table_of
from cdc.lake.maintenance import TableMaintainer
from cdc.lake.own_tables import FILES
from cdc.lake.pyiceberg_catalog import by_spark_alone, direct_catalog, open_catalog
from cdc.lake.quarantine import TABLE as QUARANTINE
from cdc.lake.status_reader import STATUS
from cdc.lake.verifications import TABLE as VERIFICATIONS
from cdc.pipeline.maintain import Kept, Maintenance, Metrics
from cdc.pipeline.stream import DRAIN_SECONDS, Pipeline
from cdc.spark.session import sibling_session

SIDE = Keep(timedelta(hours=1), 5, 50)
"""Nobody goes back in the tables of the service's own."""

SEGMENT = timedelta(days=7)
"""Kafka fills a segment of a topic for up to a week, and removes it as a whole: so much later may an event still go."""


def limits_of(config: Config, *, thorough: bool = False) -> Limits:
    """Return when steps are due for targets."""
    chosen = config.maintenance
    keep = Keep(chosen.keep_snapshots_for, chosen.keep_snapshots_min, chosen.keep_snapshots_max)
    return Limits(keep, chosen.step_bytes, chosen.orphan_age, thorough=thorough)


def kept_tables(config: Config, targets: Sequence[TableName], *, thorough: bool = False) -> list[Kept]:
    """Return targets with their tombstones, which share the turn of their target."""
    limits = limits_of(config, thorough=thorough)
    kept = max(config.maintenance.keep_tombstones, config.kafka.retention + SEGMENT)
    beside = _side(config, limits, Pruning("deleted_at", kept))
    pairs = ((target, tombstones_of(config.metadata_namespace, target)) for target in targets)
    return [
        one
        for target, stones in pairs
        for one in (Kept(target, limits, str(target)), Kept(stones, beside, str(target)))
    ]


def own_tables(config: Config, *, thorough: bool = False) -> list[Kept]:
    """Return the tables that all pipelines share, and the leases."""
    limits, namespace = limits_of(config, thorough=thorough), config.metadata_namespace
    leases = [table_of(name) for source in config.sources for name in (source.name, f"{source.name}_load")]
    kept = config.maintenance.keep_ledger
    prunings = {LEDGER: Pruning("committed_at", kept), VERIFICATIONS: Pruning("at", kept)}
    names = (STATUS, LEDGER, QUARANTINE, OPERATIONS, DEFINITIONS, VERIFICATIONS, *leases)
    return [Kept(TableName(namespace, name), _side(config, limits, prunings.get(name))) for name in names]


def _side(config: Config, limits: Limits, pruning: Pruning | None) -> Limits:
    """Return when steps are due for tables of the service's own, which it keeps small itself where it can."""
    fewest = limits.fewest_files if limits.thorough or by_spark_alone(config.catalog) else 2 * FILES
    return replace(limits, keep=SIDE, pruning=pruning, fewest_files=fewest)


def build_maintainer(config: Config, session: SparkSession, *, alone: bool = False) -> TableMaintainer:
    """Return the hands of maintenance, in a session of their own.

    One who is ``alone``, while it has a table's turn, takes small steps without Spark: these lose to any commit beside.
    """
    catalog, namespace = config.catalog.name, config.metadata_namespace
    mine = sibling_session(session, config.catalog)
    histories, direct = Histories(open_catalog(config.catalog)), direct_catalog(config.catalog) if alone else None
    return TableMaintainer(mine, catalog, namespace, histories, direct)


def maintenance_of(config: Config, pipeline: Pipeline, session: SparkSession, metrics: Metrics) -> Maintenance:
    """Return the maintenance of a running pipeline's tables; the first of the configuration looks after shared ones."""
    own = own_tables(config) if pipeline.name == config.sources[0].name else []

    def tables() -> list[Kept]:
        targets = [spec.target for spec in pipeline.streaming()]
        return [*kept_tables(config, targets), *own] if targets else []

    return Maintenance(
        pipeline.name,
        tables,
        build_maintainer(config, session, alone=True),
        metrics,
        config.maintenance.interval,
        config.maintenance.budget,
        turns=pipeline.turns,
        still_holder=pipeline.lease.check,
    )


@contextmanager
def maintaining(
    config: Config, pipelines: Sequence[Pipeline], session: SparkSession, metrics: Metrics
) -> Iterator[None]:
    """Let each pipeline's tables be maintained while the block runs; the step at hand comes to its end, or is left."""
    if not config.maintenance.enabled:
        yield
        return
    ended = threading.Event()
    threads = [
        _started(maintenance_of(config, pipeline, session, metrics).run, ended, pipeline.name) for pipeline in pipelines
    ]
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(DRAIN_SECONDS)


def _started(run: Callable[[threading.Event], None], ended: threading.Event, name: str) -> threading.Thread:
    thread = threading.Thread(target=run, args=(ended,), name=f"{name}-maintenance", daemon=True)
    thread.start()
    return thread
