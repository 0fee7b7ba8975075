"""A table that is loaded while it changes: fast changes of every kind, and loads that are killed."""

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.service import Service

CHANGES_PER_SECOND = 2000
PER_TRANSACTION = 40


@dataclass
class Changes:
    """Changes one table at a steady rate, in a thread: inserts, updates, deletes, and rows that move to other keys."""

    connect: Callable[[], Any]
    table: str
    rows: int
    seed: int
    rate: float = CHANGES_PER_SECOND
    made: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _failure: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> "Changes":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._failure, self._failure

    def _run(self) -> None:
        r, began = random.Random(self.seed), time.monotonic()
        try:
            with closing(self.connect()) as connection:
                while not self._stop.is_set():
                    with connection.cursor() as cursor:
                        for statement in self._transaction(r):
                            cursor.execute(statement)
                    connection.commit()
                    self.made += PER_TRANSACTION
                    self._stop.wait(max(0.0, self.made / self.rate - (time.monotonic() - began)))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self._failure.append(error)

    def _transaction(self, r: random.Random) -> list[str]:
        """Return statements that change about so many rows; keys lie all over the table and beyond."""
        low = r.randrange(self.rows)
        some = f"id BETWEEN {low} AND {low + 9}"
        new = 10 * self.rows + self.seed % 1000 * 10**9 + 2 * self.made  # no key of another run of changes
        return [
            f"UPDATE {self.table} SET n = n + 1 WHERE {some}",
            f"UPDATE {self.table} SET payload = {self._large(r)} WHERE id = {r.randrange(self.rows)}",
            f"DELETE FROM {self.table} WHERE id BETWEEN {low + 20} AND {low + 24}",
            f"INSERT INTO {self.table} (id, name, payload, n, amount) "
            f"VALUES ({new}, 'new', {self._large(r)}, 0, 1.5), ({new + 1}, NULL, '', 1, 2.25)",
            # there and back: a key that is read in one range moves into another
            f"UPDATE {self.table} SET id = id + {self.rows} WHERE id BETWEEN {low + 40} AND {low + 44}",
            f"UPDATE {self.table} SET id = id - {self.rows} "
            f"WHERE id BETWEEN {self.rows + low // 2} AND {self.rows + low // 2 + 9}",
        ]

    @staticmethod
    def _large(r: random.Random) -> str:
        return f"'{r.randbytes(1500).hex()}'"


@dataclass
class LoadRun:
    """`cdc load` as a process; what it tells is kept in one file over all runs."""

    service: Service
    options: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.service.path.with_name("load.log")

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.service.command("load", *self.options),
                env=self.service.variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_after(self, seconds: float) -> bool:
        """Start it and kill it after so long; return whether it was killed rather than done."""
        process = self.start()
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(seconds) == 0, self.tail()
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        return True

    def finish(self, seconds: float = 300) -> None:
        process = self.start()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"not loaded within {seconds} s:\n{self.tail()}") from None
        assert code == 0, self.tail()

    def tail(self, lines: int = 80) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def committed_ranges(self) -> dict[str, Counter[int]]:
        """Return per load how often each range was committed."""
        found: dict[str, Counter[int]] = {}
        for line in self.log.read_text(errors="replace").splitlines():
            if "ranges committed" in line:
                load = re.search(r"load=(\w+)", line)
                ranges = re.search(r"ranges=\[([^\]]*)\]", line)
                assert load is not None, line
                assert ranges is not None, line
                found.setdefault(load[1], Counter()).update(int(n) for n in ranges[1].split(",") if n.strip())
        return found


def reconfigure(service: Service, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the configuration file of a service."""
    document = yaml.safe_load(service.path.read_text(encoding="utf-8"))
    change(document)
    written = service.path.with_suffix(".new")
    written.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    written.replace(service.path)
