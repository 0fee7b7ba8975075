# ruff: noqa: ARG002 - the names of arguments belong to the protocols
"""A table, a batch, an engine, a lease and a status store in memory, with the failures that matter.

Every call is noted in ``calls``, one list shared by all parts, so that tests can look at the order of steps.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cdc.core.batch import Collapsed, Problem, Skip
from cdc.core.errors import Fenced
from cdc.core.evolution import SchemaPlan
from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS
from cdc.core.progress import PartitionEvents, Progress, TopicState
from cdc.core.quality import Rule, Verdict
from cdc.core.status import LedgerRow, StatusRow
from cdc.core.types import EventField, EventSchema
from cdc.pipeline.table import TableSpec
from tests.fakes.target_table import FakeState, FakeTargetTable

INSERTED = "spark.merge-into.num-target-rows-inserted"
UPDATED = "spark.merge-into.num-target-rows-updated"
DELETED = "spark.merge-into.num-target-rows-deleted"
ROW = EventSchema((EventField("id", "id", "int"), EventField("n", "n", "int")))


def spec_of(table: str = "t") -> TableSpec:
    """Return the description of a table with the key ``id``."""
    return TableSpec("shop", "postgres", f"shop.public.{table}", TableName("ns", table), ("id",), LAYOUTS["postgres"])


@dataclass
class MemoryTable(FakeTargetTable):
    """The fake that holds the contract, noting calls; ``failures`` are raised by the calls of that name, in turn."""

    calls: list[str] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)

    def holding(self, columns: Mapping[str, str], summary: Mapping[str, str]) -> "MemoryTable":
        """Give the table these columns and one commit with this summary."""
        self.columns, self.main = dict(columns), self._commit(self.main, summary)
        return self

    @property
    def summary(self) -> Mapping[str, str]:
        return super().read().summary

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if waiting := self.failures.get(call):
            raise waiting.pop(0)

    def create(self, columns: Mapping[str, str], *more: Any) -> None:
        self._note("create")
        super().create(columns, *more)

    def read(self) -> FakeState:
        self._note("read")
        return super().read()

    def fence(self, summary: Mapping[str, str]) -> None:
        self._note("fence")
        super().fence(summary)

    def evolve(self, plan: SchemaPlan) -> None:
        self._note("evolve")
        super().evolve(plan)

    def stage(self, base: int) -> None:
        self._note("stage")
        super().stage(base)

    def stage_progress(self, base: int, summary: Mapping[str, str]) -> None:
        self._note("stage")
        super().stage_progress(base, summary)

    def publish(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        self._note("publish")
        super().publish(base, staged, properties)


@dataclass
class MemoryBatch:
    """One table's share of a batch: ``results`` are what the collapses give, the last one again and again."""

    table: MemoryTable
    results: list[Collapsed] = field(default_factory=lambda: [Collapsed(events=3, keys=2, deletes=1)])
    first_offsets: dict[int, int] = field(default_factory=lambda: {0: 0})
    last_offsets: dict[int, int] = field(default_factory=lambda: {0: 2})
    rows: Sequence[EventSchema] = (ROW,)
    bad: Sequence[Problem] = ()
    reads: Mapping[int, PartitionEvents] = field(default_factory=dict)
    counts: dict[str, str] = field(default_factory=lambda: {INSERTED: "1", DELETED: "1"})
    place: str = ""
    torn_offsets: dict[str, Mapping[int, int]] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    asked: list[tuple[Skip, Mapping[int, Any], str]] = field(default_factory=list)
    staged: tuple[Mapping[str, str], str] | None = None
    way: str = "merge"
    properties: Mapping[str, str] = field(default_factory=dict)

    def collapse(self, columns: Mapping[str, str], skip: Skip, epochs: Mapping[int, Any], truncated: str) -> Collapsed:
        self.table.calls.append("collapse")
        self.asked.append((skip, epochs, truncated))
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

    def offsets_from(self, place: str) -> Mapping[int, int]:
        return self.torn_offsets[place]

    def partition_events(self) -> Mapping[int, PartitionEvents]:
        return self.reads

    def truncate_place(self) -> str:
        return self.place

    def problems(self, limit: int) -> Sequence[Problem]:
        return self.bad[:limit]

    def quarantine(self, problems: Sequence[Problem]) -> None:
        self.table.calls.append(f"quarantine {len(problems)}")

    def judge(self, rules: Sequence[Rule]) -> Sequence[Verdict]:
        self.table.calls.append(f"judge by {', '.join(rule.name for rule in rules)}")
        return self.verdicts

    def stage(self, summary: Mapping[str, str], truncate: str, branch: Callable[[], None]) -> None:
        branch()
        self.table.calls.append("merge")
        self.staged = (summary, truncate)
        self.table.write({**summary, **self.counts})

    def close(self) -> None:
        self.table.calls.append("close")


