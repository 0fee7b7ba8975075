"""Collapse: what the events of one key, in order of position, make of one row.

This is the specification; ``cdc.spark.collapse`` compiles the same rules and is held equal to it by a property test.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.core.errors import UnavailableValue
from cdc.core.events import ChangeEvent, Key, Operation
from cdc.core.positions import Layout, Position, newer

Place = tuple[int, int, int]
"""A position's components: the two halves of a key change share them, but not always partition or epoch."""

NOWHERE: Place = (-1, -1, -1)
"""Before every place."""

MOVED_IN = "m"
"""``_cdc_op`` of a row that moved onto a key whose former row has yet to leave, in the same transaction."""

UNKNOWN = "?"
"""``_cdc_op`` of a row of a shadow with values that are known nowhere yet: its key is read from the source again."""

READ_AGAIN = "R"
"""``_cdc_op`` of a row that was read again by its key."""


@dataclass(frozen=True)
class Row:
    """A row of the target: its values, the position and operation that made it."""

    values: dict[str, Any]
    position: Position
    operation: str


@dataclass(frozen=True)
class Image:
    """Values of a row, the names of those not known, and where the row came from if it moved: key and place.

    ``doubtful`` is the mark of a row that was read and not told of by events, while it may still be a later row than
    the one that events tell of: its values are good for its own key, and are not handed over to another.
    """

    values: dict[str, Any] = field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()
    old_key: Key | None = None
    arrived_at: Place | None = None
    doubtful: str = ""


@dataclass(frozen=True)
class Departure:
    """What a row was when it left a key for another."""

    to: Key
    left_at: Place
    image: Image


@dataclass(frozen=True)
class Arrival:
    """That a row came to a key from another."""

    origin: Key
    at: Place


@dataclass(frozen=True)
class KeyState:
    """What is known of one key while its events are collapsed.

    ``count`` is the number of rows that hold the key at this point: two inside a transaction that shifts or swaps keys;
    ``former`` is the first of two.
    """

    count: int = 0
    image: Image = Image()
    former: Image = Image()
    position: Position | None = None
    operation: str = ""
    departures: tuple[Departure, ...] = ()
    arrivals: tuple[Arrival, ...] = ()


def start(row: Row | None, doubtful: str = "") -> KeyState:
    """Return the state of a key from its row in the target, if there is one; ``doubtful`` holds marks of rows."""
    if row is None:
        return KeyState()
    count = 2 if row.operation == MOVED_IN else 1
    unknown = frozenset(row.values) if row.operation == UNKNOWN else frozenset()
    mark = row.operation if row.operation in doubtful else ""
    image = Image(dict(row.values), unknown, doubtful=mark)
    return KeyState(count, image, position=row.position, operation=row.operation)


def collapse(row: Row | None, events: Iterable[ChangeEvent], layout: Layout, doubtful: str = "") -> KeyState:
    """Return the state after the events of one key; those not newer than the row are left out."""
    state = start(row, doubtful)
    for event in sorted(events, key=lambda e: e.position):
        if newer(event.position, state.position, layout):
            state = step(state, event, layout)
    return state


def step(state: KeyState, event: ChangeEvent, layout: Layout) -> KeyState:
    """Return the state after one event; it is newer than everything before it."""
    if not layout.deferred_keys or not _same_transaction(state.position, event.position, layout):
        state = replace(state, count=min(state.count, 1))
    if event.operation is Operation.DELETE:
        changed = _leave(state, event)
    elif event.operation is Operation.UPDATE:
        changed = _update(state, event)
    else:
        changed = _arrive(state, event, layout)
    return replace(changed, position=event.position)


def _same_transaction(before: Position | None, now: Position, layout: Layout) -> bool:
    shared = layout.transaction
    return before is not None and before.epoch == now.epoch and before.components[:shared] == now.components[:shared]


def _arrive(state: KeyState, event: ChangeEvent, layout: Layout) -> KeyState:
    displaces = layout.deferred_keys and event.old_key is not None and state.count > 0
    came = () if event.old_key is None else (Arrival(event.old_key, event.position.components),)
    return replace(
        state,
        count=2 if displaces else 1,
        image=Image(dict(event.values), event.unavailable, event.old_key, event.position.components),
        former=state.image if displaces else Image(),
        operation=MOVED_IN if displaces else str(event.operation),
        arrivals=(*state.arrivals, *came),
    )


