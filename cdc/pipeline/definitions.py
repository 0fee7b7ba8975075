"""Follow: what has changed of the definitions of a source's tables is told, kept, and marked where rows lack it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog

from cdc.config.sources import SourceConfig
from cdc.core.definitions import Change, Definition, DefinitionRow, changes, definition_of
from cdc.core.names import TableName
from cdc.core.preflight import SourceTable, excluded_columns

log = structlog.get_logger()


class Ledger(Protocol):
    """Where definitions are kept; calls may raise whatever a catalog does."""

    def known(self, source: str) -> Mapping[str, Definition]:
        """Return the newest definition of each target of a source."""

    def append(self, rows: Sequence[DefinitionRow]) -> None:
        """Append rows in one commit."""


@dataclass
class Definitions:
    """Follows the tables of one source. A crash at any point tells of a change again, and loses none."""

    ledger: Ledger
    outdate: Callable[[TableName, str], None]
    count: Callable[[str, str, int], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _known: dict[str, Definition] | None = field(default=None, init=False)

    def follow(self, source: SourceConfig, tables: Mapping[TableName, SourceTable]) -> bool:
        """Take the definitions of a look, and return whether a table was marked.

        Raises what a catalog raises, and is asked again with the next look then.
        """
        if self._known is None:
            self._known = dict(self.ledger.known(source.name))
        seen: dict[str, Definition] = {}
        rows: list[DefinitionRow] = []
        for table in source.tables:
            if table.source not in tables:
                continue
            declared, target = tables[table.source], source.target_of(table)
            now = definition_of(declared, excluded_columns(declared, source.excluded_columns))
            before = self._known.get(str(target))
            now = seen[str(target)] = now.after(before) if before else now
            found = changes(before, now) if before else []
            if before is None or found or not before.same_declarations(now):
                self._tell(source.name, target, found)
                said, silent = "; ".join(change.what for change in found), any(change.silent for change in found)
                kept = (source.name, str(declared.name), str(target), said, silent, now.to_json())
                rows.append(DefinitionRow(self.now(), *kept))
        if rows:
            self.ledger.append(rows)
        self._known |= seen
        return any(row.silent for row in rows)

    def _tell(self, source: str, target: TableName, found: Sequence[Change]) -> None:
        """Mark the table first, if its rows may be others now; then tell, and count."""
        if silent := [change.what for change in found if change.silent]:
            self.outdate(target, f"{'; '.join(silent)}: no event tells what older rows hold")
        if found:
            self.count(source, str(target), len(found))
        for change in found:
            log.info("schema changed", pipeline=source, table=str(target), what=change.what, outdated=change.silent)
