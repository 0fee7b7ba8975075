"""How many tables are worked on at once: as many as keep this process busy, up to what is configured.

Small batches are Python, and side by side they take longer than one after another: with each call that waits for
nothing its lock changes hands. What waits, for Spark or for a store that is far away, is worth doing side by side.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

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


@dataclass
class _Tables(Generic[Result]):
    """Tables that are waited for, and who works on them: each goes from one to the next without being told."""

    work: Callable[[TableSpec], Result]
    waiting: deque[TableSpec]
    width: Width
    done: "SimpleQueue[tuple[TableSpec, Future[Result]]]" = field(default_factory=SimpleQueue)
    _workers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def staff(self, pool: Executor) -> None:
        """Have as many workers as the width says, if there is something to do for them."""
        with self._lock:
            more = max(0, min(self.width.now - self._workers, len(self.waiting)))
            self._workers += more
        for _ in range(more):
            pool.submit(self._go_on)

    def _go_on(self) -> None:
        while (spec := self._next()) is not None:
            future: Future[Result] = Future()
            try:
                future.set_result(self.work(spec))
            except BaseException as error:  # noqa: BLE001 - raised again where the future is asked
                future.set_exception(error)
            self.done.put((spec, future))

    def _next(self) -> TableSpec | None:
        with self._lock:
            if self.waiting and self._workers <= self.width.now:
                return self.waiting.popleft()
            self._workers -= 1
            return None


def side_by_side(
    pool: Executor, work: Callable[[TableSpec], Result], specs: Sequence[TableSpec], width: Width
) -> Iterator[tuple[TableSpec, "Future[Result]"]]:
    """Do the work for each table, as many at once as the width says, in this order; yield each that is done."""
    tables, left = _Tables(work, deque(specs), width), len(specs)
    width.begin()
    try:
        while left:
            tables.staff(pool)
            try:
                found = tables.done.get(timeout=LOOK_SECONDS)
            except Empty:
                width.look(stuck=True)
                continue
            width.look(stuck=False)
            left -= 1
            yield found
    finally:
        tables.waiting.clear()
