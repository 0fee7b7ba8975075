"""What processes use: processor time, memory, seconds, from /proc and from the kernel's accounts of ended children."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INTERVAL = 0.5
"""Seconds between two looks at the memory of a process tree."""

_TICKS = os.sysconf("SC_CLK_TCK")
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """One command under measurement; its output, by line and with the moment of its arrival, and what it used."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    silent: bool = False
    """Its standard output is thrown away by the kernel."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Servers that work for it, by name: their memory is added, their processor time told apart."""
    lines: list[tuple[float, str]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    peak_pss: int = 0
    peak_rss: int = 0
    _seen: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator["Run"]:
        """Start it, and see it ended and accounted for afterwards; whatever happens nothing of it is left."""
        with tempfile.TemporaryDirectory() as folder:
            path, ended = Path(folder) / "report.json", threading.Event()
            self._process = self._start(path)
            threads = [
                threading.Thread(target=self._read),
                threading.Thread(target=self._watch, args=(ended,)),
            ]
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                self._end()
                ended.set()
                for thread in threads:
                    thread.join()
            self.report = json.loads(path.read_text())
            # Spark's Python workers are killed and waited for by nobody, so the kernel's sums leave them out.
            self.report["cpu_seconds"] = max(self.report["cpu_seconds"], sum(self._seen.values()))

    @property
    def pid(self) -> int:
        """Return the process that the command, and all that came of it, descends from."""
        return self._process.pid

    def finish(self, timeout: float) -> None:
        """Wait for its end; raises RuntimeError with the end of its output if it fails."""
        if self.wait(timeout):
            raise RuntimeError(f"{self.name} failed:\n{self.tail()}")

    def wait(self, timeout: float) -> int:
        """Wait for its end, and return its exit code."""
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End it as an operator does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended:\n{self.tail()}")

    def tail(self, count: int = 200) -> str:
        return "\n".join(line for _, line in self.lines[-count:])

    def _start(self, report: Path) -> subprocess.Popen[str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith("CDC_")}  # noqa: TID251 - of the child
        return subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load_child", str(report), *self.command],
            cwd=_REPOSITORY,
            env={**kept, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self.silent else subprocess.PIPE,
            stderr=subprocess.PIPE if self.silent else subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _read(self) -> None:
        output = self._process.stderr if self.silent else self._process.stdout
        assert output is not None
        for line in output:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(INTERVAL):
            stats = _stats()
            mine = _descendants({self._process.pid}, stats)
            self._seen |= {pid: _cpu_seconds(stats[pid][11:13]) for pid in mine}
            tree = (mine | _descendants(set(self.others.values()), stats)) - {self._process.pid}
            pss, rss = memory(tree)
            self.peak_pss, self.peak_rss = max(self.peak_pss, pss), max(self.peak_rss, rss)

    def _end(self) -> None:
        """Kill what is left: children in sessions or groups of their own are found by their descent."""
        if self._process.poll() is None:
            for pid in family({self._process.pid}):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait(60)


@dataclass
class Watch:
    """Processor seconds of server processes, and of the whole machine, since it was made."""

    servers: Mapping[str, int]

    def __post_init__(self) -> None:
        self._busy, self._load = busy_seconds(), os.getloadavg()[0]
        self._before = {name: cpu_seconds(pid) for name, pid in self.servers.items()}

    def spent(self) -> dict[str, float]:
        """Return the seconds of each server."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self.servers.items()}

    def machine(self) -> dict[str, float]:
        """Return how busy the machine was, everything that is none of this included."""
        return {"load_before": round(self._load, 2), "busy_cpu_seconds": round(busy_seconds() - self._busy, 1)}


def cpu_seconds(root: int) -> float:
    """Return processor seconds of a server: its processes that live, and the children that they have waited for."""
    fields = _stats()
    return sum(_cpu_seconds(fields[pid][11:15]) for pid in _descendants({root}, fields))


def busy_seconds() -> float:
    """Return the seconds that all processors of the machine have worked since its start."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


def family(roots: set[int]) -> set[int]:
    """Return processes and all that descend from them."""
    return _descendants(roots, _stats())


def memory(pids: set[int]) -> tuple[int, int]:
    """Return the sums of proportional and of resident memory, in bytes."""
    pss = rss = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                pss += int(value.split()[0]) if name == "Pss" else 0
                rss += int(value.split()[0]) if name == "Rss" else 0
    return pss * 1024, rss * 1024


def _cpu_seconds(ticks: Sequence[str]) -> float:
    return sum(map(int, ticks)) / _TICKS


def _stats() -> dict[int, list[str]]:
    """Return what /proc/PID/stat says from the state on: the parent is field 1, times are 11 to 14."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    return found


def _descendants(roots: set[int], stats: Mapping[int, list[str]]) -> set[int]:
    children = defaultdict(list)
    for pid, fields in stats.items():
        children[int(fields[1])].append(pid)
    found: set[int] = set()
    left = [pid for pid in roots if pid in stats]
    while left:
        found.add(pid := left.pop())
        left.extend(one for one in children[pid] if one not in found)
    return found
