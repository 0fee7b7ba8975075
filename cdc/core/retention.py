"""Retention: which snapshots of a table may be expired, so that what a rewind is promised stays and progress is found.

Snapshots of ``main`` are kept as one unbroken stretch from the newest on: Iceberg forgets which snapshot was ``main``
when, up to the newest one that is expired, and a rewind to a time asks just that.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from cdc.core.history import FENCE, PROGRESS, TableHistory, Version


@dataclass(frozen=True)
class Keep:
    """How long snapshots are kept: for ``time``, but the newest ``fewest`` of main always, and no more than ``most``.

    Beyond ``most`` go those of main only; what a tag or a branch points at is never expired.
    """

    time: timedelta
    fewest: int
    most: int


def expirable(history: TableHistory, keep: Keep, now: datetime) -> tuple[int, ...]:
    """Return the snapshots that nothing needs any more, oldest first."""
    kept = _kept(history, keep, now)
    found = [version for number, version in history.versions.items() if number not in kept]
    return tuple(version.snapshot_id for version in sorted(found, key=lambda one: (one.at, one.snapshot_id)))


def has_to_be_carried(history: TableHistory, keep: Keep, now: datetime) -> bool:
    """Return whether what counts at the head is only known from a snapshot, or a property, that would go otherwise.

    A table that is not written to any more would keep the files of its last batch for ever.
    """
    recorded = history.recorded(history.head)
    if not recorded or PROGRESS not in recorded:
        return False
    chain = _bearing(history, history.head)
    return not chain or not _whole(chain[-1]) or chain[-1].snapshot_id not in _stretch(history, keep, now)


def _kept(history: TableHistory, keep: Keep, now: datetime) -> set[int]:
    """Return what is kept: the stretch of main, what refs point at, the young, and what all these are read with."""
    main = {version.snapshot_id for version in history.ancestry(history.head)}
    young = {n for n, version in history.versions.items() if n not in main and version.at > now - keep.time}
    found = _stretch(history, keep, now) | young | (set(history.refs.values()) & history.versions.keys())
    if not any(version.entries for version in history.versions.values()):
        return found  # a table of the service's own, of which nothing is ever looked for in its past
    needed = (version.snapshot_id for number in found for version in _bearing(history, number))
    return found | set(needed)


def _stretch(history: TableHistory, keep: Keep, now: datetime) -> set[int]:
    """Return the newest snapshots of main: those younger than the time, and the one that was ``main`` before them."""
    line = list(history.ancestry(history.head))
    young = sum(1 for _ in takewhile(lambda version: version.at > now - keep.time, line))
    count = max(min(young + 1, keep.most), keep.fewest, 1)
    return {version.snapshot_id for version in line[:count]}


def _bearing(history: TableHistory, snapshot_id: int | None) -> list[Version]:
    """Return the snapshots that a snapshot's progress is read from: down to the newest commit of a batch."""
    found: list[Version] = []
    for version in history.ancestry(snapshot_id):
        found.append(version)
        if _whole(version):
            break
    return found


def _whole(version: Version) -> bool:
    """Return whether what counts at a snapshot is known without those before it."""
    return bool(version.entries) and FENCE not in version.entries
