"""Kafka, Spark and Iceberg put together as the engine of a pipeline."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cdc.bootstrap.writers import Writers, source_columns
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.errors import CdcError, ConfigError, IncompatibleSchema
from cdc.core.names import TableName, quote, tombstones_of
from cdc.core.progress import Progress, Ranges, TopicState
from cdc.kafka.client import java_settings
from cdc.kafka.ranges import RangeReader
from cdc.kafka.registry import SchemaRegistry
from cdc.kafka.topics import KafkaTopics
from cdc.lake.folders import make_private
from cdc.lake.foreign import lake_errors
from cdc.lake.held import HeldTable, HeldTables, is_empty
from cdc.lake.index_entries import KeyColumns
from cdc.lake.indexed_table import IndexedTable
from cdc.lake.java import java_errors
from cdc.lake.key_indexes import indexes_in
from cdc.lake.pyiceberg_catalog import direct_catalog
from cdc.lake.quarantine import TABLE as QUARANTINE
from cdc.lake.rewriting import RewrittenTable
from cdc.lake.tables import IcebergTable
from cdc.lake.target import Target
from cdc.lake.tombstones import Tombstones
from cdc.lazy import lazy
from cdc.pipeline.engine import Batch
from cdc.pipeline.table import TableBatch, TableSpec, TargetTable
from cdc.spark.batch import SparkTableBatch, TableFormat
from cdc.spark.in_turns import InTurns
from cdc.spark.microbatch import MicroBatch, TopicSlice
from cdc.spark.microbatch import RangeReader as ReadsRanges
from cdc.spark.pieces import in_pieces, of_size, pieces_of
from cdc.spark.session import SessionPool
from cdc.spark.source import OffsetLog, query_failure, read_range, start_query
from cdc.spark.staging import TableTarget, blocked_keys, create_quarantine, release_quarantined
from cdc.spark.work import Direct

log = structlog.get_logger()


class SparkEngine:
    """Kafka, Spark and Iceberg as a pipeline needs them; implements ``pipeline.stream.Engine``."""

    def __init__(self, config: Config, source: SourceConfig, session: SparkSession) -> None:
        self._config = config
        self._source = source
        self._session = session
        self._pool = SessionPool(session, config.catalog, (config.stream.parallel_tables + 1) // 2)
        self._topics = KafkaTopics(config.kafka)
        registry = SchemaRegistry(config.registry) if config.registry else None
        self._writers = Writers(registry, source.format, source_columns(source))
        direct = direct_catalog(config.catalog)
        self._held = HeldTables(direct) if direct else None
        folder = config.stream.index_folder
        self._indexes = indexes_in(folder / config.catalog.name) if folder else None
        self._quarantine = _qualified(config.catalog.name, config.metadata_namespace, QUARANTINE)
        self._quarantined = HeldTable(direct, TableName(config.metadata_namespace, QUARANTINE)) if direct else None
        self._create(direct)

    def _create(self, direct: Catalog | None) -> None:
        """Create what tables need that are created side by side, and would race for it; Spark only where it is not."""
        if self._looked() is None:
            create_quarantine(self._session, self._quarantine)
        for namespace in {self._source.target_of(table).namespace for table in self._source.tables}:
            if direct is None or not _has_namespace(direct, namespace):
                name = _qualified(self._config.catalog.name, namespace)
                self._session.sql(f"CREATE NAMESPACE IF NOT EXISTS {name}")

    @property
    def pipeline(self) -> str:
        """Return the name of the pipeline."""
        return self._source.name

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """Return the topics that exist, with their ids and watermarks."""
        found = self._topics.describe(names)
        return {
            name: TopicState(topic.id, {p: (marks.low, marks.high) for p, marks in topic.watermarks.items()})
            for name, topic in found.items()
        }

    def newest_at(self, topic: str) -> datetime | None:
        """Return when the newest message of a topic was written (UTC), None if it has none."""
        milliseconds = self._topics.newest_at(topic)
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)

    @contextmanager
    def table(self, spec: TableSpec) -> Iterator[TargetTable]:
        """Open a table; the session is shared, for it is used for metadata only."""
        java = IcebergTable(self._session, self._config.catalog.name, spec.target)
        yield Target(self._held.of(spec.target), java) if self._held else java

    def blocked(self, topics: Sequence[str]) -> Mapping[str, dict[bytes, tuple[int, int]]]:
        """Return per topic the raw keys that wait behind a quarantined message."""
        return {} if self._none_quarantined() else blocked_keys(self._session, self._quarantine, topics)

    def release(self, topic: str, before: Mapping[int, int]) -> None:
        """Let go of quarantined messages below these offsets; keys wait behind them no more."""
        if not self._none_quarantined():
            release_quarantined(self._session, self._quarantine, topic, before)

    def _none_quarantined(self) -> bool:
        """Return whether the quarantine is known to be empty, as it nearly always is; Spark takes a second to tell."""
        table = self._looked()
        return table is not None and is_empty(table)

    def _looked(self) -> Table | None:
        """Return the quarantine as it is now, None where only Spark can tell, or where it is not there."""
        with lake_errors("look at the quarantine"):
            return self._quarantined.look() if self._quarantined else None

    def start(
        self, progress: Mapping[str, tuple[Progress, frozenset[int]]], on_batch: Callable[[Batch], None]
    ) -> "SparkQuery":
        """Start the query with an empty checkpoint: where to go on is what the tables say."""
        checkpoint = self._empty_checkpoint()
        noted, reader = OffsetLog(checkpoint), RangeReader(self._config.kafka)
        reader.begin(
            {  # while Spark plans
                topic: {p: state.next_offset for p, state in of.partitions.items()}
                for topic, (of, _) in progress.items()
            }
        )
        stream = self._config.stream
        fresh = {self._source.topic_of(table): self._source.freshness_of(table) for table in self._source.captured}
        turns = InTurns(reader, stream.parallel_tables, stream.max_offsets_per_batch, freshness=fresh)

        def handle(messages: DataFrame, number: int) -> None:
            for batch in self._batches(messages, noted.ranges_of(number), turns):
                on_batch(EngineBatch(self, batch))

        query = start_query(
            self._session,
            java_settings(self._config.kafka),
            progress,
            checkpoint=checkpoint,
            trigger=self._config.stream.trigger,
            max_offsets=self._config.stream.max_offsets_per_batch,
            name=self._source.name,
            on_batch=handle,
        )
        return SparkQuery(query, checkpoint, reader)

    def _batches(self, messages: DataFrame, planned: Ranges | None, turns: InTurns) -> Iterator[MicroBatch]:
        """Yield what a trigger is applied as: pieces that the driver takes, tables in turns, or one micro-batch."""
        whole = self.micro_batch(messages, ranges=planned)
        for part in self._parts(turns.left(planned), whole.bound, turns) if planned else iter(("",)):
            if isinstance(part, str):
                if part:
                    log.info("micro-batch read by Spark", pipeline=self.pipeline, why=part)
                yield whole  # after some parts, too: what these have brought is in the tables, and is passed over
            else:
                yield self.micro_batch(messages, ranges=part[0], reader=part[1])

    def _parts(self, ranges: Ranges, most: int, turns: InTurns) -> Iterator[tuple[Ranges, ReadsRanges] | str]:
        """Yield the parts of a micro-batch; the last may be why Spark has to read it, nothing where it is Spark's."""
        pieces = pieces_of(ranges, most)
        if not pieces:
            yield ""
            return
        for part in turns.of(ranges) if pieces == 1 else in_pieces(ranges, most, turns.reader):
            yield from (part,) if isinstance(part, str) else of_size(*part)

    def _empty_checkpoint(self) -> str:
        """Return a new directory; those of earlier runs, killed before they could tidy up, go away."""
        root = self._config.stream.checkpoint.rstrip("/")
        if "://" not in root:
            for left in Path(root).glob(f"{self._source.name}-*"):
                shutil.rmtree(left, ignore_errors=True)
            make_private(Path(root))
        return f"{root}/{self._source.name}-{uuid.uuid4()}"

    def declared(self, spec: TableSpec) -> Mapping[str, str] | None:
        """Return the columns that the source declares, name -> Iceberg type; None where only events can tell."""
        try:
            return source_columns(self._source)(spec.topic)[1].columns()
        except (ConfigError, IncompatibleSchema):
            return None

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the ends of a topic's partitions, behind every message that was written before the call."""
        return self._topics.settled_ends(topic)

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> "EngineBatch":
        """Return the messages of a topic from ``start`` to before ``end`` as a micro-batch of its own."""
        messages = read_range(self._session, java_settings(self._config.kafka), topic, start, end)
        ranges = {topic: {p: (start[p], end[p]) for p in end}}
        return EngineBatch(self, self.micro_batch(messages, f"cdc_messages_{uuid.uuid4().hex}", ranges), once=True)

    def micro_batch(
        self,
        messages: DataFrame,
        view: str | None = None,
        ranges: Ranges | None = None,
        reader: ReadsRanges | None = None,
    ) -> MicroBatch:
        """Return the messages of one trigger, or of a range that is read once, under a view of its own."""
        formats = {self._source.topic_of(table): self._source.format.value for table in self._source.tables}
        return MicroBatch(
            messages,
            view or f"cdc_messages_{self._source.name}",
            formats,
            ranges=ranges,
            reader=reader,
            gathered=self._config.stream.driver_messages,
        )

    @contextmanager
    def open(self, spec: TableSpec, batch: MicroBatch, part: TopicSlice) -> Iterator[TableBatch]:
        """Open one table's share of a micro-batch in a session of its own."""
        catalog, namespace = self._config.catalog.name, self._config.metadata_namespace
        beside = tombstones_of(namespace, spec.beside or spec.target)
        table = IcebergTable(self._session, catalog, spec.target)
        target = TableTarget(table.sql_name, table.branch_sql, _qualified(catalog, *beside), self._quarantine)
        table_format = TableFormat(
            spec.pipeline, spec.topic, spec.engine, self._source.format.value, spec.key, self._source.placeholder
        )
        with self._pool.borrow(lambda: part.messages + table.row_count(), spec.topic) as lend:
            resolve = self._writers.resolver(spec.topic, batch)
            direct = self._direct(spec, beside)
            share = SparkTableBatch(lend, batch.view, part, table_format, target, resolve, direct)
            try:
                with java_errors(f"apply a batch to {spec.target}"):
                    yield share
            finally:
                share.close()

    def _direct(self, spec: TableSpec, tombstones: TableName) -> Direct:
        """Return what is written without Spark; a shadow has no index, for it is read and written as a whole."""
        most = self._config.stream.driver_messages
        if self._held is None:
            return Direct(messages=most)
        held, indexed = self._held.of(spec.target), None
        if self._indexes is not None and spec.beside is None:
            indexed = IndexedTable(held, self._indexes, KeyColumns(spec.key, spec.layout.order_width))
        of = self._held.of(spec.beside) if spec.beside else None
        # A shadow's rows are handed over, not its properties.
        own = spec.target.namespace != self._config.metadata_namespace
        return Direct(RewrittenTable(held), indexed, Tombstones(self._held.of(tombstones), held, of, wait=own), most)


