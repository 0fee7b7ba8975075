"""One table's share of a micro-batch, from messages to a staged commit; implements ``pipeline.table.TableBatch``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as f

from cdc.core.batch import Collapsed, Problem, Skip
from cdc.core.positions import LAYOUTS
from cdc.core.progress import PartitionEvents, Progress
from cdc.core.quality import Rule, Verdict
from cdc.core.types import EventSchema
from cdc.spark import collapse, staging
from cdc.spark.arrow_decode import decode_here
from cdc.spark.decode import Epochs, RowShape, decode, unusable
from cdc.spark.envelope import Writer, open_avro, open_json
from cdc.spark.large import collapse_large
from cdc.spark.microbatch import SchemaPair, TopicSlice, messages_of, schema_marks
from cdc.spark.quality import FEW, judged
from cdc.spark.small import collapse_small, is_small
from cdc.spark.ways import MERGE, staged, write_tombstones
from cdc.spark.work import LARGE, Direct, Share, Work, planned

WIDE = 50
"""Columns beyond which the decoding is planned by itself; for fewer, one plan of all costs less than rows copied."""


@dataclass(frozen=True)
class TableFormat:
    """How a table's messages are written, and what keys its rows."""

    pipeline: str
    topic: str
    engine: str
    event_format: str
    key: tuple[str, ...]
    placeholder: str


Resolve = Callable[[SchemaPair], Writer | str]
"""Return the writer behind a pair of schema ids, or why its messages cannot be used."""


