"""What a server of the stack is: its ports, how it is prepared, started, asked for its health, and stopped."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cdc.local.processes import Launch


@dataclass(frozen=True)
class Site:
    """What the servers of one stack are given: a folder, ports, passwords and unpacked distributions."""

    folder: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    distributions: Mapping[str, Path]

    def log(self, server: str) -> Path:
        """Return the log file of a server."""
        return self.folder / "logs" / f"{server}.log"


def nothing(_: Site) -> None:
    """Do nothing: for servers that need no preparation."""


@dataclass(frozen=True)
class Server:
    """One server; every function is idempotent and given the site of its stack."""

    name: str
    ports: Mapping[str, int]
    """The usual ports by name; the first is the one that clients use."""
    distributions: tuple[str, ...]
    launch: Callable[[Site], Launch]
    healthy: Callable[[Site], bool]
    """Answers within two seconds and does not raise."""
    prepare: Callable[[Site], None] = nothing
    """Makes data folders and configuration files, before the server starts."""
    settle: Callable[[Site], None] = nothing
    """Makes roles and databases, once the server is healthy."""
    stop: signal.Signals = signal.SIGTERM
    start_seconds: float = 90
    stop_seconds: float = 30
