"""Prepared XA transactions, followed through events as MySQL 8.0 lists them."""

from cdc.core.names import TableName
from cdc.core.xa import Ended, LogEvent, XaLog

A, B = "X'61',X'62',3", "X'63',X'',1"
ORDERS = TableName("shop", "orders")


def events(*found):
    return [LogEvent("binlog.000002", 100 * n, kind, 100 * n + 100, info) for n, (kind, info) in enumerate(found)]


def group(xid, *tables):
    maps = [("Table_map", f"table_id: {n} ({table})") for n, table in enumerate(tables)]
    return [("Query", f"XA START {xid}"), *maps, ("Query", f"XA END {xid}"), ("XA_prepare", f"XA PREPARE {xid}")]


def test_the_tables_of_a_transaction_that_was_rolled_back_are_known_however_long_ago_it_was_prepared():
    """M38, T19."""
    log = XaLog()
    assert log.take(events(*group(A, "shop.orders", "shop.o dd)"))) == []
    assert log.resume == ("binlog.000002", 0)
    plain = [("Query", "BEGIN"), ("Table_map", "table_id: 7 (shop.other)"), ("Xid", "COMMIT /* xid=25 */")]
    assert log.take(events(*plain)) == []
    tables = frozenset({ORDERS, TableName("shop", "o dd)")})
    assert log.take(events(("Query", f"XA ROLLBACK {A}"))) == [Ended(rolled_back=True, tables=tables)]
    assert log.resume is None


def test_what_is_committed_is_right_in_one_phase_or_two():
    one = [
        ("Query", f"XA START {B}"),
        ("Table_map", "table_id: 1 (shop.orders)"),
        ("XA_prepare", f"XA COMMIT {B} ONE PHASE"),
    ]
    log = XaLog()
    assert log.take(events(*group(A, "shop.orders"), *one, ("Query", f"XA COMMIT {A}"))) == []
    assert log.resume is None


def test_the_end_of_one_that_was_prepared_before_the_first_event_may_have_changed_any_table():
    ends = [("Query", f"XA COMMIT {A}"), ("Query", f"XA ROLLBACK {B}")]
    assert XaLog().take(events(*ends)) == [Ended(rolled_back=False, tables=None), Ended(rolled_back=True, tables=None)]


def test_text_in_a_statement_is_not_taken_for_a_transaction():
    assert XaLog().take(events(("Rows_query", f"# XA ROLLBACK {A}"), ("Table_map", "table_id: 1 (shop.orders)"))) == []
