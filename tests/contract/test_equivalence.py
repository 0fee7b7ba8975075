"""The core's reference model and Spark with Iceberg make equal tables of equal events."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from cdc.core.errors import UnavailableValue
from cdc.core.events import ChangeEvent, Operation
from cdc.core.merge import TableState, merge, torn_at
from cdc.core.positions import LAYOUTS
from tests.contract.sequences import BIG, PARTITIONS, history
from tests.lake import PLACEHOLDER, Killed, LakeTable, Message, killed_before_publish

COLUMNS = [
    {"name": "s", "type": "long"},
    {"name": "id", "type": "int"},
    {"name": "n", "type": ["null", "long"], "default": None},
    {"name": BIG, "type": ["null", "string"], "default": None},
]
SEQUENCES = 100
_attempts = count(1)
"""A failing example is tried again, in a table of its own."""
BATCHES = 4


def message(event: ChangeEvent, partition: int) -> Message:
    """Return the event as Debezium would write it."""
    commit, _, lsn = event.position.components
    row = None
    if event.operation is not Operation.DELETE:
        row = {**event.values, **dict.fromkeys(event.unavailable, PLACEHOLDER)}
    names = dict(zip(("s", "id"), event.key, strict=True))
    headers: dict[str, Any] = {}
    if event.old_key is not None:
        headers["__debezium.oldkey"] = dict(zip(("s", "id"), event.old_key, strict=True))
    if event.new_key is not None:
        headers["__debezium.newkey"] = dict(zip(("s", "id"), event.new_key, strict=True))
    source = {
        "version": "3",
        "ts_ms": 1_700_000_000_000 + lsn,
        "snapshot": "true" if event.operation is Operation.READ else "false",
        "sequence": json.dumps([str(commit) if commit else None, str(lsn)]),
    }
    value = {"before": None, "after": row, "source": source, "op": str(event.operation), "ts_ms": 0}
    return Message(partition, event.position.offset, names, value, headers)


@pytest.mark.parametrize(
    ("whole", "limits", "deltas"),
    [
        (True, {"cdc.spark.small.MESSAGES": 0}, False),
        (False, {"cdc.spark.small.MESSAGES": 0, "cdc.spark.session.INTERPRETED_ROWS": 0}, False),
        (True, {"cdc.lake.rewriting.SMALL_ROWS": -1, "cdc.spark.microbatch.GATHERED": -1}, False),
        (True, {}, False),
        (False, {}, False),
        (True, {}, True),
        (False, {}, True),
        (True, {"cdc.spark.small.MESSAGES": 0}, True),
    ],
    ids=[
        "key changes whole, in Spark, interpreted",
        "key changes torn, in Spark, compiled",
        "key changes whole, decoded by Spark, in the core, merged",
        "key changes whole, in the core, rewritten",
        "key changes torn, in the core, rewritten",
        "key changes whole, in the core, as row deltas",
        "key changes torn, in the core, as row deltas",
        "key changes whole, in Spark, as row deltas",
    ],
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=1,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_reference_model_and_spark_agree(
    lake: tuple[Any, Any], whole: bool, limits: dict[str, int], deltas: bool, seed: int
) -> None:
    """Promise 1, P1, P3, P6, P10, P12, S14, K6, K9, S8: duplicates, redeliveries, key shifts and swaps, any batch
    split.

    Every other batch is staged before and not published, as a crash leaves it (S1). Key changes are applied whole, as a
    pipeline does, or torn, as after waiting for the other half in vain. Batches are decoded by Spark or at the driver,
    collapsed by Spark, which interprets its expressions or compiles them, or by the core, and merged, rewritten or
    staged as row deltas.
    """
    note(f"seed {seed}")
    print(f"seed {seed}: {SEQUENCES} sequences")
    histories = [history(seed, number, transactions=8) for number in range(SEQUENCES)]
    batches: dict[int, list[ChangeEvent]] = defaultdict(list)
    for one in histories:
        for number, event in one.deliveries(BATCHES, whole=whole):
            batches[number].append(event)
    model = TableState()
    pending: list[ChangeEvent] = []
    table = LakeTable(*lake, COLUMNS, name=f"seed_{seed}_{next(_attempts)}", key=("s", "id"), deltas=deltas)
    offsets = [0] * PARTITIONS
    for number in sorted(batches):
        events, messages = renumbered(batches[number], offsets)
        if whole:
            events, pending = kept_whole(model, pending + events)
        try:
            model = merge(model, events, LAYOUTS["postgres"])
        except UnavailableValue:  # a key that two rows shared when the batch ended: docs/semantics.md, "Where it ends"
            assert whole
            stops(table, messages, limits)
            return
        with limited(limits):
            apply = table.apply_whole if whole else table.apply
            if number % 2:
                crash(table, lambda apply=apply, messages=messages: apply(messages))
            applied = apply(messages)
        assert not deltas or applied.way in ("delta", "")
        assert spark_rows(table) == model_rows(model), f"seed {seed}, after batch {number}"
    assert (pending, table.pending) == ([], [])
    expected = {(h.sequence, i): row for h in histories for i, row in h.rows.items()}
    assert {k: (v["n"], v[BIG]) for k, v in model_values(model).items()} == {
        k: (v["n"], v[BIG]) for k, v in expected.items()
    }, f"seed {seed}: the source ended otherwise"


@contextmanager
def limited(limits: dict[str, int]) -> Iterator[None]:
    """Have batches collapsed in the way to which these limits lead."""
    with pytest.MonkeyPatch.context() as patched:
        for limit, rows in limits.items():
            patched.setattr(limit, rows)
        yield


def stops(table: LakeTable, messages: list[Message], limits: dict[str, int]) -> None:
    """A table that the model cannot go on with stops, and keeps its rows."""
    before = spark_rows(table)
    with limited(limits), pytest.raises(UnavailableValue, match="known nowhere"):
        table.apply_whole(messages)
    assert spark_rows(table) == before


def crash(table: LakeTable, apply: Callable[[], object]) -> None:
    """Apply a batch as far as right before its publication; a new process finds nothing of it in memory."""
    memory = replace(table.memory)
    with killed_before_publish(table), suppress(Killed):  # there may be nothing to publish
        apply()
    table.memory = memory


def kept_whole(model: TableState, events: list[ChangeEvent]) -> tuple[list[ChangeEvent], list[ChangeEvent]]:
    """Return the events up to where all key changes are whole, and the others."""
    kept: list[ChangeEvent] = events
    while place := torn_at(model, kept, LAYOUTS["postgres"]):
        first: dict[int, int] = {}
        for event in kept:
            if event.position.components >= place:
                p = partition_of(event)
                first[p] = min(first.get(p, event.position.offset), event.position.offset)
        kept = [e for e in kept if e.position.offset < first.get(partition_of(e), e.position.offset + 1)]
    return kept, [event for event in events if event not in kept]


def partition_of(event: ChangeEvent) -> int:
    """Return the partition that the event's key is in."""
    return hash(event.key) % PARTITIONS


