"""A table of a source that changes at every call, and a lake that follows it; implements ``pipeline.prove.Sides``."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cdc.core.canonical import Form
from cdc.core.fingerprint import Fingerprint, KeyRange, digest, fingerprint, joined, parted, ranges_between
from cdc.core.proof import Seen, Texts

Row = str | None
"""The one value of a row beside its key; None for no row."""


@dataclass
class FakeDigests:
    """The digests of some rows as they were read; what differs is found in the lake of the moment."""

    found: Mapping[str, Row]
    within: Callable[[str], bool]
    lake: "FakeSides"

    @property
    def rows(self) -> int:
        return len(self.found)

    def differing(self) -> Iterable[str]:
        there = {key: row for key, row in self.lake.rows_of_lake().items() if self.within(key)}
        return [joined([key]) for key in {*self.found, *there} if self.found.get(key) != there.get(key)]


@dataclass
class FakeSides:
    """``log`` are changes, of which the lake has ``reached`` so many; ``wrong`` are rows that it holds instead.

    What is wrong is mended by the next change of its key. ``change`` is called at every call, and may add changes.
    """

    rng: random.Random
    keys: int = 60
    log: list[tuple[str, Row]] = field(default_factory=list)
    reached: int = 0
    wrong: dict[str, Row] = field(default_factory=dict)
    change: Callable[["FakeSides"], None] = lambda _self: None
    by_value: Sequence[str] = ()
    where: str = ""
    forms: Mapping[str, Form] = field(default_factory=dict)
    is_busy: bool = False
    statements: int = 0

    def at_once(self) -> int:
        return 25

    def put(self, key: str, row: Row) -> None:
        self.log.append((key, row))

    def follow(self, changes: int) -> None:
        for key, _ in self.log[self.reached : self.reached + changes]:
            self.wrong.pop(key, None)
        self.reached = min(len(self.log), self.reached + changes)

    def rows_of_source(self) -> dict[str, str]:
        return {key: row for key, row in dict(self.log).items() if row is not None}

    def rows_of_lake(self) -> dict[str, str]:
        held = dict(self.log[: self.reached]) | self.wrong
        return {key: row for key, row in held.items() if row is not None}

    def position(self) -> str:
        self._call()
        return str(len(self.log))

    def applied(self, high: str) -> bool:
        self._call()
        self.follow(self.rng.randrange(4))
        return self.reached >= int(high)

    def trouble(self) -> str:
        return ""

    def ranges(self) -> Sequence[KeyRange]:
        return ranges_between("id", [str(n) for n in range(10, self.keys, 10)], numbers=True)

    def busy(self, seconds: float) -> bool:  # noqa: ARG002 - as it is told
        return self.is_busy

    def in_source(self, part: KeyRange) -> Fingerprint:
        self._call()
        return _fingerprint(self.rows_of_source(), part)

    def in_lake(self, parts: Sequence[KeyRange]) -> Sequence[Fingerprint]:
        self._call()
        rows = self.rows_of_lake()
        return [_fingerprint(rows, part) for part in parts]

    def read_digests(self, parts: Sequence[KeyRange]) -> FakeDigests:
        self._call()

        def within(key: str) -> bool:
            return any(_is_in(key, part) for part in parts)

        return FakeDigests({key: row for key, row in self.rows_of_source().items() if within(key)}, within, self)

    def read_values(self, _parts: Sequence[KeyRange]) -> FakeDigests | None:
        return None

    def source_rows(self, keys: Sequence[str]) -> Mapping[str, Texts]:
        self._call()
        rows = self.rows_of_source()
        return {key: _texts(key, rows[_plain(key)]) for key in keys if _plain(key) in rows}

    def lake_rows(self, keys: Sequence[str]) -> Mapping[str, Seen]:
        self._call()
        rows, last = self.rows_of_lake(), {key: n for n, (key, _) in enumerate(self.log[: self.reached])}
        return {key: _seen(key, rows.get(_plain(key)), last.get(_plain(key))) for key in keys}

    def _call(self) -> None:
        self.statements += 1
        self.change(self)


def _plain(key: str) -> str:
    return str(parted(key)[0])


def _texts(key: str, row: str) -> Texts:
    return {"id": _plain(key), "value": row}


def _seen(key: str, row: str | None, at: int | None) -> Seen:
    return Seen(None if row is None else _texts(key, row), "" if at is None else f"{at:08}")


def _is_in(key: str, part: KeyRange) -> bool:
    above = part.after is None or int(key) > int(part.after)
    return above and (part.through is None or int(key) <= int(part.through))


def _fingerprint(rows: Mapping[str, str], part: KeyRange) -> Fingerprint:
    return fingerprint(digest([key, row]) for key, row in rows.items() if _is_in(key, part))
