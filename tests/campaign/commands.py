"""Commands of an operator, one at a time: each ends well, or with an error that a fault explains."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from tests.campaign.runner import Finding
from tests.e2e.service import Service

ENDS_WITHIN = 400.0
SHAKEN = 30.0
"""Seconds after a fault in which a command may still fail for it."""


@dataclass
class Running:
    """A command that runs; ``said`` is its output, of both kinds."""

    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    began: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        self.said.seek(0)
        return self.said.read().decode(errors="replace")


class Commands:
    """Starts commands and judges how they end; ``last_fault`` says when something was killed or paused last."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._running: Running | None = None

    def start(self, *arguments: str) -> None:
        """Start a command beside; one that runs must have been awaited."""
        assert self._running is None
        said = (self._service.path.parent / "commands.log").open("w+b")
        process = subprocess.Popen(
            self._service.command(*arguments),
            env=self._service.variables(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._running = Running(arguments, process, said)

    def end(self, last_fault: float) -> bool:
        """Wait until the command that was started last has ended; return whether it was done, True if there is none.

        Raises Finding for one that does not end, has a traceback, or fails without any fault since shortly before it.
        """
        running, self._running = self._running, None
        if running is None:
            return True
        name = f"`cdc {' '.join(running.arguments)}`"
        try:
            code = running.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._kill(running)
            raise Finding(f"{name} has not ended after {ENDS_WITHIN:.0f} s:\n{running.text()[-4000:]}") from None
        with running.said:
            said = running.text()
        if "Traceback (most recent call last)" in said:
            raise Finding(f"{name} ends with a traceback:\n{said[-4000:]}")
        if code and last_fault < running.began - SHAKEN:
            raise Finding(f"{name} has failed with code {code}, and nothing was killed:\n{said[-4000:]}")
        print(f"  {name}: code {code}, {said.strip().splitlines()[-1:]}")
        return code == 0

    def ask(self, *arguments: str) -> object | None:
        """Return the JSON that a quick command says, None if it has failed; raises Finding for a traceback."""
        done = self._service.run(*arguments)
        if "Traceback (most recent call last)" in done.stderr:
            raise Finding(f"`cdc {' '.join(arguments)}` ends with a traceback:\n{done.stderr[-4000:]}")
        if done.returncode:
            print(f"  `cdc {' '.join(arguments)}`: {done.stderr.strip()}")
            return None
        found: object = json.loads(done.stdout)
        return found

    def kill(self) -> None:
        """End what is left; idempotent."""
        if self._running is not None:
            self._kill(self._running)
            self._running.said.close()
            self._running = None

    @staticmethod
    def _kill(running: Running) -> None:
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(30)
