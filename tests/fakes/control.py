"""The control table in memory: implements ``cdc.pipeline.control.Control`` and what operators' commands do to it."""

import uuid

from cdc.core.control import ControlState, Pause


class MemoryControl:
    """Pauses and moves; ``failures`` are raised by the next reads, in turn."""

    def __init__(self) -> None:
        self.paused: dict[str, Pause] = {}
        self.moves: dict[str, str] = {}
        self.failures: list[Exception] = []
        self.reads = 0

    def create(self) -> None:
        pass

    def read(self) -> ControlState:
        self.reads += 1
        if self.failures:
            raise self.failures.pop(0)
        return ControlState(dict(self.paused), dict(self.moves))

    def pause(self, target: str, who: str, why: str) -> None:
        self.paused[target] = Pause(who, "2026-01-02T00:00:00+00:00", why)

    def resume(self, target: str) -> None:
        self.paused.pop(target, None)

    def moved(self, target: str) -> None:
        self.moves[target] = str(uuid.uuid4())
