"""PostgreSQL as a source."""

from cdc.sources.postgres.database import PostgresDatabase, publication_sql

__all__ = ["PostgresDatabase", "publication_sql"]