def _update(state: KeyState, event: ChangeEvent) -> KeyState:
    before = state.image
    known = {name: before.values[name] for name in event.unavailable if name in before.values}
    missing = event.unavailable & before.unavailable if state.count else event.unavailable
    mark = before.doubtful if event.unavailable else ""
    return replace(
        state,
        count=max(state.count, 1),
        image=replace(before, values={**event.values, **known}, unavailable=missing, doubtful=mark),
        operation=MOVED_IN if state.count > 1 else str(event.operation),
    )


def _leave(state: KeyState, event: ChangeEvent) -> KeyState:
    departures = state.departures
    if event.new_key is not None:
        image = state.former if state.count > 1 else state.image
        departures = (*departures, Departure(event.new_key, event.position.components, image))
    if state.count > 1 and event.new_key is not None:
        return replace(state, count=1, former=Image(), operation="c", departures=departures)
    return replace(state, count=0, image=Image(), former=Image(), operation="d", departures=departures)


def torn(states: Mapping[Key, KeyState], given_up: Place = NOWHERE) -> Place | None:
    """Return the least place of a key change of which only one half is there; those up to ``given_up`` do not count."""
    left = {(key, d.to, d.left_at) for key, state in states.items() for d in state.departures}
    came = {(a.origin, key, a.at) for key, state in states.items() for a in state.arrivals}
    return min((at for _, _, at in left ^ came if at > given_up), default=None)


def complete(
    states: dict[Key, KeyState],
    missing: frozenset[str] = frozenset(),
    *,
    lenient: bool = False,
    table: str = "the table",
) -> dict[Key, KeyState]:
    """Fill values that moved in from another key, from what that key held when the row left it.

    ``missing`` names columns that an event schema does not have at all: they become null, not unknown.
    Raises UnavailableValue when a value is known nowhere; with ``lenient`` it is null and the row marked.
    """
    left = {(key, d.to, d.left_at): d.image for key, state in states.items() for d in state.departures}
    _hand_on(left)
    known = {}
    for key, state in states.items():
        image = _filled(state.image, key, left)
        lacking = image.unavailable - missing
        if state.count and lacking and not lenient:
            raise unavailable(min(lacking), table)
        values = {**dict.fromkeys(image.unavailable), **image.values}
        marked = (UNKNOWN if lacking else image.doubtful) if state.count else ""
        known[key] = replace(state, image=replace(image, values=values), operation=marked or state.operation)
    return known


def _hand_on(left: dict[tuple[Key, Key, Place], Image]) -> None:
    """Fill the images of departures from one another, until nothing changes: in their order once is nearly enough."""
    waiting = sorted((way for way, image in left.items() if image.unavailable), key=lambda way: way[2])
    for _ in waiting:
        filled = False
        for way in waiting:
            image = _filled(left[way], way[0], left)
            filled |= image.unavailable != left[way].unavailable
            left[way] = image
        if not filled:
            break


def unavailable(column: str, table: str) -> UnavailableValue:
    """Return the error for a row whose value no event and no row of the table has."""
    return UnavailableValue(
        f"column {column!r} of {table} was left out as unchanged and is known nowhere",
        hint="let the source log whole rows (PostgreSQL: REPLICA IDENTITY FULL; Oracle: SUPPLEMENTAL LOG DATA (ALL) "
        "COLUMNS), then `cdc tables reset TABLE`",
    )


def _filled(image: Image, key: Key, left: dict[tuple[Key, Key, Place], Image]) -> Image:
    if not image.unavailable or image.old_key is None or image.arrived_at is None:
        return image
    origin = left.get((image.old_key, key, image.arrived_at), Image())
    known = () if origin.doubtful else origin.values
    names = [n for n in image.unavailable if n in known and n not in origin.unavailable]
    found = {name: origin.values[name] for name in names}
    return replace(image, values={**image.values, **found}, unavailable=image.unavailable - set(found))