class EngineBatch:
    """One micro-batch of the engine; implements ``pipeline.stream.Batch``."""

    def __init__(self, engine: SparkEngine, batch: MicroBatch, *, once: bool = False) -> None:
        self._engine = engine
        self._batch = batch
        self._once = once

    @lazy
    def _slices(self) -> Mapping[str, TopicSlice]:
        found = self._batch.slices()  # not before it is asked for: a batch that nobody wants costs nothing
        if self._batch.by_spark:
            log.info("small batch read by Spark", pipeline=self._engine.pipeline, why=self._batch.by_spark)
        return found

    def topics(self) -> Sequence[str]:
        """Return the topics that it has messages of, those of the fewest first."""
        return sorted(self._slices, key=lambda topic: self._slices[topic].messages)

    @contextmanager
    def of(self, spec: TableSpec) -> Iterator[TableBatch]:
        """Open one table's share of it."""
        with self._engine.open(spec, self._batch, self._slices[spec.topic]) as part:
            yield part

    def close(self) -> None:
        """Let go of the cached messages."""
        self._batch.close(drop_view=self._once)


class SparkQuery:
    """A streaming query with a checkpoint that ends with it; implements ``pipeline.stream.Query``."""

    def __init__(self, query: StreamingQuery, checkpoint: str, reader: RangeReader) -> None:
        self._query = query
        self._checkpoint = checkpoint
        self._reader = reader

    def failure(self) -> CdcError | None:
        """Return why the query ended; None while it runs."""
        return query_failure(self._query)

    def stop(self) -> None:
        """End the query, let go of its consumer, and remove its checkpoint."""
        try:
            self._query.stop()
        finally:
            self._reader.close()
        shutil.rmtree(self._checkpoint, ignore_errors=True)  # one on an object store is left to its lifecycle rules


def _has_namespace(catalog: Catalog, namespace: str) -> bool:
    with lake_errors(f"look at namespace {namespace}"):
        return catalog.namespace_exists((namespace,))


def _qualified(*names: str) -> str:
    return ".".join(quote(name, "`") for name in names)
