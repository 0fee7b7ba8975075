"""The order of loads: what waits for its capture holds up no other."""

from collections.abc import Sequence

from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS
from cdc.pipeline.load_queue import ready_groups
from cdc.pipeline.table import TableSpec

A, B, C = (
    TableSpec("shop", "postgres", f"shop.{name}", TableName("ns", name), ("id",), LAYOUTS["postgres"]) for name in "abc"
)


class World:
    """Capture of some tables begins at some second; a second passes with every look that finds nothing."""

    def __init__(self, **begins: float) -> None:
        self.begins = begins
        self.now = 0.0
        self.told: list[tuple[str, str]] = []
        self.stopped = False

    def lacking(self, specs: Sequence[TableSpec]) -> dict[TableName, str]:
        return {s.target: "left out" for s in specs if self.begins.get(s.target.table, 0) > self.now}

    def groups(self, specs: Sequence[TableSpec], seconds: float = 10) -> list[list[str]]:
        return [
            [spec.target.table for spec in group]
            for group in ready_groups(
                specs,
                self.lacking,
                lambda spec, reason: self.told.append((spec.target.table, reason)),
                seconds=seconds,
                stopping=lambda: self.stopped,
                pause=self.sleep,
                clock=lambda: self.now,
            )
        ]

    def sleep(self, _seconds: float) -> None:
        self.now += 1


def test_tables_that_are_captured_come_first_in_their_order() -> None:
    """X2: a table that waited for its connector held up all others for five minutes."""
    world = World(b=3, a=5)
    assert world.groups([A, B, C]) == [["c"], ["b"], ["a"]]
    assert world.told == [("a", "left out"), ("b", "left out")]
    assert World().groups([B, A]) == [["b", "a"]]
    assert World().groups([]) == []


def test_what_is_never_captured_comes_in_the_end_to_say_so() -> None:
    world = World(a=1e9, b=4)
    assert world.groups([A, B]) == [["b"], ["a"]]
    assert world.now == 14  # ten seconds after the last one that was ready


def test_nothing_is_waited_for_when_it_is_told_to_stop() -> None:
    world = World(a=1e9)
    world.stopped = True
    assert world.groups([A, B]) == [["a", "b"]]
    assert world.now == 0
