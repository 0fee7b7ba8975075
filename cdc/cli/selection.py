"""Tables as operators name them on the command line: by the source's name or the target's, with ``*`` for any text."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from cdc.config.models import Config
from cdc.config.problems import nearest
from cdc.config.sources import SourceConfig, TableConfig
from cdc.core.errors import ConfigError
from cdc.core.names import TableName


class Selected(NamedTuple):
    """A captured table with its source."""

    source: SourceConfig
    table: TableConfig

    @property
    def target(self) -> TableName:
        """Return the Iceberg table."""
        return self.source.target_of(self.table)

    def names(self) -> tuple[str, str]:
        """Return how the table may be called: as in the source, and as in the lake."""
        return str(self.table.source), str(self.target)


def all_tables(config: Config) -> list[Selected]:
    """Return every table of the configuration, in its order."""
    return [Selected(source, table) for source in config.sources for table in source.tables]


def select_tables(config: Config, patterns: Iterable[str]) -> list[Selected]:
    """Return the tables that these names or patterns fit, each once, in the configuration's order.

    Raises ConfigError for one that fits no table, and names the nearest that there is.
    """
    tables = all_tables(config)
    fitting: set[str] = set()
    for pattern in patterns:
        found = {str(one.target) for one in tables if any(_fits(pattern, name) for name in one.names())}
        if not found:
            raise _unknown(pattern, tables)
        fitting |= found
    return [one for one in tables if str(one.target) in fitting]


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def _unknown(pattern: str, tables: list[Selected]) -> ConfigError:
    names = [name for one in tables for name in one.names()]
    hint = nearest(pattern, names) or "`cdc tables list` shows all of them; a pattern has * for any text"
    return ConfigError(f'no table in the configuration is called "{pattern}"', hint=hint)
