"""The rows of a table of the lake as text, read with a scan of pyiceberg's."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

from tests.campaign.comparing.texts import Text, of_array, sort_of

OWN = "_cdc_"
"""Columns whose names begin so are no copies of the source's."""


@dataclass(frozen=True)
class LakeTable:
    """What one scan of the present snapshot has returned; ``sorts`` are those of ``texts.sort_of``."""

    columns: tuple[str, ...]
    sorts: tuple[str, ...]
    rows: Sequence[tuple[Text, ...]]


def open_lake(name: str, uri: str, warehouse: str) -> SqlCatalog:
    """Return the catalog of this name in a database, by its SQLAlchemy address."""
    return SqlCatalog(name, uri=uri, warehouse=warehouse, init_catalog_tables="false")


def read_lake(catalog: Catalog, namespace: str, table: str) -> LakeTable:
    """Return the rows; raises what pyiceberg raises, NoSuchTableError among it."""
    found = catalog.load_table((namespace, table)).scan().to_arrow()
    names = tuple(name for name in found.column_names if not name.startswith(OWN))
    columns = [found.column(name).combine_chunks() for name in names]
    sorts = tuple(sort_of(column.type) for column in columns)
    return LakeTable(names, sorts, list(zip(*map(of_array, columns), strict=True)))
