"""Watches with their real parts: one per source, each in a thread of its own."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from cdc.bootstrap.databases import source_database
from cdc.bootstrap.declared import settings_of
from cdc.config.models import Config
from cdc.config.sources import MySqlSource, SourceConfig
from cdc.connect.client import ConnectClient
from cdc.connect.render import history_topic, table_pattern
from cdc.core.preflight import Finding
from cdc.kafka.registry import SchemaRegistry
from cdc.kafka.topics import KafkaTopics
from cdc.lake.control import Control
from cdc.lake.definitions import DefinitionLedger
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.ops.metrics import Metrics
from cdc.pipeline.stream import Pipeline
from cdc.pipeline.watch import Watch
from cdc.pipeline.watch_parts import WatchParts
from cdc.sources.mysql import MySqlLog

ANSWER_SECONDS = 4.0
"""How long a look waits for the answer of Connect or Kafka."""


def watches_of(config: Config, pipelines: Sequence[Pipeline], metrics: Metrics) -> list[Watch]:
    """Return the watch of each source, not yet looking; tables that are unfit are told to its pipeline."""
    by_name = {pipeline.name: pipeline for pipeline in pipelines}

    def watch(source: SourceConfig) -> Watch:
        pipeline = by_name[source.name]
        parts = _parts(config, metrics, pipeline.judge)
        return Watch(source, parts._replace(active=lambda: pipeline.holding, late=pipeline.report.late))

    return [watch(source) for source in config.sources]


def find_now(config: Config, source: SourceConfig) -> Sequence[Finding]:
    """Return what is wrong with a source now, without a service: nothing is changed, and nobody told."""
    parts = _parts(config, Metrics(), lambda _unfit: None)
    return Watch(source, parts).find(source, parts.notes.read()).findings


def _parts(config: Config, metrics: Metrics, judge: Callable[[Mapping[str, Finding]], None]) -> WatchParts:
    cluster = ConnectClient(config.connect, timeout=ANSWER_SECONDS)
    catalog = open_catalog(config.catalog)
    notes = Control(catalog, config.metadata_namespace)
    topics = KafkaTopics(config.kafka, timeout=ANSWER_SECONDS)
    registry = SchemaRegistry(config.registry).check if config.registry else None
    return WatchParts(
        cluster,
        table_pattern,
        lambda source: settings_of(source, config),
        source_database,
        topics,
        notes,
        DefinitionLedger(catalog, config.metadata_namespace),
        metrics,
        judge,
        history_topic,
        lambda source: MySqlLog(source) if isinstance(source, MySqlSource) else None,
        registry,
    )


@contextmanager
def watching(watches: Sequence[Watch]) -> Iterator[None]:
    """Let the watches look while the block runs; one that waits for an answer at its end does not hold it up."""
    ended = threading.Event()
    for watch in watches:
        threading.Thread(target=watch.run, args=(ended,), name=f"{watch.source.name}-watch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
