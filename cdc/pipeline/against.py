"""Compare a table of ours with another one of the lake that is fed from the same source, while both go on (0035).

1. Take both at one table snapshot each, fingerprint ranges of keys, and compare the digests of keys where they differ.
2. Look at the keys that differ until each is equal, differs at rest, or has changed at every look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from cdc.core.canonical import Form
from cdc.core.fingerprint import Digest, Fingerprint, KeyRange
from cdc.core.pairing import Pairing
from cdc.core.proof import LOOKS, Difference, Kind, TableProof, Texts, unequal
from cdc.pipeline.prove import Told

BEHIND_SECONDS = 60.0
"""How long a change of the source may take until it is in both tables, unless it is said otherwise."""

Digests = tuple[Digest, ...]
"""The digests of the rows of a key, ascending: of one row for most keys, of none for a key that is not there."""


class Ours(NamedTuple):
    """A key in our table: its rows, and the position of the change that left it so, or of its tombstone."""

    rows: Digests
    position: str


class Pair(Protocol):
    """Our table and the other one. Calls may raise TransientError, and PreflightError for what is missing.

    Keys are joined texts (``cdc.core.fingerprint``).
    """

    @property
    def pairing(self) -> Pairing:
        """Return which columns are compared."""
        ...

    @property
    def forms(self) -> Mapping[str, Form]:
        """Return what counts as equal, of columns of which it is more than the same text."""
        ...

    def position(self) -> str:
        """Return the table snapshots of both that are compared first."""
        ...

    def held(self) -> str:
        """Return why our table does not go on, empty if nothing is known."""
        ...

    def ranges(self) -> Sequence[KeyRange]:
        """Return ranges that hold every row."""
        ...

    def fingerprints(self, parts: Sequence[KeyRange]) -> tuple[Sequence[Fingerprint], Sequence[Fingerprint]]:
        """Return the fingerprints of ranges in our table and in the other one, at the first table snapshots."""
        ...

    def differing(self, parts: Sequence[KeyRange]) -> Sequence[str]:
        """Return the keys in some ranges whose rows are not the same ones in both, at the first table snapshots."""
        ...

    def theirs(self, keys: Sequence[str]) -> Mapping[str, Digests]:
        """Return each of the keys as it is in the other table, at its newest table snapshot."""
        ...

    def ours(self, keys: Sequence[str]) -> Mapping[str, Ours]:
        """Return each of the keys as it is in our table, at its newest table snapshot."""
        ...

    def texts(self, keys: Sequence[str]) -> tuple[Mapping[str, Sequence[Texts]], Mapping[str, Sequence[Texts]]]:
        """Return the rows of keys in the other table and in ours, as they were when they were looked at last."""
        ...


@dataclass
class Comparison(Told):
    """The comparison of one table; ``names`` are the other's, as a source, and ours, for the report.

    ``behind`` is how long, in seconds, a change of the source may take until it is in both. ``limit`` bounds the
    differences that are named.
    """

    pair: Pair
    names: tuple[str, str]
    behind: float = BEHIND_SECONDS
    limit: int = 10_000

    @property
    def what(self) -> str:
        """Return whose comparison it is."""
        return f"the comparison of {self.names[1]}"

    def run(self) -> TableProof:
        """Carry the comparison out; raises TransientError when told to stop."""
        began, position, pair = self.clock(), self.pair.position(), self.pair
        ranges = pair.ranges()
        self._tell(ranges=len(ranges))
        ours, theirs = pair.fingerprints(ranges)
        dirty = [n for n, both in enumerate(zip(ours, theirs, strict=True)) if both[0] != both[1]]
        rows = sum(one.rows for one in theirs)
        self._read = rows + sum(theirs[n].rows for n in dirty)
        self._tell(done=len(ranges) - len(dirty), rows=rows)
        suspects = pair.differing([ranges[n] for n in dirty]) if dirty else []
        self._tell(done=len(ranges), suspects=len(suspects))
        differences, unsettled = self._looks(suspects) if suspects else ([], 0)
        return TableProof(
            *self.names,
            position=position,
            rows=rows,
            read=self._read,
            suspects=len(suspects),
            differences=tuple(differences),
            unsettled=unsettled,
            seconds=self.clock() - began,
            one_sided=pair.pairing.one_sided,
            apart=pair.pairing.apart,
            held=pair.held(),
        )

    def _looks(self, keys: Sequence[str]) -> tuple[list[Difference], int]:
        """Look at keys until they are settled; returns those that differ, and how many are not settled.

        The other table is read so long after our one that it has come to what was in that, and ours so long after it.
        A key whose row in ours is the same change both times was not changed in between, by what the other was to have.
        """
        found: list[Difference] = []
        before = self.pair.ours(keys)
        for _ in range(LOOKS):
            self._rest(len(keys))
            theirs = self.pair.theirs(keys)
            self._read += len(keys)
            self._rest(len(keys))
            ours = self.pair.ours(keys)
            differ = [key for key in keys if ours[key].rows != theirs[key]]
            at_rest = {key for key in differ if ours[key].position == before[key].position}
            found += self._named([key for key in differ if key in at_rest], ours, theirs, self.limit - len(found))
            keys, before = [key for key in differ if key not in at_rest], ours
            self._tell(suspects=len(keys), detail="")
            if not keys:
                break
        return found, len(keys)

    def _named(
        self, keys: Sequence[str], ours: Mapping[str, Ours], theirs: Mapping[str, Digests], most: int
    ) -> list[Difference]:
        chosen = list(islice(keys, most))
        if not chosen:
            return []
        there, here = self.pair.texts(chosen)
        return [
            self._difference(_kind(theirs[key], ours[key].rows), key, there.get(key, ()), here.get(key, ()))
            for key in chosen
        ]

    def _difference(self, kind: Kind, key: str, there: Sequence[Texts], here: Sequence[Texts]) -> Difference:
        """Return the difference of a key; of several rows the first is shown, and columns that are not alike in all."""
        forms, first = self.pair.forms, next(iter([*there, *here]), {})
        names = {name for row in [*there, *here] for name in unequal(first, row, forms)}
        columns = tuple(name for name in first if name in names) if (there and here) or kind is Kind.DUPLICATE else ()
        return Difference(key, kind, columns, next(iter(there), None), next(iter(here), None))

    def _rest(self, keys: int) -> None:
        """Wait until both tables have come to what the other had."""
        until = self.clock() + self.behind
        self._tell(detail=f"{keys:,} keys differ: they are looked at again after {self.behind:.0f} s")
        while (left := until - self.clock()) > 0:
            self._heed_stop()
            self.pause(min(left, 0.2))
        self._heed_stop()


def _kind(theirs: Digests, ours: Digests) -> Kind:
    if max(len(theirs), len(ours)) > 1:
        return Kind.DUPLICATE
    if not ours:
        return Kind.MISSING
    return Kind.DIFFERENT if theirs else Kind.EXTRA
