"""The tables of a campaign, in both databases: single and composite keys, large values, many types."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.tables import (
    CODES,
    TEXT_KEYS,
    Draw,
    ascii_text,
    blobs,
    choice,
    dates,
    decimals,
    floats,
    integers,
    json_text,
    large,
    moments,
    text,
    times,
    uuids,
)

ENGINES = ("postgres", "mysql")
NAME = "campaign"
"""Name of the source, of its schema and of the namespace of its targets."""

Typed = tuple[str, Draw]
COMMON = ("insert", "insert", "update", "update", "update", "delete", "again", "chain", "move", "swap", "bulk")
FORMS = ("Zo\u00eb", "Zoe\u0308", "trailing ", " leading", "", "🦊🦊", "line\nline", "\\N", "NULL", "ß", "SS")
"""Texts that are easily taken for each other."""


@dataclass(frozen=True)
class Captured:
    """A table: ``key`` has pools of values, ``columns`` the types and draws of either database.

    ``hows`` are the changes that are drawn for it. Where rows are ``deferred``, PostgreSQL checks keys at the commit;
    a table with ``deltas`` is written like a large one, whose rows are deleted by position.
    """

    name: str
    key: Mapping[str, tuple[str, str, tuple[object, ...]]]
    columns: Mapping[str, tuple[Typed, Typed]]
    hows: tuple[str, ...] = COMMON
    weight: int = 4
    nulls: float = 0.15
    deferred: bool = False
    deltas: bool = False

    def types(self, engine: str) -> dict[str, Typed]:
        """Return the columns beside the key with their types and draws."""
        return {name: pair[ENGINES.index(engine)] for name, pair in self.columns.items()}

    def pools(self) -> list[tuple[object, ...]]:
        return [pool for _, _, pool in self.key.values()]


def _both(kind: str, draw: Draw, mysql: str = "") -> tuple[Typed, Typed]:
    return (kind, draw), (mysql or kind, draw)


def _texts(limit: int) -> Draw:
    drawn = text(limit)
    return lambda r: r.choice(FORMS)[:limit] if r.random() < 0.3 else drawn(r)


def _doubles() -> Draw:
    drawn = floats()
    return lambda r: r.choice((0.1 + 0.2, 1 / 3, 1e22, 123456789.123456789)) if r.random() < 0.2 else drawn(r)


def _special_doubles() -> Draw:
    drawn = _doubles()
    return lambda r: r.choice((float("nan"), float("inf"), float("-inf"))) if r.random() < 0.1 else drawn(r)


def _either(first: Draw, *others: object, share: float = 0.1) -> Draw:
    return lambda r: r.choice(others) if r.random() < share else first(r)


def _infinite(first: Draw) -> Draw:
    """Seldom: a batch with such a value is merged by Spark, and others are to go the other ways."""
    return _either(first, "infinity", "-infinity", share=0.003)


_MOMENTS = moments("1000-01-01 00:00:00", "9999-12-30 00:00:00")
_LOW, _HIGH = -(2**63), 2**63 - 1

ORDERS = Captured(
    "orders",
    {"id": ("bigint", "bigint", (*range(1, 121), _LOW, _HIGH, 2**53 + 1))},
    {
        "name": _both("text", _texts(300), "varchar(400)"),
        "note": _both("varchar(40)", _texts(40)),
        "code": _both("char(6)", ascii_text(6)),
        "total": _both("numeric(12,2)", decimals(12, 2)),
        "exact": _both("numeric(38,10)", decimals(38, 10)),
        "small": _both("smallint", integers(-(2**15), 2**15 - 1)),
        "large": _both("bigint", _either(integers(_LOW, _HIGH), 2**53 + 1, -(2**53) - 1)),
        "ratio": (("double precision", _special_doubles()), ("double", _doubles())),
        "single": _both("real", choice(0.5, -1.25, 0.1, 3.0e30, 16777217.0, 1e-30), "float"),
        "active": _both("boolean", choice(True, False)),
        "day": (("date", _infinite(dates("0001-01-01"))), ("date", dates())),
        "moment": (("timestamp", _infinite(_MOMENTS)), ("datetime(6)", _MOMENTS)),
        "instant": (
            ("timestamptz", _infinite(moments("1800-01-01 00:00:00", "9999-12-30 00:00:00"))),
            ("timestamp(6) NULL", moments("1970-01-02 00:00:00", "2038-01-18 00:00:00")),
        ),
        "clock": _both("time", times(), "time(6)"),
        "ref": _both("uuid", uuids(), "char(36)"),
        "data": _both("jsonb", json_text(), "json"),
        "picture": _both("bytea", blobs(60), "varbinary(60)"),
    },
    weight=7,
)
LINES = Captured(
    "lines",
    {"order_id": ("integer", "int", tuple(range(1, 31))), "code": ("text", "varchar(10)", CODES[:6])},
    {
        "amount": _both("numeric(20,4)", decimals(20, 4)),
        "booked": _both("date", dates()),
        "done": _both("boolean", choice(True, False)),
        "note": _both("text", _texts(60), "varchar(80)"),
    },
    weight=6,
    deltas=True,
)
DOCUMENTS = Captured(
    "documents",
    {"id": ("integer", "int", tuple(range(1, 61)))},
    {
        "title": _both("text", _texts(60), "varchar(80)"),
        "body": _both("text", large(), "longtext"),
        "picture": _both("bytea", lambda r: r.randbytes(r.randint(2500, 5000)), "longblob"),
        "meta": _both("jsonb", lambda r: json.dumps({"k": r.randbytes(2000).hex()}), "json"),
        "raw": _both("json", choice('{"b": 1,  "a": [1.0, 1e3]}', "null", '"x"', '{"a": null}')),
        "version": _both("integer", integers(0, 10**6), "int"),
    },
    hows=(*COMMON, "touch", "touch", "touch", "touch and move"),
    weight=5,
    deltas=True,
)
SEATS = Captured(
    "seats",
    {"id": ("integer", "int", tuple(range(1, 21)))},
    {"label": _both("text", _texts(20), "varchar(40)"), "n": _both("integer", integers(0, 99), "int")},
    hows=(*COMMON, "swap", "ring", "ring", "shift", "shift"),
    weight=4,
    deferred=True,
)
TAGS = Captured(
    "tags",
    {"code": ("text", "varchar(10)", TEXT_KEYS[:90])},
    {"hits": _both("bigint", integers(0, 2**40)), "label": _both("text", _texts(20), "varchar(40)")},
    weight=4,
)
TABLES = (ORDERS, LINES, DOCUMENTS, SEATS, TAGS)
BY_NAME = {table.name: table for table in TABLES}

ADDED: Mapping[str, tuple[tuple[str, str, Draw], ...]] = {
    "postgres": (
        ("integer", "7", integers(-9, 9)),
        ("text", "'as before'", _texts(20)),
        ("numeric(9,3)", "1.500", decimals(9, 3)),
        ("timestamptz", "'2024-02-29 12:00:00.000001+00'", moments("1970-01-02 00:00:00", "2038-01-18 00:00:00")),
        ("boolean", "true", choice(True, False)),
    ),
    "mysql": (
        ("int", "7", integers(-9, 9)),
        ("varchar(40)", "'as before'", _texts(20)),
        ("decimal(9,3)", "1.500", decimals(9, 3)),
        ("datetime(6)", "'2024-02-29 12:00:00.000001'", moments("1970-01-02 00:00:00", "2038-01-18 00:00:00")),
        ("boolean", "true", choice(True, False)),
    ),
}
"""Types of columns that are added while the campaign goes on, each with a default and a draw."""


@dataclass(frozen=True)
class Added:
    """A column that an action adds; the default is empty where it has none."""

    name: str
    kind: str
    default: str
    required: bool
    draw: Draw


def added(engine: str, seed: int, number: int) -> Added:
    """Return the column that the action of this number and seed adds."""
    r = random.Random(seed)
    kind, default, draw = r.choice(ADDED[engine])
    with_default = r.random() < 0.4
    return Added(f"added_{number}", kind, default if with_default else "", with_default and r.random() < 0.5, draw)
