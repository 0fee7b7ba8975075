"""Generated histories of a source: transactions with all the awkward operations, delivered the way connectors do.

A history is a list of deliveries ``(batch number, event)`` together with the rows that the source ends with. Events
may be delivered again, partitions advance at different speeds, and batches cut anywhere.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from cdc.core.events import ChangeEvent, Operation
from cdc.core.positions import Position

PARTITIONS = 3
BIG = "big"


@dataclass
class Emitted:
    """An event in the log: its place there, and whether it must share a batch with the rest of its transaction."""

    operation: Operation
    row_id: int
    place: tuple[int, int, int]
    values: dict[str, Any] | None
    lacks_big: bool = False
    old_id: int | None = None
    new_id: int | None = None


@dataclass
class History:
    """One source with a handful of rows; ``sequence`` tells it apart from the others in the same table."""

    sequence: int
    randomness: random.Random
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    log: list[list[Emitted]] = field(default_factory=list)
    lsn: int = 100
    committed: int = 0
    counter: int = 0

    def run(self, transactions: int) -> None:
        """Let the source work."""
        for row_id in range(3):
            self.rows[row_id] = self._values(row_id)
        self.log.append([Emitted(Operation.READ, i, (0, 0, self._next()), dict(row)) for i, row in self.rows.items()])
        for _ in range(transactions):
            events: list[Emitted] = []
            for _ in range(self.randomness.choice((1, 1, 2, 3))):
                self._statement(events)
            self.log.append(events)
            self.committed = self._next()

    def deliveries(self, batches: int, *, whole: bool) -> list[tuple[int, ChangeEvent]]:
        """Return the events as they reach the sink: (batch, event), offsets per partition ascending.

        Unless who applies them keeps key changes ``whole``, those that leave a value out come in one batch.
        """
        transactions = list(self.log)
        if len(transactions) > 2 and self.randomness.random() < 0.6:
            again = self.randomness.randrange(1, len(transactions))
            end = self.randomness.randrange(again, len(transactions))
            transactions[end + 1 : end + 1] = transactions[again : end + 1]
        reached = [0] * PARTITIONS
        offsets = [0] * PARTITIONS
        found = []
        for transaction in transactions:
            glued = not whole and any(e.lacks_big and e.old_id is not None for e in transaction)
            together = max(reached)
            for emitted in transaction:
                p = hash((self.sequence, emitted.row_id)) % PARTITIONS
                if emitted.operation is Operation.READ:
                    pass  # an initial snapshot comes whole before the stream
                elif glued:
                    reached[p] = together
                elif self.randomness.random() < 0.15:
                    reached[p] = min(batches - 1, reached[p] + 1)
                found.append((reached[p], p, self._event(emitted, offsets[p])))
                offsets[p] += 1
        return [(batch, event) for batch, _, event in found]

    def _event(self, emitted: Emitted, offset: int) -> ChangeEvent:
        values = None if emitted.values is None else {"s": self.sequence, "id": emitted.row_id, **emitted.values}
        lacking = frozenset({BIG}) if emitted.lacks_big else frozenset()
        if values is not None and emitted.lacks_big:
            values.pop(BIG)
        return ChangeEvent(
            emitted.operation,
            (self.sequence, emitted.row_id),
            Position(0, emitted.place, offset),
            values or {},
            lacking,
            None if emitted.old_id is None else (self.sequence, emitted.old_id),
            None if emitted.new_id is None else (self.sequence, emitted.new_id),
        )

    def _statement(self, events: list[Emitted]) -> None:
        kinds = [self._insert, self._update, self._update, self._delete, self._move, self._shift, self._swap]
        self.randomness.choice(kinds)(events)

    def _insert(self, events: list[Emitted]) -> None:
        free = next(i for i in range(20) if i not in self.rows)
        self.rows[free] = self._values(free)
        events.append(Emitted(Operation.CREATE, free, self._place(), dict(self.rows[free])))

    def _update(self, events: list[Emitted]) -> None:
        for row_id in self._some():
            self.counter += 1
            keeps = self.randomness.random() < 0.5
            row = {"n": self.counter, BIG: self.rows[row_id][BIG] if keeps else f"big {self.counter}"}
            self.rows[row_id] = row
            events.append(Emitted(Operation.UPDATE, row_id, self._place(), dict(row), keeps))

    def _delete(self, events: list[Emitted]) -> None:
        for row_id in self._some():
            del self.rows[row_id]
            events.append(Emitted(Operation.DELETE, row_id, self._place(), None))

    def _move(self, events: list[Emitted]) -> None:
        free = next(i for i in range(10, 30) if i not in self.rows)
        for row_id in self._some():
            self._rename(events, [(row_id, free)])

    def _shift(self, events: list[Emitted]) -> None:
        self._rename(events, [(row_id, row_id + 1) for row_id in sorted(self.rows)])

    def _swap(self, events: list[Emitted]) -> None:
        if len(self.rows) > 1:
            one, other = self.randomness.sample(sorted(self.rows), 2)
            self._rename(events, [(one, other), (other, one)])

    def _rename(self, events: list[Emitted], moves: list[tuple[int, int]]) -> None:
        before = {old: self.rows.pop(old) for old, _ in moves}
        for old, new in moves:
            place = self._place()
            lacking = self.randomness.random() < 0.3
            self.rows[new] = before[old]
            events.append(Emitted(Operation.DELETE, old, place, None, new_id=new))
            events.append(Emitted(Operation.CREATE, new, place, dict(before[old]), lacking, old_id=old))

    def _some(self) -> list[int]:
        return [self.randomness.choice(sorted(self.rows))] if self.rows else []

    def _values(self, row_id: int) -> dict[str, Any]:
        self.counter += 1
        return {"n": self.counter, BIG: f"big {row_id} {self.counter}"}

    def _place(self) -> tuple[int, int, int]:
        return (self.committed, 1, self._next())

    def _next(self) -> int:
        self.lsn += self.randomness.randrange(1, 9)
        return self.lsn


def history(seed: int, sequence: int, transactions: int) -> History:
    """Return a history that only depends on the seed."""
    made = History(sequence, random.Random(seed * 1_000_003 + sequence))
    made.run(transactions)
    return made
