"""Two tables that follow one log of changes at their own pace; implements ``pipeline.against.Pair``."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cdc.core.canonical import Form
from cdc.core.fingerprint import Fingerprint, KeyRange, digest, fingerprint, joined, parted, ranges_between
from cdc.core.pairing import Compared, Pairing
from cdc.core.proof import Texts
from cdc.pipeline.against import Digests, Ours

Row = str | None
Rows = dict[str, list[str]]


@dataclass
class FakePair:
    """``log`` are changes with the moment at which each was made; ``delays`` are how far ours and theirs are behind.

    ``wrong`` are what keys hold in theirs instead, ``mine`` in ours, as long as nothing changes them. ``change`` is
    called whenever time goes by, and may add changes.
    """

    rng: random.Random
    keys: int = 60
    delays: tuple[float, float] = (0.0, 0.0)
    log: list[tuple[float, str, Row]] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    mine: dict[str, list[str]] = field(default_factory=dict)
    change: Callable[["FakePair"], None] = lambda _self: None
    now: float = 1_000.0
    held_by: str = ""
    pairing: Pairing = field(default_factory=lambda: Pairing({"id": Compared("string"), "value": Compared("string")}))
    forms: Mapping[str, Form] = field(default_factory=dict)

    def put(self, key: str, row: Row) -> None:
        self.log.append((self.now, key, row))

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.change(self)

    def position(self) -> str:
        self.first = self.rows(0), self.rows(1)
        return "table snapshot 1 of ns.t and 2 of old.t"

    def held(self) -> str:
        return self.held_by

    def rows(self, side: int) -> Rows:
        """Return what a table holds now."""
        planted = (self.mine, self.wrong)[side]
        return {key: rows for key, rows in (_followed(self._seen(side)) | planted).items() if rows}

    def _seen(self, side: int) -> list[tuple[str, Row]]:
        return [(key, row) for at, key, row in self.log if at <= self.now - self.delays[side]]

    def ranges(self) -> Sequence[KeyRange]:
        return ranges_between("id", [str(n) for n in range(10, self.keys, 10)], numbers=True)

    def fingerprints(self, parts: Sequence[KeyRange]) -> tuple[Sequence[Fingerprint], Sequence[Fingerprint]]:
        ours, theirs = ([_sum(rows, part) for part in parts] for rows in self.first)
        return ours, theirs

    def differing(self, parts: Sequence[KeyRange]) -> Sequence[str]:
        ours, theirs = self.first
        keys = sorted({*ours, *theirs})
        return [
            joined([key])
            for key in keys
            if ours.get(key) != theirs.get(key) and any(_is_in(key, part) for part in parts)
        ]

    def theirs(self, keys: Sequence[str]) -> Mapping[str, Digests]:
        self.looked_theirs = self.rows(1)
        return {key: _digests(key, self.looked_theirs) for key in keys}

    def ours(self, keys: Sequence[str]) -> Mapping[str, Ours]:
        self.looked_ours = self.rows(0)
        last = {key: f"{n:08}" for n, (key, _) in enumerate(self._seen(0))}
        return {key: Ours(_digests(key, self.looked_ours), last.get(_plain(key), "")) for key in keys}

    def texts(self, keys: Sequence[str]) -> tuple[Mapping[str, Sequence[Texts]], Mapping[str, Sequence[Texts]]]:
        there, here = (
            {key: [{"id": _plain(key), "value": row} for row in rows.get(_plain(key), ())] for key in keys}
            for rows in (self.looked_theirs, self.looked_ours)
        )
        return there, here


def _followed(log: list[tuple[str, Row]]) -> Rows:
    return {key: [row] for key, row in dict(log).items() if row is not None}


def _plain(key: str) -> str:
    return str(parted(key)[0])


def _digests(key: str, rows: Rows) -> Digests:
    return tuple(sorted(digest([_plain(key), row]) for row in rows.get(_plain(key), ())))


def _is_in(key: str, part: KeyRange) -> bool:
    above = part.after is None or int(key) > int(part.after)
    return above and (part.through is None or int(key) <= int(part.through))


def _sum(rows: Rows, part: KeyRange) -> Fingerprint:
    return fingerprint(digest([key, row]) for key, each in rows.items() if _is_in(key, part) for row in each)
