"""What a pipeline knows and needs of one table: its description, and the parts that read and write it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cdc.core.batch import Collapsed, Problem, Skip
from cdc.core.evolution import SchemaPlan
from cdc.core.names import TableName
from cdc.core.positions import Layout
from cdc.core.progress import PartitionEvents
from cdc.core.quality import Rule, Verdict
from cdc.core.types import EventSchema

Epochs = Mapping[int, tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class TableSpec:
    """One captured table as configured; ``snapshot`` says where its first rows come from: connector or load.

    ``beside`` is another table whose tombstones it has, where its rows are those of that one. ``transactional`` says
    that its topic is written in transactions only. Tables with a higher ``load_priority`` are loaded first, those that
    may be late by fewer seconds (``freshness``) come first in each micro-batch.
    """

    pipeline: str
    engine: str
    topic: str
    target: TableName
    key: tuple[str, ...]
    layout: Layout
    partition_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    snapshot: str = "connector"
    beside: TableName | None = None
    transactional: bool = False
    load_priority: int = 0
    freshness: float = 300.0
    rules: tuple[Rule, ...] = ()


class TargetTable(Protocol):
    """An Iceberg table with a staging branch. Commits are atomic; ``publish`` is a compare-and-swap."""

    def exists(self) -> bool:
        """Return whether the table is there."""
        ...

    def create(
        self,
        columns: Mapping[str, str],
        key: tuple[str, ...],
        partition_by: tuple[str, ...],
        properties: Mapping[str, str],
    ) -> None:
        """Create the table; idempotent."""
        ...

    def read(self) -> "TargetState":
        """Return the present state."""
        ...

    def find(self) -> "TargetState | None":
        """Return the present state in one look, None if the table is not there."""
        ...

    def fence(self, summary: Mapping[str, str]) -> None:
        """Commit an empty snapshot with this summary to main."""
        ...

    def evolve(self, plan: SchemaPlan) -> None:
        """Change columns; idempotent."""
        ...

    def stage(self, base: int) -> None:
        """Point the staging branch at ``base``, for what writes to it; idempotent."""
        ...

    def stage_progress(self, base: int, summary: Mapping[str, str]) -> None:
        """Stage an empty snapshot with this summary on top of ``base``."""
        ...

    def staged(self, base: int) -> tuple[int, Mapping[str, str]]:
        """Return the snapshot that was staged and its summary; ``base`` itself where nothing was."""
        ...

    def publish(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        """Move main from ``base`` to ``staged``; raises CommitConflict if main is elsewhere."""
        ...


class TargetState(Protocol):
    """A table as it was read."""

    @property
    def snapshot_id(self) -> int:
        """Return main's snapshot, -1 before the first."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """Return column name -> Iceberg type."""
        ...

    @property
    def summary(self) -> Mapping[str, str]:
        """Return the newest ``cdc.`` entries among main's ancestors."""
        ...

    @property
    def key(self) -> frozenset[str]:
        """Return the columns that the table was made with as its key; empty if it was made without."""
        ...

    @property
    def partitioning(self) -> tuple[str, ...]:
        """Return its partition terms, as ``PartitionTerm`` shows them."""
        ...


class TableBatch(Protocol):
    """The messages of one table in one micro-batch; collapse first, everything else after it."""

    @property
    def first_offsets(self) -> Mapping[int, int]:
        """Return the first offset per partition, tombstones included."""
        ...

    @property
    def last_offsets(self) -> Mapping[int, int]:
        """Return the last offset per partition, tombstones included."""
        ...

    @property
    def rows(self) -> Sequence[EventSchema]:
        """Return the row schemas that the batch's messages were written with."""
        ...

    def collapse(self, columns: Mapping[str, str], skip: Skip, epochs: Epochs, truncated: str) -> Collapsed:
        """Decode and collapse the messages, leaving out those of ``skip`` and below ``truncated``.

        Goes no further than to say so when a key change is torn; such a collapse cannot be staged.
        """
        ...

    def offsets_from(self, place: str) -> Mapping[int, int]:
        """Return the offset of the first change at or after ``place``, for each partition that has one."""
        ...

    def partition_events(self) -> Mapping[int, PartitionEvents]:
        """Return where snapshot reads begin, per partition."""
        ...

    def truncate_place(self) -> str:
        """Return the greatest place of a truncate in the batch."""
        ...

    def problems(self, limit: int) -> Sequence[Problem]:
        """Return up to ``limit`` messages that cannot be used."""
        ...

    def quarantine(self, problems: Sequence[Problem]) -> None:
        """Write the messages to the quarantine table; idempotent."""
        ...

    def judge(self, rules: Sequence[Rule]) -> Sequence[Verdict]:
        """Return what the rules for single rows say of the rows that the batch inserts and updates."""
        ...

    def stage(self, summary: Mapping[str, str], truncate: str, branch: Callable[[], None]) -> None:
        """Stage the changes with ``summary``, keep tombstones; ``branch`` makes the staging branch ready.

        Ways that commit to the branch call it first; others have their snapshot published without it.
        """
        ...

    @property
    def properties(self) -> Mapping[str, str]:
        """Return properties of the table that have to be published with what was staged."""
        ...

    @property
    def way(self) -> str:
        """Return in which way the batch was staged; why not in a quicker one, where there is one."""
        ...

    def close(self) -> None:
        """Let go of cached data."""
        ...