class SparkTableBatch:
    """The messages of one table; ``lend`` gives a session that nothing else uses meanwhile."""

    def __init__(
        self,
        lend: Callable[[], SparkSession],
        view: str,
        part: TopicSlice,
        table_format: TableFormat,
        target: staging.TableTarget,
        resolve: Resolve,
        direct: Direct,
    ) -> None:
        self._lend = lend
        self._view = view
        self._format = table_format
        self._target = target
        self._writers = {pair: resolve(pair) for pair in part.schemas}
        self._part = part
        self._direct = direct
        self.way = ""
        self.properties: Mapping[str, str] = {}
        self._work: Work | None = None
        self.first_offsets: Mapping[int, int] = part.first_offsets
        self.last_offsets: Mapping[int, int] = part.last_offsets

    @property
    def rows(self) -> Sequence[EventSchema]:
        """Return the row schemas of the usable messages, oldest first."""
        known = [(pair.value_id, w.row) for pair, w in self._writers.items() if isinstance(w, Writer)]
        return [row for _, row in sorted(known, key=lambda pair: pair[0])]

    def collapse(self, columns: Mapping[str, str], skip: Skip, epochs: Epochs, truncated: str) -> Collapsed:
        """Decode and collapse; the result stays cached until the next call or ``close``."""
        self.close()
        if not self._writers:
            return Collapsed()
        key = tuple(name for name in self._format.key if name in columns)
        shape = RowShape(self._format.engine, key, columns, self._format.placeholder)
        small = is_small(self._part, shape, self._direct.messages)
        share = Share(
            self._lend,
            self._target,
            shape,
            lambda: self._events(shape, skip, epochs, truncated),
            self._decoded_here(shape, skip, epochs, truncated) if small else LARGE,
            skip,
            truncated,
            self._missing(shape),
            self._direct,
        )
        work = collapse_small(share) if small else None
        self._work = work or collapse_large(share)
        return self._work.collapsed

    def _decoded_here(self, shape: RowShape, skip: Skip, epochs: Epochs, truncated: str) -> pa.Table | str:
        if self._format.event_format != "avro":
            return "events in JSON"
        if self._part.gathered is None:
            return "messages that are not at the driver"
        return decode_here(self._part.gathered, self._writers, shape, skip, epochs, truncated)

    def _events(self, shape: RowShape, skip: Skip, epochs: Epochs, truncated: str) -> DataFrame:
        messages = self._messages()
        if any(first < skip.progress.of(p).next_offset for p, first in self.first_offsets.items()):
            messages = messages.where(_unread(skip.progress))  # a literal filter would mean new code for every batch
        if skip.held:
            messages = messages.where(_before(skip.held))
        messages = _marked_behind(messages, skip.blocked)
        events = collapse.union(self._decoded(messages, pair, shape, epochs) for pair in self._writers)
        if len(shape.columns) > WIDE:
            events = planned(events)
        if truncated:
            above = f.substring("position", 1, LAYOUTS[shape.engine].place_width) > truncated
            other = f.col("problem").isNotNull() | (f.col("operation") == "t")
            events = events.where(f.coalesce(above | other, f.lit(True)))
        return events

    def _decoded(self, messages: DataFrame, pair: SchemaPair, shape: RowShape, epochs: Epochs) -> DataFrame:
        writer = self._writers[pair]
        if len(self._writers) > 1:
            key_mark, value_mark = schema_marks(self._format.event_format)
            key_mark = f.coalesce(key_mark, f.lit(bytearray()))
            mine = (key_mark == f.lit(bytearray(pair.key_mark))) & (value_mark == f.lit(bytearray(pair.value_mark)))
            messages = messages.where(mine)
        if isinstance(writer, str):
            return unusable(messages, writer, shape)
        if self._format.event_format == "avro":
            return decode(open_avro(messages, writer, shape.engine), writer, shape, epochs)
        wrapped = self._format.event_format == "json_schema"
        return decode(open_json(messages, writer, shape.engine, wrapped=wrapped), writer, shape, epochs)

    def offsets_from(self, place: str) -> Mapping[int, int]:
        """Return the offset of the first change at or after ``place``, for each partition that has one."""
        at = collapse.components(f.col("position"), LAYOUTS[self._format.engine])
        rows = self._current.share.events.where(at >= place).groupBy("partition").agg(f.min("offset").alias("first"))
        return {row.partition: row["first"] for row in rows.collect()}

    def partition_events(self) -> Mapping[int, PartitionEvents]:
        """Return where snapshot reads begin, per partition."""
        order = Window.partitionBy("partition").orderBy("offset")
        before = f.lag("snapshot_read").over(order)
        marked = self._current.share.events.where(f.col("problem").isNull()).withColumn("before", before)
        restart = f.when(f.col("snapshot_read") & ~f.col("before"), f.col("offset"))
        rows = marked.groupBy("partition").agg(
            f.min("offset").alias("first"),
            f.min_by("snapshot_read", "offset").alias("first_is_read"),
            f.max_by("snapshot_read", "offset").alias("last_is_read"),
            f.collect_list(restart).alias("restarts"),
        )
        return {
            row.partition: PartitionEvents(
                row["first"],
                self.last_offsets[row.partition],
                row.first_is_read,
                row.last_is_read,
                tuple(sorted(row.restarts)),
            )
            for row in rows.collect()
        }

    def truncate_place(self) -> str:
        """Return the greatest place of a truncate in the batch, empty if there is none."""
        width = LAYOUTS[self._format.engine].place_width
        truncates = self._current.share.events.where((f.col("operation") == "t") & f.col("problem").isNull())
        return truncates.agg(f.max(f.substring("position", 1, width)).alias("place")).collect()[0].place or ""

    def problems(self, limit: int) -> Sequence[Problem]:
        """Return up to ``limit`` messages that cannot be used, oldest first."""
        bad = self._current.share.events.where(f.col("problem").isNotNull()).select("partition", "offset", "problem")
        raw = self._messages().select("partition", "offset", "key")
        found = bad.join(raw, ["partition", "offset"]).orderBy("partition", "offset").limit(limit).collect()
        return [Problem(r.partition, r.offset, None if r.key is None else bytes(r.key), r.problem) for r in found]

    def quarantine(self, problems: Sequence[Problem]) -> None:
        """Write the messages to the quarantine table, once each."""
        staging.write_quarantine(self._session, self._target, self._format.pipeline, self._messages(), problems)

    def judge(self, rules: Sequence[Rule]) -> Sequence[Verdict]:
        """Return what the rules for single rows say of the rows that the batch inserts and updates."""
        work = self._current
        if work.changes is None:
            raise RuntimeError("a torn batch cannot be judged")
        count = work.collapsed.upserts
        return judged(work.changes().where("NOT deleted").select("v.*"), rules, count, few=count <= FEW)

    def stage(self, summary: Mapping[str, str], truncate: str, branch: Callable[[], None]) -> None:
        """Stage the changes with ``summary``, keep tombstones; ``branch`` makes the staging branch ready."""
        work, share = self._current, self._current.share
        if work.changes is None:
            raise RuntimeError("a torn batch cannot be staged")
        self.way = staged(work, truncate, summary) + _decoding(share)
        merged = self.way.startswith(MERGE)
        if work.collapsed.deletes:  # a MERGE may find nothing to do, and is not published then
            self.properties = write_tombstones(work, wait=not merged)
        if not merged:
            return
        branch()
        staging.merge_changes(
            self._session,
            self._target,
            share.shape,
            work.changes(),
            floors=work.floors,
            truncate=truncate,
            bounds=work.bounds,
            summary=summary,
        )

    @property
    def _session(self) -> SparkSession:
        return self._lend()

    def _messages(self) -> DataFrame:
        return messages_of(self._session, self._view, self._format.topic, self._part.gathered)

    @property
    def _current(self) -> Work:
        if self._work is None:
            raise RuntimeError("collapse comes first")
        return self._work

    def close(self) -> None:
        """Free what the latest collapse cached."""
        if self._work is not None:
            self._work.close()
        self._work = None

    def _missing(self, shape: RowShape) -> list[str]:
        """Return the columns that some of the writers do not know."""
        rows = [{x.name for x in w.row.fields} for w in self._writers.values() if isinstance(w, Writer)]
        return [name for row in rows for name in shape.columns if name not in row]


