"""Set aside: a connector that a table's changes have ended goes on without the table (docs/decisions/0018)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cdc.config.sources import SourceConfig, TableConfig
from cdc.core.control import Stale
from cdc.core.errors import PreflightError
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceTable, excluded_columns, is_text
from cdc.core.restarts import may_pass
from cdc.pipeline.symptoms import mend, misunderstood

Settings = Mapping[str, str]

DATABASES = "database.include.list"
TEXT = "values.text"
TABLES = (
    "table.include.list",
    DATABASES,
    "snapshot.include.collection.list",
    "message.key.columns",
    "column.exclude.list",
    TEXT,
)
"""The settings that tables make; what else differs from the configuration waits for `cdc connectors apply`."""


class ChangedCluster(Protocol):
    """A Connect cluster whose connectors are changed; every call may raise TransientError or TerminalError."""

    def config(self, name: str) -> Settings | None:
        """Return the settings of a connector, or None if there is none."""
        ...

    def put(self, name: str, settings: Settings) -> None:
        """Change the connector; idempotent."""
        ...


@dataclass
class Aside:
    """The tables that the connector of one source leaves out, and why as far as it is known here."""

    cluster: ChangedCluster
    pattern: Callable[[Sequence[str]], str]
    """How a table stands in the connector's list of tables, or a column in a list of columns."""
    render: Callable[[SourceConfig], Settings]
    """The settings of a source's connector."""
    _causes: dict[TableName, str] = field(default_factory=dict)

    def findings(self, source: SourceConfig, present: Settings, stale: Mapping[str, Stale]) -> list[Finding]:
        """Return the configured tables that the connector, by its present settings, leaves out.

        ``stale`` marks, by target, tell after a restart which of them it would misunderstand.
        """
        left_out = {table.source for table in self._left_out(source, present)}
        noted = {table.source: stale.get(str(source.target_of(table))) for table in source.captured}
        marks = {name: mark.why for name, mark in noted.items() if mark and misunderstood(mark.why)}
        self._causes = {name: cause for name, cause in (marks | self._causes).items() if name in left_out}
        return [self._finding(source, name) for name in sorted(left_out)]

    def lists(
        self,
        source: SourceConfig,
        present: Settings | None,
        tables: Mapping[TableName, SourceTable | PreflightError],
    ) -> list[Finding]:
        """Return the arrays that the connector, by its present settings, has yet to be told to carry as text."""
        told = (present or {}).get(TEXT, "").split(",")
        arrays = [
            (table.source, column.name)
            for table in source.captured
            if isinstance(one := tables[table.source], SourceTable)
            for column in one.columns
            if is_text(column, table.text) and column.name not in excluded_columns(one, source.excluded_columns)
        ]
        lacking = [(name, column) for name, column in arrays if self.pattern((*name, column)) not in told]
        return [_list(source.name, *one) for one in lacking] if present else []

    def take_out(self, source: SourceConfig, trace: str) -> Sequence[TableName]:
        """Let the connector go on without the tables that its trace names, unless something else was away.

        Returns them; raises as the cluster does.
        """
        named = [] if may_pass(trace) else culprits(trace, [table.source for table in source.captured])
        return self.leave_out(source, dict.fromkeys(named, trace))

    def leave_out(self, source: SourceConfig, causes: Mapping[TableName, str]) -> Sequence[TableName]:
        """Let the connector go on without tables, each for a cause; return those it had; raises as the cluster does.

        None is taken out where none would be left.
        """
        if not causes:
            return []
        present = self.cluster.config(source.name) or {}
        left_out = {table.source for table in self._left_out(source, present)}
        kept = [table for table in source.captured if table.source not in left_out]
        named = [table.source for table in kept if table.source in causes]
        rest = [table for table in kept if table.source not in named]
        if not named or not rest:
            return []
        self.cluster.put(source.name, with_tables_of(present, self.render(narrowed(source, rest))))
        self._causes |= {name: causes[name] for name in named}
        return named

    def _left_out(self, source: SourceConfig, present: Settings | None) -> list[TableConfig]:
        if not present:
            return []
        listed = present.get("table.include.list", "").split(",")
        return [table for table in source.captured if self.pattern(table.source) not in listed]

    def _finding(self, source: SourceConfig, name: TableName) -> Finding:
        if cause := self._causes.get(name):
            what = f"connector {source.name!r} goes on without {name}: {cause}"
            return Finding(
                "set_aside", what, mend(source.name, cause, f"cdc connectors apply {source.name}"), table=name, gap=True
            )
        what = f"connector {source.name!r} leaves {name} out"
        return Finding("left_out", what, f"cdc connectors apply {source.name}", table=name, gap=True)


def _list(connector: str, table: TableName, column: str) -> Finding:
    what = f"connector {connector!r} sends array {column!r} of {table} as a list, which is to be text"
    hint = f"cdc connectors apply {connector}, then cdc tables reset {table}"
    return Finding("sent_as_list", what, hint, table=table, stops=False)


def with_tables_of(present: Settings, wanted: Settings) -> dict[str, str]:
    """Return the settings of a registered connector with those that tables make taken from other ones."""
    return {**present, **{key: value for key, value in wanted.items() if key in TABLES}}


def narrowed(source: SourceConfig, tables: Sequence[TableConfig]) -> SourceConfig:
    """Return the source with these of its tables alone."""
    return source.model_copy(update={"tables": tuple(tables)})


def culprits(trace: str, tables: Sequence[TableName]) -> list[TableName]:
    """Return the tables whose whole name a trace has, quoted or not, also before the name of a column."""
    return [table for table in tables if _named(table).search(trace)]


def _named(table: TableName) -> re.Pattern[str]:
    separator = r"[\"`]?\.[\"`]?"
    name = separator.join(re.escape(part) for part in table)
    return re.compile(rf"(?<![\w$]){name}(?![\w$])")
