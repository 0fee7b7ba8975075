"""Untold: what a source's logs tell of changes that no event tells of, and the marks that these leave.

DDL that the connector has read, from its schema history, and XA transactions that were rolled back, from MySQL's binary
log (docs/decisions/0020). How far each is read is noted behind the marks, so that a crash marks again.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cdc.config.sources import SourceConfig
from cdc.core.control import ControlState
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.core.schema_history import Incident, SchemaHistory
from cdc.core.xa import Ended, LogEvent, XaLog
from cdc.pipeline.control import Notes

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


@dataclass
class Untold:
    """Follows the logs of one source; raises what they and the marks raise, and is asked again with the next look.

    What failed is read again from the place that is noted. ``leave_out`` lets the connector go on without tables, each
    for a cause; it may raise as Connect does.
    """

    history: History
    marks: Notes
    leave_out: Callable[[SourceConfig, Mapping[TableName, str]], object]
    replaced: dict[TableName, str] = field(default_factory=dict)
    """The tables that are others than before, as far as this process has seen; until each is loaded anew."""
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
        try:
            return self._read_history(source, topic, end, places)
        except Exception:
            self._read = ("", 0)
            raise

    def _read_history(self, source: SourceConfig, topic: str, end: tuple[str, int], places: Mapping[str, str]) -> bool:
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
        targets = {table.source: source.target_of(table) for table in source.tables}
        found = [
            one for number, value in enumerate(values) for one in self._incidents(value, targets) if number >= known
        ]
        for one in found:
            log.info("schema changed", pipeline=source.name, table=str(targets[one.table]), what=one.what)
            if one.replaced:
                self.marks.stale(targets[one.table], one.what)
                self.replaced[one.table] = one.what
            else:
                self.marks.outdated(targets[one.table], f"{one.what}: no event tells what older rows hold")
        self.leave_out(source, {one.table: one.what for one in found if one.unread})
        return bool(found)

    def _incidents(self, value: bytes, captured: Collection[TableName]) -> list[Incident]:
        try:
            return self._ddl.take(json.loads(value), captured) if value else []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("record of the schema history not understood", error=type(error).__name__)
            return []

    def follow_transactions(self, source: SourceConfig, server: TransactionLog, places: Mapping[str, str]) -> bool:
        """Read on in the binary log, if a transaction was prepared since, or a prepared one has ended.

        Returns whether a table was marked.
        """
        try:
            return self._read_transactions(source, server, places)
        except Exception:
            self._xa, self._place = XaLog(), None
            raise

    def _read_transactions(self, source: SourceConfig, server: TransactionLog, places: Mapping[str, str]) -> bool:
        marked = False
        name = f"{source.name}.log"
        end = server.end()
        count = server.prepared()  # after the end: whatever stands before that is counted
        if self._place is None:
            self._place, self._count = _noted(places[name]) if name in places else (end, count)
        if count == self._count:
            self._place = end
        else:
            for ended in self._pages(server):
                marked |= self._mark(source, ended)
            self._count = count if self._place >= end else UNKNOWN
        file, position = self._xa.resume or self._place
        text = f"{file}:{position}:{UNKNOWN if self._xa.resume else self._count}"
        (noted_file, _), noted_count = _noted(places[name]) if name in places else (("", 0), UNKNOWN)
        if name not in places or noted_file != file or (count != noted_count and text != places[name]):
            self.marks.note(places={name: text})
        return marked

    def _pages(self, server: TransactionLog) -> Iterator[list[Ended]]:
        """Yield the transactions that end, page by page; any may have where the log is not what was read before."""
        place = self._place
        for _ in range(PAGES):
            if place is None:
                return
            events, following = server.events(*place)
            ended = self._xa.take(events)
            if following is None:
                self._xa, following, ended = XaLog(), server.end(), [Ended(rolled_back=True, tables=None)]
            self._place = following
            yield ended
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
