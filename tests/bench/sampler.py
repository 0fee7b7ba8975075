"""Samples of a running service: what it uses, how far its tables are, and what they are made of; read beside it."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestContent, read_manifest_list

from cdc.core.names import TableName
from cdc.lake.pyiceberg_catalog import SqlReader
from tests.bench.load_meter import cpu_seconds, family, memory
from tests.bench.samples import event_names, first_commits
from tests.e2e.service import Service

_IO = PyArrowFileIO()


@dataclass(frozen=True)
class Shape:
    """What a table is made of, and its batches: (when published, the source's time of its newest change), epoch s."""

    figures: Mapping[str, int]
    batches: Sequence[tuple[float, float]]


@dataclass
class Use:
    """Processor seconds of the service over its kills."""

    _before: float = 0.0
    _ended: float = 0.0

    def end(self, root: int) -> None:
        """Note what a process has used that is about to be killed."""
        self._ended += cpu_seconds(root) - self._before
        self._before = 0.0

    def spent(self, root: int) -> float:
        """Return the seconds since this was asked last."""
        now = cpu_seconds(root)
        spent, self._ended = self._ended + now - self._before, 0.0
        self._before = now
        return spent


@dataclass
class Sampler:
    """Takes samples; ``tables`` are those of the workload, which began at ``began``, in seconds of the epoch."""

    service: Service
    catalog: SqlReader
    folders: Mapping[str, Path]
    tables: Sequence[TableName]
    own: Sequence[TableName]
    began: float
    use: Use = field(default_factory=Use)
    started: float = 0.0
    _starts: list[float] = field(default_factory=list)
    _answered: set[float] = field(default_factory=set)
    _read: int = 0
    _made: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self.use.spent(self.service.pid)

    def start(self) -> None:
        """Note that the service is started now, after its end."""
        self.started = time.time()
        self._starts.append(self.started)

    @property
    def unanswered(self) -> int:
        """Return how many starts have had no commit when the next kill came, as far as samples tell."""
        return sum(start not in self._answered for start in self._starts[:-1])

    def sample(self, made: int) -> dict[str, Any]:
        """Return a sample; ``made`` are the changes of the workload so far."""
        now, root = time.time(), self.service.pid
        shapes = {name: shape_of(self.catalog, name) for name in self.tables}
        batches = [batch for shape in shapes.values() for batch in shape.batches]
        before, self._made = self._made, (now, made)
        return {
            "at": round(now - self.began, 1),
            "up_seconds": round(now - self.started, 1),
            "changes": made,
            "rate": round((made - before[1]) / (now - max(before[0], self.began)), 1),
            "cpu_seconds": round(self.use.spent(root), 1),
            **process_figures(family({root})),
            "lag": {str(name.table): self._lag(shape, now) for name, shape in shapes.items()},
            "first_commits": self._newly_answered(batches),
            **together("tables", [shape.figures for shape in shapes.values()]),
            **together("own", [shape_of(self.catalog, name).figures for name in self.own]),
            **{name: disk(folder) for name, folder in self.folders.items()},
            "log": dict(self._said()),
        }

    def _lag(self, shape: Shape, now: float) -> float:
        """Return the age of the oldest change that is not published: it came after the newest one that is."""
        return round(now - max([self.began, *(source_at for _, source_at in shape.batches)]), 2)

    def _newly_answered(self, batches: Sequence[tuple[float, float]]) -> list[float]:
        """Return the seconds to the first commit of those starts of which a sample sees one for the first time."""
        found = first_commits(self._starts, [published for published, _ in batches])
        new = [round(seconds, 1) for start, seconds in found.items() if start not in self._answered]
        self._answered |= found.keys()
        return new

    def _said(self) -> Counter[str]:
        """Return the warnings and errors of the log since the last look, whole lines only."""
        with self.service.log.open("rb") as log:
            log.seek(self._read)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return event_names(whole.decode(errors="replace").splitlines())


def shape_of(catalog: SqlReader, name: TableName) -> Shape:
    """Return what a table is made of now; raises FileNotFoundError if it never holds still for long enough."""
    for _ in range(5):  # the files of a table that moves on may go while they are read
        with suppress(FileNotFoundError):
            return _shape(catalog.location_of(name))
    return _shape(catalog.location_of(name))


def _shape(location: str | None) -> Shape:
    if location is None:
        return Shape({}, ())
    text = Path(location.removeprefix("file:")).read_bytes()
    metadata = json.loads(text)
    snapshots = {one["snapshot-id"]: one for one in metadata.get("snapshots", ())}
    head = snapshots.get(metadata.get("current-snapshot-id"))
    live = _live(head["manifest-list"]) if head else {}
    return Shape({**live, "snapshots": len(snapshots), "metadata_bytes": len(text)}, _batches(snapshots.values()))


def _live(manifest_list: str) -> dict[str, int]:
    manifests = list(read_manifest_list(_IO.new_input(manifest_list)))
    count: Counter[ManifestContent] = Counter()
    for one in manifests:
        count[one.content] += (one.added_files_count or 0) + (one.existing_files_count or 0)
    return {
        "data_files": count[ManifestContent.DATA],
        "delete_files": count[ManifestContent.DELETES],
        "manifests": len(manifests),
    }


def _batches(snapshots: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    found = ((one["timestamp-ms"], one.get("summary", {}).get("cdc.source_ts_ms")) for one in snapshots)
    return [(published / 1000, int(newest) / 1000) for published, newest in found if newest]


def together(name: str, figures: Sequence[Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Return the sums of some tables' figures, and the largest of each."""
    names = ("data_files", "delete_files", "manifests", "snapshots", "metadata_bytes")
    values = {one: [each.get(one, 0) for each in figures] for one in names}
    return {
        name: {one: sum(each) for one, each in values.items()},
        f"{name}_worst": {one: max(each, default=0) for one, each in values.items()},
    }


def process_figures(pids: set[int]) -> dict[str, int]:
    """Return memory in MB, all of it and by kind of process, open files and threads."""
    jvms = {pid for pid in pids if _entry(pid, "comm") == "java"}
    jvm, _ = memory(jvms)
    python, _ = memory(pids - jvms)
    return {
        "pss_mb": (jvm + python) >> 20,
        "python_mb": python >> 20,
        "jvm_mb": jvm >> 20,
        "open_files": sum(_count(pid, "fd") for pid in pids),
        "threads": sum(_count(pid, "task") for pid in pids),
    }


def disk(folder: Path) -> dict[str, int]:
    """Return the files below a folder and their sizes in MB."""
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(place, name).lstat().st_size
                files += 1
    return {"files": files, "mb": size >> 20}


def _entry(pid: int, name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text().strip()
    return ""


def _count(pid: int, name: str) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/{name}"))  # noqa: PTH208 - only their number
    return 0
