"""The tables of the end-to-end tests, in both databases: what their columns are and which values they hold.

A column is its type and a draw of values, so that a table is created, filled and changed from one description.
"""

import json
import random
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Context, Decimal

Draw = Callable[[random.Random], object]

TEXTS = ("", " ", "a", "Ünïcødé", "日本語", "🦊", "tab\tnew\nline", "quote'\"`\\", "trailing ", "NULL", "x" * 300)
WIDE = Context(prec=80)


def integers(low: int, high: int) -> Draw:
    edges = (low, high, 0 if low <= 0 <= high else low)
    return lambda r: r.choice(edges) if r.random() < 0.1 else r.randint(low, high)


def text(limit: int = 300, alphabet: tuple[str, ...] = TEXTS) -> Draw:
    return lambda r: (r.choice(alphabet) + str(r.randrange(1000)) * r.randrange(2))[:limit]


def ascii_text(limit: int) -> Draw:
    return lambda r: "".join(r.choices(string.ascii_letters, k=r.randint(1, limit)))


def decimals(precision: int, scale: int) -> Draw:
    return lambda r: Decimal(r.randint(-(10**precision) + 1, 10**precision - 1)).scaleb(-scale, WIDE)


def floats(single: bool = False) -> Draw:
    edges = (0.0, -0.0, 1.5, 3.4e38 if single else 1.7976931348623157e308, 1e-30 if single else 5e-324)
    return lambda r: r.choice(edges) if r.random() < 0.2 else r.uniform(-1e6, 1e6)


def dates(low: str = "1000-01-01", high: str = "9999-12-31") -> Draw:
    first, last = date.fromisoformat(low).toordinal(), date.fromisoformat(high).toordinal()
    return lambda r: date.fromordinal(r.choice((first, last, 719163, r.randint(first, last)))).isoformat()


def moments(low: str, high: str, digits: int = 6) -> Draw:
    first, last = (datetime.fromisoformat(text) for text in (low, high))
    span = int((last - first).total_seconds())

    def draw(r: random.Random) -> str:
        at = first + timedelta(seconds=r.randint(0, span))
        return f"{at:%Y-%m-%d %H:%M:%S}".rjust(19, "0") + (f".{r.randrange(10**digits):0{digits}}" if digits else "")

    return draw


def times(hours: int = 23) -> Draw:
    return lambda r: f"{r.randint(0, hours):02}:{r.randrange(60):02}:{r.randrange(60):02}.{r.randrange(10**6):06}"


def blobs(limit: int) -> Draw:
    return lambda r: r.randbytes(r.randrange(limit))


def large(low: int = 2500, high: int = 6000) -> Draw:
    """Incompressible text: PostgreSQL keeps it out of line, so unchanged it is left out of events (P1)."""
    return lambda r: r.randbytes(r.randint(low, high) // 2).hex()


def choice(*values: object) -> Draw:
    return lambda r: r.choice(values)


def uuids() -> Draw:
    return lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4))


def json_text(size: int = 3) -> Draw:
    return lambda r: json.dumps(
        {"n": r.randrange(10**6), "t": r.choice(("x", "ü", None)), "l": [r.randrange(9) for _ in range(size)]}
    )


def bits(width: int) -> Draw:
    return lambda r: format(r.getrandbits(width), f"0{width}b")


def pool(draw: Draw, size: int, seed: int) -> tuple[object, ...]:
    """Return a fixed set of keys, small enough that changes meet each other."""
    r = random.Random(seed)
    return tuple(dict.fromkeys(draw(r) for _ in range(size)))


@dataclass(frozen=True)
class TestTable:
    """A table: ``key`` columns have pools of values, the others draws; ``nulls`` is their share of NULL."""

    name: str
    key: Mapping[str, tuple[str, tuple[object, ...]]]
    columns: Mapping[str, tuple[str, Draw]] = field(default_factory=dict)
    weight: int = 4
    nulls: float = 0.1
    truncated: bool = False
    swapped: bool = False
    options: str = ""
    after: tuple[str, ...] = ()
    __test__ = False


