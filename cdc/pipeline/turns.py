"""Turns: at one time a table is worked on by a batch or by maintenance, and a batch comes first."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """Whose turn a table's is, by any name that all agree on; safe to use from any thread.

    Maintenance gets its turn when no batch has it or waits for it, and is told when one waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: set[str] = set()
        self._waiting: Counter[str] = Counter()
        self._batches: Counter[str] = Counter()

    @contextmanager
    def batch(self, table: str) -> Iterator[None]:
        """Wait for the turn, and have it while the block runs."""
        with self._changed:
            self._waiting[table] += 1
            try:
                self._changed.wait_for(lambda: table not in self._taken)
            finally:
                self._waiting[table] -= 1
            self._taken.add(table)
            self._batches[table] += 1
        try:
            yield
        finally:
            self._give_back(table)

    def batches(self, table: str) -> int:
        """Return how many batches have had their turn."""
        with self._changed:
            return self._batches[table]

    @contextmanager
    def maintenance(self, table: str, patience: float) -> Iterator[Callable[[], bool] | None]:
        """Have the turn while the block runs, which is told whether a batch waits; None if it did not come in time."""
        with self._changed:
            free = self._changed.wait_for(
                lambda: table not in self._taken and not self._waiting[table], timeout=patience
            )
            if free:
                self._taken.add(table)
        if not free:
            yield None
            return
        try:
            yield lambda: self._waiting[table] > 0
        finally:
            self._give_back(table)

    def _give_back(self, table: str) -> None:
        with self._changed:
            self._taken.discard(table)
            self._changed.notify_all()
