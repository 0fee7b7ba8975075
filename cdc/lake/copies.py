# ruff: noqa: S608 - identifiers are quoted by cdc.core.names
"""Copies of tables as they were at a snapshot: rows in files of their own."""

from collections.abc import Mapping

from pyspark.sql import SparkSession

from cdc.core.names import TableName, quote
from cdc.lake.java import java_errors
from cdc.lake.tables import IcebergTable


def copy_rows(
    session: SparkSession, catalog: str, source: TableName, snapshot: int, into: TableName, summary: Mapping[str, str]
) -> int:
    """Insert the rows of a snapshot into an empty table, in one commit with this summary; return how many.

    Columns go by their names; one that either table lacks is null, or left out.
    """
    made, original = IcebergTable(session, catalog, into), IcebergTable(session, catalog, source)
    with java_errors(f"copy {source} into {into}"):
        rows = session.sql(f"SELECT * FROM {original.sql_name} VERSION AS OF {int(snapshot)}")
        columns = [name for name in made.read().columns if name in rows.columns]
        writer = rows.select(*[quote(name, "`") for name in columns]).writeTo(made.sql_name)
        for name, value in summary.items():
            writer = writer.option(f"snapshot-property.{name}", value)
        writer.append()
    return made.row_count()
