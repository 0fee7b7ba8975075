"""The streaming service: the pipelines of a configuration with their operations, from start to stop."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from cdc.bootstrap.engine import SparkEngine
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.positions import LAYOUTS
from cdc.lake.lease import Lease
from cdc.lake.status import StatusTables
from cdc.ops.health import Health
from cdc.ops.http import OperationsServer
from cdc.ops.logs import set_up_logs
from cdc.ops.metrics import Metrics
from cdc.pipeline.report import Report
from cdc.pipeline.stream import Limits, Pipeline
from cdc.pipeline.table import TableSpec
from cdc.spark.session import build_session


def specs_of(source: SourceConfig) -> list[TableSpec]:
    """Return the source's tables as the pipeline knows them."""
    return [
        TableSpec(
            pipeline=source.name,
            engine=source.type,
            topic=source.topic_of(table),
            target=source.target_of(table),
            key=table.key,
            layout=LAYOUTS[source.type],
            partition_by=table.partition_by,
            properties=table.properties,
        )
        for table in source.tables
    ]


def default_jars() -> Path:
    """Return where `cdc local fetch` puts Spark's jars."""
    return Path.home() / ".cache" / "cdc" / "spark" / "jars"


def build_pipeline(config: Config, source: SourceConfig, session: SparkSession, metrics: Metrics) -> Pipeline:
    """Return the pipeline of one source, not yet running."""
    catalog, namespace = config.catalog.name, config.metadata_namespace
    status = StatusTables(session, catalog, namespace)
    status.create()
    ttl = config.stream.lease_ttl.total_seconds()
    return Pipeline(
        name=source.name,
        specs=specs_of(source),
        engine=SparkEngine(config, source, session),
        lease=Lease(session, catalog, namespace, source.name, ttl),
        report=Report(source.name, status, metrics, config.stream.status_interval),
        limits=Limits(
            config.stream.lease_ttl, config.stream.retry_for, config.stream.parallel_tables, config.stream.blocked_keys
        ),
    )


def run_stream(config: Config, stop: threading.Event, *, standby: bool = False) -> None:
    """Run the pipelines of all sources until ``stop`` is set.

    A pipeline that cannot go on leaves the others alone; the first one's error is raised when all have ended.
    """
    set_up_logs(config.operations.log_format, config.operations.log_level)
    metrics = Metrics()
    jars = Path(config.spark.jars) if config.spark.jars else default_jars()
    with _operations(config, metrics):
        session = build_session(config, jars)
        try:
            pipelines = [build_pipeline(config, source, session, metrics) for source in config.sources]
            with ThreadPoolExecutor(len(pipelines)) as pool:
                futures = [pool.submit(pipeline.run, stop, standby=standby) for pipeline in pipelines]
                wait(futures)
            for future in futures:
                future.result()
        finally:
            session.stop()


@contextmanager
def _operations(config: Config, metrics: Metrics) -> Iterator[None]:
    if not config.operations.http_port:
        yield
        return
    health = Health(on_result=lambda name, up: metrics.dependency(name, up=up))
    with OperationsServer(metrics, health, config.operations.http_host, config.operations.http_port):
        yield
