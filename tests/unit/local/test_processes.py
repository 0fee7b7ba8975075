import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.local.processes import Launch, alive, marked, run, start, stop, wait

SLEEPS = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def started(tmp_path):
    processes = []

    def launch(code, mark="test:one"):
        processes.append(start(Launch([sys.executable, "-c", code], tmp_path), tmp_path / "log", mark))
        return processes[-1]

    yield launch
    stop(processes, signal.SIGKILL, 5)


def test_a_started_process_is_alive_until_it_is_stopped(started):
    process = started(SLEEPS)
    assert alive(process)
    stop([process], signal.SIGTERM, 10)
    assert not alive(process)


def test_a_reused_number_is_another_process_and_is_never_killed(started):
    process = started(SLEEPS)
    stranger = replace(process, started=process.started - 1)
    assert not alive(stranger)
    stop([stranger], signal.SIGKILL, 1)
    assert alive(process)


def test_what_does_not_stop_when_asked_is_killed(started, tmp_path):
    process = started(STUBBORN)
    assert wait(lambda: b"ready" in (tmp_path / "log").read_bytes(), 10)
    stop([process], signal.SIGTERM, 0.3)
    assert not alive(process)


def test_a_process_that_nobody_wrote_down_is_found_by_its_mark(started):
    process = started(SLEEPS, mark="test-mark:kafka")
    assert wait(lambda: ("kafka", process) in list(marked("test-mark:")), 10)
    assert not list(marked("test-other:"))


def test_children_of_a_marked_server_are_not_servers(started):
    process = started(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPS!r}])", mark="test-tree:a")
    assert wait(lambda: list(marked("test-tree:")) == [("a", process)], 10)


def test_a_server_sees_no_variable_of_its_starter(tmp_path, monkeypatch):
    monkeypatch.setenv("CDC_CANARY", "not for servers")
    code = run(Launch([sys.executable, "-c", "import os; print(*os.environ)"], tmp_path), tmp_path / "log")
    assert code == 0
    assert "CDC_CANARY" not in (tmp_path / "log").read_text()


def test_files_of_a_server_are_closed_to_others(tmp_path):
    run(Launch([sys.executable, "-c", "open('made', 'w')"], tmp_path), tmp_path / "log")
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_a_killed_server_takes_its_children_with_it(started):
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]).wait()"
    process = started(code, mark="test-family:a")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    assert wait(lambda: bool(children.read_text()), 10)
    child = int(children.read_text())
    stop([process], signal.SIGKILL, 5)
    assert wait(lambda: not Path(f"/proc/{child}").exists(), 10)
