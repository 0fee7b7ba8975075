"""Events that Spark has decoded, gathered as Arrow and collapsed by the core.

The core moves values and never looks at them. So here a value is the number of the row that holds it, and itself stays
in Arrow, bit by bit what Spark has made of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.batch import Collapsed
from cdc.core.collapse import KeyState, Row, collapse, complete, torn
from cdc.core.events import ChangeEvent, Key, Operation
from cdc.core.positions import (
    LAYOUTS,
    OFFSET_DIGITS,
    components_text,
    hexadecimal,
    newer,
    parse_components,
    parse_position,
)
from cdc.core.progress import Progress
from cdc.spark.decode import RowShape


class GatheredEvents:
    """The decoded events of one table's share of a micro-batch, in any order, with the columns of ``cdc.spark.decode``.

    ``entangled`` holds the numbers of the events of each key whose newest event does not say it all.
    """

    def __init__(self, events: pa.Table, shape: RowShape) -> None:
        self.events, self.shape, self.layout = events, shape, LAYOUTS[shape.engine]
        self.operations: list[str] = events["operation"].to_pylist()
        self.positions: list[str] = events["position"].to_pylist()
        self._unavailable: list[list[str]] = events["unavailable"].to_pylist()
        self._moved: list[bool] = events["moved"].to_pylist()
        self._bad: list[bool] = events["problem"].is_valid().to_pylist()
        self._keys = keys_of(events["k"])
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        for number, operation in enumerate(self.operations):
            if not self._bad[number] and operation != "t":
                self._by_key[self._keys[number]].append(number)
        self._newest = {key: max(numbers, key=self.positions.__getitem__) for key, numbers in self._by_key.items()}
        self.entangled = {key: numbers for key, numbers in self._by_key.items() if self._is_entangled(key, numbers)}
        self.plain = [number for key, number in self._newest.items() if key not in self.entangled]

    def _is_entangled(self, key: Key, numbers: Sequence[int]) -> bool:
        last = self._newest[key]
        lacking = self.operations[last] != "d" and bool(self._unavailable[last])
        return lacking or any(self._moved[number] for number in numbers)

    def counted(self) -> Collapsed:
        """Return what there is, the changes of entangled keys left out."""
        deleted = [self.positions[number] for number in self.plain if self.operations[number] == "d"]
        usable = [self.positions[number] for numbers in self._by_key.values() for number in numbers]
        newest = pc.max(self.events["source_ts"].cast(pa.int64())).as_py()
        bad = sum(self._bad)
        return Collapsed(
            events=len(self.operations),
            keys=len(self.plain),
            deletes=len(deleted),
            problems=bad,
            truncates=len(self.operations) - bad - len(usable),
            snapshot_reads=pc.sum(self.events["snapshot_read"]).as_py() or 0,
            first_position=min(usable, default=""),
            last_position=max(usable, default=""),
            last_delete=max(deleted, default=""),
            newest_at_ms=None if newest is None else newest // 1000,
        )

    def wanted(self) -> pa.Table:
        """Return the entangled keys as ``k``."""
        return self.events.select(["k"]).take(_numbers(numbers[0] for numbers in self.entangled.values()))

    def places(self) -> pa.Table:
        """Return all keys, each with its Kafka partition, as ``k, partition``."""
        return self.events.select(["k", "partition"]).take(_numbers(self._newest.values()))

    def first_key_column(self) -> tuple[Any, Any]:
        """Return the least and the greatest value of the first key column."""
        found = pc.min_max(pc.struct_field(self.events["k"], 0)).as_py()
        return found["min"], found["max"]

    def fold(self, rows: pa.Table, floors: Mapping[Key, str], doubtful: str) -> "Folded":
        """Return the states of the entangled keys after their events.

        ``rows`` are those of the table as ``k, position, operation, v``, ``floors`` the positions of deleted keys.
        """
        held, states, sources = self._held(rows), {}, {}
        for key, numbers in self.entangled.items():
            row, floor = held.get(key), floors.get(key)
            least = parse_position(floor) if floor else None
            events = {e.position: n for n in numbers if newer((e := self._events[n]).position, least, self.layout)}
            state = collapse(row, [self._events[n] for n in events.values()], self.layout, doubtful)
            if state.position in events and (row is None or row.position != state.position):
                states[key], sources[key] = state, events[state.position]
        return Folded(self, rows, states, sources)

    def _held(self, rows: pa.Table) -> dict[Key, Row]:
        """Return the table's rows; their values are numbered behind the events'."""
        names = tuple(self.shape.columns)
        columns = (keys_of(rows["k"]), rows["position"].to_pylist(), rows["operation"].to_pylist())
        return {
            key: Row(dict.fromkeys(names, len(self.operations) + number), parse_position(position), operation)
            for number, (key, position, operation) in enumerate(zip(*columns, strict=True))
        }

    @cached_property
    def _events(self) -> dict[int, ChangeEvent]:
        old, new = keys_of(self.events["old_key"]), keys_of(self.events["new_key"])
        return {
            number: self._event(number, old[number], new[number])
            for numbers in self.entangled.values()
            for number in numbers
        }

    def _event(self, number: int, old_key: Key | None, new_key: Key | None) -> ChangeEvent:
        operation, lacking = Operation(self.operations[number]), frozenset(self._unavailable[number])
        names = () if operation is Operation.DELETE else self.shape.columns
        values = {name: number for name in names if name not in lacking}
        position = parse_position(self.positions[number])
        return ChangeEvent(operation, self._keys[number], position, values, lacking, old_key, new_key)


@dataclass(frozen=True)
class Folded:
    """States of the entangled keys of a batch, with the number of the event that each was changed by last.

    ``rows`` are those of the table that they began with.
    """

    batch: GatheredEvents
    rows: pa.Table | None = None
    states: Mapping[Key, KeyState] = field(default_factory=dict)
    sources: Mapping[Key, int] = field(default_factory=dict)

    def torn(self, given_up: str) -> str:
        """Return the least place of a key change of which only one half is there; those up to ``given_up`` are not."""
        place = torn(self.states, parse_components(given_up))
        return "" if place is None else components_text(place, self.batch.layout)

    def completed(self, missing: Iterable[str], table: str, *, lenient: bool) -> "Folded":
        """Return it with values filled that moved in from another key; raises UnavailableValue, naming the table."""
        states = complete(dict(self.states), frozenset(missing), lenient=lenient, table=table)
        return replace(self, states=states)

    def added_to(self, counted: Collapsed) -> Collapsed:
        """Return what there is, with these keys."""
        deleted = [self.batch.positions[self.sources[key]] for key, state in self.states.items() if not state.count]
        return counted.with_more(len(self.states), len(deleted), max(deleted, default=""))

    def changes(self) -> pa.Table:
        """Return the changes of all keys of the batch: ``k, deleted, position, operation, source_ts, folded, v``."""
        batch, states = self.batch, list(self.states.values())
        sources = [*batch.plain, *self.sources.values()]
        deleted = [batch.operations[n] == "d" for n in batch.plain] + [not state.count for state in states]
        operations = [batch.operations[n] for n in batch.plain] + [state.operation for state in states]
        picked = batch.events.select(["k", "source_ts"]).take(_numbers(sources))
        return pa.table(
            {
                "k": picked["k"],
                "deleted": pa.array(deleted, pa.bool_()),
                "position": pa.array([batch.positions[n] for n in sources], pa.string()),
                "operation": pa.array(operations, pa.string()),
                "source_ts": picked["source_ts"],
                "folded": pa.array([False] * len(batch.plain) + [True] * len(states), pa.bool_()),
                "v": self._values(states, deleted),
            }
        )

    def _values(self, states: Sequence[KeyState], deleted: Sequence[bool]) -> pa.Array:
        """Return a struct for each change, every value picked from the events or the table's rows."""
        events, children = self.batch.events["v"].combine_chunks(), []
        if self.rows is None:
            return events.take(_numbers(self.batch.plain))
        known = self.rows["v"].combine_chunks()
        for name, told, kept in zip(self.batch.shape.columns, events.flatten(), known.flatten(), strict=True):
            values = pa.concat_arrays([told, kept.cast(told.type)])
            numbers = [*self.batch.plain, *(state.image.values.get(name) for state in states)]
            children.append(values.take(_numbers(numbers)))
        return pa.StructArray.from_arrays(children, fields=list(events.type), mask=pa.array(deleted, pa.bool_()))