class MemoryLease:
    """A lease that is ours until ``lose`` is called."""

    def __init__(self, token: int = 7) -> None:
        self.token = token
        self.released = False
        self._lost = threading.Event()

    def acquire(self, *, wait: bool, stopping: Callable[[], bool], pause: Callable[[float], object]) -> int:
        return self.token

    def renew(self) -> None:
        self.check()

    def check(self) -> None:
        if self._lost.is_set():
            raise Fenced("another instance took over")

    def lose(self) -> None:
        self._lost.set()

    def release(self) -> None:
        self.released = True


@dataclass
class MemoryMicroBatch:
    """A micro-batch with messages of the given tables; of ``torn`` ones a key change is not whole from an offset on."""

    engine: "MemoryEngine"
    offsets: dict[str, tuple[int, int]]
    torn: dict[str, int] = field(default_factory=dict)
    closed: bool = False

    def topics(self) -> Sequence[str]:
        return list(self.offsets)

    @contextmanager
    def of(self, spec: TableSpec) -> Iterator[MemoryBatch]:
        first, last = self.offsets[spec.topic]
        table = self.engine.tables[spec.topic]
        share = MemoryBatch(table, first_offsets={0: first}, last_offsets={0: last})
        if spec.topic in self.torn:
            share.results = [Collapsed(torn="5"), *share.results]
            share.torn_offsets = {"5": {0: self.torn[spec.topic]}}
        yield share

    def close(self) -> None:
        self.closed = True


class MemoryQuery:
    """A query whose thread hands out the batches; what ``on_batch`` raises ends it."""

    def __init__(self, batches: Iterator[MemoryMicroBatch], on_batch: Callable[[Any], None]) -> None:
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(batches, on_batch), daemon=True)
        self._thread.start()

    def _run(self, batches: Iterator[MemoryMicroBatch], on_batch: Callable[[Any], None]) -> None:
        try:
            for batch in batches:
                if self._stop.is_set():
                    return
                on_batch(batch)
        except Exception as error:  # noqa: BLE001 - handed on, as Spark does
            self._failure = error

    def failure(self) -> Exception | None:
        return self._failure

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)


class MemoryEngine:
    """Topics, tables and batches in memory; after the batches ``done`` is called."""

    def __init__(self, topics: Sequence[str], batches: Sequence[dict[str, tuple[int, int]]]) -> None:
        self.tables = {topic: MemoryTable() for topic in topics}
        self.existing = {topic: TopicState("id", {0: (0, 1000)}) for topic in topics}
        self.batches = [MemoryMicroBatch(self, offsets) for offsets in batches]
        self.columns: dict[str, Mapping[str, str] | Exception] = {}
        self.starts: list[dict[str, Progress]] = []
        self.alive_at: datetime | None = None
        self.done: Callable[[], None] = lambda: None
        self._pending = list(self.batches)

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        return {name: self.existing[name] for name in names if name in self.existing}

    def newest_at(self, _topic: str) -> datetime | None:
        return self.alive_at

    @contextmanager
    def table(self, spec: TableSpec) -> Iterator[MemoryTable]:
        yield self.tables[spec.topic]

    def declared(self, spec: TableSpec) -> Mapping[str, str] | None:
        known = self.columns.get(spec.topic)
        if isinstance(known, Exception):
            raise known
        return known

    def blocked(self, topics: Sequence[str]) -> Mapping[str, dict[bytes, tuple[int, int]]]:
        return {}

    def start(
        self, progress: Mapping[str, tuple[Progress, frozenset[int]]], on_batch: Callable[[Any], None]
    ) -> MemoryQuery:
        self.starts.append({topic: state for topic, (state, _) in progress.items()})
        return MemoryQuery(self._batches(), on_batch)

    def _batches(self) -> Iterator[MemoryMicroBatch]:
        while self._pending:
            yield self._pending.pop(0)
        self.done()


class MemoryStore:
    """Status and ledger rows as written last; ``failures`` writes fail first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.status: list[StatusRow] = []
        self.ledger: list[LedgerRow] = []

    def write(self, status: Sequence[StatusRow], ledger: Sequence[LedgerRow]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("catalog away")
        self.status = list(status)
        self.ledger += ledger


class MemoryMetrics:
    """What was measured, by the name of the measure."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, Any]] = []

    def batch(self, pipeline: str, table: str, **values: Any) -> None:
        self.noted.append(("batch", values))

    def committed(self, pipeline: str, table: str, **values: Any) -> None:
        self.noted.append(("committed", values))

    def behind(self, pipeline: str, table: str, offsets: int) -> None:
        self.noted.append(("behind", (table, offsets)))

    def fresh(self, pipeline: str, table: str, lag: float) -> None:
        self.noted.append(("fresh", (table, lag)))

    def quarantined(self, pipeline: str, table: str, count: int, *, blocked_keys: int) -> None:
        self.noted.append(("quarantined", (count, blocked_keys)))

    def table_state(self, pipeline: str, table: str, state: str) -> None:
        self.noted.append(("state", (table, str(state))))

    def table_removed(self, pipeline: str, table: str) -> None:
        self.noted.append(("removed", table))

    def lease(self, pipeline: str, *, held: bool) -> None:
        self.noted.append(("lease", held))
