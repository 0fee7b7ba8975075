"""The pure parts of reading PostgreSQL in ranges: cuts, expressions, values of columns, keys."""

import pickle
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from cdc.core.errors import IncompatibleSchema, TerminalError
from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.sources.bulk_postgres import columns as made
from cdc.sources.bulk_postgres import cuts
from cdc.sources.bulk_postgres.keys import KeyColumn, one_of
from cdc.sources.bulk_postgres.planning import KeyCut, Leaf, sample_query
from cdc.sources.bulk_postgres.reader import PostgresReader
from cdc.sources.bulk_postgres.session import Session
from cdc.sources.bulk_postgres.values import reading, split
from tests.fakes.configuration import configuration

TABLE = TableName("public", "Order. Items")


def test_a_table_is_cut_when_it_is_worth_it():
    assert [cuts.count_of(rows, 100) for rows in (0, 1, 149, 150, 200, 201)] == [1, 1, 1, 2, 2, 3]


def test_ranges_of_a_key_are_open_at_both_ends():
    assert cuts.by_key(["a"], ["1", "5"]) == ['("a") < (1)', '("a") >= (1) AND ("a") < (5)', '("a") >= (5)']
    assert cuts.by_key(["a", "b"], ["1, 'x'"]) == ["""("a", "b") < (1, 'x')""", """("a", "b") >= (1, 'x')"""]
    assert cuts.by_key(["a"], []) == [""]


def test_ranges_of_blocks_are_open_at_the_end_and_name_their_file():
    found = cuts.by_block(10, 3, 77)
    assert [predicate.partition(" /*")[0] for predicate in found] == [
        "ctid >= '(0,0)'::tid AND ctid < '(3,0)'::tid",
        "ctid >= '(3,0)'::tid AND ctid < '(6,0)'::tid",
        "ctid >= '(6,0)'::tid",
    ]
    assert {cuts.filenode_of(predicate) for predicate in found} == {77}
    assert cuts.filenode_of("") is None
    assert len(cuts.by_block(2, 5, 1)) == 2


def test_integers_are_cut_evenly_unless_they_are_sparse():
    assert cuts.even(1, 100, 4) == ["26", "51", "76"]
    assert cuts.even(-5, 4, 2) == ["0"]
    assert cuts.even(1, 2, 5) == ["2"]
    assert cuts.even(-(2**63), 2**63 - 1, 2) == ["0"]
    assert cuts.is_dense(1, 200, 100)
    assert not cuts.is_dense(1, 201, 100)


def test_ranges_are_numbered_through():
    parts = [cuts.Part(TABLE, "a", 5), cuts.Part(TABLE, "b", 6, ordered=True)]
    assert cuts.numbered(parts) == (Range(0, TABLE, "a", 5, ordered=False), Range(1, TABLE, "b", 6, ordered=True))


def test_bounds_are_written_by_the_database():
    leaf = Leaf(1, TABLE, 1_000_000, 0, 10_000, 7)
    query = sample_query(leaf, KeyCut(("a", 'b"c'), ("bigint", 'public."it\'s"'), True, True), 10)
    assert "quote_literal(c0) || '::bigint' || ', ' || quote_literal(c1) || '::public.\"it''s\"'" in query
    assert 'SELECT "a"::text AS c0, "b""c"::text AS c1, row_number() OVER (ORDER BY "a", "b""c")' in query
    assert 'FROM ONLY "public"."Order. Items" TABLESAMPLE SYSTEM (1.000000) REPEATABLE (1)' in query


def reader(partitioned=False):
    source = configuration().sources[0]
    readings = (reading("n", "numeric(5,2)", "decimal(5, 2)"), reading("it's", "text", "string"))
    return PostgresReader(Session(source, "replica", 60.5), TABLE, partitioned, ("n",), readings)


def test_the_statement_of_a_range():
    """Own rows of a table, all through the root of its partitions; by the column, not by what is read of it."""
    columns = 'SELECT "n"::text, "it\'s" FROM '
    whole = Range(0, TABLE, "", 1, ordered=False)
    assert reader().query(whole) == columns + 'ONLY "public"."Order. Items" AS part'
    assert reader(partitioned=True).query(whole) == columns + '"public"."Order. Items" AS part'
    leaf = Range(0, TableName("public", "p1"), "(\"n\") < ('1'::numeric)", 1, ordered=True)
    assert reader(partitioned=True).query(leaf) == (
        columns + 'ONLY "public"."p1" AS part WHERE ("n") < (\'1\'::numeric) ORDER BY part."n"'
    )


