"""What is written in Spark's JVM, and by what runs in it, is a line of our log; the known and harmless is not."""

import json
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog

from cdc.ops.logs import set_up_logs


@pytest.fixture
def logged() -> Iterator[Callable[..., dict[str, Any]]]:
    """Return a function that waits for the line whose event has a text in it, and returns its fields."""
    stream = StringIO()
    set_up_logs("json", "INFO", stream)

    def line(text: str, seconds: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for one in stream.getvalue().splitlines():
                found: dict[str, Any] = json.loads(one)  # no line is bare text
                if text in found["event"]:
                    return found
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not in {stream.getvalue()}")

    yield line
    structlog.reset_defaults()


def test_the_jvm_logs_json_lines(lake: tuple[Any, Any], logged: Callable[..., dict[str, Any]]) -> None:
    session, _ = lake
    jvm = session._jvm  # noqa: SLF001
    loggers = jvm.org.apache.logging.log4j.LogManager
    error = jvm.java.lang.IllegalStateException("row 4711")
    loggers.getLogger("org.apache.hadoop.util.NativeCodeLoader").warn("never seen")
    loggers.getLogger("org.example").info("too little to be told")
    loggers.getLogger("org.example").warn('said "this"\nin two lines', error)
    found = logged("in two lines")
    assert found["event"] == 'said "this" in two lines'
    assert {name: found[name] for name in ("level", "logger", "pipeline")} == {
        "level": "warning",
        "logger": "org.example",
        "pipeline": "shop",
    }
    assert found["exception"] == "java.lang.IllegalStateException"
    assert "4711" not in json.dumps(found)
    assert found["at"]
    jvm.System.err.println("WARNING: Using incubator modules: jdk.incubator.vector")
    jvm.System.err.println("bare text of Java")
    assert logged("bare text of Java")["logger"] == "jvm"
    for text in ("never seen", "too little", "incubator"):
        with pytest.raises(AssertionError):
            logged(text, 0.2)


def test_python_workers_log_json_lines(lake: tuple[Any, Any], logged: Callable[..., dict[str, Any]]) -> None:
    session, _ = lake

    def work(rows: Iterator[Any]) -> Iterator[Any]:
        import sys  # noqa: PLC0415 - it runs in another process

        sys.stderr.write("bare text of a worker\n")
        yield from rows

    session.sparkContext.parallelize([1], 1).mapPartitions(work).count()
    assert logged("bare text of a worker")["level"] == "warning"
