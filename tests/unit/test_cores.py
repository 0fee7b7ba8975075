"""Parts of a batch on several cores."""

import threading

import pytest

from cdc.cores import CORES, cut, on_cores


@pytest.mark.parametrize(("length", "most"), [(0, 3), (1, 3), (3, 3), (4, 3), (10, 3), (151_452, 25_000)])
def test_slices_are_the_sequence_together(length: int, most: int) -> None:
    """None is longer than asked for, and the shortest is one shorter than the longest at most."""
    parts = cut(length, most)
    items = list(range(length))
    assert [item for part in parts for item in items[part]] == items
    lengths = {part.stop - part.start for part in parts}
    assert not lengths or (max(lengths) <= most and max(lengths) - min(lengths) <= 1)


def test_one_part_is_worked_on_by_the_caller() -> None:
    """A small batch costs no thread."""
    assert on_cores(lambda _part: threading.current_thread(), [1]) == [threading.current_thread()]


def test_results_are_in_the_order_of_the_parts() -> None:
    """Whichever is done first."""
    together = threading.Barrier(min(CORES, 2))

    def work(part: int) -> int:
        if part < min(CORES, 2):
            together.wait(10)  # the first ones are done at the same time
        return part * 2

    assert on_cores(work, range(9)) == [part * 2 for part in range(9)]


def test_an_error_of_a_part_is_the_callers() -> None:
    """As it would be without threads."""

    def work(part: int) -> int:
        return 1 // (part - 3)

    with pytest.raises(ZeroDivisionError):
        on_cores(work, range(9))
