"""What operators' commands work with, in memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.core.errors import CommitConflict
from cdc.core.history import TableHistory
from cdc.core.names import TableName
from cdc.core.progress import TopicState
from cdc.core.rewind import RewindPlan
from cdc.core.status import LedgerRow


@dataclass
class MemoryTopics:
    """Topics by name."""

    topics: dict[str, TopicState] = field(default_factory=dict)

    def state(self, topic: str) -> TopicState | None:
        return self.topics.get(topic)


class MemoryAudit:
    """The entries, oldest first: (command, target, what, why, outcome)."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, ...]] = []

    def write(self, command: str, target: str, what: str, why: str, outcome: str = "done") -> None:
        self.entries.append((command, target, what, why, outcome))


@dataclass
class MemoryHistories:
    """Histories by target; ``before_read`` may let something happen meanwhile."""

    histories: dict[TableName, TableHistory]
    before_read: Callable[[], Any] = lambda: None

    def read(self, target: TableName) -> TableHistory:
        self.before_read()
        return self.histories[target]


@dataclass
class MemoryRewinder:
    """Moves the head of a history; ``failures`` are raised first, in turn."""

    histories: MemoryHistories
    failures: list[Exception] = field(default_factory=list)
    moved: list[RewindPlan] = field(default_factory=list)

    def move(self, plan: RewindPlan) -> int:
        if self.failures:
            raise self.failures.pop(0)
        history = self.histories.histories[plan.target]
        if history.head != plan.from_snapshot:
            raise CommitConflict("main has moved")
        self.histories.histories[plan.target] = replace(history, head=plan.to_snapshot)
        self.moved.append(plan)
        return plan.to_snapshot


class MemoryLedger:
    """Ledger rows, and how often was appended to them."""

    def __init__(self, rows: Iterable[LedgerRow] = ()) -> None:
        self.rows = list(rows)

    def read(self, target: TableName) -> list[LedgerRow]:
        return [row for row in self.rows if row.target == str(target)]

    def append(self, rows: Iterable[LedgerRow]) -> None:
        self.rows += rows
