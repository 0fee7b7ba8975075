"""A workload for hours, in a process of its own: tables change at a rate, and keep about as many rows as they had.

Of a hundred changes sixty update a row, twenty delete one and twenty insert one: ten a new key, ten a key that was
deleted before, half of them the one that was deleted last. So a deleted row comes back in the same micro-batch, in the
next one, after a kill, and an hour later.
"""

import argparse
import random
from contextlib import AbstractContextManager
from multiprocessing import get_context
from typing import Any

from tests.bench.fresh import TRANSACTION, Drawn, Workload
from tests.e2e.databases import Database

TABLES = 3
"""Tables of a transaction, at most: with more of them the statements would be what limits the rate."""


class Keys:
    """Keys of one table: those that are there, and those that were deleted."""

    def __init__(self, count: int) -> None:
        self._live, self._gone, self._next = list(range(count)), list[int](), count

    def live(self, count: int, dice: random.Random) -> list[int]:
        """Take out so many keys of rows, drawn at random."""
        return [_taken(self._live, dice) for _ in range(min(count, len(self._live)))]

    def fresh(self, count: int, dice: random.Random) -> list[int]:
        """Take so many keys that no row has: half of them had one before, as far as there are such."""
        return [self._again(dice) if self._gone and dice.random() < 0.5 else self._new() for _ in range(count)]

    def keep(self, drawn: Drawn) -> None:
        """Note which rows are there after a transaction, and which are not."""
        self._live += [*drawn.updated, *drawn.inserted]
        self._gone += drawn.deleted

    def _again(self, dice: random.Random) -> int:
        return self._gone.pop() if dice.random() < 0.5 else _taken(self._gone, dice)

    def _new(self) -> int:
        self._next += 1
        return self._next


class Churn(Workload):
    """Changes the tables at a rate, and adds what it does to ``made``."""

    def __init__(self, database: Database, tables: list[str], options: argparse.Namespace, made: Any) -> None:
        super().__init__(database, tables, options)
        self._keys = {table: Keys(options.rows) for table in tables}
        self._made = made

    def _chosen(self) -> list[str]:
        few = self._random.sample(self._tables, min(TABLES, len(self._tables)))
        return [self._random.choice(few) for _ in range(TRANSACTION)]

    def _drawn(self, table: str, changes: int) -> Drawn:
        updated, inserted = self._split(changes, 0.6, 0.8)
        keys = self._keys[table]
        old = keys.live(changes - inserted, self._random)
        drawn = Drawn(old[:updated], keys.fresh(inserted, self._random), old[updated:])
        keys.keep(drawn)
        self._made.value += changes
        return drawn


class Churning(AbstractContextManager["Churning"]):
    """A process that changes the tables for ``seconds``; it ends with the block at the latest."""

    def __init__(self, database: Database, tables: list[str], options: argparse.Namespace, seconds: float) -> None:
        context = get_context("spawn")
        self._made = context.Value("q", 0)
        work = (database, tables, options, seconds, self._made)
        self._process = context.Process(target=_churn, args=work, daemon=True)

    def __enter__(self) -> "Churning":
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def made(self) -> int:
        """Return the changes so far."""
        return int(self._made.value)

    def running(self) -> bool:
        """Return whether it still works; raises RuntimeError if it failed."""
        if self._process.exitcode:
            raise RuntimeError(f"the workload ended with code {self._process.exitcode}")
        return self._process.exitcode is None


def _churn(database: Database, tables: list[str], options: argparse.Namespace, seconds: float, made: Any) -> None:
    Churn(database, tables, options, made).run(seconds, 0)


def _taken(keys: list[int], dice: random.Random) -> int:
    """Take a key out of a list whose order does not matter."""
    place = dice.randrange(len(keys))
    keys[place], keys[-1] = keys[-1], keys[place]
    return keys.pop()
