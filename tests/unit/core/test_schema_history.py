"""What records of a schema history tell of tables, in the form that Debezium's MySQL connector writes them."""

import pytest

from cdc.core.names import TableName
from cdc.core.schema_history import Incident, SchemaHistory

T, U = TableName("shop", "t"), TableName("shop", "u")


def column(name, type_="INT", **more):
    return {"name": name, "typeName": type_, "typeExpression": type_, "optional": True, "enumValues": []} | more


def record(kind, statement="", *columns, table="t", snapshot=None, previous=None):
    change = {"type": kind, "id": f'"shop"."{table}"'}
    if kind != "DROP":
        change["table"] = {"columns": list(columns) or [column("id"), column("n")]}
    if previous:
        change["previousId"] = f'"shop"."{previous}"'
    position = {"file": "binlog.000002", "pos": 4} | ({"snapshot": snapshot} if snapshot else {})
    return {"position": position, "databaseName": "shop", "ddl": statement, "tableChanges": [change]}


def taken(*records):
    history = SchemaHistory()
    first = [record("DROP", snapshot="INITIAL"), record("CREATE", snapshot="INITIAL")]
    return [incident for one in [*first, *records] for incident in history.take(one, {T, U})]


def test_what_a_snapshot_writes_is_no_incident():
    assert taken(record("DROP", snapshot="INITIAL"), record("CREATE", snapshot="INITIAL")) == []


def test_a_table_that_is_dropped_and_made_again_is_another_one():
    dropped = record("DROP", "DROP TABLE `t`")
    assert taken(dropped, record("CREATE", "CREATE TABLE t ..")) == [Incident(T, "it was dropped", replaced=True)]


def test_a_table_that_is_new_is_none_that_was_replaced():
    assert taken(record("CREATE", "CREATE TABLE u ..", table="u")) == []
    assert taken(record("DROP", table="never_seen")) == []


def test_tables_that_are_swapped_by_renames():
    """M17, M18."""
    swap = [
        record("CREATE", "CREATE TABLE t_new ..", table="t_new"),
        record("ALTER", "RENAME TABLE t TO t_old", table="t_old", previous="t"),
        record("ALTER", "RENAME TABLE t_new TO t", table="t", previous="t_new"),
    ]
    assert taken(*swap) == [
        Incident(T, "it was renamed", replaced=True),
        Incident(T, "another table was renamed to it", replaced=True),
    ]


def test_a_column_that_is_dropped_and_added_again_in_two_statements_or_in_one():
    """T10."""
    again = [Incident(T, "column 'n' was dropped and added again")]
    both = (column("id"), column("n"))
    two = [record("ALTER", "ALTER TABLE t DROP n", column("id")), record("ALTER", "ALTER TABLE t ADD n INT", *both)]
    assert taken(*two) == again
    assert taken(record("ALTER", "ALTER TABLE t DROP COLUMN `n`, ADD COLUMN n INT", *both)) == again
    assert taken(record("ALTER", "ALTER TABLE t DROP INDEX n", *both)) == []


@pytest.mark.parametrize(
    ("changed", "silent"),
    [
        (column("n", "BIGINT"), False),
        (column("n", "VARCHAR", length=9), True),
        (column("n", "INT", length=9), False),
        (column("n", "INTEGER"), False),
        (column("m", "INT"), True),
        (column("n", optional=False), False),
    ],
)
def test_a_column_of_another_type(changed, silent):
    found = taken(record("ALTER", "ALTER TABLE t MODIFY n ..", column("id"), changed))
    assert [incident.replaced for incident in found] == ([False] if silent else [])


def test_types_with_lengths_scales_and_labels():
    """M30."""
    price, mood = column("p", "DECIMAL", length=10, scale=2), column("m", "ENUM", enumValues=["'a'", "'b'"])
    history = SchemaHistory()
    history.take(record("CREATE", "CREATE ..", price, mood), {T})
    wider, more = price | {"length": 12, "scale": 4}, mood | {"enumValues": ["'a'", "'b'", "'c'"]}
    assert history.take(record("ALTER", "ALTER ..", wider, more), {T}) == []
    (found,) = history.take(record("ALTER", "ALTER .. p ..", wider | {"scale": 1}, more), {T})
    assert found.what == "column 'p' was changed from decimal(12,4) to decimal(12,1)"


def test_partitions_that_are_dropped_without_an_event():
    """O33."""
    found = taken(record("ALTER", "ALTER TABLE t DROP PARTITION p0", column("id"), column("n")))
    assert found == [Incident(T, "partitions or files of it were dropped, truncated or exchanged")]
    (again,) = taken(record("ALTER", "ALTER TABLE t IMPORT TABLESPACE", column("id"), column("n")))
    assert again == found[0]
    assert taken(record("ALTER", "ALTER TABLE t ADD PARTITION (PARTITION p9 ..)", column("id"), column("n"))) == []


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("ALTER TABLE t ADD g int AS (json_value(j, '$.a' RETURNING signed))", [T]),
        ("/* a tool's */ alter table `shop` . `t` ADD ..", [T]),
        ("-- a remark\nALTER TABLE `t` ADD ..", [T]),
        ("ALTER TABLE other.t ADD ..", []),
        ("ALTER TABLE never_seen ADD ..", []),
        ("CREATE TABLE IF NOT EXISTS t (id int)", []),
        ("CREATE VIEW v AS SELECT * FROM t, JSON_TABLE(..)", []),
        ("CREATE SPATIAL REFERENCE SYSTEM ..", []),
    ],
)
def test_a_statement_that_the_connector_could_not_read(statement, tables):
    """M15, T20: it ended the connector, and with it every table of the source."""
    found = taken({"position": {}, "databaseName": "shop", "ddl": statement, "tableChanges": []})
    assert [incident.table for incident in found if incident.unread and incident.replaced] == tables


def test_what_a_connector_writes_down_again_after_a_restart_was_a_table_dropped():
    made = record("CREATE", "CREATE TABLE u ..", table="u")
    assert taken(made, made) == []


def test_an_index_called_like_a_column():
    both = (column("id"), column("n"), column("key"))
    history = SchemaHistory()
    history.take(record("CREATE", "CREATE ..", *both), {T})
    assert history.take(record("ALTER", "ALTER TABLE t DROP KEY n", *both), {T}) == []
    (again,) = history.take(record("ALTER", "ALTER TABLE t DROP `key`, ADD `key` int", *both), {T})
    assert again.what == "column 'key' was dropped and added again"


def test_a_table_that_debezium_cannot_read_at_all_is_dropped():
    made = {
        "position": {"snapshot": "INITIAL"},
        "databaseName": "shop",
        "ddl": "CREATE TABLE `u` (g ..)",
        "tableChanges": [],
    }
    dropped = record("DROP", "DROP TABLE u", table="u")
    assert taken(made, dropped) == [Incident(U, "it was dropped", replaced=True)]


def test_names_in_another_case_where_the_server_does_not_tell_them_apart():
    """M34."""
    altered = {"position": {}, "databaseName": "SHOP", "ddl": "ALTER TABLE T ADD ..", "tableChanges": []}
    assert [incident.table for incident in taken(altered)] == [T]


def test_tables_that_are_not_captured_and_columns_that_are_left_out_do_not_count():
    assert taken(record("CREATE", table="x"), record("DROP", table="x")) == []
    history = SchemaHistory(left_out=r"shop\.t\.n")
    history.take(record("CREATE"), {T})
    assert history.take(record("ALTER", "ALTER ..", column("id"), column("n", "TEXT")), {T}) == []
