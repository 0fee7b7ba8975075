"""Prove that a table of the lake is equal to its source, while the source changes (decision 0033).

1. Note the end of the log: the proof is of every change up to there.
2. Fingerprint the ranges in the source; wait until the lake has passed what was read; fingerprint them there.
3. Of ranges that differ compare the digests of each key. Whatever differs is a suspect.
4. Look at the suspects until each is equal, differs at rest, or has changed at every look.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from cdc.core.canonical import Form
from cdc.core.errors import TransientError
from cdc.core.fingerprint import Fingerprint, KeyRange
from cdc.core.proof import (
    LOOKS,
    Difference,
    Seen,
    TableProof,
    Texts,
    Verdict,
    difference,
    judged,
    part_rows,
    part_seconds,
)

PASSED_SECONDS, TROUBLED_SECONDS = 300.0, 15.0
"""How long the lake is waited for, and how long while it is known why it will not come on."""

SAID_SECONDS = 5.0
"""After so long it is said that it is waited for; at once, where it is known why."""


class Sides(Protocol):
    """One table in the source and in the lake. Calls may raise TransientError, and PreflightError for what is missing.

    Keys are joined texts (``cdc.core.fingerprint``). What the lake is asked is of its newest snapshot at the call.
    """

    @property
    def by_value(self) -> Sequence[str]:
        """Return the columns that the database cannot digest."""
        ...

    @property
    def where(self) -> str:
        """Return the condition of the part that was loaded, empty for the whole table."""
        ...

    @property
    def forms(self) -> Mapping[str, Form]:
        """Return what counts as equal, of columns of which it is more than the same text."""
        ...

    def position(self) -> str:
        """Return the end of the source's log."""
        ...

    def applied(self, high: str) -> bool:
        """Return whether the lake holds every change that was committed at or before a position."""
        ...

    def trouble(self) -> str:
        """Return why it may not come to that, and what helps; empty if nothing is known."""
        ...

    def ranges(self) -> Sequence[KeyRange]:
        """Return ranges that hold every row, each of some thousand."""
        ...

    def busy(self, seconds: float) -> bool:
        """Return whether most ranges are likely to change within so many seconds."""
        ...

    def in_source(self, part: KeyRange) -> Fingerprint:
        """Return the fingerprint of a range in the source."""
        ...

    def in_lake(self, parts: Sequence[KeyRange]) -> Sequence[Fingerprint]:
        """Return the fingerprints of ranges in the lake, all of one snapshot."""
        ...

    def read_digests(self, parts: Sequence[KeyRange]) -> "Digests":
        """Read the digests of the rows of ranges in the source."""
        ...

    def read_values(self, parts: Sequence[KeyRange]) -> "Digests | None":
        """Read the columns that are compared by value of the rows of ranges in the source; None if there are none."""
        ...

    def at_once(self) -> int:
        """Return how many suspects may be looked at together: each look reads through the lake's table once."""
        ...

    def source_rows(self, keys: Sequence[str]) -> Mapping[str, Texts]:
        """Return the rows of keys in the source, of those that have one."""
        ...

    def lake_rows(self, keys: Sequence[str]) -> Mapping[str, Seen]:
        """Return each of the keys as it is in the lake."""
        ...


class Digests(Protocol):
    """What was read of rows in the source."""

    @property
    def rows(self) -> int:
        """Return how many rows were read."""
        ...

    def differing(self) -> Iterable[str]:
        """Return the keys that are otherwise in the lake, or in one of both only, as it is now."""
        ...


@dataclass(frozen=True)
class Progressing:
    """How far a proof is: ``ranges`` in all, ``done`` of them, rows read, suspects that are still looked at."""

    ranges: int = 0
    done: int = 0
    rows: int = 0
    suspects: int = 0
    detail: str = ""


@dataclass(kw_only=True)
class Told:
    """Long work that tells how far it is, and ends when it is told to."""

    on_progress: Callable[[Progressing], None] = lambda _progress: None
    stopping: Callable[[], bool] = lambda: False
    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _progress: Progressing = field(default_factory=Progressing)
    _read: int = 0

    @property
    def what(self) -> str:
        """Return what it is, for messages."""
        raise NotImplementedError

    def _heed_stop(self) -> None:
        if self.stopping():
            raise TransientError(f"{self.what} was told to stop", hint="start it again")

    def _tell(self, **changes: int | str) -> None:
        self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
        self.on_progress(self._progress)


