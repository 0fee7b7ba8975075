"""The keys of a table that were deleted and are remembered, as Spark sees them."""

from collections.abc import Iterable, Sequence
from functools import reduce

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.core.names import TableName, quote, quote_table, tombstones_of
from cdc.lake.held import HeldTable
from cdc.lake.tombstones import POSITION, Tombstones


def tombstones(
    session: SparkSession, catalog: Catalog, catalog_name: str, namespace: str, target: TableName, key: Sequence[str]
) -> DataFrame | None:
    """Return the deleted keys of a target with their ``_cdc_position``, some more than once; None if there are none."""
    name = tombstones_of(namespace, target)
    own, held = HeldTable(catalog, name), HeldTable(catalog, target)
    held.look()
    waiting = Tombstones(own, held).waiting(key)
    frames = [] if waiting is None else [session.createDataFrame(waiting)]
    if own.look() is not None:
        sql = quote_table((catalog_name, *name), "`")
        session.catalog.refreshTable(sql)
        frames.append(session.table(sql).select(*(f.col(quote(one, "`")) for one in (*key, POSITION))))
    return reduce(DataFrame.unionByName, frames) if frames else None


def newest(keys: Iterable[str], positions: Iterable[str | None]) -> dict[str, str]:
    """Return the greatest position of each key; empty where it has none."""
    found: dict[str, str] = {}
    for key, position in zip(keys, positions, strict=True):
        found[key] = max(position or "", found.get(key, ""))
    return found