def _decoding(share: Share) -> str:
    """Return why Spark has decoded a batch that is otherwise the driver's."""
    return f"; decoded by Spark: {share.decoded}" if isinstance(share.decoded, str) and share.decoded != LARGE else ""


def _any_of(conditions: Iterable[Column]) -> Column:
    return reduce(lambda a, b: a | b, conditions, f.lit(False))


def _unread(progress: Progress) -> Column:
    """Return whether a message's offset is not yet in the table."""
    return ~_any_of(
        (f.col("partition") == partition) & (f.col("offset") < state.next_offset)
        for partition, state in progress.partitions.items()
    )


def _before(held: Mapping[int, int]) -> Column:
    """Return whether a message is not held back."""
    return ~_any_of(
        (f.col("partition") == partition) & (f.col("offset") >= offset) for partition, offset in held.items()
    )


FEW_KEYS = 20
"""Up to so many blocked keys a condition is quicker than a join; thousands overflow the planner's stack."""


def _marked_behind(messages: DataFrame, blocked: Mapping[bytes, tuple[int, int]]) -> DataFrame:
    """Return the messages with ``behind``: whether one waits behind a quarantined message of its key."""
    if len(blocked) <= FEW_KEYS:
        return messages.withColumn("behind", _behind(blocked))
    keys = pa.table(
        {
            "key": pa.array(blocked, pa.binary()),
            "partition": pa.array([partition for partition, _ in blocked.values()], pa.int32()),
            "blocked_at": pa.array([offset for _, offset in blocked.values()], pa.int64()),
        }
    )
    frame = messages.sparkSession.createDataFrame(keys, "key binary, `partition` int, blocked_at bigint")
    found = messages.join(f.broadcast(frame), ["key", "partition"], "left")
    waiting = f.coalesce(f.col("offset") > f.col("blocked_at"), f.lit(False))
    return found.withColumn("behind", waiting).drop("blocked_at")


def _behind(blocked: Mapping[bytes, tuple[int, int]]) -> Column:
    waiting = _any_of(
        (f.col("key") == f.lit(bytearray(key))) & (f.col("partition") == partition) & (f.col("offset") > offset)
        for key, (partition, offset) in blocked.items()
    )
    return f.coalesce(waiting, f.lit(False))
