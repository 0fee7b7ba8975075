"""What a value of Oracle becomes in the lake: Debezium's own classes make the events, every column of the row counts.

Each case is a row with one value; it comes by four ways: streamed into a table that the connector knows from a
statement in the log, streamed into one that it knows from its driver, each decoded at the driver and by Spark. What the
driver hands out in a snapshot has to become the same.
"""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from cdc.core.errors import IncompatibleSchema
from tests.oracle import LARGE as LARGE_OBJECTS
from tests.oracle import Connector, Refused, Registry, settings
from tests.oracle.lake import OracleTable
from tests.oracle.log import Transaction, text
from tests.oracle.tables import COLUMNS, LARGE, described, number, statement

TABLES = [{"source": "SALES.ORDERS", "key": ["ID"]}]
SNAPPED = 1000
"""What is added to the keys of rows that a snapshot reads."""
NAN = float("nan")


class Case(NamedTuple):
    """A value of a column: as LogMiner writes it, as the driver hands it out (if it is tried), and in the lake."""

    column: str
    literal: str | None
    driver: list[str] | None
    expected: Any


def n(column: str, value: str, expected: Any) -> Case:
    return Case(column, text(value), ["number", value], expected)


def date(value: str, expected: datetime) -> Case:
    return Case("D", f"TO_DATE('{value}', 'YYYY-MM-DD HH24:MI:SS')", ["date", value.replace(" ", "T")], expected)


def stamp(column: str, value: str, expected: Any) -> Case:
    return Case(column, f"TO_TIMESTAMP('{value}')", ["timestamp", value.replace(" ", "T")], expected)


def zoned(column: str, value: str, driver: str | None, expected: datetime) -> Case:
    return Case(column, f"TO_TIMESTAMP_TZ('{value}')", None if driver is None else ["zoned", driver], expected)


