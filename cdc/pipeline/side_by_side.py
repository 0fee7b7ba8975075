"""How many tables are worked on at once: as many as keep this process busy, up to what is configured.

Small batches are Python, and side by side they take longer than one after another: with each call that waits for
nothing its lock changes hands. What waits, for Spark or for a store that is far away, is worth doing side by side.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import TypeVar

from cdc.pipeline.table import TableSpec

LOOK_SECONDS = 0.2
"""So much work is looked at before anything is concluded from it."""

BUSY, IDLE = 0.9, 0.6
"""Processor seconds of this process in a second: above the one it works on fewer tables, below the other on more."""

Result = TypeVar("Result")


@dataclass
class Width:
    """How many at once, from one to ``most``; it goes by the processor time of this process, Spark's not included."""

    most: int
    clock: Callable[[], float] = time.monotonic
    cpu: Callable[[], float] = time.process_time
    now: int = 1
    _since: tuple[float, float] = (0.0, 0.0)
    _wall: float = 0.0
    _worked: float = 0.0

    def begin(self) -> None:
        """Note that work begins: what was before is not looked at."""
        self._since = self.clock(), self.cpu()

    def look(self, *, stuck: bool) -> None:
        """Take account of the work since the last look, and conclude from it once it is enough.

        Of a table that is ``stuck`` nobody knows what it waits for: whatever the processors do, others go on beside it.
        """
        (wall, worked), self._since = self._since, (self.clock(), self.cpu())
        self._wall += self._since[0] - wall
        self._worked += self._since[1] - worked
        if stuck:
            change = 1
        elif self._wall >= LOOK_SECONDS:
            busy = self._worked / self._wall
            change = (busy < IDLE) - (busy > BUSY)
        else:
            return
        self.now = max(1, min(self.now + change, self.most))
        self._wall = self._worked = 0.0


def side_by_side(
    pool: Executor, work: Callable[[TableSpec], Result], specs: Sequence[TableSpec], width: Width
) -> Iterator[tuple[TableSpec, "Future[Result]"]]:
    """Do the work for each table, as many at once as the width says, in this order; yield each that is done."""
    waiting, running = deque(specs), dict[Future[Result], TableSpec]()
    width.begin()
    while waiting or running:
        while waiting and len(running) < width.now:
            spec = waiting.popleft()
            running[pool.submit(work, spec)] = spec
        done, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        width.look(stuck=not done)
        for future in done:
            yield running.pop(future), future
