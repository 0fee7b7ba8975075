"""Positions of many events are the core's, text by text."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cdc.core.positions import LAYOUTS, Position
from cdc.spark.arrow_positions import components_of, epochs_of, position_texts
from cdc.spark.arrow_values import Refused


@pytest.mark.parametrize("engine", LAYOUTS)
def test_positions_are_written_as_the_core_writes_each(engine: str) -> None:
    rng, layout = random.Random(engine), LAYOUTS[engine]
    positions = [
        Position(
            rng.randrange(2**32),
            tuple(rng.randrange(min(16**d, 2**63)) for d in layout.digits),  # type: ignore[arg-type]
            rng.randrange(2**63),
        )
        for _ in range(200)
    ]
    columns = [np.array([p.components[n] for p in positions], np.int64) for n in range(3)]
    epochs, offsets = (np.array([getattr(p, n) for p in positions], np.int64) for n in ("epoch", "offset"))
    assert position_texts(layout, epochs, columns, offsets).to_pylist() == [p.text(layout) for p in positions]


@pytest.mark.parametrize("bad", [-1, 2**40])
def test_a_number_that_does_not_fit_is_refused(bad: int) -> None:
    one = np.array([1], np.int64)
    with pytest.raises(Refused, match="do not fit"):
        position_texts(LAYOUTS["mysql"], one, [np.array([bad], np.int64), one, one], one)


def test_the_epoch_of_a_message_is_that_of_the_last_one_that_began_before_it() -> None:
    epochs = {0: ((0, 3), (7, 4)), 1: ((5, 9),)}
    partitions, offsets = np.array([0, 0, 0, 1, 1, 2]), np.array([6, 7, 100, 4, 5, 5])
    assert epochs_of(partitions, offsets, epochs).tolist() == [3, 4, 4, 0, 9, 0]


def source(**columns: list[Any]) -> pa.StructArray:
    return pa.table(columns).to_struct_array().combine_chunks()


def numbers(engine: str, operations: list[str], **columns: list[Any]) -> list[list[int]]:
    return [part.tolist() for part in components_of(engine, source(**columns), pa.array(operations))]


def test_components_are_those_of_the_source() -> None:
    told = ['["1234","5678"]', '[null,"9"]', '[null, "10"]']
    assert numbers("postgres", ["c", "r", "u"], sequence=told) == [[1234, 0, 0], [1, 0, 1], [5678, 9, 10]]
    files = ["binlog.000012", "a.b.000007"]
    assert numbers("mysql", ["d", "r"], file=files, pos=[4, 5]) == [[12, 7], [4, 5], [1, 0]]
    told_by_oracle = {"commit_scn": ["12", None], "scn": ["11", "7"], "txSeq": [None, 3]}
    assert numbers("oracle", ["c", "c"], **told_by_oracle) == [[12, 7], [1, 1], [0, 3]]


@pytest.mark.parametrize("text", ["", '["1","2","3"]', '["1",null]', "[1,2]", '["x","2"]', None])
def test_a_place_in_another_form_is_refused(text: str | None) -> None:
    with pytest.raises(Refused, match="a place in the log"):
        components_of("postgres", source(sequence=pa.array([text], pa.string())), pa.array(["c"]))  # type: ignore[arg-type]
