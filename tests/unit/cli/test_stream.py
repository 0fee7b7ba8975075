"""`cdc stream` on the command line: what signals do."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cdc.bootstrap import service
from cdc.cli import stream
from tests.fakes.configuration import configuration

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def kept_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sighup_reads_the_configuration_again_and_sigterm_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Any] = []
    seen: list[tuple[bool, bool]] = []

    def load(path: Any, only: Any = None) -> Any:
        loads.append((str(path), only))
        return configuration()

    def run(_config: Any, stop: threading.Event, *, standby: bool, reload: Any, reload_now: threading.Event) -> None:
        assert not standby
        os.kill(os.getpid(), signal.SIGHUP)
        assert reload_now.wait(10)
        seen.append((reload_now.is_set(), stop.is_set()))
        reload()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)

    monkeypatch.setattr(stream, "load_config", load)
    monkeypatch.setattr(stream, "begin_spark", lambda _config: None)
    monkeypatch.setattr(service, "run_stream", run)
    app = typer.Typer()
    app.callback()(lambda: None)
    stream.register(app)
    result = CliRunner().invoke(app, ["stream", "-c", "some.yaml", "-s", "shop"])
    assert result.exit_code == 0, result.exception
    assert seen == [(True, False)]
    assert loads == [("some.yaml", ["shop"])] * 2


def test_a_stop_that_takes_too_long_ends_the_process_and_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """X8, T13: a service whose catalog was gone had not ended two minutes after SIGTERM."""
    codes: list[int] = []
    monkeypatch.setattr(stream, "end", codes.append)
    monkeypatch.setattr(stream, "STOP_SECONDS", 0.05)
    stop, ended = threading.Event(), threading.Event()
    stop.set()
    stream.end_in_time(stop, ended)
    assert codes == [1]
    ended.set()
    stream.end_in_time(stop, ended)
    assert codes == [1]


def test_a_service_that_has_stopped_ended_only_when_the_threads_of_its_libraries_did() -> None:
    """X8: thirty seconds after SIGTERM it was still there, with everything done."""
    program = """if True:
        import sys, threading
        from cdc.cli import app
        sys.argv = ["cdc", "stream"]
        app.run = lambda _arguments: sys.exit(3)
        threading.Thread(target=threading.Event().wait).start()
        print("told")
        app.main()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "told\n"), done.stderr
