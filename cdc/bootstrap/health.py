"""Health of a running service: whether the process lives, and whether each of its dependencies answers."""

import threading
from collections.abc import Sequence
from functools import partial

from cdc.bootstrap.databases import source_database
from cdc.config.models import Config
from cdc.connect.client import ConnectClient
from cdc.kafka.registry import SchemaRegistry
from cdc.kafka.topics import KafkaTopics
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.status_reader import has_status
from cdc.ops.health import Health
from cdc.ops.metrics import Metrics
from cdc.pipeline.stream import Pipeline
from cdc.pipeline.watch import Watch


def add_dependencies(health: Health, config: Config) -> None:
    """Add a readiness check for every source, Kafka, the registry, Connect and the catalog."""
    for source in config.sources:
        name = "source" if len(config.sources) == 1 else f"source {source.name}"
        database = source_database(source)
        health.add_ready(name, lambda database=database: _drop(database.position()))  # type: ignore[misc]
    topics = KafkaTopics(config.kafka)
    health.add_ready("kafka", lambda: _drop(topics.cluster_id()))
    if config.registry:
        health.add_ready("registry", SchemaRegistry(config.registry).check)
    connect = ConnectClient(config.connect)
    health.add_ready("connect", lambda: _drop(connect.names()))
    health.add_ready("catalog", lambda: _drop(has_status(open_catalog(config.catalog), config.metadata_namespace)))


def add_troubles(health: Health, watches: Sequence[Watch], pipelines: Sequence[Pipeline]) -> None:
    """Add readiness checks for what is wrong with sources, and for tables that are stopped or have blocked keys."""

    def clear(watch: Watch) -> None:
        if watch.current:
            raise RuntimeError("; ".join(map(str, watch.current)))

    def going_on(pipeline: Pipeline) -> None:
        if reasons := pipeline.report.resting():
            raise RuntimeError("; ".join(reasons))

    for watch in watches:
        health.add_ready(f"troubles of {watch.source.name}", partial(clear, watch))
    for pipeline in pipelines:
        health.add_ready(f"tables of {pipeline.name}", partial(going_on, pipeline))


def new_health(metrics: Metrics) -> Health:
    """Return checks whose results are metrics too."""
    return Health(on_result=lambda name, up: metrics.dependency(name, up=up))


def add_liveness(health: Health, threads: Sequence[threading.Thread]) -> None:
    """Add a liveness check: the pipelines' threads are at work."""

    def check() -> None:
        ended = [thread.name for thread in threads if not thread.is_alive()]
        if ended:
            raise RuntimeError(f"pipeline {ended[0]!r} has ended")

    health.add_live("pipelines", check)


def _drop(_answer: object) -> None:
    return
