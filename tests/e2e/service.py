"""The service under test as people run it: `cdc` commands as processes of their own, on a configuration file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cdc.bootstrap.at_rest import line, verify_when_caught_up
from cdc.bootstrap.declared import Completion
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.local.stack import LocalStack
from cdc.spark.session import QUICK_START

CATCH_UP_SECONDS = 240.0


def configuration(stack: LocalStack, sources: list[dict[str, object]]) -> dict[str, object]:
    """Return a configuration of the stack's servers, with secrets by reference."""
    at = stack.addresses()
    return {
        "kafka": {"bootstrap_servers": at.kafka, "partitions": 4},  # keys of one transaction lie in several
        "registry": {"url": at.registry},
        "connect": {"url": at.connect},
        "catalog": {
            "type": "jdbc",
            "uri": at.catalog_uri,
            "username": "catalog",
            "password": "${env:CDC_CATALOG_PASSWORD}",
            "warehouse": str(at.warehouse),
        },
        "stream": {"checkpoint": str(at.checkpoint), "lease_ttl": "4s", "status_interval": "2s", "parallel_tables": 4},
        # the service is started again and again
        "spark": {"properties": {"spark.driver.extraJavaOptions": QUICK_START}},
        "operations": {"http_port": 0, "log_format": "console"},
        "sources": sources,
    }


@dataclass
class Service:
    """`cdc` on one configuration; at most one `cdc stream` at a time. Output goes to ``log``."""

    path: Path
    environment: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None)
    _began_at: int = 0

    @classmethod
    def create(cls, folder: Path, stack: LocalStack, sources: list[dict[str, object]]) -> "Service":
        path = folder / "cdc.yaml"
        path.write_text(yaml.safe_dump(configuration(stack, sources), allow_unicode=True), encoding="utf-8")
        secrets = {n: v for n, v in stack.addresses().environment().items() if n.endswith("_PASSWORD")}
        return cls(path, secrets, folder / "stream.log")

    @property
    def pid(self) -> int:
        """Return the process of the service that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def config(self) -> Config:
        return Completion().of(load_config(self.path, self.environment)).strict()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments), env=self.variables(), capture_output=True, text=True, timeout=400, check=False
        )

    def start(self, **overrides: str) -> None:
        """Start `cdc stream`; after a kill it waits until the killed one's lease has run out."""
        with self.log.open("ab") as output:
            self._began_at = output.tell()
            self._process = subprocess.Popen(
                self.command("stream", "--standby"),
                env={**self.variables(), **overrides},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_query(self, seconds: float) -> None:
        """Wait until the service that was started last says that its query runs."""

        def running() -> bool:
            self.check_alive()
            return b"query started" in self.log.read_bytes()[self._began_at :]

        await_true(running, seconds, "the query runs")

    def await_log(self, text: str, seconds: float) -> None:
        """Wait until the service that was started last has said something."""

        def said() -> bool:
            self.check_alive()
            return text.encode() in self.log.read_bytes()[self._began_at :]

        await_true(said, seconds, f"the log says {text!r}")

    def kill_after(self, seconds: float) -> None:
        """SIGKILL the service and its JVM, which must have lived that long."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=seconds)
            raise AssertionError(f"the service ended by itself with code {code}:\n{self.tail()}")
        self.kill()

    def kill(self) -> None:
        """SIGKILL what is left of the service; idempotent."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)
            self._process = None

    def stop(self) -> int:
        """Stop the service as an operator does, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=30)
        finally:
            self.kill()

    def await_equal(self, seconds: float = CATCH_UP_SECONDS) -> None:
        """Wait until every column of every row is equal in source and lake."""
        config, began = self.config, time.monotonic()
        report = verify_when_caught_up(config, seconds, self.check_alive)
        found = "\n".join(map(line, report.tables))
        print(f"after {time.monotonic() - began:.1f} s\n{found}")
        assert report.equal, f"{found}\n{self.tail()}"

    def said_since_start(self) -> str:
        """Return what the service that was started last has said."""
        return self.log.read_bytes()[self._began_at :].decode(errors="replace")

    def ended(self) -> int | None:
        """Return the exit code of a service that has ended by itself, None while it runs."""
        return None if self._process is None else self._process.poll()

    def check_alive(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the service ended with code {self._process.returncode}:\n{self.tail()}")

    def tail(self, lines: int = 200) -> str:
        return "\n".join(self.log.read_text(errors="replace").replace("\r", "\n").splitlines()[-lines:])

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cdc", *arguments, "--config", str(self.path)]

    def variables(self) -> dict[str, str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith("CDC_")}  # noqa: TID251 - of the child
        return {**kept, **self.environment}


def has_line(log: Path, *texts: str) -> bool:
    """Return whether some line of a log holds all of the texts."""
    return any(all(text in line for text in texts) for line in log.read_text(errors="replace").splitlines())


def await_true(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.1) -> None:
    """Wait for a condition with a deadline; ``pause`` is the time between two looks, in seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
