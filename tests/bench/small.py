"""``python -m tests.bench.small``: many small batches, one after another, as a service that is up to date sees them.

A hundred changes a batch and table, or as many as asked for: updates (half of them leave the large value out), deletes,
inserts and key changes, through decode, collapse, merge and publish on local files. Batches that
rewrite their table without Spark, that the core collapses, and that Spark does, take turns. Half of the batches warm
the JVM up, the others are timed: seconds, processor seconds, commits to the catalog (versions of a table's metadata)
and files written, tombstones with them. Afterwards every column of every row is compared with what the changes make
of it.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from cdc.lake import rewriting
from cdc.spark import small
from tests.bench.load_meter import cpu_seconds
from tests.contract.events import INT, TEXT, Topic, column
from tests.lake import PLACEHOLDER, LakeTable, Message, start_session

COLUMNS = [column("id", "int"), column("n", INT), column("name", TEXT), column("large", TEXT)]
WAYS = {"rewrite": (small.MESSAGES, rewriting.SMALL_ROWS), "core": (small.MESSAGES, -1), "spark": (0, -1)}
"""Up to how many messages the core collapses a batch, and up to how many rows a table is rewritten without Spark."""


def main() -> None:
    """Apply the batches, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.small", description=__doc__)
    parser.add_argument("--tables", type=int, default=4, help="tables for each way")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--changes", type=int, default=100, help="changes of a batch")
    parser.add_argument("--moves", type=int, default=5, help="percent of the changes that change a key")
    parser.add_argument("--keys", type=int, default=300, help="rows of a table at first")
    parser.add_argument("--columns", type=int, default=0, help="further columns of every table")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = start_session(Path(folder))
        tables = {
            way: [
                Source(LakeTable(*lake, columns(options.columns), name=f"{way}_{n}"), options.seed + n, options)
                for n in range(options.tables)
            ]
            for way in WAYS
        }
        figures = measure(tables, options.batches, Path(folder))
        equal = all(source.equal() for sources in tables.values() for source in sources)
    print(json.dumps({**vars(options), **figures, "contents": "equal" if equal else "DIFFERENT"}, indent=2))
    sys.exit(0 if equal else 1)


def columns(more: int) -> list[dict[str, Any]]:
    """Return a table's columns, so many more than the ordinary ones."""
    return [*COLUMNS, *(column(f"c{n}", TEXT if n % 3 else INT) for n in range(more))]


