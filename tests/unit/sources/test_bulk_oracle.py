"""The texts that bulk reads of Oracle are made of; there is no Oracle to run them on."""

from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec

import pyarrow as pa
import pytest

from cdc.core.errors import ConfigError, IncompatibleSchema, TerminalError
from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.sources.bulk_oracle import OracleBulk
from cdc.sources.bulk_oracle.columns import Column, OracleRead, plain_numbers
from cdc.sources.bulk_oracle.predicates import between, equal_to_one_of, extremes_query, literal, quantiles_query
from cdc.sources.bulk_oracle.session import OracleServer
from cdc.sources.bulk_oracle.source import OracleRangeReader
from tests.fakes.configuration import ORACLE, configuration

NAME = TableName("SALES", 'Odd "table"')


moment = datetime.fromisoformat


def column(kind, name="K", scale=None):
    return Column(name, kind, scale, nullable=False)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("NUMBER", Decimal("-1E-5"), "-0.00001"),
        ("NUMBER", "17", "17"),
        ("RAW", b"\x01\xff", "HEXTORAW('01ff')"),
        ("VARCHAR2", "'a\\", "TO_CHAR(UNISTR('\\0027\\0061\\005c'))"),
        ("NVARCHAR2", "🦊", "UNISTR('\\d83e\\dd8a')"),
        ("CHAR", "ab", "CAST(UNISTR('\\0061\\0062') AS CHAR(2 CHAR))"),
        ("DATE", moment("0044-03-15 12:00:00"), "TO_DATE('0044-03-15 12:00:00', 'YYYY-MM-DD HH24:MI:SS')"),
        ("DATE", "2020-01-02T03:04:05Z", "TO_DATE('2020-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS')"),
        (
            "TIMESTAMP",
            "2020-01-02 03:04:05.123456789",
            "TO_TIMESTAMP('2020-01-02 03:04:05.123456789', 'YYYY-MM-DD HH24:MI:SS.FF9')",
        ),
        (
            "TIMESTAMP WITH TIME ZONE",
            datetime(2020, 1, 2, tzinfo=UTC),
            "FROM_TZ(TO_TIMESTAMP('2020-01-02 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.FF9'), '+00:00')",
        ),
    ],
)
def test_literals(kind, value, expected):
    assert literal(column(kind), value) == expected


def test_what_is_no_moment_becomes_no_sql():
    with pytest.raises(TerminalError) as refused:
        literal(column("TIMESTAMP"), "' OR 1=1")
    assert "OR" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("NUMBER", "decimal(38, 10)", "TO_CHAR(\"K\", 'TM9')"),
        ("NUMBER", "string", "TO_CHAR(\"K\", 'TM9')"),
        ("BINARY_DOUBLE", "double", '"K"'),
        ("TIMESTAMP", "timestamp", "TO_CHAR(CAST(\"K\" AS TIMESTAMP(9)), 'YYYY-MM-DD HH24:MI:SS.FF6')"),
        (
            "TIMESTAMP WITH LOCAL TIME ZONE",
            "timestamptz",
            "TO_CHAR(SYS_EXTRACT_UTC(\"K\"), 'YYYY-MM-DD HH24:MI:SS.FF6')",
        ),
        (
            "DATE",
            "string",
            'NVL2("K", RTRIM(RTRIM(TO_CHAR(CAST("K" AS TIMESTAMP(9)), '
            "'YYYY-MM-DD\"T\"HH24:MI:SS.FF9'), '0'), '.') || 'Z', NULL)",
        ),
        ("CLOB", "string", '"K"'),
        ("RAW", "binary", '"K"'),
    ],
)
def test_expressions(kind, target, expected):
    assert OracleRead(column(kind), target).expression == expected


@pytest.mark.parametrize(
    ("kind", "target"), [("INTERVAL DAY TO SECOND", "string"), ("VARCHAR2", "int"), ("XMLTYPE", "string")]
)
def test_a_type_of_unknown_form_is_refused(kind, target):
    with pytest.raises(IncompatibleSchema, match="cannot be read in bulk"):
        _ = OracleRead(column(kind), target).expression


def test_numbers_are_plain():
    printed = pa.array([".5", "-.5", "1E+65", None, "-12"])
    assert plain_numbers(printed).to_pylist() == ["0.5", "-0.5", "1" + "0" * 65, None, "-12"]


@pytest.mark.parametrize(
    ("kind", "target", "values", "expected"),
    [
        ("NUMBER", "decimal(5, 2)", ["-.5", None], [Decimal("-0.50"), None]),
        ("NUMBER", "long", ["9223372036854775807"], [2**63 - 1]),
        ("TIMESTAMP", "timestamp", ["2020-01-02 03:04:05.000006"], [moment("2020-01-02 03:04:05.000006")]),
        ("TIMESTAMP WITH TIME ZONE", "timestamptz", ["2020-01-02 00:00:00.0"], [datetime(2020, 1, 2, tzinfo=UTC)]),
    ],
)
def test_values(kind, target, values, expected):
    assert OracleRead(column(kind), target).convert(pa.array(values)).to_pylist() == expected


def test_a_value_that_does_not_fit_is_an_error_that_does_not_show_it():
    with pytest.raises(TerminalError, match="does not fit") as refused:
        OracleRead(column("NUMBER"), "decimal(5, 2)").convert(pa.array(["1.239"]))
    assert "1.239" not in str(refused.value)


def test_statements():
    reads = (OracleRead(column("NUMBER", "ID"), "long"), OracleRead(column("VARCHAR2", "N"), "string"))
    server = OracleServer(configuration(ORACLE).sources[0], None, 60)
    statement = OracleRangeReader(server, reads).statement(Range(0, NAME, '"ID" < 5', 1))
    assert statement == ('SELECT TO_CHAR("ID", \'TM9\') AS c0, "N" AS c1 FROM "SALES"."Odd ""table""" WHERE "ID" < 5')
    assert extremes_query(TableName("S", "T"), column("NUMBER", "ID")) == (
        'SELECT TO_CHAR(NVL(MIN("ID"), 0), \'TM9\') AS low, TO_CHAR(NVL(MAX("ID"), 0), \'TM9\') AS high FROM "S"."T"'
    )
    assert quantiles_query(TableName("S", "T"), [column("VARCHAR2", "A"), column("NUMBER", "B")], 100) == (
        'SELECT "A" AS c0, TO_CHAR("B", \'TM9\') AS c1 FROM '
        '(SELECT "A", "B", ROW_NUMBER() OVER (ORDER BY "A", "B") AS n$ FROM "S"."T") '
        "WHERE n$ > 1 AND MOD(n$ - 1, 100) = 0 ORDER BY n$"
    )


def test_predicates():
    parts = [column("NUMBER", "A"), column("NUMBER", "B")]
    assert between(parts, [("1", "2")]) == [
        '("A" < 1 OR ("A" = 1 AND ("B" < 2)))',
        '("A" > 1 OR ("A" = 1 AND ("B" >= 2)))',
    ]
    assert equal_to_one_of(parts, [(1, 2), (3, 4)]) == '("A" = 1 AND "B" = 2) OR ("A" = 3 AND "B" = 4)'
    assert equal_to_one_of(parts, []) == "1 = 0"


@pytest.mark.skipif(find_spec("oracledb") is not None, reason="the driver is installed")
def test_without_the_driver_the_extra_is_named():
    with pytest.raises(ConfigError) as refused:
        OracleBulk(configuration(ORACLE).sources[0]).position()
    assert "cdc[oracle]" in refused.value.hint
