"""The changes of the throughput measurement: their numbers, and that none is in vain."""

from collections import Counter

import numpy as np
import pytest

from tests.bench.changes import at_once, changes, make
from tests.bench.shapes import COLUMNS


@pytest.mark.parametrize("keys", ["zipf", "uniform"])
@pytest.mark.parametrize("count", [10, 1_000, 20_000])
def test_of_ten_changes_eight_are_updates_one_is_an_insert_and_one_a_delete(count, keys):
    found = Counter(changes(count, 5_000, keys, seed=1).operations.tolist())
    assert found == {"u": count // 10 * 8, "i": count // 10, "d": count // 10}


@pytest.mark.parametrize("keys", ["zipf", "uniform"])
@pytest.mark.parametrize(("count", "rows"), [(20_000, 20_000), (20_000, 57), (3_333, 1_009)])
def test_every_change_finds_its_row(count, rows, keys):
    there = set(range(rows))
    for operation, key in zip(*(part.tolist() for part in changes(count, rows, keys, seed=7)), strict=True):
        assert (key in there) is (operation != "i"), (operation, key)
        if operation == "i":
            there.add(key)
        elif operation == "d":
            there.remove(key)
    assert len(there) == rows + (count % 10 > 0)


def test_the_same_seed_makes_the_same_changes():
    one, same, other = (changes(1_000, 1_000, "zipf", seed) for seed in (3, 3, 4))
    assert np.array_equal(one.keys, same.keys)
    assert not np.array_equal(one.keys, other.keys)


def test_popular_keys_get_their_share_of_the_updates_and_uniform_ones_are_alike():
    updated = {}
    for keys in ("zipf", "uniform"):
        plan = changes(200_000, 10_000, keys, seed=1)
        updated[keys] = Counter(plan.keys[plan.operations == "u"].tolist()).most_common()
    harmonic = sum(rank**-0.99 for rank in range(1, 9_001))
    shares = [count / 160_000 for _, count in updated["zipf"][:10]]
    assert shares == pytest.approx([rank**-0.99 / harmonic for rank in range(1, 11)], rel=0.1)
    assert updated["uniform"][0][1] < 60
    assert len(updated["uniform"]) == 9_000


def test_popular_keys_are_all_over_the_table():
    plan = changes(200_000, 100_000, "zipf", seed=1)
    popular = [key for key, _ in Counter(plan.keys[plan.operations == "u"].tolist()).most_common(100)]
    assert all(count >= 3 for count in np.histogram(popular, bins=10, range=(0, 100_000))[0])


def test_a_table_must_have_a_row_to_delete():
    with pytest.raises(ValueError, match="a table of 9 rows is too small"):
        changes(100, 9, "zipf", seed=1)


def test_a_hundred_changes_are_a_transaction_and_texts_that_stay_are_not_sent_again():
    statement = make("shop.t00", COLUMNS, seed=1)
    assert "one.n % 100 = 99 THEN COMMIT" in statement
    updated = statement[statement.index("UPDATE shop.t00 SET") : statement.index("WHERE id = k")]
    assert "amount = " in updated
    assert "long = " not in updated
    assert "{h}" not in statement


@pytest.mark.parametrize(("count", "last"), [(3_000, [1_000] * 3), (2_500, [1_000, 1_000, 500]), (10, [10])])
def test_one_transaction_updates_as_many_rows_as_are_asked_for(count, last):
    statements = list(at_once("shop.t00", COLUMNS, 1_000, count, seed=1))
    assert [int(one.rpartition("WHERE id < ")[2].partition(")")[0]) for one in statements] == last
    assert len(set(statements)) == len(statements)
