"""Which rows of a table live: its data files, and per file the rows that position deletes have taken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, Any]


@dataclass
class DataFileRows:
    """One data file: the number that entries of the index name it by, its rows, and a bit for each that was deleted."""

    number: int
    rows: int
    gone: Numbers | None = None

    def delete(self, rows: Numbers) -> None:
        """Mark rows as deleted, once or again."""
        if self.gone is None:
            self.gone = np.zeros((self.rows + 7) // 8, np.uint8)
        np.bitwise_or.at(self.gone, rows >> 3, np.left_shift(1, rows & 7).astype(np.uint8))

    def lives(self, rows: Numbers) -> Numbers:
        """Return which of these rows were not deleted."""
        if self.gone is None:
            return np.ones(len(rows), bool)
        return np.asarray((self.gone[rows >> 3] >> (rows & 7).astype(np.uint8) & 1) == 0)

    def living(self) -> int:
        """Return how many rows were not deleted."""
        return self.rows - (0 if self.gone is None else int(np.bitwise_count(self.gone).sum()))


@dataclass
class LiveFiles:
    """The files of one snapshot; ``deletes`` holds for each delete file the numbers of the data files that it names."""

    data: dict[str, DataFileRows] = field(default_factory=dict)
    deletes: dict[str, frozenset[int]] = field(default_factory=dict)
    next_number: int = 0
    _paths: dict[int, str] = field(default_factory=dict)

    def add(self, path: str, rows: int, number: int | None = None) -> DataFileRows:
        """Add a data file, under a number that none has had, or under the one that it has."""
        chosen = self.next_number if number is None else number
        self.next_number = max(self.next_number, chosen + 1)
        self._paths[chosen] = path
        self.data[path] = DataFileRows(chosen, rows)
        return self.data[path]

    def remove(self, path: str) -> None:
        """Take a data file out: places in it live no more."""
        self._paths.pop(self.data.pop(path).number)

    def delete(self, delete_file: str, rows: Mapping[str, Numbers]) -> None:
        """Take note of a delete file: per data file the rows that it takes; files that are not there do not count."""
        known = {path: taken for path, taken in rows.items() if path in self.data}
        for path, taken in known.items():
            self.data[path].delete(taken)
        self.deletes[delete_file] = frozenset(self.data[path].number for path in known)

    def lives(self, numbers: Numbers, rows: Numbers) -> Numbers:
        """Return which of these places (file number, row) hold a row that lives."""
        found = np.zeros(len(numbers), bool)
        for number, at in grouped(numbers):
            if number in self._paths:
                found[at] = self.data[self._paths[number]].lives(rows[at])
        return found

    def path(self, number: int) -> str:
        """Return the path of a data file."""
        return self._paths[number]

    def living(self) -> int:
        """Return how many rows live."""
        return sum(file.living() for file in self.data.values())


def grouped(numbers: Numbers) -> Iterator[tuple[int, Numbers]]:
    """Return each number with the indices where it stands, ascending."""
    if not len(numbers):
        return
    order = np.argsort(numbers, kind="stable")
    distinct, starts = np.unique(numbers[order], return_index=True)
    yield from zip(distinct.tolist(), np.split(order, starts[1:]), strict=True)