def renumbered(events: list[ChangeEvent], offsets: list[int]) -> tuple[list[ChangeEvent], list[Message]]:
    """Give the events of many histories offsets of one common topic, order within each history kept."""
    found, messages = [], []
    for event in sorted(events, key=lambda e: e.operation is not Operation.READ):
        p = partition_of(event)
        placed = ChangeEvent(
            event.operation,
            event.key,
            event.position._replace(offset=offsets[p]),
            event.values,
            event.unavailable,
            event.old_key,
            event.new_key,
        )
        offsets[p] += 1
        found.append(placed)
        messages.append(message(placed, p))
    return found, messages


def spark_rows(table: LakeTable) -> dict[Any, Any]:
    """Return key -> (values, place, operation) as published."""
    width = LAYOUTS["postgres"].place_width
    return {(r.s, r.id): (r.n, r.big, r["_cdc_position"][:width], r["_cdc_op"]) for r in table.rows()}


def model_rows(model: TableState) -> dict[Any, Any]:
    """Return the same of the model."""
    layout = LAYOUTS["postgres"]
    return {
        key: (row.values["n"], row.values[BIG], row.position.place(layout), row.operation)
        for key, row in model.rows.items()
    }


def model_values(model: TableState) -> dict[Any, dict[str, Any]]:
    """Return key -> values of the model."""
    return {key: row.values for key, row in model.rows.items()}
