"""PostgreSQL as a source."""

from cdc.sources.postgres.database import PostgresDatabase
from cdc.sources.postgres.setup import publication_sql, setup_sql

__all__ = ["PostgresDatabase", "publication_sql", "setup_sql"]
