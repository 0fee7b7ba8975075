"""What a watch looks at and whom it tells, each as small as it needs it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from cdc.config.sources import SourceConfig
from cdc.core.preflight import Finding
from cdc.pipeline.control import Notes
from cdc.pipeline.definitions import Ledger
from cdc.pipeline.preflight import SourceDatabase
from cdc.pipeline.report import Late
from cdc.pipeline.untold import History, TransactionLog


class WatchedCluster(Protocol):
    """A Connect cluster; every call may raise TransientError (no answer) or TerminalError (refused)."""

    def status(self, name: str) -> Mapping[str, Any] | None:
        """Return the state of connector and tasks in Connect's own words, or None if there is none."""

    def offsets(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Return the committed offsets of a connector in Connect's own words; nothing if there is none."""

    def restart_failed(self, name: str) -> None:
        """Restart the connector and those of its tasks that failed, and no others."""

    def restart(self, name: str) -> None:
        """Restart the connector and all of its tasks, whatever state they are in."""

    def config(self, name: str) -> Mapping[str, str] | None:
        """Return the settings of a connector, or None if there is none."""

    def put(self, name: str, settings: Mapping[str, str]) -> None:
        """Change the connector; idempotent."""


class WatchedTopics(History, Protocol):
    """Topics; calls may raise TransientError or TerminalError."""

    def existing(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the topics that exist."""

    def newest_at(self, name: str) -> int | None:
        """Return the greatest time of a message of a topic, in Unix milliseconds; None if there is no message."""


class WatchMetrics(Protocol):
    """Metrics of a running service."""

    def schema_changed(self, pipeline: str, table: str, changes: int) -> None:
        """Count changes of the definition of a target's table in the source."""

    def log_room(self, pipeline: str, behind_bytes: int | None, left_seconds: float | None) -> None:
        """Show how far a connector is behind its source's log, and in how many seconds its place is lost."""

    def trouble(self, pipeline: str, table: str, name: str, *, there: bool) -> None:
        """Show a trouble, of the source itself without a table, or forget it."""


class WatchParts(NamedTuple):
    """What a watch looks at, and whom it tells: ``judge`` takes the tables that are unfit, by topic.

    ``pattern`` is a table or a column in the connector's lists, ``render`` makes the settings of a source's connector.

    ``history`` is the topic of what the connector has read of DDL, ``log`` where transactions may end after they stand
    in it; None where there is no such thing.

    ``registry`` raises TransientError if it does not answer, None where there is none; ``late`` are the tables that are
    later than they may be. Who only stands by is not
    ``active``: it looks and tells, and leaves restarts and notes to the other.
    """

    cluster: WatchedCluster
    pattern: Callable[[Sequence[str]], str]
    render: Callable[[SourceConfig], Mapping[str, str]]
    database: Callable[[SourceConfig], SourceDatabase]
    topics: WatchedTopics
    notes: Notes
    definitions: Ledger
    metrics: WatchMetrics
    judge: Callable[[Mapping[str, Finding]], None]
    history: Callable[[SourceConfig], str | None]
    log: Callable[[SourceConfig], TransactionLog | None]
    registry: Callable[[], None] | None = None
    late: Callable[[], Sequence[Late]] = tuple
    active: Callable[[], bool] = lambda: True
