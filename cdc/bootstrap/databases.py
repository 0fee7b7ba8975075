"""The source database behind a source's configuration."""

from cdc.config.sources import MySqlSource, OracleSource, PostgresSource, SourceConfig
from cdc.core.errors import ConfigError
from cdc.core.listing import ListedTable
from cdc.pipeline.preflight import SourceDatabase
from cdc.sources.mysql import MySqlDatabase
from cdc.sources.oracle import OracleDatabase
from cdc.sources.postgres import PostgresDatabase


def source_database(source: SourceConfig) -> SourceDatabase:
    """Return the database, read as the connector's role; connects at each call, not now."""
    match source:
        case PostgresSource():
            return PostgresDatabase(source)
        case MySqlSource():
            return MySqlDatabase(source)
        case OracleSource():
            return OracleDatabase(source)


def listed_tables(source: SourceConfig) -> list[ListedTable]:
    """Return all that the source's database holds: names, kinds, declarations, unique indexes, what makes them unfit.

    PostgreSQL: every schema of the database; MySQL: its own database, and those that the tables name. Raises
    ConfigError for Oracle.
    """
    match source:
        case PostgresSource():
            return PostgresDatabase(source).listed()
        case MySqlSource():
            return MySqlDatabase(source).listed()
        case OracleSource():
            what = (
                f"source {source.name!r}: the tables of an Oracle database are not listed; there was none to try it on"
            )
            raise ConfigError(what, hint="name them one by one in tables, as in config/production.yaml")