NUMBERS = tuple(range(1, 401))
SMALL = tuple(range(1, 21))
CODES = pool(ascii_text(6), 200, 1)
UUIDS = pool(uuids(), 300, 2)
HUGE = pool(integers(2**63 - 10, 2**64 - 1), 300, 3)
TEXT_KEYS = tuple(f"{a}{b}" for a in ("a", "A", "ä", "日", "x y", "q'\"") for b in range(30))


def _wide_columns(types: tuple[tuple[str, Draw], ...]) -> dict[str, tuple[str, Draw]]:
    return {f"c{i:03}": types[i % len(types)] for i in range(1, 200)}


def _item_table(key_types: tuple[str, str], text_type: str, decimal_type: str) -> TestTable:
    return TestTable(
        "Order. Items",
        {"Order Id": (key_types[0], NUMBERS[:60]), "Item. No": (key_types[1], CODES[:20])},
        {
            "Größe": (text_type, text(40)),
            "Unit Price": (decimal_type, decimals(10, 2)),
            "select": (text_type, text(40)),
        },
    )


POSTGRES: tuple[TestTable, ...] = (
    TestTable(
        "accounts",
        {"id": ("bigint", NUMBERS)},
        {
            "name": ("text", text()),
            "balance": ("numeric(12,2)", decimals(12, 2)),
            "active": ("boolean", choice(True, False)),
            "note": ("varchar(40)", text(40)),
            "updated_at": ("timestamptz", moments("0001-01-02 00:00:00", "9999-12-30 00:00:00")),
        },
        weight=8,
    ),
    TestTable(
        "ledger_lines",
        {"account_id": ("integer", NUMBERS[:60]), "line": ("smallint", SMALL)},
        {"amount": ("numeric(20,4)", decimals(20, 4)), "booked": ("date", dates())},
        weight=6,
    ),
    TestTable(
        "countries",
        {"code": ("text", TEXT_KEYS)},
        {"name": ("text", text()), "people": ("bigint", integers(-(2**63), 2**63 - 1))},
    ),
    TestTable(
        "sessions",
        {"id": ("uuid", UUIDS)},
        {
            "data": ("jsonb", json_text()),
            "address": ("inet", choice("10.0.0.1", "10.0.0.0/8", "2001:db8::1")),
            "n": ("int", integers(-(2**31), 2**31 - 1)),
        },
    ),
    _item_table(("int", "text"), "text", "numeric(10,2)"),
    TestTable(
        "wide",
        {"id": ("int", NUMBERS[:40])},
        _wide_columns(
            (
                ("int", integers(-(2**31), 2**31 - 1)),
                ("text", text(20)),
                ("numeric(12,3)", decimals(12, 3)),
                ("double precision", floats()),
                ("timestamp", moments("1900-01-01 00:00:00", "2100-01-01 00:00:00")),
                ("boolean", choice(True, False)),
            )
        ),
        weight=1,
    ),
    TestTable("keys_only", {"a": ("int", NUMBERS[:40]), "b": ("int", SMALL)}, weight=3),
    TestTable(
        "documents",
        {"id": ("int", NUMBERS[:80])},
        {
            "title": ("text", text(60)),
            "body": ("text", large()),
            "picture": ("bytea", lambda r: r.randbytes(r.randint(2500, 5000))),
            "meta": ("jsonb", lambda r: json.dumps({"k": r.randbytes(2000).hex()})),
            "words": ("text[]", lambda r: [r.randbytes(300).hex() for _ in range(6)]),
            "version": ("int", integers(0, 10**6)),
        },
        weight=3,
    ),
    TestTable(
        "places",
        {"id": ("int", SMALL)},
        {"label": ("text", text(20))},
        swapped=True,
        weight=2,
        after=(  # a deferrable key cannot identify rows in the log of PostgreSQL 17
            'ALTER TABLE "places" DROP CONSTRAINT "places_pkey"',
            'ALTER TABLE "places" ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED',
            'ALTER TABLE "places" REPLICA IDENTITY FULL',
        ),
    ),
    TestTable("readings", {"id": ("bigint", NUMBERS)}, {"payload": ("text", text())}, truncated=True, weight=2),
    TestTable("counters", {"name": ("varchar(10)", CODES)}, {"hits": ("bigint", integers(0, 2**40))}, weight=3),
    TestTable(
        "many_types",
        {"id": ("int", NUMBERS[:120])},
        {
            "t_smallint": ("smallint", integers(-(2**15), 2**15 - 1)),
            "t_real": ("real", floats(single=True)),
            "t_double": (
                "double precision",
                lambda r: r.choice((float("nan"), float("inf"), float("-inf"), r.random())),
            ),
            "t_numeric": (
                "numeric",
                lambda r: r.choice((Decimal("NaN"), Decimal("1.50"), Decimal(10) ** 40, Decimal("1e-20"))),
            ),
            "t_numeric38": ("numeric(38,10)", decimals(38, 10)),
            "t_numeric50": ("numeric(50,5)", decimals(50, 5)),
            "t_money": ("money", lambda r: str(Decimal(r.randrange(-(10**9), 10**9)) / 100)),
            "t_char": ("char(5)", ascii_text(5)),
            "t_bytea": ("bytea", blobs(40)),
            "t_date": ("date", dates("0001-01-01")),
            "t_time": ("time", lambda r: r.choice(("24:00:00", "00:00:00", times()(r)))),
            "t_timetz": ("timetz", lambda r: times()(r) + r.choice(("+00", "+05:30", "-11"))),
            "t_timestamp": (
                "timestamp",
                lambda r: r.choice(
                    (
                        "infinity",
                        "-infinity",
                        "0044-03-15 12:00:00 BC",
                        "12024-01-01 00:00:00",
                        moments("0001-01-02 00:00:00", "9999-12-30 00:00:00")(r),
                    )
                ),
            ),
            "t_timestamptz": (
                "timestamptz",
                lambda r: r.choice(("infinity", "-infinity", moments("1800-01-01 00:00:00", "9999-12-30 00:00:00")(r))),
            ),
            "t_interval": (
                "interval",
                choice("1 year 2 months 3 days 04:05:06.789", "-1 day", "00:00:00", "-00:00:00.5", "1 mon -1 day"),
            ),
            "t_bit1": ("bit(1)", choice("0", "1")),
            "t_bit12": ("bit(12)", bits(12)),
            "t_varbit": ("varbit(20)", lambda r: bits(r.randint(1, 20))(r)),
            "t_json": ("json", choice('{"b": 1,  "a": [1.0, 1e3]}', "null", '"x"', '{"a":1,"a":2}')),
            "t_xml": ("xml", choice("<a>ü</a>", "<a b='1'/>")),
            "t_cidr": ("cidr", choice("10.0.0.0/8", "2001:db8::/32")),
            "t_macaddr": ("macaddr", choice("08:00:2b:01:02:03")),
            "t_range": ("int4range", choice("[1,5)", "empty", "(,7)")),
            "t_ints": ("int[]", choice([], [1, None, 3], [2**31 - 1])),
            "t_texts": ("text[]", choice([], ["a,b", '"', None, "NULL", ""], ["日本"])),
            "t_mood": ("mood", choice("sad", "ok", "so happy")),
            "t_positive": ("positive", integers(1, 100)),
        },
        nulls=0.2,
        weight=2,
    ),
)

