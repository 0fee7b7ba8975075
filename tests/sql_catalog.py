"""A catalog in a SQLite file, which pyiceberg can write to: a lake for tests without Spark."""

from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog


def sql_catalog(folder: Path) -> SqlCatalog:
    """Return a catalog whose database and tables are in the folder."""
    return SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
