"""Asks the comparer of this campaign whether all tables are equal, again and again until a deadline."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pymysql
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from cdc.local.addresses import Addresses
from tests.campaign.comparing.differences import Comparison, Difference, compare
from tests.campaign.comparing.lake import open_lake, read_lake
from tests.campaign.comparing.source import READERS
from tests.campaign.tables import NAME, TABLES
from tests.e2e.databases import Database

AWAY = (psycopg.Error, pymysql.MySQLError, SQLAlchemyError, OSError)
"""What is raised while a server of either side starts."""


def lake_of(at: Addresses, name: str) -> SqlCatalog:
    """Return the stack's catalog, opened by its address alone."""
    plain = make_url(at.catalog_uri.removeprefix("jdbc:"))
    address = plain.set(drivername="postgresql+psycopg", username="catalog", password=at.secrets["catalog"])
    return open_lake(name, address.render_as_string(hide_password=False), str(at.warehouse))


@dataclass
class Judge:
    """Compares all tables of the campaign."""

    database: Database
    catalog: str

    def compared(self) -> list[Comparison]:
        """Return how each table compares now; raises one of ``AWAY``."""
        lake = lake_of(self.database.at, self.catalog)
        try:
            with closing(self.database.connect()) as connection:
                return [self._table(connection, lake, table.name, list(table.key)) for table in TABLES]
        finally:
            lake.engine.dispose()

    def _table(self, connection: Any, lake: SqlCatalog, table: str, key: list[str]) -> Comparison:
        source = READERS[self.database.engine](connection, NAME, table)
        connection.commit()
        try:
            return compare(table, source, read_lake(lake, NAME, table), key)
        except NoSuchTableError:
            return Comparison(table, len(source.rows), 0, (Difference("missing"),))


def said_of(compared: list[Comparison], most: int = 12) -> str:
    """Return what differs, by table, row and column."""
    lines = []
    for one in compared:
        lines.append(f"{one.table}: {one.source_rows} rows in the source, {one.lake_rows} in the lake")
        lines += [f"  {difference}" for difference in one.differences[:most]]
        left = len(one.differences) - most
        lines += [f"  and {left} more"] if left > 0 else []
    return "\n".join(lines)


def all_equal(compared: list[Comparison]) -> bool:
    """Return whether nothing differs."""
    return all(one.equal for one in compared)
