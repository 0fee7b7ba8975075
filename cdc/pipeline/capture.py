"""Capture: whether all changes of a table from now on reach its topic, and whether the connector passed a position.

A load stands on both answers (docs/decisions/0014). They are read from the connector's state, which Kafka Connect keeps
beside the messages, and from the database. Nothing is changed.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from cdc.config.sources import SourceConfig
from cdc.core.errors import PreflightError
from cdc.core.names import TableName
from cdc.core.positions import connector_place, log_place
from cdc.core.preflight import Finding, Retained
from cdc.pipeline.connector_state import ConnectorStatus, parse_status

SETTLE = 7.0
"""Seconds in which a task that was replaced has ended: Connect waits for 5 s before it gives it up and goes on."""


class CaptureCluster(Protocol):
    """A Kafka Connect cluster, read. Every call may raise TransientError (no answer) or TerminalError (refused)."""

    def config(self, name: str) -> dict[str, str] | None:
        """Return the settings of a connector, or None if there is none."""

    def tasks(self, name: str) -> Sequence[Mapping[str, str]]:
        """Return the settings that each task runs with, or is about to."""

    def status(self, name: str) -> Mapping[str, Any] | None:
        """Return the state of connector and tasks in Connect's own words, or None if there is none."""

    def offsets(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Return the committed offsets of a connector in Connect's own words; nothing if there is none."""


class CaptureSource(Protocol):
    """A source database, asked for its log. Calls may raise TransientError or PreflightError, and change nothing."""

    def withheld(self) -> Mapping[TableName, str]:
        """Return the captured tables whose changes the log does not hand out now, with the reason and the remedy."""

    def writers(self, table: TableName) -> frozenset[str]:
        """Return the open transactions that have written to the table, by names that are not used again."""

    def retained(self) -> Sequence[Retained]:
        """Return for how long the database keeps its log."""


class TopicSettings(Protocol):
    """The settings of topics. Calls may raise TransientError or TerminalError."""

    def existing(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the topics that exist."""

    def settings(self, names: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Return all settings in force of each existing topic."""


class Capture:
    """What is known of the connectors of all sources; safe for threads, and meant to be kept, since it remembers."""

    def __init__(  # the parts, by role
        self,
        cluster: CaptureCluster,
        topics: TopicSettings,
        database: Callable[[SourceConfig], CaptureSource | None],
        pattern: Callable[[TableName], str],
        *,
        clock: Callable[[], float] = time.monotonic,
        settle: float = SETTLE,
    ) -> None:
        """``pattern`` writes a table as it stands in the connector's list of tables."""
        self._cluster = cluster
        self._topics = topics
        self._database = database
        self._pattern = pattern
        self._clock = clock
        self._settle = settle
        self._since: dict[tuple[str, TableName], float] = {}
        self._writers: dict[tuple[str, TableName], frozenset[str]] = {}

    def lacking(self, source: SourceConfig, tables: Collection[TableName]) -> dict[TableName, str]:
        """Return why changes from now on may not reach the topics, with the remedy; no entry for a table: they will.

        Once it is so it stays so for as long as the connector keeps its offsets, whatever stops and starts.
        """
        if reason := self._lacking_connector(source):
            return dict.fromkeys(tables, reason)
        reasons = self._lacking_tables(source, tables)
        if self._place(source) is None:
            what = f"connector {source.name!r} has stored no position yet: it starts, or takes its snapshot"
            return dict.fromkeys(tables, what) | reasons
        rest = [table for table in tables if table not in reasons]
        return reasons | self._withheld(source, rest)

    def passed(self, source: SourceConfig, high: str) -> bool:
        """Return whether all changes committed at or before a position are in the topics, committed there too.

        The markers that end Kafka's transaction may reach the ends of some topics a moment later.
        """
        place = self._place(source)
        return place is not None and place >= log_place(source.type, high)

    def trouble(self, source: SourceConfig) -> str:
        """Return why waiting for the connector is of no use, with the remedy; empty if it is, or soon may be."""
        return self._lacking_connector(source)

    def retention(self, source: SourceConfig, seconds: float) -> list[Finding]:
        """Return what keeps changes for less than twice the time that a load is estimated to take."""
        database = self._database(source)
        kept = [*(database.retained() if database else ()), *self._topics_retain(source)]
        return [_short(one, seconds) for one in kept if seconds > one.seconds / 2]

    def _lacking_connector(self, source: SourceConfig) -> str:
        status = parse_status(source.name, self._cluster.status(source.name))
        return _trouble(status)

    def _lacking_tables(self, source: SourceConfig, tables: Collection[TableName]) -> dict[TableName, str]:
        """Return the tables that the connector, or a task of it that may run, does not capture."""
        wanted = _listed(self._cluster.config(source.name) or {})
        lists = [_listed(task) for task in self._cluster.tasks(source.name)]
        reasons = {}
        for table in tables:
            pattern = self._pattern(table)
            if pattern not in wanted:
                reasons[table] = f"connector {source.name!r} leaves {table} out: cdc connectors apply {source.name}"
            elif not lists or any(pattern not in listed for listed in lists):
                reasons[table] = f"the task of connector {source.name!r} has not begun with {table} yet"
            if table in reasons:
                self._since.pop((source.name, table), None)
            elif self._unsettled(source.name, table):  # always the same words: they are logged when they change
                reasons[table] = f"a task that left {table} out may run for up to {self._settle:.0f} s more"
        return reasons

    def _unsettled(self, name: str, table: TableName) -> bool:
        """Return whether a task may run on that Connect has replaced by one that captures the table.

        Connect shows the settings of the new task while the old one still works (tried: for 0.35 s), often RUNNING
        throughout. What the old one leaves out, it passes for good.
        """
        since = self._since.setdefault((name, table), self._clock())
        return self._clock() < since + self._settle

    def _withheld(self, source: SourceConfig, tables: Collection[TableName]) -> dict[TableName, str]:
        """Return the tables whose changes the database does not hand out, or not those of all open transactions."""
        database = self._database(source)
        if database is None or not tables:
            return {}
        reasons = dict(database.withheld())
        for table in tables:
            if table in reasons:
                self._writers.pop((source.name, table), None)
            elif reason := self._early(source.name, table, database):
                reasons[table] = reason
        return {table: reasons[table] for table in tables if table in reasons}

    def _early(self, name: str, table: TableName, database: CaptureSource) -> str:
        try:
            left = self._early_writers(name, table, database)
        except PreflightError as error:  # dropped, or not for this role: that is the trouble of this table alone
            return error.said_of(table)
        return f"transactions open since before {table} was captured have written to it: {left}" if left else ""

    def _early_writers(self, name: str, table: TableName, database: CaptureSource) -> int:
        """Return how many transactions are open that wrote to the table before it was seen to be published.

        What they wrote before ALTER PUBLICATION .. ADD TABLE is not sent when they commit after it (tried), and a load
        that reads in between does not see it either.
        """
        known = self._writers.get((name, table))
        if known is None or known:
            now = database.writers(table)
            self._writers[name, table] = now if known is None else known & now
        return len(self._writers[name, table])

    def _place(self, source: SourceConfig) -> tuple[int, ...] | None:
        stored = [entry["offset"] for entry in self._cluster.offsets(source.name) if entry.get("offset")]
        # One entry: a connector has one log. Were there more, the one that is not known, or the least, would decide.
        places = [place for offset in stored if (place := connector_place(source.type, offset)) is not None]
        return min(places) if places and len(places) == len(stored) else None

    def _topics_retain(self, source: SourceConfig) -> Iterator[Retained]:
        present = self._topics.existing([source.topic_of(table) for table in source.tables])
        for name, settings in sorted(self._topics.settings(present).items()):
            if (milliseconds := int(settings.get("retention.ms", "-1"))) >= 0:
                yield Retained(f"topic {name!r}", milliseconds / 1000, "raise kafka.retention, cdc connectors apply")


def _listed(settings: Mapping[str, str]) -> frozenset[str]:
    """Return the patterns in a connector's list of tables, none of which holds a comma."""
    return frozenset(settings.get("table.include.list", "").split(","))


def _trouble(status: ConnectorStatus) -> str:
    name = status.name
    if status.state == "MISSING":
        return f"connector {name!r} is not registered: cdc connectors apply {name}"
    if status.failed:
        return f"connector {name!r} failed: {status.trace}: mend the cause, then cdc connectors restart {name}"
    if status.resting:
        return f"connector {name!r} is {status.state.lower()}: cdc connectors resume {name}"
    return ""


def _short(kept: Retained, seconds: float) -> Finding:
    what = f"{kept.what} keeps changes for about {kept.seconds:.0f} s, and the load may take {seconds:.0f} s"
    return Finding("retention", what, kept.remedy, fatal=False)
