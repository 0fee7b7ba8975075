"""Digests of rows and fingerprints of ranges of them, the same in a database, in Spark and here (decision 0033).

A row is joined to one text of its canonical values (``cdc.core.canonical``) and digested by MD5. Of its 32 digits two
numbers of 60 bits are kept, which every database can add up.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from itertools import pairwise
from typing import NamedTuple, Protocol

from cdc.core.canonical import Form, normal
from cdc.core.load import BulkSource, Range, RangeReader
from cdc.core.names import TableName

NULL, END, MARK = ",-", ",;", ","
"""A text's own marks are doubled, so neither of the others is in it, and no two rows are joined to one text."""

_MODULUS = 1 << 64
_VALUE = re.compile(r",-|((?:[^,]|,,)*),;", re.DOTALL)


class Rendering(StrEnum):
    """How a canonical text is digested: as it is, as a number without needless zeros, or as the bits of a float."""

    PLAIN = "plain"
    NUMBER = "number"
    FLOAT = "float"
    DOUBLE = "double"


class Digest(NamedTuple):
    """The first and the second 60 bits of a row's MD5."""

    first: int
    second: int


class Fingerprint(NamedTuple):
    """Rows of a range, and the sums of their digests modulo 2^64; two ranges add up to their union."""

    rows: int = 0
    first: int = 0
    second: int = 0

    @classmethod
    def of(cls, rows: int, first: object, second: object) -> "Fingerprint":
        """Return what a database has added up: sums are numbers or their texts, None for no rows."""
        return cls(rows, int(str(first or 0)) % _MODULUS, int(str(second or 0)) % _MODULUS)

    def joined(self, other: "Fingerprint") -> "Fingerprint":
        """Return the fingerprint of both ranges together."""
        return self.of(self.rows + other.rows, self.first + other.first, self.second + other.second)


def rendered(rendering: Rendering, text: str | None) -> str | None:
    """Return the text that is digested for a canonical one."""
    if text is None or rendering is Rendering.PLAIN:
        return text
    if rendering is Rendering.NUMBER:
        return normal(Form.NUMBER, text)
    value = float(text)
    if value != value:  # noqa: PLR0124 - every NaN is the same
        value = float("nan")
    return struct.pack(">f" if rendering is Rendering.FLOAT else ">d", value).hex()


def joined(values: Iterable[str | None]) -> str:
    """Return the values as one text, from which ``parted`` gets them back."""
    return "".join(NULL if v is None else v.replace(MARK, MARK * 2) + END for v in values)


def parted(text: str) -> tuple[str | None, ...]:
    """Return the values of a joined text; raises ValueError for another."""
    found, at = [], 0
    while at < len(text):
        match = _VALUE.match(text, at)
        if match is None:
            raise ValueError("not a joined row")
        found.append(None if match[1] is None else match[1].replace(MARK * 2, MARK))
        at = match.end()
    return tuple(found)


def digest(values: Iterable[str | None]) -> Digest:
    """Return the digest of a row of texts that are digested."""
    digits = hashlib.md5(joined(values).encode(), usedforsecurity=False).hexdigest()
    return Digest(int(digits[:15], 16), int(digits[16:31], 16))


def fingerprint(digests: Iterable[Digest]) -> Fingerprint:
    """Return the fingerprint of rows."""
    return reduce(Fingerprint.joined, (Fingerprint.of(1, *one) for one in digests), Fingerprint())


class KeyRange(NamedTuple):
    """The rows in which a column of the key is greater than ``after`` and at most ``through``; None for no bound.

    Both are canonical texts, compared as integers or by their characters, as ``numbers`` says.
    """

    column: str
    after: str | None = None
    through: str | None = None
    numbers: bool = True

    def condition(self, quoted: Callable[[str], str], literal: Callable[[str], str]) -> str:
        """Return what holds for its rows as SQL, empty for every row; names and bounds are written by the functions."""
        ends = ((">", self.after), ("<=", self.through))
        return " AND ".join(f"{quoted(self.column)} {sign} {literal(end)}" for sign, end in ends if end is not None)


WHOLE = KeyRange("")
"""The only range of a table whose keys have another order in the database than in the lake."""


def ranges_between(column: str, bounds: Sequence[str], *, numbers: bool) -> tuple[KeyRange, ...]:
    """Return the ranges that ascending bounds make; the first and the last are open, so they hold every row."""
    ends = [None, *bounds, None]
    return tuple(KeyRange(column, a, b, numbers) for a, b in pairwise(ends))


@dataclass(frozen=True)
class RowDigests:
    """How a source digests the rows of a table.

    Readers of its ranges: ``fingerprints`` gives one row of ``rows, first, second`` (the sums as texts), ``digests``
    gives ``key, first, second`` of each row, the key joined. ``columns`` are digested, ``by_value`` are not.
    """

    fingerprints: RangeReader
    digests: RangeReader
    columns: Mapping[str, Rendering]
    by_value: tuple[str, ...]

    @classmethod
    def of(
        cls,
        made: Mapping[str, tuple[str, Rendering] | None],
        fingerprints: Callable[[Sequence[str]], RangeReader],
        digests: Callable[[Mapping[str, str]], RangeReader],
    ) -> "RowDigests":
        """Return it for columns with the SQL of their texts, None for those that have none."""
        known = {name: one for name, one in made.items() if one is not None}
        texts = {name: text for name, (text, _) in known.items()}
        columns = {name: how for name, (_, how) in known.items()}
        return cls(
            fingerprints(list(texts.values())), digests(texts), columns, tuple(n for n in made if n not in known)
        )


class DigestSource(BulkSource, Protocol):
    """A source's database that can digest rows itself; calls raise what a load's do."""

    def digests(self, table: TableName, key: Sequence[str], columns: Mapping[str, str]) -> RowDigests:
        """Return how rows are digested; ``columns`` with their Iceberg types, those of the key among them."""
        ...

    def key_ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[KeyRange, ...]:
        """Return ranges of about so many rows whose bounds mean the same in the lake; one where there are none."""
        ...

    def part(self, table: TableName, keys: KeyRange) -> Range:
        """Return the rows of a range of keys as a range to be read."""
        ...
