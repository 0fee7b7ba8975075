"""Is a source fit for its configuration? Asked before anything runs, and of a running pipeline again and again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from cdc.config.sources import MySqlSource, Snapshot, SourceConfig
from cdc.core.errors import PreflightError
from cdc.core.names import TableName
from cdc.core.preflight import (
    Finding,
    LogRoom,
    SourceTable,
    causes,
    check_connector_snapshot,
    check_key,
    check_names,
    check_text,
    of_table,
    unfit,
)


class SourceDatabase(Protocol):
    """A source database, read as the connector's own role; changes nothing.

    Every call may raise TransientError (no answer) or PreflightError (refused); one table's trouble is raised by
    ``table`` only.
    """

    def table(self, namespace: str, table: str) -> SourceTable:
        """Return the table as the source declares it; raises PreflightError if it is not there or not to be read."""

    def tables(self, names: Sequence[TableName]) -> Mapping[TableName, SourceTable | PreflightError]:
        """Return each of the tables, or what ``table`` would raise."""

    def findings(self) -> Sequence[Finding]:
        """Return what is wrong with the server, the role and those captured tables that are there, keys aside."""

    def position(self) -> str:
        """Return where the log is now, as text."""

    def log_room(self, stored: Mapping[str, Any] | None) -> LogRoom:
        """Return how far a connector with this stored offset is behind the log."""

    def log_findings(self, stored: Mapping[str, Any] | None, *, running: bool) -> Sequence[Finding]:
        """Return what keeps a connector from reading on from its stored offset; None: it has none yet."""


def check_tables(source: SourceConfig, found: Mapping[TableName, SourceTable | PreflightError]) -> list[Finding]:
    """Return the tables that are not there or may not be read, and what is wrong with names, keys and texts."""
    findings: list[Finding] = []
    for table in source.tables:
        declared = found[table.source]
        if isinstance(declared, PreflightError):
            findings.append(Finding("table_missing", str(declared), declared.hint, table=table.source))
        else:
            found_here = [*check_names(declared), *check_key(declared, table.key), *check_text(declared, table.text)]
            if isinstance(source, MySqlSource) and source.snapshot_of(table) is Snapshot.CONNECTOR:
                found_here += check_connector_snapshot(declared)
            findings += of_table(table.source, found_here)
    return findings


def check_source(source: SourceConfig, database: SourceDatabase) -> list[Finding]:
    """Return everything that is not as it should be and explains itself, the fatal first."""
    tables = database.tables([table.source for table in source.tables])
    found = causes([*database.findings(), *check_tables(source, tables)])
    return sorted(found, key=lambda finding: not finding.fatal)


def unfit_topics(source: SourceConfig, findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return the tables that must not go on, by topic, each with the first reason."""
    reasons = unfit(findings)
    return {source.topic_of(table): reasons[table.source] for table in source.tables if table.source in reasons}


def require_fit(source: SourceConfig, found: Sequence[Finding]) -> None:
    """Raise PreflightError if the source is unfit, or each of its tables is; it has the first finding."""
    fatal = [finding for finding in found if finding.fatal]
    whole = [finding for finding in fatal if finding.table is None]
    if not fatal or (not whole and len(unfit(fatal)) < len(source.tables)):
        return
    first, *others = [*whole, *(finding for finding in fatal if finding.table is not None)]
    more = f" (and {len(others)} more)" if others else ""
    raise PreflightError(f"source {source.name!r}: {first.what}{more}", hint=first.hint)
