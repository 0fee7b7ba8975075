"""What the sources declare, put into the configuration: tables, keys that nobody configured, columns to leave out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from cdc.bootstrap.databases import listed_tables, source_database
from cdc.config.models import Config
from cdc.config.patterns import is_whole, resolve
from cdc.config.sources import PostgresSource, SourceConfig, TableConfig
from cdc.connect.render import render, table_pattern
from cdc.core.errors import CdcError
from cdc.core.listing import ListedTable
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceTable, generated_columns, is_text

log = structlog.get_logger()


class Completed(NamedTuple):
    """A configuration that is complete, but for the sources that could not be asked.

    By name of the source: ``left_out`` are remarks of what its patterns fit and what cannot be captured, ``away`` says
    why it could not be asked.
    """

    config: Config
    left_out: dict[str, Sequence[Finding]]
    away: dict[str, CdcError]

    def strict(self) -> Config:
        """Return the configuration; raises why a source could not be asked."""
        for error in self.away.values():
            raise error
        return self.config


@dataclass
class Completion:
    """Asks the sources for what the configuration leaves to them, and remembers it while they are away.

    A table that a pattern has taken in stays, as one that is named does: when it is gone, that is a trouble.
    ``patterned`` are the names of the sources that have, or had, patterns.
    """

    listed: Callable[[SourceConfig], Sequence[ListedTable]] = listed_tables
    _listings: dict[str, Mapping[TableName, ListedTable]] = field(default_factory=dict)
    _taken: dict[str, dict[TableName, tuple[str, ...]]] = field(default_factory=dict)
    patterned: set[str] = field(default_factory=set)
    _told: frozenset[tuple[str, str]] = frozenset()

    def of(self, config: Config) -> Completed:
        """Return the configuration with its patterns resolved, and with the keys that its sources declare."""
        found = Completed(config, {}, {})
        targets = {s.target_of(t): f"{t.source} of {s.name}" for s in config.sources for t in s.tables if not t.pattern}
        sources = [self._complete(source, targets, found) for source in config.sources]
        return found._replace(config=config.model_copy(update={"sources": tuple(sources)}))

    def _complete(self, source: SourceConfig, targets: dict[TableName, str], found: Completed) -> SourceConfig:
        if len(source.captured) == len(source.tables):
            return source
        name = source.name
        self.patterned |= {name for table in source.tables if table.pattern}
        try:
            self._listings[name] = {table.name: table for table in self.listed(source) if is_whole(table)}
        except CdcError as error:
            found.away[name] = error
        resolved = resolve(source, self._listings.get(name, {}), self._taken.get(name, {}), targets)
        named = {table.source for table in source.tables}
        self._taken[name] = {t.source: t.key for t in resolved.source.tables if t.source not in named}
        targets |= {source.target_of(t): f"{t.source} of {name}" for t in resolved.source.tables}
        found.left_out[name] = resolved.left_out
        return resolved.source

    def tell(self, completed: Completed) -> Config:
        """Return the configuration as complete as it is; log what has changed of what is not captured."""
        away = "what the source declares is not known: tables without a configured key, and patterns, wait for it"
        lines = [(name, away, {"error": str(error), "hint": error.hint}) for name, error in completed.away.items()]
        for name, findings in completed.left_out.items():
            lines += [(name, one.what, {"table": str(one.table), "hint": one.hint}) for one in findings]
        for name, what, more in lines:
            if (name, what) not in self._told:
                log.warning(what, pipeline=name, **more)
        self._told = frozenset((name, what) for name, what, _ in lines)
        return completed.config


def settings_of(source: SourceConfig, config: Config) -> dict[str, str]:
    """Return the settings of a source's connector, complete; raises what asking its tables and ``render`` do."""
    if not isinstance(source, PostgresSource):
        return render(source, config)
    declared = source_database(source).tables([table.source for table in source.captured])
    there = [table for table in declared.values() if isinstance(table, SourceTable)]
    return render(as_declared(source, there), config)


def as_declared(source: SourceConfig, tables: Sequence[SourceTable]) -> SourceConfig:
    """Return the source with what its tables declare: generated columns left out, arrays that are carried as text."""
    return _with_text(_without_generated(source, tables), {table.name: table for table in tables})


def _with_text(source: SourceConfig, there: Mapping[TableName, SourceTable]) -> SourceConfig:
    def completed(table: TableConfig) -> TableConfig:
        columns = there[table.source].columns if table.source in there else ()
        text = tuple(column.name for column in columns if is_text(column, table.text))
        return table.model_copy(update={"text": text}) if columns else table

    return source.model_copy(update={"tables": tuple(map(completed, source.tables))})


def _without_generated(source: SourceConfig, there: Sequence[SourceTable]) -> SourceConfig:
    """Return the source with the generated columns, which its log does not hold, in ``column.exclude.list``."""
    found = [
        table_pattern((*table.name, column))
        for table in there
        for column in generated_columns(table, source.excluded_columns)
    ]
    if not found:
        return source
    setting = ",".join(filter(None, [source.excluded_columns, *found]))
    return source.model_copy(update={"connector": {**source.connector, "column.exclude.list": setting}})
