"""Events by their keys, beside the same in plain Python."""

import random
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cdc.spark.by_key import codes_of_both, key_codes, runs_of
from cdc.spark.gathered import keys_of

KEY = pa.struct([("a", pa.int64()), ("b", pa.string()), ("c", pa.float64())])


def keys(rng: random.Random, count: int) -> pa.StructArray:
    rows = [
        {"a": rng.randrange(4), "b": rng.choice(["", "x", "Ä"]), "c": rng.choice([0.0, -0.0, float("nan")])}
        for _ in range(count)
    ]
    return pa.array(rows, KEY)


@pytest.mark.parametrize("seed", range(20))
def test_codes_are_equal_where_keys_are(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    found = keys(rng, rng.randrange(1, 60))
    codes, told = key_codes(found).tolist(), keys_of(pa.chunked_array([found]))
    numbers: dict[Any, int] = {}
    assert codes == [numbers.setdefault(key, len(numbers)) for key in told], "in the order in which they come"


def value(number: int, kind: pa.DataType) -> Any:
    """Return what stands for a number in a column of a type."""
    if pa.types.is_decimal(kind):
        return Decimal(number)
    return str(number) if pa.types.is_string(kind) or pa.types.is_large_string(kind) else number


@pytest.mark.parametrize("seed", range(20))
def test_keys_of_a_table_and_of_a_batch_are_numbered_together(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    held, told = keys(rng, rng.randrange(40)), keys(rng, rng.randrange(40))
    together = key_codes(pa.concat_arrays([held, told])).tolist()
    first, second = codes_of_both(held, told)
    assert [*first, *second] == together
    different = pa.array([{"a": n, "b": "", "c": 0.0} for n in range(len(held))], KEY)
    assert codes_of_both(different, told)[0].tolist() == list(range(len(held))), "as the rows of a table"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.int32(), pa.int64()),
        (pa.string(), pa.large_string()),
        (pa.decimal128(9, 2), pa.decimal128(12, 2)),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
    ],
    ids=str,
)
def test_keys_of_another_width_are_the_same(one: pa.DataType, other: pa.DataType) -> None:
    """A key column was widened, and events of before are still to come; or the first of after."""
    small, large = (
        pa.array([value(n, one) for n in (1, 2, 3)], one),
        pa.array([value(n, other) for n in (3, 9, 1)], other),
    )
    for held, told, expected in ((small, large, [2, 3, 0]), (large, small, [2, 3, 0])):
        structs = [pa.StructArray.from_arrays([part], ["k"]) for part in (held, told)]
        first, second = codes_of_both(*structs)
        assert first.tolist() == [0, 1, 2]
        assert second.tolist() == expected
    if pa.types.is_integer(one):
        beyond = pa.StructArray.from_arrays([pa.array([2**40, 1], other)], ["k"])
        told = pa.StructArray.from_arrays([small], ["k"])
        assert codes_of_both(told, beyond)[1].tolist() == [3, 0]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_the_newest_of_each_key_is_the_last_of_its_run(seed: int, *, ordered: bool) -> None:
    """S8: events that do not come in their order are rare, and right all the same."""
    print("seed", seed)
    rng = random.Random(seed)
    count = rng.randrange(60)
    at = rng.sample(range(1000), count)
    positions = [f"{n:04}" for n in (sorted(at) if ordered else at)]
    codes = np.array([rng.randrange(8) for _ in range(count)], np.int64)
    numbers, marked = np.arange(count) * 2, np.array([rng.random() < 0.2 for _ in range(2 * count + 1)])
    runs = runs_of(numbers, codes, pa.array(positions, pa.string()))
    expected = {}
    for code in sorted(set(codes.tolist())):
        mine = [n for n in range(count) if codes[n] == code]
        expected[code] = [2 * n for n in sorted(mine, key=positions.__getitem__)]
    assert runs.events.tolist() == [n for of_key in expected.values() for n in of_key]
    assert runs.newest.tolist() == [of_key[-1] for of_key in expected.values()]
    chosen = runs.any_of(marked)
    assert chosen.tolist() == [any(marked[n] for n in of_key) for of_key in expected.values()]
    wanted = [sorted(of_key) for of_key, is_chosen in zip(expected.values(), chosen, strict=True) if is_chosen]
    assert runs.of(chosen) == wanted
