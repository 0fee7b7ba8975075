"""SIGKILL and SIGSTOP for the servers of a stack; what is killed is started at once, as a supervisor does."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.processes import alive
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from tests.e2e.service import Service, await_true

STARTED_WITHIN = 180.0


def family(root: int) -> list[int]:
    """Return a process with all that it has started, itself first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parents.setdefault(int((entry / "stat").read_text().rpartition(")")[2].split()[1]), []).append(
                int(entry.name)
            )
    return list(_under(root, parents))


def _under(root: int, children: dict[int, list[int]]) -> Iterator[int]:
    yield root
    for child in children.get(root, []):
        yield from _under(child, children)


def send(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Faults:
    """Kills and pauses servers and service; restarts go on beside the caller, pauses end by themselves."""

    def __init__(self, stack: LocalStack, engine: str, service: Service) -> None:
        self._stack, self._engine, self._service = stack, engine, service
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._failures: list[BaseException] = []
        self.last = 0.0
        """When something was killed or paused last, or came back; by the monotonic clock."""

    def kill(self, target: str) -> None:
        """End a server or the service at once, and have it started again."""
        self.last = time.monotonic()
        if target == "service":
            self._service.kill()
            self._service.start()
            return
        self._beside(lambda: self._kill_server(self._server(target)))

    def pause(self, target: str, seconds: float) -> None:
        """Stop a server or the service for so long; returns at once."""
        self.last = time.monotonic()
        pids = family(self._service.pid if target == "service" else self._pid(self._server(target)))
        send(pids, signal.SIGSTOP)
        self._beside(lambda: self._go_on(pids, seconds))

    def over(self) -> None:
        """Wait until everything runs again; raises the error of what did not start."""
        for thread in self._threads:
            thread.join(STARTED_WITHIN + 60)
            assert not thread.is_alive(), "a server was not started again"
        self._threads.clear()
        if self._failures:
            raise self._failures.pop()

    def recent(self, seconds: float) -> bool:
        """Return whether something is paused or starting, or was within so many seconds."""
        return self.going_on() or time.monotonic() - self.last < seconds

    def going_on(self) -> bool:
        """Return whether something is paused, or has not started again yet."""
        return any(thread.is_alive() for thread in self._threads)

    def _kill_server(self, name: str) -> None:
        with self._starting:  # what is killed twice has been started between
            process = read_state(self._stack.folder).processes[name]
            send(family(process.pid), signal.SIGKILL)
            await_true(lambda: not alive(process), 30, f"{name} has ended")
            self._start()
            self.last = time.monotonic()

    def _start(self) -> None:
        """Start what does not run; what another one needs may have ended just now, so it is tried again."""
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                self._stack.up(["postgres", self._engine])
            except PreflightError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return

    def _go_on(self, pids: list[int], seconds: float) -> None:
        threading.Event().wait(seconds)
        send(pids, signal.SIGCONT)
        self.last = time.monotonic()

    def _beside(self, work: Callable[[], None]) -> None:
        def kept() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised by ``over``
                self._failures.append(error)

        thread = threading.Thread(target=kept)
        self._threads.append(thread)
        thread.start()

    def _server(self, target: str) -> str:
        return {"database": self._engine, "catalog": "postgres"}.get(target, target)

    def _pid(self, name: str) -> int:
        return read_state(self._stack.folder).processes[name].pid
