"""Which columns of two tables of the lake are compared, and as what: two types may have a form in common."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cdc.core.ddl import members
from cdc.core.errors import PreflightError
from cdc.core.fingerprint import Rendering

OWN = "_cdc_"
"""Columns whose names begin so are the pipeline's, and not compared."""

_INTEGERS = {"int": 10, "long": 19}
_FLOATS = {"float", "double"}
_SAME_IN_SPARK = {"uuid": "string", "fixed": "binary"}
_PLAIN = {"boolean", "date", "timestamp", "timestamptz", "string", "binary", "uuid", "fixed", *_INTEGERS, *_FLOATS}
_MOST_DIGITS = 38


class Compared(NamedTuple):
    """What a column of both tables is compared as: Iceberg's name of a type that holds either's values exactly."""

    type: str
    rendering: Rendering = Rendering.PLAIN


@dataclass(frozen=True)
class Pairing:
    """``columns`` are compared; ``one_sided`` only one table has, ``apart`` have no form in common, told for people."""

    columns: Mapping[str, Compared]
    one_sided: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def paired(names: Sequence[str], ours: Mapping[str, str], theirs: Mapping[str, str], key: Sequence[str]) -> Pairing:
    """Return how two tables of these ``names`` are compared, by the types of their columns in Iceberg's words.

    Raises PreflightError for a column of the key that cannot be compared.
    """
    ours, theirs = ({n: kind for n, kind in types.items() if not n.startswith(OWN)} for types in (ours, theirs))
    both = {name: compared_as(kind, theirs[name]) for name, kind in ours.items() if name in theirs}
    for name in key:
        _require(names, name, ours, theirs, both)
    sides = ((names[0], ours, theirs), (names[1], theirs, ours))
    alone = tuple(f"{name} (only in {of})" for of, mine, others in sides for name in mine if name not in others)
    apart = tuple(
        f"{n} ({ours[n]} in {names[0]}, {theirs[n]} in {names[1]})" for n, found in both.items() if found is None
    )
    return Pairing({name: found for name, found in both.items() if found}, alone, apart)


def compared_as(ours: str, theirs: str) -> Compared | None:
    """Return what columns of two types are compared as; None if they have no canonical form in common."""
    a, b = _in_spark(ours), _in_spark(theirs)
    if {a, b} <= _INTEGERS.keys():
        return Compared("int" if a == b == "int" else "long")
    if {a, b} <= _FLOATS:
        return Compared(a if a == b else "double")
    if a == b:
        return Compared(a) if _has_text(a) else None
    digits = [_digits(a), _digits(b)]
    return _as_decimal([found for found in digits if found]) if all(digits) else None


def _in_spark(kind: str) -> str:
    return _SAME_IN_SPARK.get(re.split(r"[\[(]", kind, maxsplit=1)[0], kind)


def _digits(kind: str) -> tuple[int, int] | None:
    """Return the digits before and behind the point of an exact number's type; None for another."""
    if kind in _INTEGERS:
        return _INTEGERS[kind], 0
    match = re.fullmatch(r"decimal\((\d+), ?(\d+)\)", kind)
    return (int(match[1]) - int(match[2]), int(match[2])) if match else None


def _as_decimal(digits: Sequence[tuple[int, int]]) -> Compared:
    """Return the decimal that holds all; the texts of their numbers where there is none."""
    whole, scale = max(one for one, _ in digits), max(one for _, one in digits)
    if whole + scale > _MOST_DIGITS:
        return Compared("string", Rendering.NUMBER)
    return Compared(f"decimal({whole + scale}, {scale})")


def _has_text(kind: str, *, within_list: bool = False) -> bool:
    """Return whether values of a type have a canonical text: lists of lists and maps have none."""
    if kind.startswith("list<"):
        return not within_list and _has_text(kind[5:-1], within_list=True)
    if kind.startswith("struct<"):
        return all(_has_text(member) for _, member in members(kind))
    return kind in _PLAIN or kind.startswith("decimal(")


def _require(
    names: Sequence[str],
    name: str,
    ours: Mapping[str, str],
    theirs: Mapping[str, str],
    both: Mapping[str, Compared | None],
) -> None:
    """Raise PreflightError unless a column of the key is in both tables, of plain types that can be compared."""
    for of, types in zip(names, (ours, theirs), strict=True):
        if name not in types:
            like = next((other for other in types if other.lower() == name.lower()), None)
            hint = f'it has "{like}": names count as they are written' if like else "rows are compared by that key"
            raise PreflightError(f'table {of} has no column "{name}", which is of the key', hint=hint)
    found = both[name]
    if found is None or re.match(r"list<|struct<", found.type):
        what = f'column "{name}" of the key is {ours[name]} in {names[0]} and {theirs[name]} in {names[1]}'
        raise PreflightError(
            f"{what}, which cannot be compared", hint=f"make a table of {names[1]} with the key as {ours[name]}"
        )
