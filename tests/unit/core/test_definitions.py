"""What has changed between two definitions of a table, and which changes no event tells of."""

import pytest

from cdc.core.definitions import Change, Definition, changes, definition_of
from cdc.core.names import TableName
from cdc.core.preflight import SourceColumn, SourcePartition, SourceTable
from cdc.core.widening import widened


def column(name, type_="integer", number="1", mark="100", *, filled=False, labels=None):
    return SourceColumn(name, type_, True, False, filled, number, mark, labels or {})


def table(*columns, id_="7", file="50", partitions=None):
    name = TableName("public", "t")
    return definition_of(SourceTable(name, columns, frozenset(), None, id_, file, partitions or {}))


BEFORE = table(column("n"), column("e", "enum", "2", labels={"9": "red", "10": "blue"}))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (BEFORE, []),
        (BEFORE._replace(file="51"), []),  # VACUUM FULL, TRUNCATE
        (BEFORE._replace(id="8", columns={}), []),  # another table, which is noticed otherwise
        (table(column("n", mark="101"), BEFORE.columns["e"]), []),  # SET NOT NULL
        (
            table(column("n", mark="101"), BEFORE.columns["e"], file="51"),
            [Change("column 'n' was declared anew, and the rows were written anew", silent=True)],
        ),
        (
            table(column("n", "bigint", mark="101"), BEFORE.columns["e"], file="51"),
            [Change("column 'n' was changed from integer to bigint", silent=True)],
        ),
        (
            table(column("n", "int4", mark="101"), BEFORE.columns["e"]),  # no row was written anew
            [Change("column 'n' was changed from integer to int4")],
        ),
        (
            table(column("m", mark="101"), BEFORE.columns["e"]),
            [Change("column 'n' was renamed to 'm'", silent=True)],
        ),
        (
            table(column("n", number="3", mark="101"), BEFORE.columns["e"]),
            [Change("column 'n' was dropped and added again", silent=True)],
        ),
        (table(column("n")), [Change("column 'e' was dropped")]),
        (
            table(column("n"), column("e", "enum", "2", labels={"9": "rot", "10": "blue", "11": "new"})),
            [Change("a label of column 'e' was renamed", silent=True)],
        ),
        (table(column("n"), column("e", "enum", "2", labels={"9": "red", "10": "blue", "11": "new"})), []),
        (  # the default varies, and was dropped again
            table(*BEFORE.columns.values(), column("y", "uuid", "4"), file="51"),
            [Change("column 'y' (uuid) was added, which older rows hold a default in", silent=True)],
        ),
        (
            table(*BEFORE.columns.values(), column("x", "text", "3"), column("y", "text", "4", filled=True)),
            [
                Change("column 'x' (text) was added"),
                Change("column 'y' (text) was added, which older rows hold a default in", silent=True),
            ],
        ),
    ],
)
def test_columns(now, expected):
    """P57, S31, T18, S30."""
    assert changes(BEFORE, now) == expected


def part(file, *, truncated=False, full=False):
    return SourcePartition("public.p", file, truncated, full)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"1": part("5")}, []),
        ({"1": part("6")}, []),  # VACUUM FULL
        ({"1": part("5", truncated=True)}, []),  # never analysed
        ({"1": part("6", truncated=True)}, [Change("partition public.p was truncated", silent=True)]),
        ({}, [Change("partition public.p was detached or dropped", silent=True)]),
        ({"1": part("5"), "2": part("6")}, [Change("partition public.p was attached")]),
        (
            {"1": part("5"), "2": part("6", full=True)},
            [Change("partition public.p was attached, and had rows", silent=True)],
        ),
    ],
)
def test_partitions(now, expected):
    """P17."""
    assert changes(table(partitions={"1": part("5")}), table(partitions=now)) == expected


def test_a_type_changed_with_using_is_seen_in_the_files_of_partitions():
    before = table(column("n"), file="0", partitions={"1": part("5")})
    now = table(column("n", mark="101"), file="0", partitions={"1": part("6")})
    assert [change.silent for change in changes(before, now)] == [True]


def test_without_marks_a_type_that_is_not_wider_is_taken_for_one_that_changed_values():
    def declared(type_):
        return table(column("n", type_, "", ""))

    assert changes(declared("int"), declared("bigint")) == [Change("column 'n' was changed from int to bigint")]
    assert changes(declared("bigint"), declared("int"))[0].silent


def test_without_numbers_a_column_that_comes_as_another_goes_may_be_the_same():
    """S31."""
    before, now = table(column("n", number="", mark="")), table(column("m", number="", mark=""))
    what = "column 'm' (integer) was added, and may have been 'n' before"
    assert changes(before, now) == [Change("column 'n' was dropped"), Change(what, silent=True)]


def test_a_truncate_of_the_whole_table_is_an_event():
    before = table(partitions={"1": part("5"), "2": part("6")})
    assert changes(before, table(partitions={"1": part("7", truncated=True), "2": part("8", truncated=True)})) == []


def test_a_definition_is_kept_as_json():
    definition = table(column("n", labels={"9": "rot"}), partitions={"1": part("5", full=True)})
    assert Definition.from_json(definition.to_json()) == definition


def test_generated_columns_that_are_not_in_the_log_and_excluded_ones_do_not_count():
    columns = (column("n"), column("g")._replace(generated=True), column("x"))
    declared = SourceTable(TableName("public", "t"), columns, frozenset(), None)
    assert list(definition_of(declared, ["x"]).columns) == ["n"]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("int", "bigint", True),
        ("int unsigned", "bigint unsigned", True),
        ("int unsigned", "bigint", False),
        ("bigint", "int", False),
        ("tinyint(1)", "int", True),
        ("varchar(10)", "varchar(20)", True),
        ("varchar(20)", "varchar(10)", False),
        ("varchar(20)", "text", True),
        ("text", "varchar(2000)", False),
        ("varchar(20)", "char(20)", False),
        ("char(10)", "varchar(10)", True),
        ("binary(4)", "binary(8)", False),
        ("varbinary(4)", "blob", True),
        ("varchar(10)", "blob", False),
        ("decimal(10,2)", "decimal(12,4)", True),
        ("decimal(10,2)", "decimal(10,4)", False),
        ("decimal(10,2)", "decimal(12,1)", False),
        ("float", "double", True),
        ("double", "float", False),
        ("enum('a','b')", "enum('a','b','c')", True),
        ("enum('a')", "enum('a','unsigned')", True),
        ("enum", "enum", True),
        ("year(4)", "year", True),
        ("enum('a','b')", "enum('b','a')", False),
        ("datetime", "datetime(6)", True),
        ("datetime(6)", "datetime(3)", False),
        ("datetime", "timestamp", False),
        ("json", "text", False),
        ("number", "varchar2", False),
    ],
)
def test_types_without_marks(before, now, expected):
    assert widened(before, now) is expected
