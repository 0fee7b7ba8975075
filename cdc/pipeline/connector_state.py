"""The state of a connector, read from Connect's own words; and what of its words may be shown."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, overload

TRACE_LINES = 5
"""Lines of a trace that an operator sees: the exception, and the causes behind it."""

_SECRET_KEY = re.compile(r"password|secret|token|credential|jaas|user\.info", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"((?:password|secret|token|credential)[\w.]*\"?\s*[=:]\s*)(?!\$\{)(\"[^\"]*\"|[^\s,;}]+)", re.IGNORECASE
)
_REFERENCE = re.compile(r"\$\{[a-z]+:[^}]+\}")


class TaskStatus(NamedTuple):
    """One task; the trace is empty unless it failed."""

    id: int
    state: str
    worker: str
    trace: str


class ConnectorStatus(NamedTuple):
    """A connector and its tasks; states are Connect's words, or MISSING."""

    name: str
    state: str
    worker: str
    tasks: tuple[TaskStatus, ...]
    trace: str

    @property
    def failed(self) -> bool:
        """Whether the connector or one of its tasks failed."""
        return "FAILED" in (self.state, *(task.state for task in self.tasks))

    @property
    def running(self) -> bool:
        """Whether the connector and at least one task run, and none does not."""
        return bool(self.tasks) and {self.state, *(task.state for task in self.tasks)} == {"RUNNING"}

    @property
    def resting(self) -> bool:
        """Whether an operator paused or stopped it."""
        return self.state in ("PAUSED", "STOPPED")


def parse_status(name: str, answer: Mapping[str, Any] | None) -> ConnectorStatus:
    """Return the status in Connect's answer; None is MISSING."""
    if answer is None:
        return ConnectorStatus(name, "MISSING", "", (), "")
    connector = answer["connector"]
    tasks = tuple(
        TaskStatus(task["id"], task["state"], task.get("worker_id", ""), shortened(task.get("trace", "")))
        for task in sorted(answer.get("tasks", ()), key=lambda task: int(task["id"]))
    )
    traces = [shortened(connector.get("trace", "")), *(task.trace for task in tasks)]
    return ConnectorStatus(
        name, connector["state"], connector.get("worker_id", ""), tasks, next(filter(None, traces), "")
    )


def shortened(trace: str) -> str:
    """Return the exception and its causes on one line, without the stack and without secrets."""
    lines = [line.strip() for line in trace.splitlines() if line and not line.startswith("\t")]
    causes = [line for line in lines[1:] if line.startswith("Caused by:")]
    return redacted(" | ".join([*lines[:1], *causes][:TRACE_LINES]))


@overload
def redacted(text: None, key: str = "") -> None: ...
@overload
def redacted(text: str, key: str = "") -> str: ...
@overload
def redacted(text: str | None, key: str = "") -> str | None: ...
def redacted(text: str | None, key: str = "") -> str | None:
    """Return the text without what looks like a secret; references to secrets stay."""
    if text is None:
        return None
    if _SECRET_KEY.search(key) and not _REFERENCE.search(text):
        return "***"
    return _SECRET_TEXT.sub(r"\1***", text)
