"""Merge: what a micro-batch does to a table, as a pure function of the table and the batch."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from cdc.core.collapse import KeyState, Place, Row, collapse, complete, torn
from cdc.core.events import ChangeEvent, Key, Operation
from cdc.core.positions import Layout, Position, newer


@dataclass(frozen=True)
class TableState:
    """A target table: its rows, the positions of deleted keys, and the place below which everything was truncated."""

    rows: dict[Key, Row] = field(default_factory=dict)
    tombstones: dict[Key, Position] = field(default_factory=dict)
    truncated: str = ""


def merge(table: TableState, events: Iterable[ChangeEvent], layout: Layout, doubtful: str = "") -> TableState:
    """Return the table after a micro-batch; events in any order, duplicates and old ones do no harm.

    ``doubtful`` is for shadows, whose rows with these marks may be later ones than events tell of: a row with a value
    that is known nowhere is marked then.
    """
    begun, states = _states(table, list(events), layout, doubtful)
    return _apply(begun, complete(states, lenient=bool(doubtful)))


def torn_at(table: TableState, events: Iterable[ChangeEvent], layout: Layout) -> Place | None:
    """Return where a micro-batch has to end so that it holds both halves of its key changes; None if it does."""
    return torn(_states(table, list(events), layout)[1])


def _states(
    table: TableState, batch: list[ChangeEvent], layout: Layout, doubtful: str = ""
) -> tuple[TableState, dict[Key, KeyState]]:
    """Return the table after the batch's truncates, and the states of the keys that the batch changes."""
    truncated = max([table.truncated, *(e.position.place(layout) for e in batch if e.operation is Operation.TRUNCATE)])
    rows = {key: row for key, row in table.rows.items() if row.position.place(layout) >= truncated}
    by_key: dict[Key, list[ChangeEvent]] = defaultdict(list)
    for event in batch:
        if event.operation is not Operation.TRUNCATE and event.position.place(layout) > truncated:
            by_key[event.key].append(event)
    states = {key: _collapse(table, rows, key, events, (layout, doubtful)) for key, events in by_key.items()}
    states = {key: state for key, state in states.items() if state.position is not None}
    return TableState(rows, table.tombstones, truncated), states


def _collapse(
    table: TableState, rows: dict[Key, Row], key: Key, events: list[ChangeEvent], rules: tuple[Layout, str]
) -> KeyState:
    layout, doubtful = rules
    row, tombstone = rows.get(key), table.tombstones.get(key)
    fresh = [e for e in events if newer(e.position, tombstone, layout)]
    return collapse(row, fresh, layout, doubtful)


def _apply(table: TableState, states: dict[Key, KeyState]) -> TableState:
    rows, tombstones = dict(table.rows), dict(table.tombstones)
    for key, state in states.items():
        if state.position is None:
            continue
        if state.count:
            rows[key] = Row(state.image.values, state.position, state.operation)
        else:
            rows.pop(key, None)
            tombstones[key] = max(state.position, tombstones.get(key, state.position))
    return TableState(rows, tombstones, table.truncated)