@dataclass
class Proof(Told):
    """The proof of one table; ``names`` are those of source and target for the report.

    ``limit`` bounds the differences that are named, ``rows_per_second`` what is read of the source, if it is not zero.
    """

    sides: Sides
    names: tuple[str, str]
    limit: int = 10_000
    rows_per_second: int = 0
    _rested: float = field(default=0.0, init=False)

    @property
    def what(self) -> str:
        """Return whose proof it is."""
        return f"the proof of {self.names[1]}"

    def run(self) -> TableProof:
        """Carry the proof out; raises TransientError when told to stop, or when the lake does not come on."""
        began, low = self.clock(), self.sides.position()
        self._rested = began
        ranges = self.sides.ranges()
        self._tell(ranges=len(ranges))
        suspects: dict[str, None] = {}
        rows = 0
        for part in self._parts(ranges):
            values = self.sides.read_values(part)
            self._count(values.rows if values else 0)
            found, counted = self._compare(part)
            suspects |= dict.fromkeys([*found, *(values.differing() if values else ())])
            rows += counted
            self._tell(done=self._progress.done + len(part), rows=rows, suspects=len(suspects))
        differences, unsettled = self._settle(list(suspects))
        return TableProof(
            *self.names,
            position=low,
            rows=rows,
            read=self._read,
            suspects=len(suspects),
            differences=tuple(differences),
            unsettled=unsettled,
            by_value=tuple(self.sides.by_value),
            where=self.sides.where,
            seconds=self.clock() - began,
        )

    def again(self, proof: TableProof) -> TableProof:
        """Return the proof after a look at what differed in it, which may have been repaired."""
        low = self.sides.position()
        differences, unsettled = self._settle([one.key for one in proof.differences])
        return replace(proof, position=low, differences=tuple(differences), unsettled=proof.unsettled + unsettled)

    def _parts(self, ranges: Sequence[KeyRange]) -> Iterable[Sequence[KeyRange]]:
        """Yield the ranges in parts of about as many rows as are a part, as the ones before have shown."""
        left, per_range, wanted = list(ranges), 0.0, part_rows(self.rows_per_second)
        while left:
            count = max(1, int(wanted / per_range)) if per_range else 1 if self.rows_per_second else 20
            part, left = left[:count], left[count:]
            before = self._progress.rows
            yield part
            per_range = (self._progress.rows - before) / len(part) or per_range

    def _compare(self, part: Sequence[KeyRange]) -> tuple[Iterable[str], int]:
        """Return the suspects of some ranges, and how many rows they have in the source."""
        if self.sides.busy(part_seconds(self.rows_per_second)):
            return self._of_keys(part)
        found = []
        for one in part:
            self._heed_stop()
            found.append(self.sides.in_source(one))
            self._count(found[-1].rows)
        rows = sum(one.rows for one in found)
        self._await_applied()
        there = self.sides.in_lake(part)
        dirty = [one for one, a, b in zip(part, found, there, strict=True) if a != b]
        return (self._of_keys(dirty)[0] if dirty else ()), rows

    def _of_keys(self, part: Sequence[KeyRange]) -> tuple[Iterable[str], int]:
        digests = self.sides.read_digests(part)
        self._count(digests.rows)
        self._await_applied()
        return digests.differing(), digests.rows

    def _settle(self, suspects: list[str]) -> tuple[list[Difference], int]:
        differences: list[Difference] = []
        unsettled = 0
        few = self.sides.at_once() if suspects else 1
        for start in range(0, len(suspects), few):
            found, left = self._looks(suspects[start : start + few])
            differences += found
            unsettled += left
            self._tell(suspects=len(suspects) - start)
            if len(differences) >= self.limit:
                break
        return differences, unsettled

    def _looks(self, keys: list[str]) -> tuple[list[Difference], int]:
        """Look at suspects until they are settled; returns those that differ, and how many are not settled."""
        differences: list[Difference] = []
        before: Mapping[str, Seen] = self.sides.lake_rows(keys)
        for look in range(LOOKS):
            self._heed_stop()
            source = self.sides.source_rows(keys)
            self._count(len(keys))
            self._await_applied()
            lake = self.sides.lake_rows(keys)
            verdicts = {k: judged(source.get(k), lake[k], before.get(k), self.sides.forms) for k in keys}
            differs = [key for key, verdict in verdicts.items() if verdict is Verdict.DIFFERS]
            differences += [difference(k, source.get(k), lake[k].row, self.sides.forms) for k in differs]
            keys = [key for key, verdict in verdicts.items() if verdict is Verdict.AGAIN]
            if not keys:
                return differences, 0
            before = lake
            self.pause(min(0.2 * 2**look, 2.0))
        return differences, len(keys)

    def _await_applied(self) -> None:
        """Wait until the lake holds what was committed up to now."""
        high = self.sides.position()
        began = well = self.clock()
        while not self.sides.applied(high):
            trouble, now = self.sides.trouble(), self.clock()
            well = well if trouble else now
            if trouble or now - began > SAID_SECONDS:
                self._tell(detail=f"waiting for the lake to pass {high}: {trouble or 'is `cdc stream` running?'}")
            self._heed_stop()
            if now - began > PASSED_SECONDS or now - well > TROUBLED_SECONDS:
                what = f"{self.names[1]} has not come to {high} within {now - began:.0f} s"
                if trouble:  # with what helps
                    raise TransientError(f"{what}: {trouble}", hint="then `cdc verify` again")
                hint = "`cdc status` shows how far it is; `cdc stream` has to run, and the connector"
                raise TransientError(what, hint=hint)
            self.pause(0.2)
        if self._progress.detail:
            self._tell(detail="")

    def _count(self, rows: int) -> None:
        """Count rows that were read, and rest for as long as they may take, less what they have taken."""
        self._read += rows
        now = self.clock()
        if self.rows_per_second and (rest := self._rested + rows / self.rows_per_second - now) > 0:
            self.pause(rest)
        self._rested = self.clock()
