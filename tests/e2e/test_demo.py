"""`cdc demo` as people run it: verified at its end, and nothing of it left however it is ended."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cdc.local.ports import answers
from cdc.local.processes import marked
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from tests.e2e.service import await_true

pytestmark = pytest.mark.timeout(400)
NAME = f"test-{os.getpid()}-demo"


@pytest.fixture
def demo_stack() -> Iterator[LocalStack]:
    own = LocalStack(NAME)
    yield own
    own.down(wipe=True)


def start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cdc", "demo", "--name", NAME, *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def await_line(process: subprocess.Popen[str], part: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if part in line:
            return
    raise AssertionError(f"the demo ended before it said {part!r}")


def nothing_left(stack: LocalStack) -> bool:
    ports = read_state(stack.folder).ports.values()
    return not list(marked(f"{stack.folder}:")) and not any(map(answers, ports))


def test_demo_verifies_every_table(demo_stack: LocalStack) -> None:
    process = start("--seconds", "10")
    output, _ = process.communicate(timeout=380)
    print(output)
    assert process.returncode == 0
    assert len(re.findall(r"^equal +shop:", output, re.MULTILINE)) == 7
    assert nothing_left(demo_stack)


@pytest.mark.parametrize("moment", ["postgres is up", "connect is up", "connector shop runs"])
def test_interrupted_demo_leaves_nothing(demo_stack: LocalStack, moment: str) -> None:
    process = start()
    await_line(process, moment)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert nothing_left(demo_stack)


def test_down_stops_what_a_killed_demo_left(demo_stack: LocalStack) -> None:
    process = start()
    await_line(process, "connector shop runs")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    assert not nothing_left(demo_stack)
    demo_stack.down()
    await_true(lambda: nothing_left(demo_stack), 5, "every process of the demo has ended")