def keys_of(column: pa.ChunkedArray) -> list[Any]:
    """Return a column of structs as keys that are equal where Spark finds them so; None for a null."""
    structs = column.combine_chunks()
    parts = zip(*[_comparable(part) for part in structs.flatten()], strict=True)
    return [key if there else None for key, there in zip(parts, structs.is_valid().to_pylist(), strict=True)]


def floors_of(found: pa.Table | None) -> dict[Key, str]:
    """Return the positions of deleted keys from ``k, floor``."""
    return {} if found is None else dict(zip(keys_of(found["k"]), found["floor"].to_pylist(), strict=True))


def floors_for(changes: pa.Table, floors: Mapping[Key, str] | None) -> pa.Array | None:
    """Return for each change the position of its key's last delete, null where there is none."""
    return None if floors is None else pa.array([floors.get(key) for key in keys_of(changes["k"])], pa.string())


def floors_among(places: pa.Table, deleted: pa.Table, progress: Progress) -> dict[Key, str]:
    """Return the newest position of each of the keys in ``places`` (``k, partition``) that were ``deleted`` before.

    Deletes at or after the progress do not count: their batch was never published.
    """
    partitions = dict(zip(keys_of(places["k"]), places["partition"].to_pylist(), strict=True))
    limits = {p: hexadecimal(state.next_offset, OFFSET_DIGITS) for p, state in progress.partitions.items()}
    keys = keys_of(deleted.drop_columns("_cdc_position").to_struct_array())
    found: dict[Key, str] = {}
    for key, position in zip(keys, deleted["_cdc_position"].to_pylist(), strict=True):
        limit = limits.get(partitions[key], "") if key in partitions else ""
        if position[-OFFSET_DIGITS:] < limit:
            found[key] = max(found.get(key, ""), position)
    return found


def _comparable(values: pa.Array) -> list[Any]:
    kind = values.type
    if pa.types.is_temporal(kind):  # Python's own reach from the year 1 to 9999
        values = values.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    if pa.types.is_floating(kind):  # NaN equals NaN, and -0.0 equals 0.0
        return [None if value is None else repr(value + 0.0) for value in values.to_pylist()]
    found: list[Any] = values.to_pylist()
    return found


def _numbers(numbers: Iterable[int | None]) -> pa.Array:
    return pa.array(list(numbers), pa.int64())
