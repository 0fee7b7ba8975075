"""Pausing tables: what is changed, told and kept."""

from cdc.pipeline.pause import Switched, pause, resume
from tests.fakes.control import MemoryControl

BY_ANN = "paused by ann at 2026-01-02T00:00:00+00:00: a bad deploy"


class Log:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []

    def write(self, command: str, target: str, what: str, why: str) -> None:
        self.entries.append((command, target, what, why))


def test_a_pause_is_kept_in_the_name_of_who_was_first() -> None:
    control, log = MemoryControl(), Log()
    assert pause(control, log, ["s.a"], "ann", "a bad deploy") == [Switched("s.a", changed=True, pause=BY_ANN)]
    again = pause(control, log, ["s.a", "s.b"], "bob", "")
    assert [(one.target, one.changed) for one in again] == [("s.a", False), ("s.b", True)]
    assert again[0].pause == BY_ANN
    assert log.entries == [
        ("tables pause", "s.a", "paused", "a bad deploy"),
        ("tables pause", "s.b", "paused", ""),
    ]


def test_resuming_tells_what_was_and_leaves_the_others_alone() -> None:
    control, log = MemoryControl(), Log()
    pause(control, log, ["s.a"], "ann", "a bad deploy")
    assert resume(control, log, ["s.a", "s.b"]) == [
        Switched("s.a", changed=True, pause=BY_ANN),
        Switched("s.b", changed=False),
    ]
    assert control.paused == {}
    assert log.entries[1:] == [("tables resume", "s.a", f"resumed, was {BY_ANN}", "")]
