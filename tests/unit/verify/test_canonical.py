"""Canonical texts: what databases print and what Arrow holds meet in the same text."""

from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.core.canonical import NEGATIVE_INFINITY, POSITIVE_INFINITY, Form, days, micros, micros_of_time, same
from cdc.lake.rows import texts
from cdc.sources.rows_postgres import _CONVERT, interval_text, parse_array


@given(st.dates())
def test_days_agree_with_the_calendar(value: date) -> None:
    assert days(f"{value.year:04}-{value.month:02}-{value.day:02}") == value.toordinal() - 719163


@given(st.datetimes())
def test_microseconds_agree_with_the_calendar(value: datetime) -> None:
    expected = (value - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # noqa: DTZ001
    assert micros(str(value)) == str(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01 BC", -719528),
        ("0044-03-15 BC", -735160),
        ("294276-12-31", 106_762_939),
        ("4713-01-01 BC", -2_440_550),
    ],
)
def test_days_beyond_pythons_calendar_p41(text: str, expected: int) -> None:
    # values as PostgreSQL 17 computes them: date - '1970-01-01'
    assert days(text) == expected


def test_infinity_is_debeziums_sentinel_p39() -> None:
    assert micros("infinity") == POSITIVE_INFINITY
    assert micros("-infinity") == NEGATIVE_INFINITY
    array = pa.array([int(POSITIVE_INFINITY), int(NEGATIVE_INFINITY)], pa.timestamp("us"))
    assert texts(array) == [POSITIVE_INFINITY, NEGATIVE_INFINITY]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24:00:00", 86_400_000_000), ("-838:59:59.000001", -3_020_399_000_001), ("00:00:00.1", 100_000)],
)
def test_time_beyond_a_day_p42_m25(text: str, expected: int) -> None:
    assert micros_of_time(text) == expected


def test_single_precision_from_text_and_from_arrow_m29() -> None:
    for text in ("0.1", "3.4028235e+38", "1e-45", "-0", "16777217"):
        assert _CONVERT["float4"](text) == texts(pa.array([float(text)], pa.float32()))[0]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "-0", "5e-324", "0.1", "1e+16"])
def test_double_from_text_and_from_arrow_p48(text: str) -> None:
    assert _CONVERT["float8"](text) == texts(pa.array([float(text)], pa.float64()))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 year 2 mons 3 days 04:05:06.78", "P1Y2M3DT4H5M6.78S"),
        ("-1 years -2 mons +3 days -04:05:06", "P-1Y-2M3DT-4H-5M-6S"),
        ("00:00:00", "P0Y0M0DT0H0M0S"),
        ("-00:00:00.5", "P0Y0M0DT0H0M-0.5S"),
        ("10 days", "P0Y0M10DT0H0M0S"),
    ],
)
def test_interval_p50(text: str, expected: str) -> None:
    assert interval_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", []),
        ("{1,NULL,3}", ["1", None, "3"]),
        ('{"a,b","\\"q\\"","NULL","",x y}', ["a,b", '"q"', "NULL", "", "x y"]),
        ("{{1,2},{3,4}}", [["1", "2"], ["3", "4"]]),
        ("[0:1]={1,2}", ["1", "2"]),
    ],
)
def test_array_p62(text: str, expected: list[object]) -> None:
    assert parse_array(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11:30:00+02", "09:30:00Z"),
        ("01:00:00.120+05:30", "19:30:00.12Z"),
        ("23:00:00-02", "01:00:00Z"),
        ("24:00:00+00", "24:00:00Z"),
        ("00:00:00+00", "00:00:00Z"),
        ("24:00:00+02", "22:00:00Z"),
        ("23:00:00-01", "00:00:00Z"),
        ("10:00:00.5+05:30:15", "04:29:45.5Z"),
    ],
)
def test_time_with_zone_p43(text: str, expected: str) -> None:
    assert _CONVERT["timetz"](text) == expected


def test_lists_of_arrow() -> None:
    array = pa.array([["a", None], None, [], ["b"]], pa.list_(pa.string()))
    assert texts(array[1:]) == [None, "[]", '["b"]']
    assert texts(array)[0] == '["a", null]'


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 5))
def test_numbers_of_one_value_are_the_same_p47(value: object, zeros: int) -> None:
    text = format(value, "f")  # type: ignore[arg-type]
    padded = (text if "." in text else f"{text}.") + "0" * zeros
    assert same(Form.NUMBER, text, padded)
    assert not same(Form.NUMBER, text, padded + "1")
