"""Structured logs on standard error, one event a line; secrets are taken out before anything is written."""

import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Literal, TextIO

import structlog
from pydantic import SecretStr

from cdc.config.values import Secret

REDACTED = "***"
_SENSITIVE = re.compile(r"passw|secret|token|credential|authorization|api_?key|private_?key", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^/\s:@]+:)[^@\s/]+@")
_HARMLESS = frozenset({"token"})  # ours is the fencing number of the lease, when it is a number


def set_up_logs(
    log_format: Literal["json", "console"] = "json", log_level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send all logs, also those of libraries, to standard error in one format."""
    out = stream or sys.stderr
    shared = _shared_processors()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_final(log_format, out))
    )
    logging.basicConfig(handlers=[handler], level=log_level, force=True)
    threading.excepthook = _thread_ended
    for noisy in ("py4j", "pyiceberg", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(log_level)))
    logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)  # it warns of every dictionary that is read


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Log a mistake of ours in a thread as any other event, not as bare text."""
    if ended.exc_type is not SystemExit:
        name = ended.thread.name if ended.thread else ""
        structlog.get_logger(__name__).error("thread ended", thread=name, exc_info=ended.exc_value)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger; events are past tense and lower case, everything variable is a field."""
    found: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return found


def bound(**fields: str | int | None) -> AbstractContextManager[Any]:
    """Bind ``pipeline``, ``table``, ``batch`` or ``connector`` to every line that this thread logs inside the block."""
    return structlog.contextvars.bound_contextvars(
        **{name: value for name, value in fields.items() if value is not None}
    )


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what is a secret by type or by name, at any depth."""
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:  # noqa: ANN401 - logs take anything
    if isinstance(value, (Secret, SecretStr)):
        return REDACTED
    if _SENSITIVE.search(name) and not (name in _HARMLESS and isinstance(value, int)):
        return REDACTED
    if isinstance(value, Mapping):
        return {key: _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", item) for item in value]
    return _IN_ADDRESS.sub(rf"\1{REDACTED}@", value) if isinstance(value, str) else value


def _shared_processors() -> list[structlog.types.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        redact,
    ]


def _final(log_format: str, out: TextIO) -> list[structlog.types.Processor]:
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="at")
    )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
