"""PostgreSQL read in ranges, for a load: plan, cut, copy, convert. Entry point: ``PostgresBulk``."""

from cdc.sources.bulk_postgres.source import PostgresBulk

__all__ = ["PostgresBulk"]
