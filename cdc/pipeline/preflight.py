"""Is a source fit for its configuration? Asked before anything runs, and of a running pipeline again."""

from collections.abc import Sequence
from typing import Protocol

from cdc.config.sources import SourceConfig
from cdc.core.errors import PreflightError
from cdc.core.preflight import Finding, SourceTable, check_key


class SourceDatabase(Protocol):
    """A source database, read as the connector's own role; changes nothing.

    Every call may raise TransientError (no answer) or PreflightError (refused, or the table is not there).
    """

    def table(self, namespace: str, table: str) -> SourceTable:
        """Return the table as the source declares it."""

    def findings(self) -> Sequence[Finding]:
        """Return what is wrong with the server, the role and the captured tables, keys aside."""

    def position(self) -> str:
        """Return where the log is now, as text."""


def check_keys(source: SourceConfig, database: SourceDatabase) -> list[Finding]:
    """Return what is wrong with the configured keys of all tables."""
    return [
        finding
        for table in source.tables
        for finding in check_key(database.table(table.source.namespace, table.source.table), table.key)
    ]


def check_source(source: SourceConfig, database: SourceDatabase) -> list[Finding]:
    """Return everything that is not as it should be, the fatal first."""
    found = [*database.findings(), *check_keys(source, database)]
    return sorted(found, key=lambda finding: not finding.fatal)


def require_fit(source: SourceConfig, database: SourceDatabase) -> list[Finding]:
    """Return the remarks; raises PreflightError with the first fatal finding, and the number of others."""
    found = check_source(source, database)
    fatal = [finding for finding in found if finding.fatal]
    if fatal:
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise PreflightError(f"source {source.name!r}: {fatal[0].what}{more}", hint=fatal[0].hint)
    return found
