"""What a number of tables and changes needs, worked out from unit costs: arithmetic only, nothing is measured here.

A change costs wherever it passes: in the connector's task, in its topic, at decoding and merging. A table costs once
more in every micro-batch in which it has changed, however little; with many tables that is the larger part.
"""

import math
from dataclasses import dataclass

from cdc.core.capacity_units import Costs

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Shape:
    """A load: ``changes`` a second that come at random to ``tables``, all alike, of ``sources`` databases.

    ``interval`` is the seconds between two commits of a table that changes all the time. ``small`` is the share of
    the tables that are rewritten whole (up to 20,000 rows and 1 MiB); the others are merged into.
    """

    tables: int
    changes: float
    interval: float = 60.0
    sources: int = 1
    small: float = 0.0

    @property
    def touched(self) -> float:
        """Return how many tables have a change in an interval, on average."""
        return self.tables * -math.expm1(-self.changes * self.interval / self.tables)

    @property
    def batch(self) -> float:
        """Return how many changes a table that has any brings to a micro-batch, on average."""
        return self.changes * self.interval / self.touched


@dataclass(frozen=True)
class Part:
    """A part of the chain: how many units of it the load would fill to the brim, and how many are planned."""

    name: str
    unit: str
    fills: float
    planned: int


@dataclass(frozen=True)
class Connect:
    """Kafka Connect: one task for each pipeline; ``cores`` are busy all the time."""

    tasks: int
    workers: int
    cores: float
    bytes: float


@dataclass(frozen=True)
class Kafka:
    """Topics, one for each table; ``bytes_in`` is a second's and without replicas, ``bytes_kept`` with them."""

    topics: int
    partitions: int
    brokers: int
    bytes_in: float
    bytes_kept: float


@dataclass(frozen=True)
class Spark:
    """The services: ``table_cores`` are busy with the fixed price of tables, ``change_cores`` with changes.

    ``touched`` tables have ``batch`` changes each in an interval, and a pipeline has ``micro_batch`` of all its tables.
    """

    ways: tuple[str, ...]
    touched: float
    batch: float
    micro_batch: float
    table_cores: float
    change_cores: float
    drivers: int
    driver_cores: int
    driver_bytes: float
    executor_cores: int
    executor_bytes: float


@dataclass(frozen=True)
class Lake:
    """The catalog and the object store; rates are a second's. Reads are not counted."""

    commits: float
    writes: float
    files_a_day: float


@dataclass(frozen=True)
class Need:
    """What a load needs."""

    shape: Shape
    pipelines: int
    connect: Connect
    kafka: Kafka
    spark: Spark
    lake: Lake
    parts: tuple[Part, ...]

    @property
    def limiting(self) -> Part:
        """Return the part of which the load fills most units: the first that one server does not carry."""
        return max(self.parts, key=lambda part: part.fills)


@dataclass(frozen=True)
class _Way:
    """A way in which a table's batch is applied, and the share of the touched tables that take it."""

    name: str
    share: float
    seconds: float
    files: float


def need(shape: Shape, costs: Costs) -> Need:
    """Return what a load needs at these unit costs."""
    ways = _ways(shape, costs)
    batches = shape.touched / shape.interval
    table_cores = batches * sum(way.share * way.seconds for way in ways)
    change_cores = shape.changes * costs.change_seconds
    kafka = _kafka(shape, costs)
    parts = (
        _part("Connect", "connector tasks", shape.changes / costs.task_changes, costs, shape.sources),
        _part("Drivers", "services", table_cores / costs.driver_cores, costs),
        _part("Executors", "cores", change_cores, costs),
        Part("Kafka", "brokers", _brokers(kafka, costs), kafka.brokers),
    )
    pipelines = max(parts[0].planned, parts[1].planned)
    commits = batches * costs.batch_commits + pipelines * costs.pipeline_commits
    written = batches * sum(way.share * way.files for way in ways)
    spark = Spark(
        ways=tuple(way.name for way in ways),
        touched=shape.touched,
        batch=shape.batch,
        micro_batch=shape.changes * shape.interval / pipelines,
        table_cores=table_cores,
        change_cores=change_cores,
        drivers=parts[1].planned,
        driver_cores=math.ceil(parts[1].planned * costs.driver_cores),
        driver_bytes=parts[1].planned * costs.driver_bytes,
        executor_cores=parts[2].planned,
        executor_bytes=parts[2].planned * costs.executor_bytes,
    )
    lake = Lake(commits, commits + written, (commits + written) * SECONDS_A_DAY)
    return Need(shape, pipelines, _connect(shape, pipelines, costs), kafka, spark, lake, parts)


def _part(name: str, unit: str, fills: float, costs: Costs, least: int = 1) -> Part:
    return Part(name, unit, fills, max(least, math.ceil(fills / costs.busy)))


def _ways(shape: Shape, costs: Costs) -> list[_Way]:
    """Return the ways that tables take: what is not small is merged, and whoever collapses it, by the batch's size."""
    little = shape.batch <= costs.small_batch
    rewritten = shape.small if little else 0.0
    gather = ("gather", costs.gather_seconds, costs.gather_files)
    name, seconds, files = gather if little else ("merge", costs.merge_seconds, costs.merge_files)
    ways = [
        _Way("rewrite", rewritten, costs.rewrite_seconds, costs.rewrite_files),
        _Way(name, 1 - rewritten, seconds, files),
    ]
    return [way for way in ways if way.share]


def _connect(shape: Shape, tasks: int, costs: Costs) -> Connect:
    workers = math.ceil(tasks / costs.worker_tasks)
    return Connect(tasks, workers, shape.changes * costs.task_seconds, workers * costs.worker_bytes)


def _kafka(shape: Shape, costs: Costs) -> Kafka:
    bytes_in = shape.changes * costs.event_bytes
    partitions = math.ceil(shape.tables * costs.partitions)
    kept = bytes_in * costs.retention * costs.replicas
    known = Kafka(shape.tables, partitions, 0, bytes_in, kept)
    brokers = max(math.ceil(costs.replicas), math.ceil(_brokers(known, costs) / costs.busy))
    return Kafka(shape.tables, partitions, brokers, bytes_in, kept)


def _brokers(kafka: Kafka, costs: Costs) -> float:
    """Return how many brokers are filled, by partitions or by bytes, whichever is more."""
    by_partitions = kafka.partitions * costs.replicas / costs.broker_partitions
    return max(by_partitions, kafka.bytes_in * costs.replicas / costs.broker_bytes)
