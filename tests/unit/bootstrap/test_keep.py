"""Several pipelines in one process: which of them goes on when one of them ends."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cdc.bootstrap.keep import Keeper
from cdc.core.errors import Fenced

DEADLINE = 10.0


@dataclass
class Scripted:
    """A pipeline that raises its errors one after another, and then runs until it is told to stop."""

    name: str
    errors: list[Exception] = field(default_factory=list)
    runs: list[bool] = field(default_factory=list)
    on_run: Callable[[], None] = lambda: None

    def run(self, stop: threading.Event, *, standby: bool = False) -> None:
        self.runs.append(standby)
        self.on_run()
        if self.errors:
            raise self.errors.pop(0)
        assert stop.wait(DEADLINE)


def assert_true(condition: bool) -> None:
    assert condition


def keep(stop: threading.Event, *pipelines: Scripted) -> None:
    Keeper(pipelines, stop, first=0.01).run(lambda _threads: None)


def test_a_pipeline_that_has_ended_begins_again_beside_the_others_and_waits_for_its_lease() -> None:
    stop = threading.Event()
    lost = Scripted("lost", [Fenced("taken over"), KeyError("a bug")])
    lost.on_run = lambda: stop.set() if len(lost.runs) == 3 else None
    well = Scripted("well")
    keep(stop, lost, well)
    assert lost.runs == [False, True, True]
    assert well.runs == [False]


def test_the_process_ends_with_the_first_error_once_no_pipeline_runs() -> None:
    first_is_there = threading.Event()
    one, two = Scripted("one", [Fenced("first")] * 50), Scripted("two", [Fenced("second")] * 50)
    one.on_run = first_is_there.set
    two.on_run = lambda: assert_true(first_is_there.wait(DEADLINE))
    with pytest.raises(Fenced):
        keep(threading.Event(), one, two)


def test_a_pipeline_alone_ends_the_process_at_once() -> None:
    """Its supervisor starts it again."""
    alone = Scripted("alone", [Fenced("taken over")])
    with pytest.raises(Fenced, match="taken over"):
        keep(threading.Event(), alone)
    assert alone.runs == [False]


def test_a_stop_ends_one_that_waits_to_begin_again() -> None:
    stop = threading.Event()
    ended = Scripted("ended", [Fenced("taken over")] * 9)
    ended.on_run = stop.set
    keep(stop, ended, Scripted("well"))  # and it is an orderly end
    assert ended.runs == [False]
