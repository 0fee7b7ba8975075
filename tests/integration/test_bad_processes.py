"""What goes wrong with a process as a whole: told as everything else is, without a traceback."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration import loopback
from tests.integration.bad_inputs import SECRET, Edit, put, text_of

SECONDS = 20.0


@contextmanager
def running(folder: Path, words: str, edit: Edit, path: str = "/usr/bin:/bin") -> Iterator[subprocess.Popen[str]]:
    """Run ``cdc`` with a configuration in the folder, and end it with the block."""
    text = text_of(edit, str(folder))
    assert text is not None
    (folder / "cdc.yaml").write_bytes(text)
    environment = {"PATH": path, "HOME": str(folder), "BAD_INPUTS_PASSWORD": SECRET, "COLUMNS": "200"}
    command = [sys.executable, "-m", "cdc", *words.split(), "-c", str(folder / "cdc.yaml")]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str], code: int, seconds: float = SECONDS) -> str:
    """Return all that the process prints, after its end."""
    printed = process.communicate(timeout=seconds)[0]
    assert process.returncode == code, printed
    assert "Traceback" not in printed, printed
    assert SECRET not in printed
    return printed


@pytest.mark.parametrize("words", ["stream --source shop", "load", "doctor --source shop"])
def test_no_java_in_path(tmp_path: Path, words: str) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "some.jar").touch()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "sh", "env", "dirname", "ps", "uname", "tty"):
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    with running(tmp_path, words, lambda _: None, str(programs)) as process:
        printed = said(process, 1)
    assert "Java" in printed
    assert "Java 17" in printed or "openjdk-17" in printed


@contextmanager
def reached() -> Iterator[tuple[int, threading.Event]]:
    """Give the port of a server that keeps silent, and what is set when somebody has come."""
    came = threading.Event()

    def answer(client: loopback.socket.socket) -> None:
        came.set()
        loopback.keep_silent(client)

    with loopback.serving(answer) as port:
        yield port, came


def test_told_to_stop_while_it_starts(tmp_path: Path) -> None:
    with reached() as (port, came), running(tmp_path, "stream --source shop", put("sources.0.port", port)) as process:
        assert came.wait(SECONDS)
        process.send_signal(signal.SIGTERM)
        said(process, 0)


def test_ctrl_c_while_a_database_is_silent(tmp_path: Path) -> None:
    """X11: what ends at once or with the time for an answer ends as other programs do."""
    words = "load --dry-run --source shop"
    with reached() as (port, came), running(tmp_path, words, put("sources.0.port", port)) as process:
        assert came.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=SECONDS)[0]
    assert process.returncode in (1, 130)
    assert "Traceback" not in printed


def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    command = f"{sys.executable} -m cdc config schema | head -c 10"
    ended = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("{")
    assert ended.stderr == ""


def test_a_mistake_of_ours_is_kept_in_a_file_of_this_user_alone(tmp_path: Path) -> None:
    code = (
        "from cdc.cli import app\n"
        "def mistake(): raise KeyError('row 4711')\n"
        "app.app.command('mistake')(mistake)\n"
        "app.main(['mistake'])"
    )
    began = time.time()
    ended = subprocess.run(
        [sys.executable, "-c", code], env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: unexpected KeyError\nhint: this is a bug: please report ")
    assert "4711" not in ended.stderr
    (kept,) = tmp_path.glob("cdc-*.traceback")
    assert "row 4711" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_mtime >= began - 1
