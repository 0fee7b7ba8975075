"""Lines of a JVM become lines of our own log."""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from cdc.spark.jvm import HARMLESS, LOG_SETTINGS, tell


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def told(*lines: str, pipeline: str = "") -> list[dict[str, object]]:
    with capture_logs() as found:
        tell(lines, pipeline, deque())
    return [dict(one) for one in found]


def test_a_json_line_keeps_level_event_and_what_else_it_has() -> None:
    line = {"event": "lost\n  task", "level": "WARN", "logger": "o.a.s", "thread": "main", "exception": None}
    assert told(json.dumps(line) + "\n", pipeline="shop") == [
        {"event": "lost task", "log_level": "warning", "thread": "main", "pipeline": "shop"}
    ]
    assert told('{"event": "x", "level": "FATAL"}')[0]["log_level"] == "critical"


def test_bare_text_is_a_warning_and_a_stack_is_its_first_line() -> None:
    lines = ["Exception in thread main: java.lang.Error", "\tat a.b.C.d(C.java:1)", "\t... 3 more", "", '{"a": 1}']
    assert [one["event"] for one in told(*lines)] == ["Exception in thread main: java.lang.Error", '{"a": 1}']
    assert {one["log_level"] for one in told(*lines)} == {"warning"}


def test_of_an_exception_that_a_task_ended_with_only_the_class_is_told() -> None:
    """Spark quotes it whole in the message, with the values of the row that it failed at."""
    lost = "Lost task 0.0 in stage 3.0 (TID 7) (127.0.0.1 executor 1): org.apache.spark.SparkArithmeticException"
    line = {"event": f"{lost}: [CAST] The value 4711\n\tat a.b.C", "level": "WARN"}
    spark = "org.apache.spark.scheduler.TaskSetManager"
    assert told(json.dumps({**line, "logger": spark}))[0]["event"] == lost
    assert "4711" in str(told(json.dumps({**line, "logger": "org.example"}))[0]["event"])


def test_what_is_known_to_be_harmless_is_not_told() -> None:
    assert told(*(f"WARNING: {text}" for text in HARMLESS)) == []


def test_the_last_lines_are_kept_for_whoever_asks_why_it_did_not_start() -> None:
    said: deque[str] = deque(maxlen=1)
    with capture_logs():
        tell(["first", "JAVA_HOME is not set"], "", said)
    assert list(said) == ["JAVA_HOME is not set"]


def test_every_silenced_logger_has_its_reason() -> None:
    lines = LOG_SETTINGS.read_text().splitlines()
    silenced = [number for number, line in enumerate(lines) if line.startswith("logger.") and ".name = " in line]
    groups = [number for number in silenced if not lines[number - 1].startswith("logger.")]
    assert silenced
    assert all(lines[number - 1].startswith("# ") for number in groups)


def test_a_fork_beside_imports_wrote_a_traceback_of_an_unlocked_lock() -> None:
    """Whoever starts the JVM in a thread has the handlers of forks in place, whatever is imported meanwhile."""
    asked = "import sys, cdc.spark.jvm; print('concurrent.futures.thread' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
