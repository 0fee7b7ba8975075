"""The runner of a campaign with a world that is none: what it does last, what it counts, what a finding ends."""

from collections import Counter

import pytest

from tests.campaign.actions import Action, Change, action, actions
from tests.campaign.runner import Finding, run
from tests.campaign.shrinking import shrink

KILL = Action(1, "kill", "kafka")
PAUSE = Action(2, "pause", "service", seconds=3)
TRANSACTION = Action(3, "transaction", changes=(Change("insert", "orders", 1),), undone=(Change("bulk", "tags", 2),))


class FakeWorld:
    """Notes what is done to it; finds something when it settles behind certain actions."""

    def __init__(self, fatal: tuple[Action, ...] = (), at_once: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.done: list[Action] = []
        self.settled = 0
        self._fatal, self._at_once = fatal, at_once

    def act(self, action: Action) -> None:
        self.done.append(action)
        if self._at_once and action in self._fatal:
            raise Finding(f"ended at {action}")

    def settle(self) -> None:
        self.settled += 1
        self.counts["comparisons"] += 1
        if self._fatal and set(self._fatal) <= set(self.done):
            self.counts["differences"] += 4
            raise Finding("not equal")


def quiet(_: str) -> None:
    """Say nothing."""


def test_all_actions_are_done_and_then_it_is_compared() -> None:
    world = FakeWorld()
    outcome = run(world, [KILL, PAUSE, TRANSACTION], told=quiet)
    assert world.done == outcome.done == [KILL, PAUSE, TRANSACTION]
    assert world.settled == 1
    assert outcome.summary() | {"seconds": 0} == {
        "actions": 3,
        "by_kind": {"kill": 1, "pause": 1, "transaction": 1},
        "changes": 2,
        "kills": {"kafka": 1},
        "pauses": {"service": 1},
        "comparisons": 1,
        "differences": 0,
        "counts": {"comparisons": 1},
        "seconds": 0,
        "finding": "",
    }


def test_a_difference_at_the_end_is_a_finding() -> None:
    outcome = run(FakeWorld((KILL, TRANSACTION)), [KILL, PAUSE, TRANSACTION], told=quiet)
    assert outcome.finding == "not equal"
    assert outcome.summary()["differences"] == 4


def test_a_finding_ends_the_run_and_nothing_is_done_behind_it() -> None:
    world = FakeWorld((PAUSE,), at_once=True)
    outcome = run(world, [KILL, PAUSE, TRANSACTION], told=quiet)
    assert outcome.done == [KILL, PAUSE]
    assert world.settled == 0
    assert outcome.finding == "ended at 2 pause, service, for 3 s"


def test_an_error_that_nobody_expected_is_told_with_its_traceback() -> None:
    class Broken(FakeWorld):
        def act(self, action: Action) -> None:
            raise RuntimeError(f"no idea of {action}")

    outcome = run(Broken(), [KILL, PAUSE], told=quiet)
    assert outcome.done == [KILL]
    assert "Traceback" in outcome.finding
    assert "no idea of 1 kill, kafka" in outcome.finding


def test_a_campaign_that_is_interrupted_ends() -> None:
    class Interrupted(FakeWorld):
        def act(self, _: Action) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), [KILL], told=quiet)


def test_time_that_is_over_ends_actions_without_an_end() -> None:
    world = FakeWorld()
    outcome = run(world, actions(5), seconds=0.2, told=quiet)
    assert len(outcome.done) > 1
    assert outcome.done == [action(5, number) for number in range(1, len(outcome.done) + 1)]
    assert world.settled == 1


def test_what_is_told_has_each_action() -> None:
    lines: list[str] = []
    run(FakeWorld((PAUSE,)), [KILL, PAUSE], told=lines.append)
    assert [line.partition("] ")[2] for line in lines[:2]] == ["1 kill, kafka", "2 pause, service, for 3 s"]
    assert lines[2] == "FOUND: not equal"


def test_a_campaign_that_fails_is_made_short() -> None:
    many = [action(3, number) for number in range(1, 101)]
    fatal = (many[10], many[40], many[77])

    def fails(some: list[Action]) -> bool:
        return bool(run(FakeWorld(fatal), some, told=quiet).finding)

    assert fails(many)
    assert shrink(many, fails) == list(fatal)
