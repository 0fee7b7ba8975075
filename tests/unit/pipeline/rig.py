"""A pipeline of two tables on parts in memory, told to stop when all batches are through."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from cdc.core.progress import PartitionProgress, Progress
from cdc.pipeline.apply import PROGRESS
from cdc.pipeline.report import Report
from cdc.pipeline.stream import Limits, Pipeline
from cdc.pipeline.table import TableSpec
from tests.fakes.control import MemoryControl
from tests.fakes.pipeline import (
    MemoryEngine,
    MemoryLease,
    MemoryMetrics,
    MemoryMicroBatch,
    MemoryStore,
    MemoryTable,
    spec_of,
)

A, B = spec_of("a"), spec_of("b")
BOTH = {A.topic: (0, 4), B.topic: (0, 9)}
LATER = {A.topic: (5, 6), B.topic: (10, 11)}
COLUMNS = {"id": "int", "n": "int"}
DEADLINE = 10.0

Offsets = dict[str, tuple[int, int]]
Script = Callable[[], Iterator[Offsets]]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail loudly if it does not come."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < DEADLINE, "waited in vain"
        threading.Event().wait(0.005)


def progress_at(spec: TableSpec, offset: int, epoch: int = 0) -> str:
    """Return a table's progress up to an offset, as it stands in a commit."""
    return Progress(spec.topic, "id", {0: PartitionProgress(offset, epoch, streaming=True)}).to_json()


class Rig:
    """The pipeline, its parts, and questions to them."""

    def __init__(self, *batches: Offsets, specs: tuple[TableSpec, ...] = (A, B), retry: float = 1.0) -> None:
        self.engine = MemoryEngine([A.topic, B.topic], batches)
        self.lease, self.store, self.metrics = MemoryLease(), MemoryStore(), MemoryMetrics()
        self.control = MemoryControl()
        self.stop = threading.Event()
        self.engine.done = self.stop.set
        self.report = Report("shop", self.store, self.metrics, timedelta(seconds=60))
        limits = Limits(timedelta(seconds=0.2), timedelta(seconds=retry), 2, 10)
        self.pipeline = Pipeline("shop", specs, self.engine, self.lease, self.report, limits, self.control, poll=0)

    def run(self) -> None:
        self.pipeline.run(self.stop)

    def run_beside(self) -> threading.Thread:
        """Run the pipeline in a thread of its own; the test stops it."""
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        return thread

    def finish(self, thread: threading.Thread) -> None:
        self.stop.set()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    def script(self, *queries: Script) -> None:
        """Let each query give the batches of one of these; after the last one the pipeline is told to stop."""
        waiting = list(queries)

        def batches() -> Iterator[MemoryMicroBatch]:
            for offsets in waiting.pop(0)():
                yield MemoryMicroBatch(self.engine, offsets)
            if not waiting:
                self.stop.set()

        self.engine._batches = batches  # type: ignore[method-assign]  # noqa: SLF001

    def table(self, spec: Any) -> MemoryTable:
        return self.engine.tables[spec.topic]

    def hold(self, spec: TableSpec, offset: int, **entries: str) -> None:
        """Give a table rows and progress from outside, as a load does."""
        self.table(spec).holding(COLUMNS, {PROGRESS: progress_at(spec, offset), **entries})

    def next_offset(self, spec: Any) -> int:
        text = self.table(spec).summary.get(PROGRESS)
        return Progress.from_json(text).of(0).next_offset if text else 0

    def states(self) -> dict[str, tuple[str, str]]:
        return {row.target: (row.state, row.last_error) for row in self.store.status}

    def state(self, spec: TableSpec) -> str:
        """Return the state that is shown of a table."""
        self.report.flush()
        return self.states()[str(spec.target)][0] if str(spec.target) in self.states() else ""

    def started_at(self, spec: TableSpec) -> list[int | None]:
        """Return where each query began with a table, None where it took no part."""
        return [start[spec.topic].of(0).next_offset if spec.topic in start else None for start in self.engine.starts]
