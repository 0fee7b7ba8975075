"""Pause: take tables out of a running pipeline for a while, and let them in again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cdc.core.control import ControlState


class Switch(Protocol):
    """The control table as operators use it; every call is atomic, and idempotent but for the time it notes."""

    def read(self) -> ControlState:
        """Return what stands there now; raises TransientError."""
        ...

    def pause(self, target: str, who: str, why: str) -> None:
        """Pause a table; raises ConfigError where it cannot be written."""
        ...

    def resume(self, target: str) -> None:
        """End the pause of a table."""
        ...


class Audit(Protocol):
    """Where is kept what operators did."""

    def write(self, command: str, target: str, what: str, why: str) -> None:
        """Append an entry."""
        ...


@dataclass(frozen=True)
class Switched:
    """What became of one table: whether anything had to change, and who paused it, when and why."""

    target: str
    changed: bool
    pause: str = ""


def pause(switch: Switch, audit: Audit, targets: Iterable[str], who: str, why: str) -> list[Switched]:
    """Pause tables; those that are paused already stay so, in the name of who did it first."""
    before, asked = switch.read().paused, list(targets)
    for target in asked:
        if target not in before:
            switch.pause(target, who, why)
            audit.write("tables pause", target, "paused", why)
    after = switch.read().paused
    return [Switched(target, target not in before, str(after.get(target, ""))) for target in asked]


def resume(switch: Switch, audit: Audit, targets: Iterable[str]) -> list[Switched]:
    """End the pause of tables; those that are not paused are left alone."""
    before, asked = switch.read().paused, list(targets)
    for target in asked:
        if target in before:
            switch.resume(target)
            audit.write("tables resume", target, f"resumed, was {before[target]}", "")
    return [Switched(target, target in before, str(before.get(target, ""))) for target in asked]
