"""Ports of the stack: the usual one where it is free, otherwise the next free one in steps of a hundred."""

import socket
from collections.abc import Collection, Iterable, Mapping

from cdc.core.errors import PreflightError
from cdc.local.processes import wait

LOOPBACK = "127.0.0.1"
_STEP = 100
_LAST = 32768
"""From here on the system hands out ports to outgoing connections, so one that is free now may not be later."""


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return True


def still_taken(ports: Mapping[str, int], seconds: float = 3.0) -> list[str]:
    """Return the names of the ports that are not free and stay so: a killed server holds its own for a moment."""
    wait(lambda: all(map(is_free, ports.values())), seconds)
    return [name for name, port in ports.items() if not is_free(port)]


def answers(port: int) -> bool:
    """Return whether something listens on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def choose(usual: Mapping[str, int], kept: Mapping[str, int], taken: Collection[int] = ()) -> dict[str, int]:
    """Return a port for every name: the kept one if there is one, else the first free one from the usual one on.

    ``taken`` are ports of others, even if nothing listens on them now. Raises PreflightError if none is free.
    """
    chosen: dict[str, int] = {}
    for name, port in usual.items():
        used = {*taken, *kept.values(), *chosen.values()}
        chosen[name] = kept[name] if name in kept else _first(name, range(port, _LAST, _STEP), used)
    return chosen


def _first(name: str, candidates: Iterable[int], used: Collection[int]) -> int:
    for port in candidates:
        if port not in used and is_free(port):
            return port
    raise PreflightError(f"no free port for {name}", hint="stop other stacks: `cdc local down --all`")
