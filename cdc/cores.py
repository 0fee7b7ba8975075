"""Parts of a batch on several cores: for work that is done outside Python, and lets go of its lock meanwhile."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Done = TypeVar("Done")

CORES = min(4, os.cpu_count() or 1)
"""Parts that are worked on at the same time."""


def on_cores(work: Callable[[Part], Done], parts: Sequence[Part], most: int = CORES) -> list[Done]:
    """Return what is made of each part, in their order; one alone is worked on here. Raises what the work does.

    Up to ``most`` are worked on at the same time, more than there are cores where they wait for a disk.
    """
    if len(parts) < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(min(most, len(parts)), "part") as pool:
        return list(pool.map(work, parts))


def cut(length: int, most: int) -> list[slice]:
    """Return slices of at most so many, all about as long, that are a sequence of this length together."""
    parts = -(-length // most)
    return [slice(length * n // parts, length * (n + 1) // parts) for n in range(parts)]
