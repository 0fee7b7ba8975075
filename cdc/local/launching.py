"""Starts the servers of a stack side by side and waits for their health; stops them again if that is cut short."""

import signal
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.processes import ProcessId, alive, start, stop
from cdc.local.site import Server, Site
from cdc.local.state import State, write_state

_LOG_LIMIT = 20_000_000
_INTERVAL = 0.1


@dataclass
class Launching:
    """One attempt to bring servers up; the state file says at any moment what runs."""

    site: Site
    state: State
    tell: Callable[[str], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    started: dict[str, ProcessId] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def bring_up(self, server: Server) -> None:
        """Start one server unless it runs, wait until it is healthy, and make what it should hold."""
        begun = time.monotonic()
        process = self.state.processes.get(server.name)
        if process is None or not self._recovers(server, process, begun + server.start_seconds):
            self._await_health(server, self._start(server), time.monotonic() + server.start_seconds)
        server.settle(self.site)
        if server.name in self.started:
            address = f"127.0.0.1:{self.site.ports[server.name]}"
            self.tell(f"{server.name} is up at {address} ({time.monotonic() - begun:.1f} s)")

    def give_up(self) -> None:
        """Stop everything that this attempt started."""
        stop(list(self.started.values()), signal.SIGTERM, 5)
        for name in self.started:
            self.state.processes.pop(name, None)
        write_state(self.site.folder, self.state)

    def _start(self, server: Server) -> ProcessId:
        server.prepare(self.site)
        log = self.site.log(server.name)
        _rotate(log)
        with self.lock:
            self._check()
            process = start(server.launch(self.site), log, f"{self.site.folder}:{server.name}")
            self.started[server.name] = self.state.processes[server.name] = process
            write_state(self.site.folder, self.state)
        return process

    def _recovers(self, server: Server, process: ProcessId, deadline: float) -> bool:
        """Return whether a server that was started earlier is healthy; False if it has ended, perhaps just now."""
        while alive(process):
            if server.healthy(self.site):
                return alive(process)
            if time.monotonic() > deadline:
                raise self._late(server)
            self._check()
            self.cancelled.wait(_INTERVAL)
        return False

    def _await_health(self, server: Server, process: ProcessId, deadline: float) -> None:
        while not server.healthy(self.site):
            self._check()
            if not alive(process):
                raise _failure(f"{server.name} ended while starting", self.site.log(server.name))
            if time.monotonic() > deadline:
                raise self._late(server)
            self.cancelled.wait(_INTERVAL)

    def _late(self, server: Server) -> PreflightError:
        what = f"{server.name} was not healthy after {server.start_seconds:.0f} s"
        return _failure(what, self.site.log(server.name))

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise PreflightError("the start was cut short", hint="`cdc local up` begins again")


def bring_up(servers: Collection[Server], site: Site, state: State, tell: Callable[[str], None]) -> None:
    """Bring all servers up at once; raises the first server's error after stopping what was started."""
    attempt = Launching(site, state, tell)
    with ThreadPoolExecutor(len(servers)) as pool:
        try:
            for future in as_completed([pool.submit(attempt.bring_up, server) for server in servers]):
                future.result()
        except BaseException:  # Ctrl-C too
            attempt.cancelled.set()
            pool.shutdown()
            attempt.give_up()
            raise


def last_lines(log: Path, count: int = 8) -> str:
    """Return the end of a log."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def _failure(what: str, log: Path) -> PreflightError:
    return PreflightError(f"{what}; the end of {log}:\n{last_lines(log)}", hint="`cdc local logs` shows all of it")


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