MYSQL: tuple[TestTable, ...] = (
    TestTable(
        "accounts",
        {"id": ("bigint unsigned", HUGE)},
        {
            "name": ("varchar(400)", text()),
            "balance": ("decimal(12,2)", decimals(12, 2)),
            "active": ("tinyint(1)", choice(0, 1, 2)),
            "updated_at": ("timestamp(6) NULL", moments("1970-01-02 00:00:00", "2038-01-18 00:00:00")),
        },
        weight=8,
    ),
    TestTable(
        "ledger_lines",
        {"account_id": ("int", NUMBERS[:60]), "line": ("smallint unsigned", SMALL)},
        {"amount": ("decimal(20,4)", decimals(20, 4)), "booked": ("date", dates())},
        weight=6,
    ),
    TestTable(
        "countries", {"code": ("varchar(10) COLLATE utf8mb4_bin", TEXT_KEYS)}, {"name": ("varchar(400)", text())}
    ),
    TestTable(
        "sessions",
        {"id": ("char(36) CHARACTER SET ascii COLLATE ascii_bin", UUIDS)},
        {"data": ("json", json_text()), "n": ("int unsigned", integers(0, 2**32 - 1))},
    ),
    _item_table(("int", "varchar(10) COLLATE utf8mb4_bin"), "varchar(80)", "decimal(10,2)"),
    TestTable("keys_only", {"a": ("int", NUMBERS[:40]), "b": ("int", SMALL)}, weight=3),
    TestTable(
        "documents",
        {"id": ("int", NUMBERS[:80])},
        {
            "title": ("varchar(80)", text(60)),
            "body": ("longtext", large()),
            "picture": ("longblob", blobs(4000)),
            "version": ("int", integers(0, 10**6)),
        },
        weight=2,
    ),
    TestTable("readings", {"id": ("bigint", NUMBERS)}, {"payload": ("text", text())}, truncated=True, weight=2),
    TestTable(
        "counters",
        {"name": ("varchar(10) COLLATE utf8mb4_bin", CODES)},
        {"hits": ("bigint", integers(0, 2**40))},
        weight=3,
    ),
    TestTable(
        "many_types",
        {"id": ("int", NUMBERS[:120])},
        {
            "t_tiny": ("tinyint", integers(-128, 127)),
            "t_tiny_u": ("tinyint unsigned", integers(0, 255)),
            "t_medium": ("mediumint", integers(-(2**23), 2**23 - 1)),
            "t_bigint": ("bigint", integers(-(2**63), 2**63 - 1)),
            "t_big_u": ("bigint unsigned", integers(0, 2**64 - 1)),
            "t_float": ("float", lambda r: r.choice((0.5, -1.25, 3.0e30, float(r.randrange(1000))))),
            "t_double": ("double", floats()),
            "t_decimal": ("decimal(38,10)", decimals(38, 10)),
            "t_decimal65": ("decimal(65,30)", decimals(65, 30)),
            "t_bit1": ("bit(1)", choice(0, 1)),
            "t_bit12": ("bit(12)", integers(0, 4095)),
            "t_year": ("year", integers(1901, 2155)),
            "t_date": ("date", dates()),
            "t_time": ("time(6)", times()),
            "t_datetime": ("datetime(6)", moments("1000-01-01 00:00:00", "9999-12-30 00:00:00")),
            "t_datetime0": ("datetime", moments("1000-01-01 00:00:00", "9999-12-30 00:00:00", 0)),
            "t_timestamp": ("timestamp(3) NULL", moments("1970-01-02 00:00:00", "2038-01-18 00:00:00", 3)),
            "t_char": ("char(5)", ascii_text(5)),
            "t_latin": ("varchar(20) CHARACTER SET latin1", choice("ä", "ß?", "")),
            "t_binary": ("binary(6)", lambda r: r.randbytes(4) + b"\1\2"),
            "t_varbinary": ("varbinary(40)", blobs(40)),
            "t_text": ("text", text()),
            "t_enum": ("enum('a','b c','ü')", choice("a", "b c", "ü")),
            "t_set": ("set('x','y','z')", choice("", "x", "x,z")),
            "t_json": ("json", choice('{"a": 1}', "[1, 2.5, null]", '"x"')),
        },
        nulls=0.2,
        weight=2,
    ),
)

BEFORE_POSTGRES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'so happy')",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
)
