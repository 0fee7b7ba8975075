"""What the sources declare, put into the configuration: the keys that nobody configured, the columns to leave out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from cdc.bootstrap.databases import listed_tables, source_database
from cdc.config.models import Config
from cdc.config.sources import PostgresSource, SourceConfig, TableConfig
from cdc.connect.render import table_pattern
from cdc.core.errors import CdcError
from cdc.core.listing import ListedTable, default_key
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceTable, generated_columns

log = structlog.get_logger()


class Completed(NamedTuple):
    """A configuration that is complete, but for the sources that could not be asked: ``away`` says why, by name."""

    config: Config
    away: Mapping[str, CdcError]

    def tell(self) -> Config:
        """Return the configuration as complete as it is; log which tables wait for their source."""
        for name, error in self.away.items():
            source = next(source for source in self.config.sources if source.name == name)
            waiting = [str(table.source) for table in source.tables if not table.key]
            if waiting:
                what = "keys are not configured, and the source cannot be asked: tables wait for it"
                log.warning(what, pipeline=name, tables=waiting, error=str(error), hint=error.hint)
        return self.config

    def strict(self) -> Config:
        """Return the configuration; raises why a source could not be asked."""
        for error in self.away.values():
            raise error
        return self.config


@dataclass
class Completion:
    """Asks the sources for what the configuration leaves to them, and remembers it while they are away."""

    listed: Callable[[SourceConfig], Sequence[ListedTable]] = listed_tables
    _keys: dict[tuple[str, TableName], tuple[str, ...]] = field(default_factory=dict)

    def of(self, config: Config) -> Completed:
        """Return the configuration with the keys that its sources declare; a table without one stays without."""
        away: dict[str, CdcError] = {}
        sources = tuple(self._source(source, away) for source in config.sources)
        return Completed(config.model_copy(update={"sources": sources}), away)

    def _source(self, source: SourceConfig, away: dict[str, CdcError]) -> SourceConfig:
        if len(source.captured) == len(source.tables):
            return source
        try:
            self._remember(source, self.listed(source))
        except CdcError as error:
            away[source.name] = error
        return source.model_copy(update={"tables": tuple(self._keyed(source, table) for table in source.tables)})

    def _remember(self, source: SourceConfig, listed: Sequence[ListedTable]) -> None:
        for table in listed:
            key = default_key(table)
            if isinstance(key, Finding):
                self._keys.pop((source.name, table.name), None)
            else:
                self._keys[source.name, table.name] = key

    def _keyed(self, source: SourceConfig, table: TableConfig) -> TableConfig:
        key = table.key or self._keys.get((source.name, table.source), ())
        return table.model_copy(update={"key": key})


def without_generated(source: SourceConfig) -> SourceConfig:
    """Return the source with the generated columns that its log does not hold in ``column.exclude.list``.

    Asks the database where its log leaves some out: PostgreSQL's. Raises what ``SourceDatabase.tables`` does.
    """
    if not isinstance(source, PostgresSource):
        return source
    declared = source_database(source).tables([table.source for table in source.captured])
    there = [table for table in declared.values() if isinstance(table, SourceTable)]
    found = [
        table_pattern((*table.name, column))
        for table in there
        for column in generated_columns(table, source.excluded_columns)
    ]
    if not found:
        return source
    setting = ",".join(filter(None, [source.excluded_columns, *found]))
    return source.model_copy(update={"connector": {**source.connector, "column.exclude.list": setting}})
