"""XA transactions in the binary log of a real server, over several files and pages."""

from collections.abc import Iterator

import pytest

from cdc.config.sources import MySqlSource
from cdc.core.names import TableName
from cdc.core.xa import Ended, XaLog
from cdc.local.stack import LocalStack
from cdc.sources.mysql import MySqlLog, log
from tests.e2e.databases import Database
from tests.integration.test_listing import source


@pytest.fixture
def database(mysql_stack: LocalStack) -> Iterator[Database]:
    made = Database(mysql_stack.addresses(), "mysql", "xa_seen", 92)
    made.make()
    try:
        made.sql("CREATE TABLE {s}.t (id int PRIMARY KEY)", "CREATE TABLE {s}.`o dd)` (id int PRIMARY KEY)")
        yield made
    finally:
        made.drop()


def test_the_tables_of_a_prepared_transaction_that_is_rolled_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M38, T19."""
    monkeypatch.setattr(log, "PAGE", 3)
    configured = source(database)
    assert isinstance(configured, MySqlSource)
    server = MySqlLog(configured)
    place, before = server.end(), server.prepared()
    both = ("INSERT INTO {s}.t VALUES (1)", "INSERT INTO {s}.`o dd)` VALUES (1)")
    database.xa("one", *both, end="PREPARE 'one'")
    database.sql("FLUSH BINARY LOGS", role="root")
    database.xa("two", "INSERT INTO {s}.t VALUES (2)", end="COMMIT 'two' ONE PHASE")
    database.xa("three", "INSERT INTO {s}.t VALUES (3)", end="PREPARE 'three'")
    database.xa("four", "INSERT INTO {s}.t VALUES (4)", end="ROLLBACK 'four'")
    database.sql("XA COMMIT 'three'", "XA ROLLBACK 'one'", role="root")
    assert server.prepared() > before

    followed, ended = XaLog(), []
    while place != server.end():
        events, following = server.events(*place)
        assert following is not None
        ended += followed.take(events)
        place = following
    tables = frozenset({TableName("xa_seen", "t"), TableName("xa_seen", "o dd)")})
    assert ended == [Ended(rolled_back=True, tables=tables)]
    assert followed.resume is None


def test_a_log_that_is_purged_is_told(database: Database) -> None:
    configured = source(database)
    assert isinstance(configured, MySqlSource)
    assert MySqlLog(configured).events("binlog.999999", 4) == ([], None)
