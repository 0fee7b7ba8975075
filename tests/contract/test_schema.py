"""Schema changes of the source, on real tables."""

from collections.abc import Callable
from typing import Any

import pytest

from cdc.core.errors import IncompatibleSchema
from tests.contract.events import INT, NUMBERED, TEXT, Topic, column
from tests.lake import LakeTable

NewTable = Callable[..., LakeTable]
WIDE = [column("more", TEXT), column("n", ["null", "long"]), column("id", "int")]
NARROW = [column("id", "int"), column("more", TEXT)]


def rows(table: LakeTable, *columns: str) -> dict[int, tuple[Any, ...]]:
    return {row.id: tuple(row[name] for name in columns) for row in table.rows()}


def test_columns_come_grow_and_go(new_table: NewTable) -> None:
    """S30, P69, P70, S32: what the source dropped keeps its values; the order of columns means nothing; versions meet
    in a batch.
    """
    table, topic = new_table("evolving", NUMBERED), Topic()
    table.apply([topic.change("c", {"id": i, "n": i}, (0, 10 + i)) for i in (1, 2)])
    old = [topic.change("c", {"id": 3, "n": 3}, (0, 20)), topic.change("c", {"id": 4, "n": 4}, (0, 21))]
    new = [topic.change("u", {"more": "x", "n": 2**40, "id": i}, (0, 30 + i)) for i in (2, 3)]
    table.apply_mixed([(NUMBERED, old), (WIDE, new)])
    assert rows(table, "n", "more") == {1: (1, None), 2: (2**40, "x"), 3: (2**40, "x"), 4: (4, None)}
    assert table.table.read().columns["n"] == "long"

    last = [topic.change("c", {"more": "y", "n": 5, "id": 5}, (0, 40))]
    without = [topic.change("u", {"id": 5, "more": "z"}, (0, 41)), topic.change("u", {"id": 1, "more": "w"}, (0, 42))]
    table.apply_mixed([(WIDE, last), (NARROW, [*without, topic.change("c", {"id": 6, "more": "v"}, (0, 43))])])
    expected = {1: (1, "w"), 2: (2**40, "x"), 3: (2**40, "x"), 4: (4, None), 5: (5, "z"), 6: (None, "v")}
    assert rows(table, "n", "more") == expected
    table.apply([topic.change("u", {"id": 2, "more": "u"}, (0, 50))], NARROW)
    assert rows(table, "n", "more") == {**expected, 2: (2**40, "u")}

    before = table.table.read()
    for columns, name in (
        ([column("id", "int"), column("more", INT)], "more"),
        ([column("id", "int"), column("_cdc_op", TEXT)], "_cdc_op"),
        ([column("id", "int"), column("_POS", TEXT)], "_POS"),
    ):
        row = {"id": 1, name: None}
        with pytest.raises(IncompatibleSchema, match=repr(name)):
            table.apply([topic.change("u", row, (0, 60))], columns)
    assert table.table.read() == before
    assert rows(table, "n", "more") == {**expected, 2: (2**40, "u")}


def test_a_column_that_was_never_null_in_the_source_may_be_so_in_the_lake_s29(new_table: NewTable) -> None:
    """The source drops it, and rows that come later have nothing in it; keys alone are never null."""
    table, topic = new_table("required", [column("id", "int"), column("n", "int")]), Topic()
    table.apply([topic.change("c", {"id": 1, "n": 1}, (0, 10))])
    table.apply([topic.change("c", {"id": 2}, (0, 20))], [column("id", "int")])
    assert rows(table, "n") == {1: (1,), 2: (None,)}
    nullable = {field.name: field.nullable for field in table.session.table(table.table.sql_name).schema}
    assert [name for name, may_be_null in nullable.items() if not may_be_null] == ["id"]


def test_reserved_names_are_refused_from_the_start(new_table: NewTable) -> None:
    """S33."""
    table = new_table("reserved", [column("id", "int"), column("_cdc_op", TEXT)])
    with pytest.raises(IncompatibleSchema, match="reserved"):
        table.apply([Topic().change("c", {"id": 1, "_cdc_op": "x"}, (0, 10))])
    assert not table.table.exists()


ODD = {
    "a_b": "a.b",
    "a_b_": "a b",
    "quo": "'quo\"ted",
    "tick": "ba`ck",
    "Name": "Name",
    "name": "name",
    "sel": "select",
}


def test_odd_names(new_table: NewTable) -> None:
    """P65, P67, K14: names with spaces, dots, quotes and backticks, and names that differ in case only; as key and as
    column.
    """
    columns = [column(event, TEXT if event != "a_b" else ["null", "int"], source) for event, source in ODD.items()]
    table, topic = new_table("Odd names", columns, key=("a.b",)), Topic(key=("a_b",))
    values = {event: f"value of {source}" for event, source in ODD.items() if event != "a_b"}
    table.apply([topic.change("c", {"a_b": 1, **values}, (0, 10)), topic.change("c", {"a_b": 2, **values}, (0, 11))])
    added = [*columns, column("x_y", TEXT, "x.`y`")]
    changed = {**values, "name": "changed", "x_y": "new"}
    moved = topic.move({"a_b": 2, **changed}, {"a_b": 3, **changed}, (20, 31))
    table.apply([topic.change("u", {"a_b": 1, **changed}, (20, 30)), *moved], added)
    found = {row["a.b"]: row.asDict() for row in table.rows()}
    expected = {source: changed[event] for event, source in ODD.items() if event != "a_b"} | {"x.`y`": "new"}
    assert set(found) == {1, 3}
    for row in found.values():
        assert {name: row[name] for name in expected} == expected
