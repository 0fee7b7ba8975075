"""How commands beside the workload are judged: by their end, what they say, and whether a fault explains it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.commands import SHAKEN, Commands
from tests.campaign.faults import family, send
from tests.campaign.runner import Finding
from tests.e2e.service import Service, await_true

LONG_AGO = -1000.0


class FakeService(Service):
    """A service whose commands are lines of Python."""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", *arguments]


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(FakeService(tmp_path / "cdc.yaml", {}, tmp_path / "stream.log"))
    yield made
    made.kill()


def ended(commands: Commands, code: str, last_fault: float) -> bool:
    commands.start(code)
    return commands.end(last_fault)


def test_a_command_that_is_done_is_fine(commands: Commands) -> None:
    assert ended(commands, "print('loaded')", LONG_AGO)


def test_no_command_is_fine(commands: Commands) -> None:
    assert commands.end(LONG_AGO)


def test_a_command_that_fails_without_a_fault_is_a_finding(commands: Commands) -> None:
    with pytest.raises(Finding, match="has failed with code 3, and nothing was killed:\nno reason"):
        ended(commands, "print('no reason'); exit(3)", time.monotonic() - SHAKEN - 1)


def test_a_command_that_fails_after_a_fault_was_not_done_and_is_no_finding(commands: Commands) -> None:
    assert not ended(commands, "print('kafka is away'); exit(1)", time.monotonic())


@pytest.mark.parametrize("last_fault", [LONG_AGO, float("inf")])
def test_a_traceback_is_a_finding_whatever_was_killed(commands: Commands, last_fault: float) -> None:
    with pytest.raises(Finding, match="ends with a traceback"):
        ended(commands, "raise ValueError('no idea')", last_fault)


def test_a_question_is_answered_in_json_or_not_at_all(commands: Commands) -> None:
    assert commands.ask("print('{\"loads\": 1}')") == {"loads": 1}
    assert commands.ask("import sys; sys.exit('error: it is away')") is None
    with pytest.raises(Finding, match="ends with a traceback"):
        commands.ask("raise ValueError")


def test_a_paused_process_rests_with_all_that_it_has_started() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, start_new_session=True)
    try:
        await_true(lambda: len(family(process.pid)) == 2, 20, "the child is there")
        both = family(process.pid)
        assert both[0] == process.pid
        send(both, signal.SIGSTOP)
        await_true(lambda: states(both) == "TT", 20, "both are stopped")
        send(both, signal.SIGCONT)
        await_true(lambda: "T" not in states(both), 20, "both go on")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
    send(both, signal.SIGCONT)  # which are not there any more


def states(pids: list[int]) -> str:
    """Return a letter for the state of each process."""
    return "".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids)
