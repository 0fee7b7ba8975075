"""The JVM of Spark, started so that whatever is written in it becomes a line of our own log."""

import concurrent.futures.thread  # noqa: F401 - has handlers of forks, which must not come while the JVM is forked
import json
import os
import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog
from py4j.java_gateway import JavaGateway
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from cdc.core.errors import PreflightError

LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
LOG_OPTION = f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}"
"""Option of the JVM by which it logs in JSON lines, and only warnings that are not known to be harmless."""

HARMLESS = (
    "Using incubator modules: jdk.incubator.vector",  # Spark asks for it itself
    "Using Spark's default log4j profile",
    "Picked up JAVA_TOOL_OPTIONS",  # the machine's own choice
)
SMALL = (
    "-XX:+ExplicitGCInvokesConcurrent -XX:MaxHeapFreeRatio=40 -XX:+UnlockExperimentalVMOptions"
    " -XX:G1MaxNewSizePercent=30"
)
"""Options of a JVM that is always on: heap that a load or a large batch has needed is given back when it is asked, and
garbage of a service that has little to do does not fill the half of it before it is looked for."""

IDLE_BYTES = 256 << 20
"""A heap that is no larger is left alone."""

AT_START = (
    "spark.master",
    "spark.driver.",
    "spark.jars",
    "spark.submit.",
    "spark.kerberos.",
    "spark.log.level",
    "spark.hadoop.fs.file.impl",  # it looks at the jars, and the file system that it makes for that is kept
)
"""Settings that `spark-submit` itself needs; whatever else a session has must not stand in a process's arguments."""
_LEVELS = {"WARN": "warning", "ERROR": "error", "FATAL": "critical", "INFO": "info"}
_LONGEST = 2_000
_OF_TASKS = ("org.apache.spark.scheduler.", "org.apache.spark.executor.")
_starting = threading.Lock()
_QUOTED = re.compile(r"((?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable)):.*", re.DOTALL)
"""An exception that a message quotes: of those of tasks, which may hold values of rows, only the class is told."""


def start_jvm(settings: Mapping[str, str], pipeline: str = "") -> None:
    """Start the JVM with these settings, unless it runs; raises PreflightError with what was said if it does not start.

    ``pipeline`` is named in its lines. The session has to be built with the same settings: most wait for that, since
    all users of the machine can read the arguments of a process.
    """
    with _starting:
        if SparkContext._gateway is None:  # noqa: SLF001 - PySpark has no public way to say how it is started
            SparkContext._ensure_initialized(gateway=_started(settings, pipeline))  # noqa: SLF001


def _started(settings: Mapping[str, str], pipeline: str) -> JavaGateway:
    conf = SparkConf(loadDefaults=False).setAll(sorted(arguments(settings).items()))
    read, write = os.pipe()
    said: deque[str] = deque(maxlen=20)
    thread = threading.Thread(target=_relay, args=(read, pipeline, said), name="jvm-log", daemon=True)
    thread.start()
    try:
        gateway: JavaGateway = launch_gateway(conf, {"stdout": write, "stderr": write})  # type: ignore[no-untyped-call]
    except (PySparkRuntimeError, OSError) as error:
        os.close(write)
        thread.join(5)
        why = f": {said[-1]}" if said else ""
        raise PreflightError(
            f"the JVM of Spark did not start{why}", hint="`cdc doctor` looks for Java 17 or later, in PATH or JAVA_HOME"
        ) from error
    os.close(write)
    return gateway


def shrink(session: SparkSession) -> None:
    """Have the JVM look for garbage and give back what of its heap it does not need."""
    jvm: Any = session._jvm  # noqa: SLF001 - PySpark has no public way
    if jvm.java.lang.Runtime.getRuntime().totalMemory() > IDLE_BYTES:
        jvm.java.lang.System.gc()


def arguments(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of the settings with which a JVM is started."""
    return {name: value for name, value in settings.items() if name.startswith(AT_START)}


def _relay(handle: int, pipeline: str, said: deque[str]) -> None:
    with os.fdopen(handle, encoding="utf-8", errors="replace") as lines:
        tell(lines, pipeline, said)


def tell(lines: Iterable[str], pipeline: str, said: deque[str]) -> None:
    """Log lines of a JVM and of what runs in it; those that are no JSON as warnings. ``said`` keeps the last ones."""
    named = {"pipeline": pipeline} if pipeline else {}
    for line in lines:
        fields = _fields(line.strip())
        if fields is None:
            continue
        logger = str(fields.pop("logger", "jvm"))
        event = _event(str(fields.pop("event")), of_tasks=logger.startswith(_OF_TASKS))
        said.append(event)
        level = _LEVELS.get(str(fields.pop("level", "")), "warning")
        log = structlog.get_logger(logger)
        getattr(log, level)(event, **named, **{name: value for name, value in fields.items() if value})


def _event(text: str, *, of_tasks: bool) -> str:
    return " ".join((_QUOTED.sub(r"\1", text) if of_tasks else text).split())[:_LONGEST]


def _fields(line: str) -> dict[str, object] | None:
    """Return what a line tells; None for nothing, for what is harmless, and for the frames of a stack."""
    if not line or any(known in line for known in HARMLESS) or line.startswith(("at ", "... ")):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "event" in found else {"event": line}
