"""Catch up: apply a range of a topic to a table that no query writes to, such as a shadow, in bounded batches."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from cdc.core.errors import TransientError
from cdc.core.progress import Progress, TopicState, slice_of
from cdc.pipeline.apply import Applied, Applier, TableMemory, progress_of
from cdc.pipeline.engine import Batch
from cdc.pipeline.table import TableSpec, TargetTable

SLICE = 200_000
"""Messages that are applied in one commit."""


class RangeEngine(Protocol):
    """What reads ranges of topics into tables."""

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """Return the topics that exist."""
        ...

    def table(self, spec: TableSpec) -> AbstractContextManager[TargetTable]:
        """Open a table for the calling thread."""
        ...

    def blocked(self, topics: Sequence[str]) -> Mapping[str, dict[bytes, tuple[int, int]]]:
        """Return per topic the raw keys that wait behind a quarantined message."""
        ...

    def release(self, topic: str, before: Mapping[int, int]) -> None:
        """Let go of quarantined messages below these offsets; keys wait behind them no more."""
        ...

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the ends of a topic's partitions, behind every message that was written before the call."""
        ...

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> Batch:
        """Return the messages of a topic from ``start`` to before ``end``, per partition."""
        ...


@dataclass(frozen=True)
class CatchUp:
    """Applies what a topic holds behind a table's progress; ``on_applied`` hears of every batch."""

    engine: RangeEngine
    applier: Applier
    limit: int = SLICE
    on_applied: Callable[[Applied], None] = lambda _applied: None
    stopping: Callable[[], bool] = lambda: False
    pause: Callable[[float], object] = time.sleep

    def run(self, spec: TableSpec, memory: TableMemory, ends: Mapping[int, int]) -> Progress:
        """Apply everything before ``ends`` and return how far that is; each batch is one commit.

        The progress returned may be ahead of the table's, which does not move with messages that change nothing. Done
        again it changes nothing. A key change of which only one half lies before ``ends`` is waited for, and what
        comes with it is applied too. Raises the errors of ``Applier.apply``, TransientError when told to stop.
        """
        progress = self._progress(spec, memory)
        cursor = {p: progress.of(p).next_offset for p in ends}
        while any(cursor[p] < end for p, end in ends.items()):
            if self.stopping():
                raise TransientError(f"catching up of {spec.target} was told to stop")
            until = slice_of(cursor, ends, self.limit)
            applied = self._apply(spec, memory, cursor, until)
            progress = self._progress(spec, memory)
            cursor = self._following(progress, until, applied)
            if applied is not None and applied.held:
                ends = {p: max(end, cursor[p]) for p, end in self._ends(spec, ends).items()}
                self.pause(0.2)
        return progress.advanced({p: replace(progress.of(p), next_offset=at) for p, at in cursor.items()})

    def _following(self, progress: Progress, until: Mapping[int, int], applied: Applied | None) -> dict[int, int]:
        """Return where to go on: a transaction's markers have offsets and no messages, so progress may stay behind."""
        at = {p: progress.of(p).next_offset for p in until}
        return at if applied is not None and applied.held else {p: max(at[p], end) for p, end in until.items()}

    def _ends(self, spec: TableSpec, ends: Mapping[int, int]) -> dict[int, int]:
        found = self.engine.ends(spec.topic)
        return {p: found[p] for p in ends}

    def _progress(self, spec: TableSpec, memory: TableMemory) -> Progress:
        with self.engine.table(spec) as table:
            return progress_of(table.read(), spec, memory.topic_id)

    def _apply(
        self, spec: TableSpec, memory: TableMemory, start: Mapping[int, int], end: Mapping[int, int]
    ) -> Applied | None:
        batch = self.engine.read(spec.topic, start, end)
        try:
            if spec.topic not in batch.topics():
                return None
            with batch.of(spec) as part, self.engine.table(spec) as table:
                applied = self.applier.apply(spec, table, part, memory)
        finally:
            batch.close()
        self.on_applied(applied)
        return applied