def local(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - Oracle's DATE has no zone


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


NINES = "9" * 38
CASES = {
    "O18 NUMBER with a fraction": n("N", "1.5", "1.5"),
    "O18 NUMBER below one": n("N", "-0.1", "-0.1"),
    "O18 NUMBER below one, as it is written": Case("N", "'.5'", None, "0.5"),
    "O18 NUMBER whole": n("N", "7", "7"),
    "O18 NUMBER of 40 digits": n("N", "12345678901234567890" * 2, "12345678901234567890" * 2),
    "O18 NUMBER at its upper end": Case("N", "'1.0E+125'", None, "1" + "0" * 125),
    "O18 NUMBER at its lower end": n("N", "1E-130", "0." + "0" * 129 + "1"),
    "O18 NUMBER in raw bytes": Case("N", "HEXTORAW('c102')", None, "1"),
    "O18 NUMBER zero": n("N", "0", "0"),
    "NUMBER(p,s)": n("N2", "3.10", Decimal("3.10")),
    "NUMBER(p,s) with fewer digits": n("N2", "3.1", Decimal("3.10")),
    "NUMBER(p,s) at its end": n("N2", "-99999999.99", Decimal("-99999999.99")),
    "NUMBER(9)": n("N9", "-999999999", Decimal(-999999999)),
    "NUMBER(18)": n("N18", "9" * 18, Decimal("9" * 18)),
    "NUMBER(38)": n("N38", NINES, Decimal(NINES)),
    "NUMBER(38) below zero": n("N38", f"-{NINES}", Decimal(f"-{NINES}")),
    "NUMBER(38,37)": n("N38_37", f"9.{NINES[1:]}", Decimal(f"9.{NINES[1:]}")),
    "INTEGER": n("NI", "12345678901234567890", Decimal(12345678901234567890)),
    "SMALLINT": n("NS", "-1", Decimal(-1)),
    "DECIMAL(p,s)": n("NDEC", "-1234.5", Decimal("-1234.5")),
    "O18 negative scale": n("NM", "1234500", 1234500),
    "O18 negative scale below zero": n("NM", "-100", -100),
    "O18 negative scale of 38 digits": n("NMM", "1230000000000", "1230000000000"),
    "O18 scale above precision": n("NF", "0.00012", "0.00012"),
    "FLOAT": n("F", "1.1", "1.1"),
    "FLOAT(p)": n("F10", "-1234.5", "-1234.5"),
    "REAL": n("FR", "0.1", "0.1"),
    "DOUBLE PRECISION": n("FD", "123456789012345678", "123456789012345678"),
    "BINARY_FLOAT": Case("BF", "'1.5E+000'", ["float", "1.5"], 1.5),
    "BINARY_FLOAT at its end": Case("BF", "'3.40282347E+038'", ["float", "3.4028235e38"], 3.4028234663852886e38),
    "BINARY_FLOAT NaN": Case("BF", "HEXTORAW('ffc00000')", ["float", "NaN"], NAN),
    "BINARY_FLOAT infinite": Case("BF", "'Infinity'", ["float", "Infinity"], float("inf")),
    "BINARY_DOUBLE": Case("BD", "'2.5E-003'", ["double", "0.0025"], 0.0025),
    "BINARY_DOUBLE at its end": Case("BD", "'1.7976931348623157E+308'", None, 1.7976931348623157e308),
    "BINARY_DOUBLE NaN": Case("BD", "'NaN'", ["double", "NaN"], NAN),
    "BINARY_DOUBLE infinite": Case("BD", "'-Infinity'", ["double", "-Infinity"], float("-inf")),
    "O19 DATE has a time of day": date("2020-01-02 03:04:05", local(2020, 1, 2, 3, 4, 5)),
    "DATE at its upper end": date("9999-12-31 23:59:59", local(9999, 12, 31, 23, 59, 59)),
    "O22 DATE in the first year": date("0001-01-01 00:00:00", local(1, 1, 1)),
    "O22 DATE before 1582": date("1500-03-01 12:00:00", local(1500, 3, 1, 12)),
    "O38 DATE in the hour that summer time leaves out": date("2024-03-31 02:30:00", local(2024, 3, 31, 2, 30)),
    "DATE in raw bytes": Case("D", "HEXTORAW('78780102040506')", None, local(2020, 1, 2, 3, 4, 5)),
    "TIMESTAMP(0)": stamp("T0", "2020-01-02 03:04:05", local(2020, 1, 2, 3, 4, 5)),
    "TIMESTAMP(3)": stamp("T3", "2020-01-02 03:04:05.120", local(2020, 1, 2, 3, 4, 5, 120000)),
    "TIMESTAMP": stamp("T", "2020-01-02 03:04:05.000001", local(2020, 1, 2, 3, 4, 5, 1)),
    "TIMESTAMP at its end": stamp("T", "9999-12-31 23:59:59.999999", local(9999, 12, 31, 23, 59, 59, 999999)),
    "O19 TIMESTAMP(7)": stamp("T7", "2020-01-02 03:04:05.1234567", "2020-01-02T03:04:05.1234567Z"),
    "O19 TIMESTAMP(9)": stamp("T9", "2020-01-02 03:04:05.123456789", "2020-01-02T03:04:05.123456789Z"),
    "O19 TIMESTAMP(9) beyond 2262": stamp("T9", "9999-12-31 23:59:59.000000001", "9999-12-31T23:59:59.000000001Z"),
    "O19 TIMESTAMP(9) of a whole second": stamp("T9", "2020-01-02 03:04:05", "2020-01-02T03:04:05Z"),
    "O20 WITH TIME ZONE": zoned(
        "TZ", "2020-01-02 03:04:05.123456 +02:00", "2020-01-02T03:04:05.123456+02:00", utc(2020, 1, 2, 1, 4, 5, 123456)
    ),
    "O20 WITH TIME ZONE, half an hour behind": zoned(
        "TZ", "2020-01-02 03:04:05 -03:30", "2020-01-02T03:04:05-03:30", utc(2020, 1, 2, 6, 34, 5)
    ),
    "O20 WITH LOCAL TIME ZONE": zoned("TL", "2020-01-02 03:04:05.5 +00:00", None, utc(2020, 1, 2, 3, 4, 5, 500000)),
    "O21 INTERVAL YEAR TO MONTH": Case("IY", "TO_YMINTERVAL('+03-06')", ["months", "3-6"], "P3Y6M0DT0H0M0S"),
    "O21 INTERVAL YEAR TO MONTH below zero": Case(
        "IY", "TO_YMINTERVAL('-00-06')", ["months", "-0-6"], "P0Y-6M0DT0H0M0S"
    ),
    "O21 INTERVAL DAY TO SECOND": Case(
        "IS", "TO_DSINTERVAL('+01 02:03:04.040000')", ["seconds", "1 2:3:4.04"], "P0Y0M1DT2H3M4.04S"
    ),
    "O21 INTERVAL DAY TO SECOND below zero": Case(
        "IS",
        "TO_DSINTERVAL('-99 23:59:59.999999')",
        ["seconds", "-99 23:59:59.999999"],
        "P0Y0M-99DT-23H-59M-59.999999S",
    ),
    "O24 CHAR keeps its blanks": Case("C", "'ab   '", ["text", "ab   "], "ab   "),
    "O24 CHAR of blanks": Case("C", "'     '", ["text", "     "], "     "),
    "VARCHAR2 with quotes": Case("V", "'x''y'", ["text", "x'y"], "x'y"),
    "VARCHAR2 with blanks behind": Case("V", "'x  '", ["text", "x  "], "x  "),
    "VARCHAR2 like a statement": Case("V", text('"q" where "N" = 1; --'), None, '"q" where "N" = 1; --'),
    "VARCHAR2 beyond ASCII": Case("V", "'ü🦊\n\\'", ["text", "ü🦊\n\\"], "ü🦊\n\\"),
    "O24 VARCHAR2 in raw bytes": Case("V", "HEXTORAW('c3bc')", None, "ü"),
    "O23 empty text is NULL": Case("V", None, None, None),
    "O24 NCHAR": Case("NC", r"UNISTR('\00e9  ')", ["text", "é  "], "é  "),
    "NVARCHAR2": Case("NV", r"UNISTR('\D83E\DD8A')", ["text", "🦊"], "🦊"),
    "RAW": Case("RW", "HEXTORAW('01ff')", ["raw", "01ff"], b"\x01\xff"),
    "ROWID": Case("RI", "'AAAR3sAAEAAAACXAAA'", ["text", "AAAR3sAAEAAAACXAAA"], "AAAR3sAAEAAAACXAAA"),
}
WAYS = [f"{known} {decoder}" for known in ("statement", "driver") for decoder in ("core", "spark")]


@pytest.fixture(scope="module")
def source(process: Connector) -> Connector:
    return process


@pytest.fixture(scope="module")
def rows(lake: tuple[Any, Any], source: Connector, registry: Registry) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the rows of all cases by the way they came, and those of the snapshot."""
    found = {}
    for way in WAYS:
        known, decoder = way.split()
        source.open(settings(registry.url, TABLES))
        if known == "statement":
            source.mine(Transaction("0100010001000000", 100).ddl(statement("ORDERS", COLUMNS)).commit(110))
        else:
            source.learn("SALES", "ORDERS", described(COLUMNS))
        written = Transaction("0200010001000000", 200)
        for key, case in enumerate(CASES.values(), 1):
            written.insert({"ID": text(str(key)), **dict.fromkeys(COLUMNS), case.column: case.literal})
        records = source.mine(written.commit(900))
        if known == "driver":
            names = list(COLUMNS)
            read = [
                [["number", str(SNAPPED + key)], *(case.driver if name == case.column else None for name in names)]
                for key, case in enumerate(CASES.values(), 1)
                if case.driver
            ]
            records += source.read("SALES", "ORDERS", 1000, read)
        with pytest.MonkeyPatch.context() as patched:
            if decoder == "spark":
                patched.setattr("cdc.spark.small.MESSAGES", 0)
            table = OracleTable(lake, registry, f"oracle_values_{known}_{decoder}")
            table.feed(records)
        assert table.quarantined() == []
        found[way] = table.by_key()
    return found


@pytest.mark.parametrize("name", CASES)
def test_value(rows: dict[str, dict[int, dict[str, Any]]], name: str) -> None:
    """O18, O19, O20, O21, O22, O23, O24, O38: in its column the value of the case, and NULL in all others."""
    key, case = list(CASES).index(name) + 1, CASES[name]
    for way in WAYS:
        keys = [key, SNAPPED + key] if way.startswith("driver") and case.driver else [key]
        for one in keys:
            row = rows[way][one]
            assert set(row) == {"ID", *COLUMNS}, way
            filled = {column: value for column, value in row.items() if value is not None and column != "ID"}
            assert same(filled, {} if case.expected is None else {case.column: case.expected}), (way, one, filled)


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    def told(value: Any) -> Any:
        return "NaN" if isinstance(value, float) and math.isnan(value) else (type(value), value)

    return {k: told(v) for k, v in found.items()} == {k: told(v) for k, v in expected.items()}


@pytest.mark.usefixtures("rows")
def test_both_descriptions_give_one_type(lake: tuple[Any, Any]) -> None:
    """M27: a column has one type, whether the connector knows it from its driver or from a statement."""
    session, config = lake
    types = [
        dict(session.table(f"`{config.catalog.name}`.`ns`.`oracle_values_{way.replace(' ', '_')}`").dtypes)
        for way in WAYS
    ]
    assert types[0] == types[1] == types[2] == types[3]
    assert types[0]["N"] == "string"
    assert types[0]["D"] == types[0]["T"] == "timestamp_ntz"
    assert types[0]["T9"] == "string"
    assert types[0]["N9"] == "decimal(9,0)"


REFUSED_BY_DEBEZIUM = {
    "BINARY_DOUBLE as SQL*Plus prints NaN": ("BD", "'Nan'"),
    "O20 a region's name": ("TZ", "TO_TIMESTAMP_TZ('2020-01-02 03:04:05 Europe/Paris')"),
    "O22 a date before Christ": ("D", "TO_DATE('-4712-01-01 00:00:00', 'YYYY-MM-DD HH24:MI:SS')"),
}


@pytest.mark.parametrize("name", REFUSED_BY_DEBEZIUM)
def test_what_the_connector_cannot_read_ends_it(source: Connector, registry: Registry, name: str) -> None:
    """O20, O22: no value is guessed: event.converting.failure.handling.mode is fail."""
    column, literal = REFUSED_BY_DEBEZIUM[name]
    source.open(settings(registry.url, TABLES))
    source.mine(Transaction("0100010001000000", 100).ddl(statement("ORDERS", COLUMNS)).commit(110))
    with pytest.raises(Refused):
        source.mine(Transaction("0200010001000000", 200).insert({"ID": "'1'", column: literal}).commit(210))


def test_a_scale_that_debeziums_parser_loses_ends_the_connector(source: Connector, registry: Registry) -> None:
    """``NUMBER(*,3)`` in a statement is read as scale 0, and in the driver's description as it is."""
    source.open(settings(registry.url, TABLES))
    star = {"S": number("NUMBER(*,3)", 38, 3)}
    source.mine(Transaction("0100010001000000", 100).ddl(statement("ORDERS", star)).commit(110))
    with pytest.raises(Refused, match=r"ORDERS\.S"):
        source.mine(Transaction("0200010001000000", 200).insert({"ID": "'1'", "S": "'1.125'"}).commit(210))


def test_o20_a_literal_that_debezium_hands_on_as_it_is_goes_into_the_quarantine(
    lake: tuple[Any, Any], source: Connector, registry: Registry
) -> None:
    """Debezium gives the text of a function that it does not know for an instant."""
    source.open(settings(registry.url, TABLES))
    source.mine(Transaction("0100010001000000", 100).ddl(statement("ORDERS", {"TL": COLUMNS["TL"]})).commit(110))
    unknown = {"ID": "'1'", "TL": "TO_TIMESTAMP_ITZ('2020-01-02 03:04:05')"}
    records = source.mine(Transaction("0200010001000000", 200).insert(unknown).commit(210))
    table = OracleTable(lake, registry, "oracle_unknown_literal")
    table.feed(records)
    assert table.quarantined() == ["column TL does not fit"]
    assert table.by_key() == {}


@pytest.mark.parametrize("known", ["statement", "driver"])
def test_o21_an_interval_of_more_than_six_digits_stops_its_table(
    lake: tuple[Any, Any], source: Connector, registry: Registry, known: str
) -> None:
    """Debezium 3.6.1 takes nine digits of a second as microseconds: 4.123456789 becomes 127.456789."""
    source.open(settings(registry.url, TABLES))
    column = {
        "I": COLUMNS["IS"]._replace(declaration="INTERVAL DAY(3) TO SECOND(9)", name="INTERVAL DAY(3) TO SECOND(9)")
    }
    column["I"] = column["I"]._replace(digits=9)
    if known == "statement":
        source.mine(Transaction("0100010001000000", 100).ddl(statement("ORDERS", column)).commit(110))
    else:
        source.learn("SALES", "ORDERS", described(column))
    row = {"ID": "'1'", "I": "TO_DSINTERVAL('+001 02:03:04.123456789')"}
    records = source.mine(Transaction("0200010001000000", 200).insert(row).commit(210))
    assert b"127.456789" in (records[0].value or b"")
    with pytest.raises(IncompatibleSchema, match="more than 6 digits"):
        OracleTable(lake, registry, f"oracle_interval_{known}").feed(records)


@pytest.mark.parametrize("decoder", ["core", "spark"])
def test_o16_large_objects_that_an_update_leaves_out_are_kept(
    lake: tuple[Any, Any], source: Connector, registry: Registry, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O26: CLOB, NCLOB, BLOB and XMLTYPE: the placeholder keeps what was there, from the batch and from the table."""
    if decoder == "spark":
        monkeypatch.setattr("cdc.spark.small.MESSAGES", 0)
    source.open(settings(registry.url, TABLES, **LARGE_OBJECTS))
    source.mine(Transaction("0100010001000000", 100).ddl(statement("ORDERS", LARGE | {"V": COLUMNS["V"]})).commit(110))
    whole = {"LC": "'clob'", "LN": "'nclob'", "LB": "HEXTORAW('0102')", "LX": "'<a/>'", "V": "'one'"}
    known = {"LC": "clob", "LN": "nclob", "LB": b"\x01\x02", "LX": "<a/>"}
    table = OracleTable(lake, registry, f"oracle_large_{decoder}")
    table.feed(source.mine(Transaction("0200010001000000", 200).insert({"ID": "'1'", **whole}).commit(210)))
    assert table.by_key()[1] == {"ID": Decimal(1), **known, "V": "one"}
    log = Transaction("0300010001000000", 300)
    log.update({"ID": "'1'", "V": "'one'"}, {"V": "'two'"}).update({"ID": "'1'", "V": "'two'"}, {"LC": "'newer'"})
    log.update({"ID": "'1'", "V": "'two'"}, {"V": "'three'"})
    table.feed(source.mine(log.commit(310)))
    assert table.by_key()[1] == {"ID": Decimal(1), **known, "LC": "newer", "V": "three"}
    emptied = {"LC": None, "LN": None, "LB": None, "LX": None}
    table.feed(
        source.mine(Transaction("0400010001000000", 400).update({"ID": "'1'", "V": "'three'"}, emptied).commit(410))
    )
    assert table.by_key()[1] == {"ID": Decimal(1), **emptied, "V": "three"}
