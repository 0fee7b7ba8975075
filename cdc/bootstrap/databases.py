"""The source database behind a source's configuration."""

from cdc.config.sources import MySqlSource, OracleSource, PostgresSource, SourceConfig
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
