"""Partitions that were added to a topic: what comes in them waits for what came before it in the others (K4).

From then on messages of a key go to another partition. Positions tell which of two changes is newer, in whatever order
they come; but a value that the newer one leaves out is known only when the older one is in the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cdc.core.progress import Progress, unread


@dataclass(frozen=True)
class Wait:
    """How far the partitions that are known have to be read first, and when one of them was read last, in seconds."""

    ends: Mapping[int, int]
    since: float


def added(progress: Progress, first_offsets: Mapping[int, int]) -> dict[int, int]:
    """Return the first offsets of partitions that a table which has read others knows nothing of yet."""
    new = {p: offset for p, offset in first_offsets.items() if p not in progress.partitions}
    return new if progress.partitions else {}


def reached(
    progress: Progress, last_offsets: Mapping[int, int], ends: Mapping[int, int], *, transactional: bool
) -> bool:
    """Return whether a table with a batch has all before these ends of the partitions that it knows."""
    known = {p: end for p, end in ends.items() if p in progress.partitions}
    at = {p: max(progress.of(p).next_offset, last_offsets.get(p, -1) + 1) for p in known}
    return not unread(at, known, transactional=transactional)
