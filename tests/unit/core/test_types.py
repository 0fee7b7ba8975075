"""Column types of every column of real schemas, in all formats; and what has no exact type."""

import json
from typing import Any

import pytest

from cdc.core.ddl import iceberg_type, spark_type
from cdc.core.errors import IncompatibleSchema
from cdc.core.preflight import SourceColumn
from cdc.core.source_types import event_key, event_name, event_row
from cdc.core.types import (
    ARRAY_TEXT,
    EventField,
    EventSchema,
    parse_avro_key,
    parse_avro_row,
    parse_connect_row,
    parse_connect_struct,
)
from tests.samples import load, recorded

POINT = "struct<x: double, y: double, wkb: binary, srid: int>"
BOX = "struct<wkb: binary, srid: int, extensions: map<string, string>>"
POSTGRES = {
    "id": "long",
    "b": "boolean",
    **dict.fromkeys(("i2", "i4", "notnull_def", "def_null"), "int"),
    **dict.fromkeys(("i8", "o", "ti", "ti3"), "long"),
    "r4": "float",
    "r8": "double",
    "n10_2": "decimal(10, 2)",
    "n38_10": "decimal(38, 10)",
    **dict.fromkeys(("n", "n50_5", "n5_m2", "m", "dom"), "string"),
    **dict.fromkeys(("c", "v", "t", "big", "ci", "nm", "u", "j", "jb", "x", "ip", "ci4", "mac", "mac8"), "string"),
    **dict.fromkeys(("ttz", "iv", "tsv", "tsq", "e", "r", "rts", "mr", "lsn", "hs", "Odd Name.x"), "string"),
    **dict.fromkeys(("bit5", "bit12", "vb"), "string"),
    "bit1": "boolean",
    "by": "binary",
    "d": "date",
    **dict.fromkeys(("ts", "ts3"), "timestamp"),
    **dict.fromkeys(("tstz", "def_now"), "timestamptz"),
    "p": POINT,
    "bx": BOX,
    "li": "struct<a: double, b: double, c: double>",
    "a_i": "list<int>",
    **dict.fromkeys(("a_t", "a_n", "a_u", "a_e"), "list<string>"),
    "a_ts": "list<timestamptz>",
    "a_b": "list<boolean>",
    "a_d": "list<date>",
}
MYSQL = {
    **dict.fromkeys(("id", "biu"), "decimal(20, 0)"),
    **dict.fromkeys(("ti", "ti1", "bo", "tiu", "si", "siu", "mi", "i", "y", "def", "odd name.x", "nb", "nb2"), "int"),
    **dict.fromkeys(("iu", "bi", "t", "t6"), "long"),
    "f": "float",
    **dict.fromkeys(("f52", "d"), "double"),
    "de": "decimal(10, 2)",
    **dict.fromkeys(("de65", "b9", "c", "v", "vl", "tx", "e", "s", "j"), "string"),
    "b1": "boolean",
    **dict.fromkeys(("da", "dn"), "date"),
    **dict.fromkeys(("dt", "dt6", "dtn"), "timestamp"),
    **dict.fromkeys(("ts", "ts6"), "timestamptz"),
    **dict.fromkeys(("bn", "vb", "bl"), "binary"),
    "g": "struct<wkb: binary, srid: int>",
    "p": POINT,
}
EXPECTED = {"postgres": POSTGRES, "mysql": MYSQL}


def recorded_schemas(engine: str, event_format: str) -> list[EventSchema]:
    """Return the row schemas of a recording, oldest first."""
    if event_format == "json":
        return [event_row(engine, recorded(engine).declared)]
    found = load(engine, event_format)["schemas"]
    if event_format == "avro":
        return [parse_avro_row(s) for s in found.values() if s["name"] == "Envelope"]
    return [parse_connect_row(s) for s in found if any(x["field"] == "after" for x in s["fields"])]


@pytest.mark.parametrize("engine", EXPECTED)
@pytest.mark.parametrize("event_format", ["avro", "json_schema", "json"])
def test_every_column_of_real_schemas_has_its_type(engine: str, event_format: str) -> None:
    """M22, M27, M28, S37: snapshot and stream, and every format, agree on every column."""
    schemas = recorded_schemas(engine, event_format)
    assert set(schemas[-1].columns()) == set(EXPECTED[engine])
    for schema in schemas:
        found = schema.columns()
        assert found == {name: EXPECTED[engine][name] for name in found}


@pytest.mark.parametrize(("engine", "kind"), [("postgres", "long"), ("mysql", "decimal(20, 0)")])
def test_keys_have_the_types_of_their_columns(engine: str, kind: str) -> None:
    avro = next(s for s in load(engine, "avro")["schemas"].values() if s["name"] == "Key")
    connect = load(engine, "json_schema")["schemas"][0]
    assert parse_avro_key(avro).columns() == parse_connect_struct(connect).columns() == {"id": kind}
    assert event_key(event_row(engine, recorded(engine).declared), ["id"]).columns() == {"id": kind}


