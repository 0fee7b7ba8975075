"""MySQL as a source."""

from cdc.sources.mysql.database import MySqlDatabase
from cdc.sources.mysql.log import MySqlLog
from cdc.sources.mysql.setup import setup_sql

__all__ = ["MySqlDatabase", "MySqlLog", "setup_sql"]
