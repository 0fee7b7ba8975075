"""Rows as PostgreSQL digests them itself (``cdc.core.fingerprint``): canonical texts in SQL, their MD5, sums of it.

The texts are made of the values by other means than a load's, so that a mistake in one of them shows.
"""

from collections.abc import Mapping, Sequence

from cdc.core.fingerprint import END, MARK, NULL, Rendering
from cdc.core.names import quote
from cdc.sources.bulk_postgres import columns as made
from cdc.sources.bulk_postgres.values import Reading, split

_MICROS = (
    "extract(epoch FROM date_trunc('second', {0}))::bigint * 1000000 + extract(microseconds FROM {0})::int % 1000000"
)
_TIME_OF_DAY = (
    "extract(hour FROM {0})::bigint * 3600000000 + extract(minute FROM {0})::bigint * 60000000"
    " + extract(microseconds FROM {0})::int"
)
_DATE = "CASE {0} WHEN 'infinity' THEN 2146033979 WHEN '-infinity' THEN -2147472691 ELSE {0} - '1970-01-01'::date END"
_INSTANT = (
    f"CASE {{0}} WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN -9223372036854775808 ELSE {_MICROS} END"
)
_INTERVAL = (
    "format('P%sY%sM%sDT%sH%sM%sS', extract(year FROM {0})::int, extract(month FROM {0})::int,"
    " extract(day FROM {0})::int, extract(hour FROM {0})::bigint, extract(minute FROM {0})::int,"
    " trim_scale(extract(microseconds FROM {0})::bigint / 1000000.0))"
)
_ZONED = (
    "CASE WHEN {0} = '24:00+00' THEN '24:00:00Z' ELSE replace(({0} AT TIME ZONE 'UTC')::text, '+00', '') || 'Z' END"
)
_FLOAT = "encode(CASE WHEN {0} = 'NaN' THEN '\\x7fc00000' ELSE float4send({0}) END, 'hex')"
_DOUBLE = "encode(CASE WHEN {0} = 'NaN' THEN '\\x7ff8000000000000' ELSE float8send({0}) END, 'hex')"
_PRINTED = "format('%s', {0})"  # by the type's own output function: a cast loses blanks, lengths of networks, ..
_BY_TARGET = {
    "boolean": ("({0})::text", Rendering.PLAIN),
    "int": ("({0})::text", Rendering.PLAIN),
    "long": ("({0})::text", Rendering.PLAIN),
    "float": (_FLOAT, Rendering.FLOAT),
    "double": (_DOUBLE, Rendering.DOUBLE),
    "binary": ("encode({0}, 'hex')", Rendering.PLAIN),
    "date": (f"({_DATE})::text", Rendering.PLAIN),
    "timestamp": (f"({_INSTANT})::text", Rendering.PLAIN),
    "timestamptz": (f"({_INSTANT})::text", Rendering.PLAIN),
    "decimal": ("({0})::text", Rendering.PLAIN),
    "string": (_PRINTED, Rendering.PLAIN),
}
_BY_TYPE = {
    ("bit", "boolean"): ("({0} = B'1')::text", Rendering.PLAIN),
    ("time without time zone", "long"): (f"({_TIME_OF_DAY})::text", Rendering.PLAIN),
    ("time with time zone", "string"): (_ZONED, Rendering.PLAIN),
    ("numeric", "string"): ("trim_scale({0})::text", Rendering.NUMBER),
    ("money", "string"): ("({0})::numeric::text", Rendering.PLAIN),
    ("interval", "string"): (_INTERVAL, Rendering.PLAIN),
}
_BY_VALUE = ("hstore",)
"""Types whose text the stream makes anew."""


def rendering(name: str, declared: str, target: str) -> tuple[str, Rendering] | None:
    """Return the SQL of the text of a column that is digested, null for null; None if it is compared by value."""
    kind, array = target.partition("(")[0], declared.endswith("[]")
    base = split(declared.removeprefix("domain "))[0]
    base = "interval" if base.startswith("interval") and not array else base
    if base.rpartition(".")[2] in _BY_VALUE or (array and kind != "string"):
        return None
    found = _BY_TYPE.get((base, kind)) or _BY_TARGET.get(kind)
    if found is None:
        return None
    column = quote(name)
    return f"CASE WHEN {column} IS NOT NULL THEN {found[0].format(column)} END", found[1]


def joined(texts: Sequence[str]) -> str:
    """Return the SQL that joins the texts of a row, or of its key, to one."""
    parts = (f"coalesce(replace({text}, '{MARK}', '{MARK * 2}') || '{END}', '{NULL}')" for text in texts)
    return f"({' || '.join(parts)})"


def fingerprint_readings(texts: Sequence[str]) -> tuple[Reading, ...]:
    """Return what is read of a range for its fingerprint: one row of ``rows, first, second``, the sums as texts."""
    first, second = _halves(texts)
    return (
        Reading("rows", "long", ("count(*)",), made.first),
        Reading("first", "string", (f"sum({first})::text",), made.first),
        Reading("second", "string", (f"sum({second})::text",), made.first),
    )


def digest_readings(key: Sequence[str], texts: Mapping[str, str]) -> tuple[Reading, ...]:
    """Return what is read of each row: ``key``, joined, and its digest, ``first`` and ``second``."""
    first, second = _halves(list(texts.values()))
    return (
        Reading("key", "string", (joined([texts[name] for name in key]),), made.first),
        Reading("first", "long", (first,), made.first),
        Reading("second", "long", (second,), made.first),
    )


def _halves(texts: Sequence[str]) -> tuple[str, str]:
    digits = f"md5(convert_to({joined(texts)}, 'UTF8'))"
    return tuple(f"('x' || substr({digits}, {start}, 15))::bit(60)::bigint" for start in (1, 17))  # type: ignore[return-value]
