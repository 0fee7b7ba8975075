"""Source and lake compared at rest, every column of every row, by nothing that the pipeline uses."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pymysql
from pyiceberg.catalog import Catalog
from pymysql import Connection
from pymysql.cursors import SSCursor

from cdc.bootstrap.databases import source_database
from cdc.config.models import Config
from cdc.config.sources import MySqlSource, PostgresSource, SourceConfig, TableConfig
from cdc.core.errors import CdcError, ConfigError
from cdc.core.preflight import excluded_columns
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.rows import LakeRows
from cdc.pipeline.verify import RowReader, TableReport, VerifyReport, compare
from cdc.sources.rows_mysql import MySqlRows, raw_connection
from cdc.sources.rows_postgres import PostgresRows


def verify_sources(config: Config, only: Collection[str] | None = None) -> VerifyReport:
    """Return the comparison of every configured table; one that cannot be read is reported, not raised.

    ``only`` are the names of tables as reports give them.
    """
    catalog = open_catalog(config.catalog)
    chosen = [(s, t) for s in config.sources for t in s.tables if only is None or _name(s, t) in only]
    return VerifyReport(tuple(_verify_table(source, table, catalog) for source, table in chosen))


def verify_when_caught_up(config: Config, seconds: float, check: Callable[[], object]) -> VerifyReport:
    """Return the comparison of a lake that may still be catching up: the first that is equal, or the last in time.

    ``check`` is called between two looks and raises when waiting is in vain. The sources must not change meanwhile.
    """
    deadline = time.monotonic() + seconds
    report = verify_sources(config)
    while not report.equal and time.monotonic() < deadline:
        check()
        time.sleep(1)
        behind = {table.source for table in report.tables if not table.equal}
        if all(table.equal for table in verify_sources(config, only=behind).tables):
            report = verify_sources(config)
    return report if report.equal else verify_sources(config)


def line(table: TableReport) -> str:
    """Return one line that says how the table compares."""
    name = f"{table.source} -> {table.target}"
    if table.error:
        return f"FAILED  {name}: {table.error}"
    if table.equal:
        part = f", {table.outside} of them not loaded: only where {table.where}" if table.where else ""
        return f"equal   {name}: {table.source_rows} rows{part}"
    columns = ", ".join(f"{column} {count}" for column, count in sorted(table.columns.items()))
    return (
        f"DIFFERS {name}: {table.source_rows} rows in the source, {table.lake_rows} in the lake, "
        f"{table.missing} missing, {table.extra} extra, {table.differing} differing{f' ({columns})' if columns else ''}"
    )


def _name(source: SourceConfig, table: TableConfig) -> str:
    return f"{source.name}:{table.source}"


def _verify_table(source: SourceConfig, table: TableConfig, catalog: Catalog) -> TableReport:
    names = (_name(source, table), str(source.target_of(table)))
    if not table.key:
        return TableReport(*names, error="it has no key, so it is not captured: cdc doctor")
    try:
        lake = LakeRows(catalog, source.target_of(table))
        with _reader(source, table, lake.loaded_where) as rows:
            return replace(compare(rows, lake, table.key, names), where=lake.loaded_where)
    except CdcError as error:
        return TableReport(*names, error=error.said_of(table.source))
    except (psycopg.Error, pymysql.MySQLError) as error:
        return TableReport(*names, error=_no_answer(source, error))


def _no_answer(source: SourceConfig, error: psycopg.Error | pymysql.MySQLError) -> str:
    """Return what to say of a database that does not answer; other errors of it may hold values."""
    said = type(error).__name__
    if isinstance(error, (psycopg.OperationalError, pymysql.OperationalError)):
        said = " ".join(str(error).replace(source.password.reveal() or "\0", "***").split())
    hint = f"is it up, and may {source.user!r} read it? cdc doctor --source {source.name}"
    return f"{source.type} at {source.host}:{source.port}: {said}; {hint}"


@contextmanager
def _reader(source: SourceConfig, table: TableConfig, where: str) -> Iterator[RowReader]:
    excluded = _excluded(source, table)
    if isinstance(source, PostgresSource):
        with psycopg.connect(
            host=source.host,
            port=source.port,
            dbname=source.database,
            user=source.user,
            password=source.password.reveal(),
            sslmode=source.sslmode,
            connect_timeout=10,
            autocommit=True,
        ) as pg:
            yield PostgresRows(pg, table.source, table.key, where, excluded, table.text)
    elif isinstance(source, MySqlSource):
        with closing(_mysql(source)) as mysql:
            yield MySqlRows(mysql, table.source, table.key, where, excluded)
    else:
        raise ConfigError(
            f'source "{source.name}" of type {source.type} cannot be verified yet',
            hint="`cdc verify --source NAME` compares another",
        )


def _excluded(source: SourceConfig, table: TableConfig) -> list[str]:
    """Return the columns that the connector leaves out, which no target has."""
    setting = source.excluded_columns
    return excluded_columns(source_database(source).table(*table.source), setting) if setting else []


def _mysql(source: MySqlSource) -> "Connection[SSCursor]":
    return raw_connection(
        host=source.host,
        port=source.port,
        user=source.user,
        password=source.password.reveal(),
        database=source.database or None,
        connect_timeout=10,
        ssl_disabled=source.ssl_mode == "disabled",
        ssl_verify_cert=source.ssl_mode in ("verify_ca", "verify_identity"),
        ssl_verify_identity=source.ssl_mode == "verify_identity",
    )
