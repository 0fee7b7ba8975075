"""What fails is made shorter as long as it fails, with a runner that is a function."""

import random
from collections.abc import Callable

import pytest

from tests.campaign.shrinking import shrink


class FakeRunner:
    """Fails for lists that fulfil a condition, and remembers what it was asked."""

    def __init__(self, condition: Callable[[list[int]], bool]) -> None:
        self._condition = condition
        self.asked: list[list[int]] = []

    def __call__(self, items: list[int]) -> bool:
        self.asked.append(items)
        return self._condition(items)


def has(*wanted: int) -> Callable[[list[int]], bool]:
    return lambda items: set(wanted) <= set(items)


@pytest.mark.parametrize("wanted", [(0,), (199,), (100,), (3, 150), (7, 8, 9), (0, 50, 51, 199)])
def test_only_what_it_takes_is_left(wanted: tuple[int, ...]) -> None:
    runner = FakeRunner(has(*wanted))
    assert shrink(range(200), runner) == list(wanted)
    assert len(runner.asked) < 200


def test_a_random_need_is_found() -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    r = random.Random(seed)
    for _ in range(50):
        wanted = sorted(r.sample(range(60), r.randint(1, 6)))
        assert shrink(range(60), FakeRunner(has(*wanted))) == wanted


def test_order_and_doubled_items_stay() -> None:
    items = [5, 1, 5, 2, 5]

    def fails(some: list[int]) -> bool:
        return some.count(5) >= 2 and 2 in some and some.index(5) < some.index(2)

    found = shrink(items, fails)
    assert found in ([5, 5, 2], [5, 2, 5])


def test_no_single_item_of_what_is_left_can_go() -> None:
    def fails(some: list[int]) -> bool:
        return sum(some) >= 100

    found = shrink(range(40), fails)
    assert fails(found)
    assert not any(fails(found[:place] + found[place + 1 :]) for place in range(len(found)))


def test_no_list_is_run_twice() -> None:
    runner = FakeRunner(has(3, 77, 150))
    shrink(range(200), runner)
    asked = [tuple(one) for one in runner.asked]
    assert len(set(asked)) == len(asked)


def test_what_fails_only_as_a_whole_stays_whole() -> None:
    assert shrink(range(9), FakeRunner(lambda items: len(items) == 9)) == list(range(9))


def test_what_no_longer_fails_stays_as_it_was() -> None:
    """A failure that does not come again, or no time for another run."""
    assert shrink([1, 2, 3], FakeRunner(lambda _: False)) == [1, 2, 3]
    assert shrink([1], FakeRunner(lambda _: False)) == [1]
    assert shrink([], FakeRunner(lambda _: False)) == []
