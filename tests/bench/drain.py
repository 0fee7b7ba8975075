"""What is measured of a service, or of another process, that drains a backlog: its log tells each publication.

The log is read by the pipe that it goes through, so looking at it costs the machine next to nothing.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from tests.bench.load_meter import Run, Watch, cpu_seconds

STARTED, PUBLISHED, DRAINED = "query started", "batch applied", "drained"
"""What the service says, and others say as it does: the query runs; a batch of a table can be read. The last only they
say: there is nothing left."""

Told = tuple[float, dict[str, Any]]
"""When a line came, in seconds of the monotonic clock, and what it said."""


@dataclass(frozen=True)
class Drain:
    """One measurement: the process, the servers that work beside it, and where they write."""

    run: Run
    servers: Mapping[str, int]
    warehouse: Path
    timeout: float

    def measure(self, finished: Callable[[list[Told]], bool], also: Callable[[], object]) -> dict[str, Any]:
        """Start the process, and ``also`` something else, wait until it has ``finished``, and end it."""
        before, watch, began = files(self.warehouse), Watch(self.servers), time.monotonic()
        with self.run.running():
            also()
            self._await(finished)
            own, beside, machine = cpu_seconds(self.run.pid), watch.spent(), watch.machine()
            self.run.stop()
        told = list(lines(self.run))
        last = max(at for at, line in told if line["event"] == PUBLISHED)
        written = files(self.warehouse)
        return {
            "seconds": round(last - began, 2),
            "seconds_from_query": round(last - next(at for at, line in told if line["event"] == STARTED), 2),
            "cpu_seconds": {name: round(spent, 1) for name, spent in {self.run.name: own, **beside}.items()},
            "machine": machine,
            "peak_pss_mb": round(self.run.peak_pss / 1e6),
            "written_bytes": sum(size for path, size in written.items() if path not in before),
        }

    def _await(self, finished: Callable[[list[Told]], bool]) -> None:
        deadline = time.monotonic() + self.timeout
        while not finished(list(lines(self.run))):
            self.run.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.run.name} is not through:\n{self.run.tail(40)}")
            time.sleep(0.2)


def lines(run: Run) -> Iterator[Told]:
    """Yield what a process has said so far of its query and its batches."""
    for at, text in list(run.lines):
        if text.startswith("{") and (line := json.loads(text)).get("event") in {STARTED, PUBLISHED, DRAINED}:
            yield at, line


def applied(told: list[Told]) -> int:
    """Return how many changes have been published."""
    return sum(line["events"] for _, line in told if line["event"] == PUBLISHED)


def published(run: Run) -> list[dict[str, Any]]:
    """Return what was said of each batch."""
    return [line for _, line in lines(run) if line["event"] == PUBLISHED]


def batches(run: Run) -> dict[str, Any]:
    """Return the batches of a run by the way that they went, and their seconds by stage."""
    told = published(run)
    stages: Counter[str] = Counter()
    for line in told:
        stages.update(line["seconds"])
    return {
        "batches": len(told),
        "ways": Counter(str(line["way"]) for line in told),
        "seconds_by_stage": {name: round(seconds, 2) for name, seconds in stages.most_common()},
    }


def files(folder: Path) -> dict[Path, int]:
    """Return the files of a folder with their sizes; files that go away meanwhile are left out."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def scanned(catalog: Catalog, names: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the files of tables, and the seconds of counting all rows and adding up one column of them."""
    tasks = [task for name in names for task in catalog.load_table(name).scan().plan_files()]
    began, rows, total = time.monotonic(), 0, 0
    for name in names:
        column = catalog.load_table(name).scan(selected_fields=("n",)).to_arrow()["n"]
        rows, total = rows + len(column), total + (pc.sum(column).as_py() or 0)
    return {
        "data_files": len({task.file.file_path for task in tasks}),
        "delete_files": len({one.file_path for task in tasks for one in task.delete_files}),
        "scan_seconds": round(time.monotonic() - began, 2),
        "rows": rows,
        "sum": total,
    }
