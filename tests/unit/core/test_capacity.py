"""What a load needs: the arithmetic, held against counting, and against what must be whatever the unit costs are."""

import random
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.core.capacity import Need, Shape, need
from cdc.core.capacity_units import Costs, described
from cdc.core.errors import ConfigError

COSTS = Costs()
SHAPES = st.builds(
    Shape,
    tables=st.integers(1, 100_000),
    changes=st.floats(0.01, 2e6),
    interval=st.floats(1, 3600),
    sources=st.integers(1, 100),
    small=st.floats(0, 1),
)


def test_tables_that_change_within_an_interval_are_as_many_as_when_they_are_drawn() -> None:
    drawn, shape = random.Random(1), Shape(tables=500, changes=20, interval=30)
    rounds = [len({drawn.randrange(500) for _ in range(600)}) for _ in range(200)]
    assert shape.touched == pytest.approx(sum(rounds) / len(rounds), rel=0.01)
    assert shape.batch == pytest.approx(600 / shape.touched)


@given(SHAPES)
def test_never_more_tables_change_than_there_are_nor_than_there_are_changes(shape: Shape) -> None:
    assert 0 < shape.touched <= min(shape.tables, shape.changes * shape.interval) * (1 + 1e-9)
    assert shape.batch >= 1 - 1e-9


@given(SHAPES)
def test_twice_the_changes_never_need_less_of_anything_but_another_way(shape: Shape) -> None:
    less, more = need(shape, COSTS), need(replace(shape, changes=2 * shape.changes), COSTS)
    assert more.spark.change_cores == pytest.approx(2 * less.spark.change_cores)
    assert more.kafka.bytes_kept == pytest.approx(2 * less.kafka.bytes_kept)
    assert more.connect.tasks >= less.connect.tasks or more.spark.ways != less.spark.ways
    assert more.spark.touched >= less.spark.touched


@given(SHAPES)
def test_what_is_planned_is_never_filled_beyond_what_was_planned(shape: Shape) -> None:
    found = need(shape, COSTS)
    assert all(part.fills <= part.planned * COSTS.busy * (1 + 1e-9) for part in found.parts)
    assert found.limiting in found.parts
    assert found.pipelines == found.connect.tasks >= max(shape.sources, found.spark.drivers)
    assert found.kafka.brokers >= COSTS.replicas


def test_half_the_interval_is_twice_the_fixed_price_once_all_tables_change() -> None:
    slow, fast = (need(Shape(100, 10_000, interval), COSTS) for interval in (60, 30))
    assert fast.spark.table_cores == pytest.approx(2 * slow.spark.table_cores, rel=1e-6)
    assert fast.spark.change_cores == slow.spark.change_cores
    assert fast.lake.commits > slow.lake.commits


def ways(**shape: float) -> tuple[str, ...]:
    return need(Shape(**{"tables": 10, "changes": 100, **shape}), COSTS).spark.ways  # type: ignore[arg-type]


def test_a_batch_takes_the_way_of_its_size() -> None:
    assert ways(small=1) == ("rewrite",)
    assert ways(small=0.5) == ("rewrite", "gather")
    assert ways() == ("gather",)
    assert ways(small=1, changes=100_000) == ("merge",), "too many changes even for small tables"


def limiting(found: Need) -> str:
    return found.limiting.name


def test_the_limiting_part_is_the_one_that_is_filled_most() -> None:
    dear = COSTS.given({"task_changes": 10})
    assert limiting(need(Shape(1, 5000), dear)) == "Connect"
    assert limiting(need(Shape(10_000, 1000, interval=10), COSTS)) == "Drivers"
    assert limiting(need(Shape(1, 5000), COSTS.given({"change_seconds": 1}))) == "Executors"
    assert limiting(need(Shape(100_000, 1, interval=3600), COSTS)) == "Kafka"


def test_unit_costs_of_ones_own_are_taken_and_shown_as_given() -> None:
    own = {unit.name: unit for unit in described(COSTS.given({"event_bytes": 1000}))}
    assert (own["event_bytes"].value, own["event_bytes"].origin) == (1000, "given")
    assert own["busy"].origin == "assumed"
    assert list(own) == [one.name for one in fields(Costs)]


@pytest.mark.parametrize("values", [{"event_byte": 1.0}, {"busy": 0.0}, {"busy": -1.0}])
def test_a_unit_cost_that_is_none_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        COSTS.given(values)


def test_every_unit_cost_says_where_it_comes_from() -> None:
    assert all(unit.origin.partition(":")[0] in {"measured", "setting", "assumed"} for unit in described(COSTS))
