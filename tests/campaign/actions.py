"""The actions of a campaign: plain values, each made of nothing but the seed and its number."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from tests.campaign.tables import TABLES, Captured

COMPARED_EVERY = 12
"""Actions between two full comparisons."""
SERVERS = ("database", "catalog", "kafka", "connect", "registry", "service", "service")
"""What is killed and paused; the catalog is in PostgreSQL, where the tables may be too."""
MOST_PAUSED = 8.0
"""Seconds; a lease of the service lasts four."""
RESTS = (0.0, 0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds between two actions: some meet in one batch, others find the service at rest."""


@dataclass(frozen=True)
class Change:
    """One statement, or a few that belong together: ``how`` names it, ``seed`` draws its keys and values."""

    how: str
    table: str
    seed: int


@dataclass(frozen=True)
class Action:
    """One action; which fields mean something depends on its ``kind``.

    ``transaction``: ``changes``, then those ``undone`` by a savepoint, then commit or (``committed`` false) rollback.
    ``add``: a column for ``target``, of a type and with or without a default as ``seed`` draws. ``kill``, ``pause``: a
    server, or the service, paused for ``seconds``. ``replay``, ``rewind``, ``reload``: ``target`` is a table, ``part``
    how far back. ``rest`` are the seconds that pass before the next one.
    """

    number: int
    kind: str
    target: str = ""
    changes: tuple[Change, ...] = ()
    undone: tuple[Change, ...] = ()
    committed: bool = True
    seed: int = 0
    seconds: float = 0.0
    part: float = 0.0
    rest: float = 0.0

    def __str__(self) -> str:
        said = [f"{self.number} {self.kind}", self.target, *(f"{one.how} {one.table}" for one in self.changes)]
        said += [f"undone: {one.how} {one.table}" for one in self.undone]
        said += ["rolled back"] if not self.committed else []
        said += [f"for {self.seconds} s"] if self.seconds else []
        return ", ".join(filter(None, said))


def action(seed: int, number: int) -> Action:
    """Return the action of this number, numbers beginning with 1."""
    if number % COMPARED_EVERY == 0:
        return Action(number, "compare")
    r = random.Random(f"{seed}:{number}")
    made = r.choices([one for one, _ in _KINDS], [weight for _, weight in _KINDS])[0]
    return replace(made(r, number), rest=r.choice(RESTS))


def actions(seed: int) -> Iterator[Action]:
    """Yield the actions of a seed, without an end."""
    return (action(seed, number) for number in count(1))


def written(made: Iterable[Action]) -> str:
    """Return actions as they are in a file: one a line, in JSON."""
    return "".join(json.dumps(asdict(one)) + "\n" for one in made)


def read(text: str) -> list[Action]:
    """Return the actions of a file; raises ValueError, KeyError or TypeError if it holds others."""
    return [_action(json.loads(line)) for line in text.splitlines() if line.strip()]


def _action(fields: dict[str, Any]) -> Action:
    changes, undone = ([Change(**one) for one in fields.pop(name, ())] for name in ("changes", "undone"))
    return Action(**fields, changes=tuple(changes), undone=tuple(undone))


def _table(r: random.Random) -> Captured:
    return r.choices(TABLES, [table.weight for table in TABLES])[0]


def _change(r: random.Random, table: Captured) -> Change:
    return Change(r.choice(table.hows), table.name, r.randrange(10**9))


def _transaction(r: random.Random, number: int) -> Action:
    tables = [_table(r)] if r.random() < 0.5 else [_table(r) for _ in range(r.randint(2, 5))]
    changes = tuple(_change(r, table) for table in tables for _ in range(r.choice((1, 1, 2, 4))))
    undone = tuple(_change(r, _table(r)) for _ in range(r.randint(1, 2))) if r.random() < 0.2 else ()
    return Action(number, "transaction", changes=changes, undone=undone, committed=r.random() > 0.06)


def _burst(r: random.Random, number: int) -> Action:
    """Return what is done as so many transactions, one after another."""
    changes = tuple(_change(r, _table(r)) for _ in range(r.randint(15, 40)))
    return Action(number, "burst", changes=changes)


def _truncate(r: random.Random, number: int) -> Action:
    table = _table(r)
    more = tuple(Change("insert", table.name, r.randrange(10**9)) for _ in range(r.randrange(3)))
    return Action(number, "truncate", table.name, changes=more)


def _add(r: random.Random, number: int) -> Action:
    return Action(number, "add", _table(r).name, seed=r.randrange(10**9))


def _kill(r: random.Random, number: int) -> Action:
    return Action(number, "kill", r.choice(SERVERS))


def _pause(r: random.Random, number: int) -> Action:
    return Action(number, "pause", r.choice(SERVERS), seconds=round(r.uniform(1, MOST_PAUSED), 1))


def _command(kind: str) -> Callable[[random.Random, int], Action]:
    return lambda r, number: Action(number, kind, _table(r).name, part=round(r.random(), 3))


_KINDS: tuple[tuple[Callable[[random.Random, int], Action], int], ...] = (
    (_transaction, 46),
    (_burst, 12),
    (_truncate, 3),
    (_add, 4),
    (_kill, 13),
    (_pause, 9),
    (_command("replay"), 3),
    (_command("rewind"), 5),
    (_command("reload"), 3),
    (_command("maintain"), 2),
)
"""What is drawn, and how often."""