def field(physical: str, semantic: str | None = None, **source: Any) -> EventField:
    parameters = {f"__debezium.source.column.{name}": str(value) for name, value in source.items()}
    return EventField("c", "c", physical, semantic, parameters)


@pytest.mark.parametrize(
    ("length", "scale", "kind"),
    [
        (10, 2, "decimal(10, 2)"),
        (38, 38, "decimal(38, 38)"),
        (39, 0, "string"),
        (5, 7, "string"),
        (5, 2046, "string"),
        (5, -2, "string"),
        (0, 0, "string"),
        (131089, 0, "string"),
    ],
)
def test_exact_numbers_are_decimals_where_they_fit(length: int, scale: int, kind: str) -> None:
    """P45, P46: numeric without precision, with too many digits, or with a negative scale is text."""
    assert field("string", type="NUMERIC", length=length, scale=scale).column_type == kind


ISO = "io.debezium.time.IsoTimestamp"


@pytest.mark.parametrize(
    ("semantic", "source", "kind"),
    [
        (None, {"type": "NUMBER", "length": 38}, "string"),  # as a statement declares it
        (None, {"type": "NUMBER", "length": 0}, "string"),  # as the driver describes it
        (None, {"type": "NUMBER", "length": 38, "scale": 0}, "decimal(38, 0)"),
        (None, {"type": "NUMBER", "length": 2, "scale": 5}, "string"),
        (None, {"type": "NUMBER", "length": 38, "scale": -10}, "string"),
        (None, {"type": "FLOAT", "length": 126}, "string"),
        (ISO, {"type": "DATE"}, "timestamp"),
        (ISO, {"type": "DATE", "length": -1}, "timestamp"),
        (ISO, {"type": "TIMESTAMP", "length": 6}, "timestamp"),
        (ISO, {"type": "TIMESTAMP(6)", "length": 6}, "timestamp"),
        (ISO, {"type": "TIMESTAMP", "length": 7}, "string"),
        (ISO, {"type": "TIMESTAMP(9)", "length": 9}, "string"),
        ("io.debezium.time.Interval", {"type": "INTERVAL DAY TO SECOND", "length": 2, "scale": 6}, "string"),
        ("io.debezium.time.Interval", {"type": "INTERVAL DAY(2) TO SECOND(6)", "length": 2, "scale": 6}, "string"),
        ("io.debezium.time.Interval", {"type": "INTERVAL YEAR(2) TO MONTH", "length": 9}, "string"),
    ],
)
def test_oracles_types_have_two_descriptions_and_are_one(semantic: str | None, source: Any, kind: str) -> None:
    """M27, O18, O19: a statement in the log and the driver tell lengths, scales and names differently."""
    assert field("string", semantic, **source).column_type == kind


@pytest.mark.parametrize("name", ["INTERVAL DAY TO SECOND", "INTERVAL DAY(3) TO SECOND(9)"])
def test_an_interval_that_debezium_misreads_is_refused_o21(name: str) -> None:
    with pytest.raises(IncompatibleSchema, match="other seconds"):
        _ = field("string", "io.debezium.time.Interval", type=name, length=3, scale=9).column_type


def test_text_with_a_length_is_no_number() -> None:
    assert field("string", type="VARCHAR", length=10, scale=0).column_type == "string"
    assert field("string", type="PRICE", length=12, scale=3).column_type == "string"


@pytest.mark.parametrize("kind", ["BOOLEAN", "BOOL"])
def test_a_boolean_of_mysql_is_a_number_and_one_of_postgres_is_not(kind: str) -> None:
    """M27: added while streaming it arrives as a boolean, after a snapshot as a number."""
    assert field("boolean", type=kind).column_type == "int"
    assert field("boolean", type=kind, length=1, scale=0).column_type == "boolean"


def test_what_has_no_exact_type_is_refused_by_name() -> None:
    with pytest.raises(IncompatibleSchema, match=r"'c' has type .*VariableScaleDecimal"):
        _ = field("record", "io.debezium.data.VariableScaleDecimal").column_type
    with pytest.raises(IncompatibleSchema, match="'c' has type fixed"):
        _ = field("fixed").column_type


@pytest.mark.parametrize("schema", [{}, {"type": "record", "fields": []}, {"type": "string"}])
def test_what_is_no_envelope_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a Debezium envelope"):
        parse_avro_row(schema)
    with pytest.raises(ValueError, match="not a Debezium envelope"):
        parse_connect_row(schema)
    with pytest.raises(ValueError, match="not a Debezium key"):
        parse_avro_key({"type": "string"})


def column(kind: str, name: str = "c", *, generated: bool = False) -> SourceColumn:
    return SourceColumn(name, kind, True, generated)


@pytest.mark.parametrize("kind", ["my_composite", "bit varying(9)", "int4multirange", "domain my_type", "s.own(3)"])
def test_types_of_postgres_that_nobody_knows_come_as_their_text(kind: str) -> None:
    """Composites, ranges of one's own and varying bits arrived as bytes, or were refused (P59, T11)."""
    (field,) = event_row("postgres", [column(kind)]).fields
    assert (field.physical, field.semantic, field.column_type) == ("string", None, "string")