def measure(tables: dict[str, list["Source"]], batches: int, folder: Path) -> dict[str, Any]:
    """Apply the batches; returns for each way seconds per batch of one table, over the second half of them."""
    figures = {way: Figures(len(sources), batches - batches // 2) for way, sources in tables.items()}
    for number in range(batches):
        for way, sources in tables.items():
            small.MESSAGES, rewriting.SMALL_ROWS = WAYS[way]
            timed = number >= batches - batches // 2
            before = Written.so_far(folder, way) if timed else Written(0, 0)
            for source in sources:
                figures[way].add(source, number, batches)
            if timed:
                figures[way].wrote(Written.so_far(folder, way), before)
    return {way: one.told() for way, one in figures.items()}


class Written(NamedTuple):
    """Versions of tables' metadata, each of which is a commit, and other files; some versions are deleted later."""

    commits: int
    files: int

    @classmethod
    def so_far(cls, folder: Path, way: str) -> "Written":
        """Return what the tables of a way have, their tombstones too; checksums of a local folder are none of it."""
        tables = [path for path in (folder / "warehouse").glob("*/*") if cls._is_of(path.name, way)]
        found = [path.name for table in tables for path in table.rglob("*") if path.is_file() and path.name[0] != "."]
        others = [name for name in found if not name.endswith(".metadata.json") and name != "version-hint.text"]
        return cls(sum(map(cls._version, tables)), len(others))

    @staticmethod
    def _is_of(name: str, way: str) -> bool:
        return name.removeprefix("tombstones_").startswith(f"{way}_")

    @staticmethod
    def _version(table: Path) -> int:
        versions = (path.name.partition(".")[0] for path in table.glob("metadata/v*.metadata.json"))
        return max((int(version.removeprefix("v")) for version in versions), default=0)


class Figures:
    """What the batches of one way took."""

    def __init__(self, tables: int, timed: int) -> None:
        self._tables, self._timed = tables, timed
        self._stages: Counter[str] = Counter()
        self._first = self._seconds = self._processor = 0.0
        self._commits = self._files = 0

    def wrote(self, after: Written, before: Written) -> None:
        """Take down what a round of batches has written."""
        self._commits += after.commits - before.commits
        self._files += after.files - before.files

    def add(self, source: "Source", number: int, batches: int) -> None:
        """Apply a batch of a table and take its time."""
        messages = source.batch()
        began, used = time.monotonic(), cpu_seconds(os.getpid())
        applied = source.table.apply_whole(messages)
        took = time.monotonic() - began
        if number == 0:
            self._first += took / self._tables
        if number >= batches - self._timed:
            self._seconds += took / self._tables / self._timed
            self._processor += (cpu_seconds(os.getpid()) - used) / self._tables / self._timed
            self._stages.update({n: value / self._tables / self._timed for n, value in applied.seconds.items()})

    def told(self) -> dict[str, Any]:
        """Return the figures: of a batch's seconds those that make the messages are none of the stages'."""
        return {
            "seconds_of_the_first_batch": round(self._first, 2),
            "seconds_a_batch": round(self._seconds, 2),
            "processor_seconds_a_batch": round(self._processor, 2),
            "commits_a_batch": round(self._commits / self._tables / self._timed, 1),
            "other_files_a_batch": round(self._files / self._tables / self._timed, 1),
            "of_these": {name: round(value, 2) for name, value in self._stages.items()},
        }


class Source:
    """A table that changes, and its copy in the lake."""

    def __init__(self, table: LakeTable, seed: int, options: argparse.Namespace) -> None:
        self.table = table
        self._changes, self._moves = options.changes, options.moves
        self._topic = Topic()
        self._random = random.Random(seed)
        self._more = {f"c{n}": "text" if n % 3 else n for n in range(options.columns)}
        self._rows: dict[int, dict[str, Any]] = {}
        self._lsn, self._next = 100, 0
        table.apply([self._insert() for _ in range(options.keys)])

    def batch(self) -> list[Message]:
        """Return the changes of one batch."""
        kinds = [self._update, self._insert_one, self._delete, self._move]
        chosen = self._random.choices(kinds, [85 - self._moves, 10, 5, self._moves], k=self._changes)
        return [message for kind in chosen for message in kind()]

    def equal(self) -> bool:
        """Return whether the lake holds what the changes have made."""
        rows = [row.asDict() for row in self.table.rows()]
        found = {row["id"]: {n: v for n, v in row.items() if not n.startswith("_cdc_")} for row in rows}
        return len(rows) == len(found) and found == {key: {**row, **self._more} for key, row in self._rows.items()}

    def _update(self) -> list[Message]:
        key = self._random.choice(list(self._rows))
        leaves_out = self._random.random() < 0.5
        self._lsn += 10
        row = self._rows[key]
        row |= {"n": self._lsn} if leaves_out else {"n": self._lsn, "large": f"large {self._lsn}"}
        return [self._change("u", {**row, "large": PLACEHOLDER} if leaves_out else row)]

    def _insert_one(self) -> list[Message]:
        return [self._insert()]

    def _insert(self) -> Message:
        self._next += 1
        self._lsn += 10
        self._rows[self._next] = {"id": self._next, "n": 0, "name": "name", "large": f"large {self._next}"}
        return self._change("c", self._rows[self._next])

    def _delete(self) -> list[Message]:
        self._lsn += 10
        return [self._change("d", self._rows.pop(self._random.choice(list(self._rows))))]

    def _move(self) -> list[Message]:
        self._next += 1
        self._lsn += 10
        old = self._rows.pop(self._random.choice(list(self._rows)))
        new = self._rows[self._next] = {**old, "id": self._next}
        return [
            self._change("d", old, {"__debezium.newkey": {"id": new["id"]}}),
            self._change("c", {**new, "large": PLACEHOLDER}, {"__debezium.oldkey": {"id": old["id"]}}),
        ]

    def _change(self, operation: str, row: dict[str, Any], headers: dict[str, Any] | None = None) -> Message:
        at = (self._lsn - 5, self._lsn)
        return self._topic.change(operation, {**row, **self._more}, at, partition=row["id"] % 3, headers=headers)


if __name__ == "__main__":
    main()