def test_an_operators_condition_holds_besides_that_of_the_range_and_may_end_in_a_comment():
    blocks = Range(0, TABLE, "part.ctid < '(5,0)' /* of file 7 */", 1, ordered=False, where="n > 1 OR n IS NULL -- new")
    assert (
        reader()
        .query(blocks)
        .endswith("AS part WHERE (part.ctid < '(5,0)' /* of file 7 */) AND (n > 1 OR n IS NULL -- new\n)")
    )
    assert cuts.filenode_of(blocks.predicate) == 7
    assert Range(0, TABLE, "", 1, where="true").clause == " WHERE (true\n)"


def test_the_reader_is_handed_to_tasks_and_does_not_show_the_password():
    again = pickle.loads(pickle.dumps(reader()))
    assert again.query(Range(0, TABLE, "", 1)) == reader().query(Range(0, TABLE, "", 1))
    address = again.session.address()
    assert "host=replica" in address
    assert "statement_timeout=60500" in address
    assert "default_transaction_read_only=on" in address
    password = again.session.source.password.reveal()
    assert password in address
    assert password not in repr(again)


@pytest.mark.parametrize(
    ("declared", "name", "arguments"),
    [
        ("timestamp(3) with time zone", "timestamp with time zone", (3,)),
        ("time without time zone", "time without time zone", ()),
        ("numeric(5,-2)", "numeric", (5, -2)),
        ("bit varying(12)", "bit varying", (12,)),
        ("character varying(40)", "character varying", (40,)),
        ("double precision", "double precision", ()),
    ],
)
def test_types_are_split_from_their_arguments(declared, name, arguments):
    assert split(declared) == (name, arguments)


@pytest.mark.parametrize(
    ("declared", "expression"),
    [
        ("integer", '"c"'),
        ("character(5)", '"c"'),  # a cast would strip its blanks (P52)
        ("numeric(12,2)", '"c"::text'),
        ("money", '"c"::numeric::text'),
        ("inet", 'textin(inet_out("c"))'),
        ("bit(1)", "\"c\" = B'1'"),
        ("bit(5)", '"c"::text'),
        ("domain character varying(10)", '"c"'),
        ("enum", '"c"::text'),
        ("oid", '"c"::bigint'),
        ("hstore", '"c"::json::text'),
    ],
)
def test_expressions(declared, expression):
    """P52."""
    assert reading("c", declared, "string").expressions == (expression,)


@pytest.mark.parametrize("declared", ["own_type", "s.own_range", "bit varying(9)", "int4multirange", "tsquery"])
def test_a_type_that_is_not_named_is_its_text(declared):
    assert reading("c", declared, "string").expressions == ('"c"::text',)


def test_arrays_say_which_of_them_are_nested():
    assert reading("c", "numeric(5,2)[]", "list<string>").expressions == (
        '("c"::text::text[])[:]',
        'array_ndims("c") > 1',
    )
    lists = pa.array([[1, None], None, []], pa.list_(pa.int32()))
    flat, nested = pa.array([False, None, None]), pa.array([True, None, None])
    assert made.Lists(made.first)([lists, flat]).to_pylist() == [[1, None], None, []]
    with pytest.raises(ValueError, match="array of arrays"):
        made.Lists(made.first)([lists, nested])


@pytest.mark.parametrize("declared", ["integer[][]", "integer[]", "timestamp with time zone[][]", "enum[][]", "own[]"])
def test_an_array_that_is_text_in_the_lake_is_read_as_the_server_prints_it(declared):
    found = reading("c", declared, "string")
    assert (found.expressions, found.make) == (('"c"::text',), made.first)


def test_a_list_that_an_array_has_no_place_in_names_the_way_out():
    assert "`text: [c]` of the table" in reading("c", "integer[]", "list<int>").hint


def test_the_end_of_utcs_day_became_its_beginning():
    """P43: timetz '24:00+00' was 00:00:00Z in loads, and 24:00:00Z from the log."""
    (expression,) = reading("c", "time with time zone", "string").expressions
    assert expression.startswith("CASE WHEN \"c\" = '24:00+00' THEN '24:00:00' ")


@pytest.mark.parametrize("declared", ["box", "polygon", "circle", "geometry(Point,4326)", "s.geography[]", "vector(3)"])
def test_types_that_the_stream_does_not_keep_are_refused(declared):
    with pytest.raises(IncompatibleSchema, match="column 'c' has type") as caught:
        reading("c", declared, "list<string>")
    assert "snapshot: connector" in caught.value.hint


@pytest.mark.parametrize(
    ("declared", "exact"),
    [
        ("numeric(38,0)", True),
        ("numeric(5,5)", True),
        ("numeric(39,0)", False),
        ("numeric(5,-2)", False),
        ("numeric(3,5)", False),
        ("numeric", False),
        ("domain numeric(5,2)", False),
    ],
)
def test_which_numbers_are_decimals(declared, exact):
    """P45, P46, P58."""
    assert isinstance(reading("c", declared, "string").make, made.Decimals) == exact


