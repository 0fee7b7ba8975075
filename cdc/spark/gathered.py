"""Events that Spark has decoded, gathered as Arrow and collapsed by the core.

The core moves values and never looks at them. So here a value is the number of the row that holds it, and itself stays
in Arrow, bit by bit what Spark has made of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
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
from cdc.lazy import lazy
from cdc.spark.by_key import comparable, key_codes, runs_of
from cdc.spark.decode import RowShape


class GatheredEvents:
    """The decoded events of one table's share of a micro-batch, in any order, with the columns of ``cdc.spark.decode``.

    ``entangled`` holds the numbers of the events of each key whose newest event does not say it all, ``plain`` the
    number of the newest event of each other key.
    """

    def __init__(self, events: pa.Table, shape: RowShape) -> None:
        self.events, self.shape, self.layout = _whole(events), shape, LAYOUTS[shape.engine]
        self._deletes = _bools(pc.equal(self.events["operation"], "d"))
        truncates, bad = _bools(pc.equal(self.events["operation"], "t")), _bools(self.events["problem"].is_valid())
        self._usable = np.flatnonzero(~(truncates | bad))
        keys, self._positions = self._picked("k", self._usable), self._picked("position", self._usable)
        self._runs = runs_of(self._usable, key_codes(keys), self._positions)
        entangled = self._are_entangled()
        self.plain = self._runs.newest[~entangled]
        of_each = self._runs.of(entangled)
        self.entangled = dict(zip(keys_of(self._picked("k", [n[0] for n in of_each])), of_each, strict=True))

    def _are_entangled(self) -> np.ndarray[Any, Any]:
        """Return for each key whether a value of its newest event was left out, or one of its events is of a move."""
        newest = self._runs.newest
        lacking = _bools(pc.greater(pc.list_value_length(self.events["unavailable"]), 0)) & ~self._deletes
        return np.asarray(lacking[newest] | self._runs.any_of(_bools(self.events["moved"])))

    def _picked(self, name: str, numbers: Iterable[int | None]) -> pa.Array:
        """Return a column of these events."""
        whole = numbers is self._usable and len(numbers) == self.events.num_rows
        return self.events[name] if whole else self.events[name].take(_numbers(numbers))

    def counted(self) -> Collapsed:
        """Return what there is, the changes of entangled keys left out."""
        gone = self.plain[self._deletes[self.plain]]
        bounds = pc.min_max(self._positions).as_py()
        newest = pc.max(self.events["source_ts"].cast(pa.int64())).as_py()
        bad = self.events.num_rows - self.events["problem"].null_count
        return Collapsed(
            events=self.events.num_rows,
            keys=len(self.plain),
            deletes=len(gone),
            problems=bad,
            truncates=self.events.num_rows - bad - len(self._usable),
            snapshot_reads=pc.sum(self.events["snapshot_read"]).as_py() or 0,
            first_position=bounds["min"] or "",
            last_position=bounds["max"] or "",
            last_delete=max(self.positions(gone), default=""),
            newest_at_ms=None if newest is None else newest // 1000,
        )

    def wanted(self) -> pa.Table:
        """Return the entangled keys as ``k``."""
        return pa.table({"k": self._picked("k", (numbers[0] for numbers in self.entangled.values()))})

    def places(self) -> pa.Table:
        """Return all keys, each with its Kafka partition, as ``k, partition``."""
        return pa.table({name: self._picked(name, self._runs.newest) for name in ("k", "partition")})

    def positions(self, numbers: Iterable[int]) -> list[str]:
        """Return the positions of these events."""
        found: list[str] = self._picked("position", numbers).to_pylist()
        return found

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
            key: Row(dict.fromkeys(names, self.events.num_rows + number), parse_position(position), operation)
            for number, (key, position, operation) in enumerate(zip(*columns, strict=True))
        }

    @lazy
    def _events(self) -> dict[int, ChangeEvent]:
        """Return the events of entangled keys, by their numbers."""
        numbers = [number for of_key in self.entangled.values() for number in of_key]
        columns = [self._picked(name, numbers) for name in ("operation", "position", "unavailable")]
        keys = [keys_of(self._picked(name, numbers)) for name in ("k", "old_key", "new_key")]
        told = zip(numbers, *[column.to_pylist() for column in columns], *keys, strict=True)
        return {number: self._event(number, *rest) for number, *rest in told}

    def _event(
        self,
        number: int,
        operation: str,
        position: str,
        unavailable: list[str],
        key: Key,
        old_key: Key | None,
        new_key: Key | None,
    ) -> ChangeEvent:
        kind, lacking = Operation(operation), frozenset(unavailable)
        names = () if kind is Operation.DELETE else self.shape.columns
        values = {name: number for name in names if name not in lacking}
        return ChangeEvent(kind, key, parse_position(position), values, lacking, old_key, new_key)


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
        deleted = self.batch.positions(self.sources[key] for key, state in self.states.items() if not state.count)
        return counted.with_more(len(self.states), len(deleted), max(deleted, default=""))

    def changes(self) -> pa.Table:
        """Return the changes of all keys of the batch: ``k, deleted, position, operation, source_ts, folded, v``."""
        batch, states = self.batch, list(self.states.values())
        names = ["k", "position", "operation", "source_ts", *(["v"] if self.rows is None else [])]
        numbers = np.concatenate([batch.plain, np.array(list(self.sources.values()), np.int64)])
        picked = batch.events.select(names).take(_numbers(numbers))
        own = picked["operation"].slice(0, len(batch.plain))
        deleted = pa.concat_arrays([pc.equal(own, "d"), pa.array([not s.count for s in states], pa.bool_())])
        operation = pa.concat_arrays([own, pa.array([s.operation for s in states], own.type)])
        return pa.table(
            {
                "k": picked["k"],
                "deleted": deleted,
                "position": picked["position"],
                "operation": operation,
                "source_ts": picked["source_ts"],
                "folded": pa.array(np.arange(len(deleted)) >= len(batch.plain)),
                "v": self._values(picked, states, deleted),
            }
        )

    def _values(self, picked: pa.RecordBatch, states: Sequence[KeyState], deleted: pa.BooleanArray) -> pa.Array:
        """Return a struct for each change, every value picked from the events or the table's rows."""
        if self.rows is None:
            return picked["v"]
        events, children = self.batch.events["v"], []
        known = self.rows["v"].combine_chunks()
        for name, told, kept in zip(self.batch.shape.columns, events.flatten(), known.flatten(), strict=True):
            values = pa.concat_arrays([told, kept.cast(told.type)])
            numbers = [*self.batch.plain, *(state.image.values.get(name) for state in states)]
            children.append(values.take(_numbers(numbers)))
        return pa.StructArray.from_arrays(children, fields=list(events.type), mask=deleted)


def keys_of(column: pa.StructArray | pa.ChunkedArray) -> list[Any]:
    """Return a column of structs as keys that are equal where Spark finds them so; None for a null."""
    structs = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    parts = zip(*[comparable(part).to_pylist() for part in structs.flatten()], strict=True)
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


def _whole(events: pa.Table) -> pa.RecordBatch:
    """Return events in one piece: of a small batch they are small enough."""
    (whole,) = events.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], events.schema)]
    return whole


def _bools(values: pa.Array) -> np.ndarray[Any, Any]:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), bool)  # noqa: FBT003 - pyarrow's own form


def _numbers(numbers: Iterable[int | None]) -> pa.Array:
    """Return numbers to take by, null for what is not there."""
    return pa.array(numbers if isinstance(numbers, np.ndarray) else list(numbers), pa.int64())
