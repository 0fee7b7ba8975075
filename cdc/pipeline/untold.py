"""Untold: what a source's logs tell of changes that no event tells of, and the marks that these leave.

DDL that the connector has read, from its schema history, and XA transactions that were rolled back, from MySQL's binary
log (docs/decisions/0020). How far each is read is noted behind the marks, so that a crash marks again.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cdc.config.sources import SourceConfig
from cdc.core.control import ControlState
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.core.schema_history import SchemaHistory
from cdc.core.xa import Ended, LogEvent, XaLog

log = structlog.get_logger()

PAGES = 20
"""How many pages of a binary log a look reads at most; the next one goes on."""
UNKNOWN = -1
"""Stands for the count of prepared transactions where the log has to be read in any case."""


class History(Protocol):
    """A topic of one partition; calls may raise TransientError or TerminalError."""

    def end(self, name: str) -> tuple[str, int] | None:
        """Return the topic's id and its end, None if it does not exist."""

    def values(self, name: str, start: int, end: int) -> Iterable[bytes]:
        """Return the values between two offsets."""


class TransactionLog(Protocol):
    """A log with transactions that may be rolled back after they stand in it; raises as a database does."""

    def prepared(self) -> int:
        """Return a number that is another one whenever such a transaction was prepared, or has ended."""

    def end(self) -> tuple[str, int]:
        """Return where the log ends: a file, and a place in it."""

    def events(self, file: str, position: int) -> tuple[list[LogEvent], tuple[str, int] | None]:
        """Return events from a place on, and the place behind them; None for that if the log has it no more."""


class Marks(Protocol):
    """Where tables are marked; calls may raise whatever a catalog does."""

    def stale(self, target: TableName, why: str) -> None:
        """Mark a table as one to be loaded anew before it goes on."""

    def outdated(self, target: TableName, why: str) -> None:
        """Mark a table that goes on, and has old values until it is loaded anew."""

    def note(self, *, places: Mapping[str, str]) -> None:
        """Write down how far logs are read, by source and log."""


@dataclass
class Untold:
    """Follows the logs of one source; raises what they and the marks raise, and is asked again with the next look."""

    history: History
    marks: Marks
    replaced: dict[TableName, str] = field(default_factory=dict)
    """The tables that are others than before, as far as this process has seen; until each is loaded anew."""
    unread: dict[TableName, str] = field(default_factory=dict)
    """The tables that a statement has changed which the connector could not read; whoever sets them aside clears it."""
    _marked: set[TableName] = field(default_factory=set)
    _ddl: SchemaHistory = field(default_factory=SchemaHistory)
    _read: tuple[str, int] = ("", 0)
    _xa: XaLog = field(default_factory=XaLog)
    _place: tuple[str, int] | None = None
    _count: int = UNKNOWN

    def findings(self, source: SourceConfig, known: ControlState) -> list[Finding]:
        """Return the tables that are others than before, and not loaded since."""
        targets = {table.source: source.target_of(table) for table in source.tables}
        marked = {name for name in self.replaced if str(targets.get(name)) in known.stale}
        loaded = self._marked - marked
        self.replaced = {name: why for name, why in self.replaced.items() if name in targets and name not in loaded}
        self._marked = marked
        return [
            Finding(
                "recreated",
                f"table {name} is another one than before: {why}",
                f"cdc tables reset {targets[name]}",
                table=name,
                gap=True,
            )
            for name, why in self.replaced.items()
        ]

    def follow_history(self, source: SourceConfig, topic: str, places: Mapping[str, str]) -> bool:
        """Read on in the schema history, from its beginning once, to know how the tables were defined.

        Returns whether a table was marked.
        """
        end = self.history.end(topic)
        if end is None or end == self._read:
            return False
        id_, stop = end
        if id_ != self._read[0]:  # another one than was read
            self._ddl, self._read = SchemaHistory(source.excluded_columns), (id_, 0)
        name = f"{source.name}.history"
        noted = places.get(name)
        known = int(noted.removeprefix(f"{id_}:")) if noted and noted.startswith(f"{id_}:") else stop
        marked = self._take(source, self.history.values(topic, self._read[1], stop), known - self._read[1])
        if noted != f"{id_}:{stop}":
            self.marks.note(places={name: f"{id_}:{stop}"})
        self._read = end
        return marked

    def _take(self, source: SourceConfig, values: Iterable[bytes], known: int) -> bool:
        """Take records, the first ``known`` of which were marked already."""
        targets, marked = {table.source: source.target_of(table) for table in source.tables}, False
        for number, value in enumerate(values):
            for found in self._ddl.take(json.loads(value), targets.keys()):
                if number < known:
                    continue
                marked = True
                log.info("schema changed", pipeline=source.name, table=str(targets[found.table]), what=found.what)
                if found.replaced:
                    self.marks.stale(targets[found.table], found.what)
                    self.replaced[found.table] = found.what
                    self.unread |= {found.table: found.what} if found.unread else {}
                else:
                    self.marks.outdated(targets[found.table], f"{found.what}: no event tells what older rows hold")
        return marked

    def follow_transactions(self, source: SourceConfig, server: TransactionLog, places: Mapping[str, str]) -> bool:
        """Read on in the binary log, if a transaction was prepared since, or a prepared one has ended.

        Returns whether a table was marked.
        """
        marked = False
        name = f"{source.name}.log"
        end = server.end()
        count = server.prepared()  # after the end: whatever stands before that is counted
        if self._place is None:
            self._place, self._count = _noted(places[name]) if name in places else (end, count)
        if count == self._count:
            self._place = end
        else:
            for events in self._pages(source, server):
                marked |= self._mark(source, self._xa.take(events))
            self._count = count if self._place >= end else UNKNOWN
        file, position = self._xa.resume or self._place
        text = f"{file}:{position}:{UNKNOWN if self._xa.resume else self._count}"
        if name not in places or (count != _noted(places[name])[1] and text != places[name]):
            self.marks.note(places={name: text})
        return marked

    def _pages(self, source: SourceConfig, server: TransactionLog) -> Iterator[list[LogEvent]]:
        place = self._place
        for _ in range(PAGES):
            if place is None:
                return
            events, following = server.events(*place)
            if following is None:
                self._xa, following = XaLog(), server.end()
                self._mark(source, [Ended(rolled_back=True, tables=None)])
            self._place = following
            yield events
            place = None if following == place else following

    def _mark(self, source: SourceConfig, ended: Collection[Ended]) -> bool:
        for one in ended:
            what = "was rolled back after its changes were in the log"
            if one.tables is None:
                what = "was prepared where the log was not looked at, and has ended"
            for table in source.tables:
                if one.tables is None or table.source in one.tables:
                    self.marks.outdated(source.target_of(table), f"an XA transaction {what}")
        return bool(ended)


def _noted(text: str) -> tuple[tuple[str, int], int]:
    file, position, count = text.rsplit(":", 2)
    return (file, int(position)), int(count)
