"""How a listed table is captured, or why it is not."""

import pytest

from cdc.core.errors import IncompatibleSchema
from cdc.core.listing import Kind, ListedTable, UniqueIndex
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceColumn, SourceTable
from cdc.core.proposal import Proposed, Unfit, propose

ID = UniqueIndex("t_pkey", ("id",), primary=True)


def listed(
    name: str = "t",
    *,
    kind: Kind = Kind.TABLE,
    findings: tuple[Finding, ...] = (),
    indexes: tuple[UniqueIndex, ...] = (ID,),
    generated: str = "",
    parent: TableName | None = None,
    **types: str,
) -> ListedTable:
    columns = [SourceColumn(n, t, n != "id", n == generated) for n, t in ({"id": "bigint"} | types).items()]
    keys = frozenset(frozenset(index.columns) for index in indexes)
    table = SourceTable(TableName("public", name), tuple(columns), keys, frozenset({"id"}))
    return ListedTable(table, kind, indexes, findings, parent)


def any_type(_column: SourceColumn, _target: str) -> None:
    """Read whatever there is."""


def one(table: ListedTable, engine: str = "postgres") -> Proposed | Unfit:
    (found,) = propose(engine, [table], any_type)
    return found


@pytest.mark.parametrize(
    ("table", "finding"),
    [
        (listed(kind=Kind.PARTITION, parent=TableName("public", "whole")), "is_partition"),
        (listed(kind=Kind.VIEW, findings=(Finding("not_a_table", "a view", ""),)), "not_a_table"),
        (listed(indexes=()), "key_not_unique"),
        (listed(thing="geometry(Point,4326)"), "column_type"),
        (listed(_cdc_position="text"), "column_type"),
    ],
)
def test_what_is_not_captured_is_named_by_its_finding(table: ListedTable, finding: str) -> None:
    found = one(table)
    assert isinstance(found, Unfit)
    assert (found.name, found.finding.name) == (table.name, finding)
    assert found.finding.what


def test_a_remark_keeps_no_table_out() -> None:
    assert isinstance(one(listed(findings=(Finding("engine", "MyISAM", "", fatal=False),))), Proposed)


def test_a_column_that_no_load_reads_keeps_its_table_out() -> None:
    def no_box(column: SourceColumn, _target: str) -> None:
        if column.type == "box":
            raise IncompatibleSchema("no box", hint="leave it out")

    (found,) = propose("postgres", [listed(shape="box")], no_box)
    assert isinstance(found, Unfit)
    assert "no box" in found.finding.what


@pytest.mark.parametrize(("engine", "left_out"), [("postgres", ("total",)), ("mysql", ())])
def test_generated_columns_are_left_out_where_the_log_has_none(engine: str, left_out: tuple[str, ...]) -> None:
    found = one(listed(total="int", generated="total"), engine)
    assert isinstance(found, Proposed)
    assert found.left_out == left_out


def test_an_array_of_several_dimensions_is_proposed_as_text() -> None:
    found = one(listed(grid="integer[][]"))
    assert isinstance(found, Proposed)
    assert found.remarks == ("grid integer[][] as string",)


def test_types_that_are_others_in_the_lake_are_remarked() -> None:
    types = {"price": "money", "tags": "text[]", "note": "character varying(9)", "at": "timestamp with time zone"}
    found = one(listed(**types, amount="numeric", exact="numeric(9,2)", of_day="time without time zone"))
    assert isinstance(found, Proposed)
    assert found.remarks == (
        "price money as string",
        "tags text[] as list<string>",
        "amount numeric as string",
        "of_day time without time zone as long",
    )


def test_of_two_tables_with_one_topic_the_first_is_captured() -> None:
    """P66."""
    first, second = propose("postgres", [listed("a b"), listed("a_b")], any_type)
    assert isinstance(first, Proposed)
    assert isinstance(second, Unfit)
    assert second.finding.name == "topic_taken"
