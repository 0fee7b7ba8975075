"""Runs actions against a world until one fails, and tells what was done."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.campaign.actions import Action


class Finding(Exception):
    """What must not be: rows that differ at the deadline, a service that ended, a command with a traceback."""


class World(Protocol):
    """What actions are done to; made and taken away by whoever runs the campaign."""

    counts: Counter[str]
    """What was done beside the actions: differences found, statements lost with their connection, and the like."""

    def act(self, action: Action) -> None:
        """Carry an action out; raises Finding for what must not be, and nothing for what a kill explains."""
        ...

    def settle(self) -> None:
        """Let everything run, wait until source and lake are equal; raises Finding at the deadline."""
        ...


@dataclass
class Outcome:
    """What a run did; ``finding`` is empty if nothing was found."""

    done: list[Action] = field(default_factory=list)
    finding: str = ""
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Return the figures, for JSON."""
        kinds = Counter(action.kind for action in self.done)
        return {
            "actions": len(self.done),
            "by_kind": dict(sorted(kinds.items())),
            "changes": sum(len(action.changes) + len(action.undone) for action in self.done),
            "kills": self._of("kill"),
            "pauses": self._of("pause"),
            "comparisons": self.counts["comparisons"],
            "differences": self.counts["differences"],
            "counts": dict(sorted(self.counts.items())),
            "seconds": round(self.seconds, 1),
            "finding": self.finding,
        }

    def _of(self, kind: str) -> dict[str, int]:
        return dict(sorted(Counter(action.target for action in self.done if action.kind == kind).items()))


def run(
    world: World, actions: Iterable[Action], *, seconds: float | None = None, told: Callable[[str], None] = print
) -> Outcome:
    """Return what became of the actions, of those that begin within ``seconds``; the last thing is a comparison."""
    outcome, began = Outcome(counts=world.counts), time.monotonic()
    try:
        for action in actions:
            if seconds is not None and time.monotonic() - began > seconds:
                break
            outcome.done.append(action)
            told(f"[{time.monotonic() - began:6.1f} s] {action}")
            world.act(action)
        world.settle()
    except Exception as error:  # noqa: BLE001 - whatever ends a campaign is told with the actions that led to it
        outcome.finding = str(error) if isinstance(error, Finding) else traceback.format_exc()
        told(f"FOUND: {outcome.finding}")
    outcome.seconds = time.monotonic() - began
    return outcome
