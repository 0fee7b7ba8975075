"""Events by their keys, beside the same in plain Python."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cdc.spark.by_key import key_codes, runs_of
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


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_the_newest_of_each_key_is_the_last_of_its_run(seed: int, *, ordered: bool) -> None:
    """Events that do not come in their order are rare, and right all the same."""
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
