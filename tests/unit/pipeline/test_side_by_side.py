"""How many tables are worked on at once, by what the process is seen to do."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from cdc.pipeline import side_by_side as module
from cdc.pipeline.side_by_side import BUSY, IDLE, LOOK_SECONDS, Width, side_by_side
from cdc.pipeline.table import TableSpec
from tests.fakes.pipeline import spec_of

DEADLINE = 20.0


@dataclass
class Machine:
    """A clock and a processor's clock that a test moves."""

    wall: float = 0.0
    worked: float = 0.0

    def work(self, width: Width, busy: float, *, seconds: float = LOOK_SECONDS, stuck: bool = False) -> int:
        self.wall += seconds
        self.worked += busy * seconds
        width.look(stuck=stuck)
        return width.now


@pytest.fixture
def machine() -> Machine:
    return Machine()


def width_of(machine: Machine, most: int = 8, now: int = 1) -> Width:
    width = Width(most, lambda: machine.wall, lambda: machine.worked, now)
    width.begin()
    return width


def test_who_waits_for_something_else_is_not_waited_for(machine: Machine) -> None:
    width = width_of(machine, most=4)
    assert [machine.work(width, 0.1) for _ in range(5)] == [2, 3, 4, 4, 4]


def test_tables_that_keep_the_process_busy_are_taken_one_by_one(machine: Machine) -> None:
    width = width_of(machine, now=4)
    assert [machine.work(width, 1.2) for _ in range(5)] == [3, 2, 1, 1, 1]


def test_between_the_two_nothing_changes(machine: Machine) -> None:
    width = width_of(machine, now=3)
    assert [machine.work(width, busy) for busy in (IDLE, 0.75, BUSY)] == [3, 3, 3]


def test_a_look_at_little_work_waits_for_more(machine: Machine) -> None:
    width = width_of(machine)
    short = LOOK_SECONDS / 4
    assert [machine.work(width, 0.1, seconds=short) for _ in range(4)] == [1, 1, 1, 2]


def test_what_lies_between_two_batches_is_no_idleness(machine: Machine) -> None:
    width = width_of(machine, now=2)
    machine.wall += 60.0
    width.begin()
    assert machine.work(width, 0.8) == 2


def test_a_table_that_is_stuck_keeps_none_waiting_though_others_keep_the_process_busy(machine: Machine) -> None:
    width = width_of(machine, most=3)
    assert [machine.work(width, 1.5, stuck=True) for _ in range(3)] == [2, 3, 3]


def test_all_are_done_in_their_order_and_an_error_is_its_tables_own() -> None:
    specs = [spec_of(f"t{n}") for n in range(20)]
    begun: list[str] = []

    def work(spec: TableSpec) -> str:
        begun.append(spec.topic)
        if spec is specs[3]:
            raise ValueError
        return spec.topic

    with ThreadPoolExecutor(4) as pool:
        done = {spec.topic: future.exception() for spec, future in side_by_side(pool, work, specs, Width(1))}
    assert begun == [spec.topic for spec in specs]
    assert [topic for topic, error in done.items() if error] == [specs[3].topic]
    assert done.keys() == {spec.topic for spec in specs}


def test_others_go_on_beside_one_that_waits_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    specs, others = [spec_of(f"t{n}") for n in range(5)], threading.Event()

    def work(spec: TableSpec) -> bool:
        if spec is specs[0]:
            return others.wait(DEADLINE)
        if spec is specs[-1]:
            others.set()
        return True

    with ThreadPoolExecutor(2) as pool:
        done = [(spec, future.result()) for spec, future in side_by_side(pool, work, specs, Width(2))]
    assert [spec.topic for spec, _ in done][:3] == [spec.topic for spec in specs[1:4]]
    assert all(result for _, result in done), "the first one would have waited in vain"


def test_whoever_stops_listening_has_no_further_table_begun() -> None:
    specs, begun = [spec_of(f"t{n}") for n in range(50)], list[str]()
    go_on = threading.Event()

    def work(spec: TableSpec) -> None:
        begun.append(spec.topic)
        if len(begun) > 1:
            assert go_on.wait(DEADLINE)

    with ThreadPoolExecutor(2) as pool:
        tables = side_by_side(pool, work, specs, Width(1))
        next(tables)
        tables.close()  # type: ignore[attr-defined]
        go_on.set()
    assert len(begun) <= 2


def test_fewer_work_on_as_soon_as_the_width_says_so() -> None:
    """A worker that has finished a table asks before it takes the next one."""
    specs, at_once, most = [spec_of(f"t{n}") for n in range(40)], [0], list[int]()
    width, lock, together = Width(4, now=4), threading.Lock(), threading.Barrier(4)

    def work(spec: TableSpec) -> None:
        with lock:
            at_once[0] += 1
            most.append(at_once[0])
        if spec in specs[:4]:
            together.wait(DEADLINE)
            width.now = 1
        with lock:
            at_once[0] -= 1

    width.look = lambda **_: None  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        assert len(list(side_by_side(pool, work, specs, width))) == len(specs)
    assert max(most[:4]) == 4
    assert max(most[8:]) == 1