@pytest.mark.parametrize("kind", ["my_type[]", "interval[]", "money[]", "point[]", "bit(3)[]", "enum[]", "box[]"])
def test_elements_of_arrays_that_debezium_does_not_know_come_as_their_text(kind: str) -> None:
    """T3, T15."""
    (field,) = event_row("postgres", [column(kind)]).fields
    assert field.column_type == "list<string>"


@pytest.mark.parametrize(
    "kind", ["integer[][]", "enum[][]", "domain numeric(5,2)[][][]", "s.geography[][]", "bit(3)[][]"]
)
def test_arrays_of_several_dimensions_come_as_the_text_of_their_database(kind: str) -> None:
    (field,) = event_row("postgres", [column(kind)]).fields
    assert (field.physical, field.semantic, field.column_type) == ("string", ARRAY_TEXT, "string")


def test_arrays_that_are_named_come_as_text_and_nothing_else_does() -> None:
    columns = [column("integer[]", "a"), column("integer[]", "b"), column("integer", "c")]
    assert event_row("postgres", columns, text=["a", "c"]).columns() == {"a": "string", "b": "list<int>", "c": "int"}


@pytest.mark.parametrize(
    ("engine", "kind"), [("postgres", "geometry(Point,4326)"), ("postgres", "circle"), ("mysql", "vector(3)")]
)
def test_declarations_without_a_known_form_are_refused(engine: str, kind: str) -> None:
    with pytest.raises(IncompatibleSchema, match="whose form in JSON events is not known"):
        event_row(engine, [column(kind)])


@pytest.mark.parametrize(
    ("engine", "kind", "expected"),
    [
        ("postgres", "numeric(5,-2)", "string"),
        ("postgres", "timestamp(3) with time zone", "timestamptz"),
        ("postgres", "bit varying", "string"),
        ("postgres", "character varying(5)[]", "list<string>"),
        ("postgres", "domain integer", "int"),
        ("mysql", "int unsigned zerofill", "long"),
        ("mysql", "decimal(10,2) unsigned", "decimal(10, 2)"),
        ("mysql", "enum('a','b)')", "string"),
        ("mysql", "smallint(5) unsigned", "int"),
        ("mysql", "bit(1)", "boolean"),
    ],
)
def test_declarations_with_arguments(engine: str, kind: str, expected: str) -> None:
    assert event_row(engine, [column(kind)]).columns() == {"c": expected}


def test_excluded_and_generated_columns_are_not_in_the_events() -> None:
    columns = [column("text", "a"), column("text", "b"), column("text", "g", generated=True)]
    assert list(event_row("postgres", columns, ["b"]).columns()) == ["a"]


def test_an_engine_without_json_is_refused() -> None:
    with pytest.raises(IncompatibleSchema, match="oracle"):
        event_row("oracle", [])


@pytest.mark.parametrize(("name", "event"), [("Odd Name.x", "Odd_Name_x"), ("plain_1", "plain_1"), ("é", "_")])
def test_names_in_events(name: str, event: str) -> None:
    """K14."""
    assert event_name(name) == event


@pytest.mark.parametrize(
    ("iceberg", "spark"),
    [
        ("long", "bigint"),
        ("timestamp", "timestamp_ntz"),
        ("timestamptz", "timestamp"),
        ("decimal(10, 2)", "decimal(10, 2)"),
        ("list<timestamptz>", "array<timestamp>"),
        (BOX, "struct<`wkb`:binary,`srid`:int,`extensions`:map<string, string>>"),
        ("struct<a: list<long>, b: decimal(5, 2)>", "struct<`a`:array<bigint>,`b`:decimal(5, 2)>"),
    ],
)
def test_spark_names_of_types(iceberg: str, spark: str) -> None:
    """S37."""
    assert spark_type(iceberg) == spark


def test_iceberg_prints_ids_that_are_left_out() -> None:
    assert iceberg_type("struct<9: x: optional double, 10: wkb: required binary>") == "struct<x: double, wkb: binary>"
    assert json.dumps(iceberg_type("list<string>")) == '"list<string>"'


def test_fields_tell_whether_rows_from_before_them_hold_something() -> None:
    default = {"type": "int", "connect.default": 5}
    fields = [
        {"name": "required", "type": "int"},
        {"name": "nullable", "type": ["null", "int"]},
        {"name": "filled", "type": [default, "null"], "default": 5},
    ]
    avro = {"fields": [{"name": "after", "type": ["null", {"type": "record", "name": "Value", "fields": fields}]}]}
    assert [x.filled for x in parse_avro_row(avro).fields] == [True, False, True]
    connect = [
        {"field": "required", "type": "int32", "optional": False},
        {"field": "nullable", "type": "int32", "optional": True},
        {"field": "filled", "type": "int32", "optional": True, "default": 5},
    ]
    row = {"fields": [{"field": "after", "type": "struct", "fields": connect}]}
    assert [x.filled for x in parse_connect_row(row).fields] == [True, False, True]