def test_numbers_without_a_place_are_refused():
    """P44."""
    column = reading("c", "numeric(5,2)", "decimal(7, 2)")
    assert column.convert([pa.array(["1.50", None])]).to_pylist() == [Decimal("1.50"), None]
    for text in ("NaN", "Infinity"):
        with pytest.raises(ValueError, match="not a valid decimal"):
            column.convert([pa.array([text])])


def test_infinite_timestamps_and_dates():
    """P39, P40: ADBC moves them from PostgreSQL's epoch to Unix's, and over the end."""
    epoch = 946_684_800_000_000
    wrapped = pa.array([-(2**63) + epoch - 1, -(2**63) + epoch, 5, None], pa.int64()).cast(pa.timestamp("us"))
    assert made.timestamps([wrapped]).cast(pa.int64()).to_pylist() == [2**63 - 1, -(2**63), 5, None]
    least = pa.array([-210_866_803_200_000_000], pa.timestamp("us"))
    assert made.timestamps([least]) is least
    with pytest.raises(ValueError, match="294246"):
        made.timestamps([pa.array([-(2**63)], pa.timestamp("us"))])
    days = pa.array([-2_147_472_692, -2_147_472_691, 0, None], pa.int32()).cast(pa.date32())
    assert made.dates([days]).cast(pa.int32()).to_pylist() == [2_146_033_979, -2_147_472_691, 0, None]
    empty = pa.array([], pa.date32())
    assert made.dates([empty]) is empty


def test_the_end_of_the_day():
    """P42."""
    assert made.micros_of_day([pa.array([86_400_000_000, None], pa.time64("us"))]).to_pylist() == [86_400_000_000, None]


def test_hstore_is_written_as_java_does():
    """In the order of a HashMap, control characters in upper case."""
    pairs = ['{"b": "1", "aa": null}', '{"k": "\\u001f\\\\u001f\\t/ü"}', "{}", None]
    assert made.hash_maps([pa.array(pairs)]).to_pylist() == [
        '{"aa":null,"b":"1"}',
        '{"k":"\\u001F\\\\u001f\\t/ü"}',
        "{}",
        None,
    ]
    assert list(made.in_java_order({"1": None, "Aa": None, "BB": None})) == ["Aa", "BB", "1"]


def test_columns_take_the_type_of_the_target():
    assert made.fitted(pa.array([1], pa.int16()), "long").type == pa.int64()
    assert made.fitted(pa.array([[1]], pa.list_(pa.int16())), "list<int>").type.value_type == pa.int32()
    assert made.arrow_type("list<decimal(5, 2)>").value_type == pa.decimal128(5, 2)
    with pytest.raises(ValueError, match="not in range"):
        made.fitted(pa.array([2**40]), "int")


INSTANT = "'0001-01-01T00:00:00+00:00'::timestamp with time zone"


def key(declared, kind=None, schema=None, name="k"):
    return KeyColumn(name, declared, kind or declared, schema)


@pytest.mark.parametrize(
    ("column", "value", "literal"),
    [
        (key("bigint"), 5, "'5'::bigint"),
        (key("text"), "it's", "'it''s'::text"),
        (key("text"), "a\\b", " E'a\\\\b'::text"),
        (key("boolean"), True, "'true'::boolean"),
        (key("bit(1)", '"bit"'), True, "'1'::\"bit\""),
        (key("bytea"), b"\0'", " E'\\\\x0027'::bytea"),
        (key("numeric(12,2)", "numeric"), Decimal("1.50"), "'1.50'::numeric"),
        (key("date"), date(2024, 2, 29), "'2024-02-29'::date"),
        (key("timestamp with time zone"), datetime(1, 1, 1, tzinfo=UTC), INSTANT),
        (key("time(3) without time zone", "time"), 86_400_000_000, "'24:00:00.000000'::time"),
    ],
)
def test_keys_are_literals(column, value, literal):
    assert one_of([column], [(value,)]) == f'"k" IN ({literal})'


def test_conditions_on_keys():
    pair = [key("integer", name="a"), key("text", name="b")]
    assert one_of(pair, [(1, "x"), (2, "y")]) == (
        """("a", "b") IN (VALUES ('1'::integer, 'x'::text), ('2'::integer, 'y'::text))"""
    )
    assert one_of(pair, []) == "false"
    own = [key("integer", name="a"), key("citext", "public.citext", "public", name="b")]
    assert one_of(own, [(1, "x")]) == """("a" = '1'::integer AND "b" OPERATOR("public".=) 'x'::public.citext)"""
    zoned = key("time with time zone")
    assert one_of([zoned], [("08:00Z",)]) == "(\"k\" AT TIME ZONE 'UTC') IN ('08:00Z'::time with time zone)"


@pytest.mark.parametrize("value", [None, 1.5, [1]])
def test_values_that_cannot_be_looked_up(value):
    with pytest.raises(TerminalError, match="key column 'k'"):
        one_of([key("text")], [(value,)])
