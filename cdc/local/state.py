"""The state file of a stack: which ports it has, which sources, and which processes are its own."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cdc.core.errors import PreflightError
from cdc.local.processes import ProcessId


@dataclass
class State:
    """What has to outlive the process that started the stack."""

    ports: dict[str, int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    processes: dict[str, ProcessId] = field(default_factory=dict)


def read_state(folder: Path) -> State:
    """Return the stack's state, an empty one if it was never up."""
    path = folder / "state.json"
    if not path.is_file():
        return State()
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return State(data["ports"], data["sources"], {name: ProcessId(**one) for name, one in data["processes"].items()})


def write_state(folder: Path, state: State) -> None:
    """Replace the state file in one step."""
    _replace(folder / "state.json", json.dumps(asdict(state), indent=2))


def read_secrets(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the stack's passwords, made at the first call and kept in a file that only the caller can read."""
    path = folder / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(18) for name in missing}
        _replace(path, json.dumps(kept, indent=2))
    return kept


def keep_secret(path: Path, value: str | None = None) -> None:
    """Write a secret to a file that only the caller can read; without a value one that is made up, if none is there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if value is not None or not path.is_file():
        _replace(path, value or secrets.token_urlsafe(18))


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@contextmanager
def locked(path: Path, what: str, *, patient: bool = False) -> Iterator[None]:
    """Hold the lock file; its holder's death frees it.

    Raises PreflightError if somebody else holds it, or waits if ``patient``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
        except BlockingIOError:
            raise PreflightError(f"{what} is being started or stopped by another process", hint="wait for it") from None
        yield
