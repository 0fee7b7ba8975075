"""The roster: a pipeline's tables, what is remembered of each, and which of them the running query is for."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from cdc.core.preflight import Finding
from cdc.pipeline.apply import TableMemory
from cdc.pipeline.table import TableSpec

log = structlog.get_logger()


@dataclass
class Roster:
    """Tables by topic. The query's thread stops tables, the pipeline's does everything else, ``take`` between queries.

    A table that leaves ``reading`` comes back only with the next query: batches of this one have passed it by.
    """

    pipeline: str
    specs: Sequence[TableSpec]
    memory: dict[str, TableMemory] = field(default_factory=dict)
    stopped: dict[str, Exception] = field(default_factory=dict)
    reading: set[str] = field(default_factory=set)
    pardoned: set[str] = field(default_factory=set)
    unfit: dict[str, Finding] = field(default_factory=dict)
    loading: deque[TableSpec] = field(default_factory=deque)

    def of_batch(self, topics: Iterable[str]) -> list[TableSpec]:
        """Return the tables of these topics that a batch may be applied to."""
        present = set(topics) & self.reading
        return [spec for spec in self.specs if spec.topic in present]

    def candidates(self) -> list[TableSpec]:
        """Return the tables that are fit and not stopped; those pardoned since the last query are not any more."""
        for topic in self.pardoned:
            self.stopped.pop(topic, None)
        self.pardoned = set()
        self.loading.clear()
        return [spec for spec in self.specs if spec.topic not in self.stopped and spec.topic not in self.unfit]

    def judge(self, unfit: Mapping[str, Finding]) -> list[TableSpec]:
        """Take the tables that are unfit now, by topic, and return those that were so and are no more."""
        passed = [spec for spec in self.specs if spec.topic in self.unfit and spec.topic not in unfit]
        self.unfit = dict(unfit)
        self.reading -= unfit.keys()
        return passed

    def remember(self, spec: TableSpec) -> TableMemory:
        """Return what is remembered of a table, nothing at first."""
        return self.memory.setdefault(spec.topic, TableMemory())

    def stop(self, spec: TableSpec, error: Exception) -> None:
        """Take a table out until somebody moves it, or it is worth another try."""
        self.stopped[spec.topic] = error
        self.reading.discard(spec.topic)

    def pardon(self, spec: TableSpec) -> None:
        """Let a table begin again with the next query, if it was stopped or is stopped before that."""
        self.pardoned.add(spec.topic)

    def forget(self) -> None:
        """Begin anew with the same tables, of which others may have been the writers meanwhile."""
        self.memory, self.stopped, self.reading, self.pardoned = {}, {}, set(), set()
        self.loading.clear()

    def take(self, specs: Sequence[TableSpec]) -> list[TableSpec]:
        """Replace the tables and return those that went; what is remembered of those that stay as they are stays."""
        before = {(spec.topic, spec.target): spec for spec in self.specs}
        after = {(spec.topic, spec.target): spec for spec in specs}
        removed = [spec for name, spec in before.items() if name not in after]
        added = [spec for name, spec in after.items() if name not in before]
        changed = [spec for name, spec in after.items() if name in before and before[name] != spec]
        for spec in (*removed, *added, *changed):
            self.memory.pop(spec.topic, None)
            self.stopped.pop(spec.topic, None)
            self.reading.discard(spec.topic)
        for spec in removed:
            self.unfit.pop(spec.topic, None)
        self.specs = tuple(specs)
        self._log("table removed from the configuration", removed, stays="target with its rows, tombstones, topic")
        self._log("table added to the configuration", added)
        self._log("table configured anew", changed)
        return removed

    def _log(self, event: str, specs: Iterable[TableSpec], **more: str) -> None:
        for spec in specs:
            log.info(event, pipeline=self.pipeline, table=str(spec.target), topic=spec.topic, **more)
