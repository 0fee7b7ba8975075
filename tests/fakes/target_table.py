"""A target table in memory: implements ``cdc.pipeline.table.TargetTable``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from cdc.core.errors import CommitConflict
from cdc.core.evolution import CDC_COLUMNS, SchemaPlan
from cdc.core.partitioning import parse_term


@dataclass(frozen=True)
class FakeState:
    """What ``read`` returns."""

    snapshot_id: int
    columns: Mapping[str, str]
    summary: Mapping[str, str]
    key: frozenset[str] = frozenset()
    partitioning: tuple[str, ...] = ()


@dataclass
class FakeTargetTable:
    """Snapshots with their parents and summaries, and two references to them."""

    columns: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    snapshots: dict[int, tuple[int, dict[str, str]]] = field(default_factory=dict)
    main: int = -1
    branch: int = -1
    key: frozenset[str] = frozenset()
    partitioning: tuple[str, ...] = ()
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def exists(self) -> bool:
        return bool(self.columns)

    def find(self) -> "FakeState | None":
        return self.read() if self.exists() else None

    def create(
        self,
        columns: Mapping[str, str],
        key: tuple[str, ...],
        partition_by: tuple[str, ...],
        properties: Mapping[str, str],
    ) -> None:
        if not self.columns:
            self.key, self.partitioning = frozenset(key), tuple(str(parse_term(term)) for term in partition_by)
            self.columns = {**columns, **CDC_COLUMNS}
            self.properties = dict(properties)

    def read(self) -> FakeState:
        at, summary = self.main, dict[str, str]()
        while at != -1:
            parent, entries = self.snapshots[at]
            own = {name: value for name, value in entries.items() if name.startswith("cdc.")}
            summary = {**own, **summary}
            if own and "cdc.fence" not in own:
                break
            at = parent
        return FakeState(self.main, dict(self.columns), summary, self.key, self.partitioning)

    def fence(self, summary: Mapping[str, str]) -> None:
        self.main = self._commit(self.main, {**summary, "cdc.fence": "true"})

    def evolve(self, plan: SchemaPlan) -> None:
        self.columns |= {**plan.add, **plan.widen}

    def stage(self, base: int) -> None:
        self.branch = base

    def stage_progress(self, base: int, summary: Mapping[str, str]) -> None:
        self.branch = self._commit(base, summary)

    def write(self, summary: Mapping[str, str]) -> None:
        """Commit to the staging branch, as a merge does."""
        self.branch = self._commit(self.branch, summary)

    def write_elsewhere(self) -> None:
        """Commit to main, as somebody else does."""
        self.main = self._commit(self.main, {"operation": "append"})

    def staged(self, base: int) -> tuple[int, Mapping[str, str]]:
        return self.branch, {} if self.branch == base else self.snapshots[self.branch][1]

    def publish(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        if self.main != base:
            raise CommitConflict("another writer has moved main")
        self.main = staged
        self.properties |= properties

    def _commit(self, parent: int, summary: Mapping[str, str]) -> int:
        number = next(self._numbers)
        self.snapshots[number] = (parent, dict(summary))
        return number
