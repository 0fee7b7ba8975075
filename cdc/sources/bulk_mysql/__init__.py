"""Bulk reading of MySQL tables: in ranges, as Arrow, between two positions of the binary log."""

from cdc.sources.bulk_mysql.source import MySqlBulk

__all__ = ["MySqlBulk"]
