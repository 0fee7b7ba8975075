"""A proof of equality as values: suspects and looks at them, differences, what is proved (decision 0033)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp
from typing import Any, NamedTuple

from cdc.core.canonical import Form, same

LOOKS = 5
"""A row that changed at each of so many looks is unsettled."""

Texts = Mapping[str, str | None]
"""A row's canonical texts by its columns."""


class Seen(NamedTuple):
    """A key in the lake: its row, if it has one, and the position of the change that left it so.

    That of a deleted key is its tombstone's, empty for a key that was never there or is forgotten.
    """

    row: Texts | None
    position: str


class Kind(StrEnum):
    """How a key differs; what is a duplicate has several rows in one of two tables of the lake."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Difference:
    """A key that differs at rest, and in which columns; ``source`` and ``lake`` are its rows, never to be logged."""

    key: str
    kind: Kind
    columns: tuple[str, ...] = ()
    source: Texts | None = field(default=None, repr=False)
    lake: Texts | None = field(default=None, repr=False)


class Verdict(StrEnum):
    """What a look says of a suspect."""

    EQUAL = "equal"
    DIFFERS = "differs"
    AGAIN = "again"


def judged(source: Texts | None, lake: Seen, before: Seen | None, forms: Mapping[str, Form]) -> Verdict:
    """Return what a look says of a key: its row in the source, in the lake behind that, and in the lake before both.

    A change that the lake has applied in between is told by its position; without one, a difference is one.
    """
    if not unequal(source, lake.row, forms):
        return Verdict.EQUAL
    return Verdict.DIFFERS if before is not None and before.position == lake.position else Verdict.AGAIN


def unequal(source: Texts | None, lake: Texts | None, forms: Mapping[str, Form]) -> tuple[str, ...]:
    """Return the columns that differ, all of them where only one of both has a row.

    Columns that only the lake has are left out: the source may have dropped them. One that it has not is null there.
    """
    if source is None or lake is None:
        return () if source is lake else tuple(source or lake or ())
    return tuple(n for n, text in source.items() if not same(forms.get(n, Form.TEXT), text, lake.get(n)))


def difference(key: str, source: Texts | None, lake: Texts | None, forms: Mapping[str, Form]) -> Difference:
    """Return the difference of a key whose rows are not equal."""
    if source is None:
        return Difference(key, Kind.EXTRA, (), None, lake)
    if lake is None:
        return Difference(key, Kind.MISSING, (), source, None)
    return Difference(key, Kind.DIFFERENT, unequal(source, lake, forms), source, lake)


PART = 1_000_000
"""Rows whose ranges are fingerprinted before the lake is, at most: it is read once for each such part."""

PART_SECONDS = 30.0
"""So long the reading of a part takes where it is slowed down: what changes meanwhile is looked at again."""

ROWS_PER_SECOND = 100_000.0
"""About so many rows a database digests in a second."""

FOLLOWS = 5.0
"""About so many seconds the lake is behind what was just read."""


def part_rows(rows_per_second: int) -> int:
    """Return how many rows are a part, where so many are read in a second at most; 0 is no bound."""
    return min(PART, int(rows_per_second * PART_SECONDS)) if rows_per_second else PART


def part_seconds(rows_per_second: int) -> float:
    """Return how long a part takes from its reading in the source to that in the lake."""
    return part_rows(rows_per_second) / (rows_per_second or ROWS_PER_SECOND) + FOLLOWS


_SUSPECTS, _MOST_SUSPECTS, _TEXTS, _UNPACKED = 5_000, 50_000, 64 << 20, 8


def suspects_at_once(rows: int, size: int) -> int:
    """Return how many suspects are looked at together, of a table of so many rows and bytes of files.

    Each look reads through the table once, so many are better; but their rows are held as texts, some eight times as
    large as in files, and are to take some 64 MB.
    """
    each = _UNPACKED * size / max(rows, 1)
    return int(min(_MOST_SUSPECTS, max(_SUSPECTS, _TEXTS / max(each, 1))))


def changed_share(changes_per_second: float, rows: int, rows_per_range: int, seconds: float) -> float:
    """Return which share of ranges is likely to change within so many seconds."""
    return 1 - exp(-changes_per_second * seconds * rows_per_range / max(rows, 1))


LAKE = "lake:"
"""What the ``source`` of a proof begins with that compared two tables of the lake; no source's name has a colon."""


@dataclass(frozen=True)
class TableProof:
    """What became of the proof of one table, beside its source or beside another table of the lake.

    Every change up to ``position`` is in the lake as it is in the source, but for ``differences`` and the ``unsettled``
    keys, which changed whenever they were looked at. ``rows`` were there in the source, ``read`` were read of it in
    all. ``by_value`` are columns that the database could not digest, ``where`` is the condition of the part that was
    loaded, ``repaired`` are rows that differed and do no more.

    Beside another table, which stands in for the source, ``position`` names the table snapshots that were compared
    first (decision 0035). ``one_sided`` are columns that only one of both has, ``apart`` those whose types have no form
    in common, with their types; ``held`` is why the target did not go on meanwhile.
    """

    source: str
    target: str
    position: str = ""
    rows: int = 0
    read: int = 0
    suspects: int = 0
    differences: tuple[Difference, ...] = ()
    unsettled: int = 0
    by_value: tuple[str, ...] = ()
    where: str = ""
    repaired: int = 0
    seconds: float = 0.0
    error: str = ""
    one_sided: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    held: str = ""

    @property
    def equal(self) -> bool:
        """Return whether nothing differs, every column could be compared, and the proof came to its end."""
        return not (self.differences or self.apart or self.error)

    @property
    def other(self) -> str:
        """Return the table of the lake that the target was compared with, empty where it was the source."""
        return self.source.removeprefix(LAKE) if self.source.startswith(LAKE) else ""

    def figures(self) -> dict[str, Any]:
        """Return what it says beside the differences themselves, as it is told to machines and kept."""
        return {
            "source": self.source,
            "target": self.target,
            "equal": self.equal,
            "position": self.position,
            "rows": self.rows,
            "rows_read": self.read,
            "suspects": self.suspects,
            **{str(kind): self.count(kind) for kind in Kind},
            "repaired": self.repaired,
            "unsettled": self.unsettled,
            "seconds": round(self.seconds, 1),
            "error": self.error,
        }

    def summary(self) -> str:
        """Return how many rows differ, by kind."""
        return ", ".join(f"{self.count(kind):,} {kind}" for kind in Kind if self.count(kind))

    def count(self, kind: Kind) -> int:
        """Return the number of differences of a kind."""
        return sum(one.kind is kind for one in self.differences)

    @property
    def columns(self) -> dict[str, int]:
        """Return how often each column differs."""
        named = [name for one in self.differences for name in one.columns]
        return {name: named.count(name) for name in dict.fromkeys(named)}
