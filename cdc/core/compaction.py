"""Compaction: which data files of a table are put together, so that reading costs little and writing does not add up.

Files are put together with others of about their size. A file of a table that is always written to is so rewritten a
few times until it has its full size, and not again for every handful of small ones.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

FULL = 0.75
"""A file of this share of the target size is not small."""

ALIKE_BYTES = 1 << 20
"""Files up to this size are alike: rewriting them costs next to nothing."""

MOST_FILES = 1000
"""Files that are put together at once, at most."""


@dataclass(frozen=True)
class DataFile:
    """A live data file: rows as written, and how many of them were deleted since; ``partition`` as text."""

    path: str
    bytes: int
    rows: int
    spec: int = 0
    partition: str = ""
    deleted: int = 0

    @property
    def left(self) -> int:
        """Return about how many bytes its living rows have."""
        return self.bytes * max(0, self.rows - self.deleted) // self.rows if self.rows else 0


@dataclass(frozen=True)
class DeleteFile:
    """A live delete file: how many rows it tells of, and of which data file; None if of several."""

    rows: int
    of: str | None = None
    spec: int = 0
    partition: str = ""


@dataclass(frozen=True)
class Packing:
    """When files are rewritten: ``fewest`` small ones of a partition, or one with this ``share`` of its rows deleted.

    What is put together has at most ``step`` bytes; a file that alone has more is rewritten alone.
    """

    target: int
    step: int
    fewest: int = 5
    share: float = 0.2


@dataclass(frozen=True)
class Compact:
    """Files of one partition that become one, or as few as the size of a full file allows; ``target`` bytes."""

    kind: ClassVar[str] = "compact"
    paths: tuple[str, ...]
    bytes: int
    target: int
    spec: int
    partition: str
    reason: str


def plan_compaction(files: Iterable[DataFile], packing: Packing) -> tuple[Compact, ...]:
    """Return what is to be put together, what frees most files for its bytes first."""
    groups: dict[tuple[int, str], list[DataFile]] = defaultdict(list)
    for file in files:
        if takes_part(file, packing):
            groups[file.spec, file.partition].append(file)
    found = [_step(chosen, packing) for group in groups.values() for chosen in _packed(group, packing)]
    return tuple(sorted(found, key=lambda step: (step.bytes / len(step.paths), step.paths)))


def takes_part(file: DataFile, packing: Packing) -> bool:
    """Return whether a file may be rewritten; of the others, which are most of a large table, no plan ever speaks."""
    return _small(file, packing) or _worn(file, packing)


def deleted_rows(deletes: Iterable[DeleteFile]) -> Counter[str]:
    """Return of each data file how many of its rows are deleted, as far as delete files are of it alone."""
    found: Counter[str] = Counter()
    for one in deletes:
        if one.of is not None:
            found[one.of] += one.rows
    return found


def surplus_deletes(deletes: Iterable[DeleteFile]) -> int:
    """Return how many delete files there are beyond one for each data file, in the partition that has most of them.

    Iceberg's action puts those of a partition together, so a few in each of many partitions are none of its work.
    """
    found: Counter[tuple[int, str]] = Counter()
    known: set[str | None] = {None}
    for one in deletes:
        found[one.spec, one.partition] += one.of in known
        known.add(one.of)
    return max(found.values(), default=0)


def _small(file: DataFile, packing: Packing) -> bool:
    return file.left < packing.target * FULL


def _worn(file: DataFile, packing: Packing) -> bool:
    return file.deleted > 0 and file.deleted >= file.rows * packing.share


def _packed(group: Sequence[DataFile], packing: Packing) -> Iterator[Sequence[DataFile]]:
    """Yield the sets of files that are worth it."""
    chosen: list[DataFile] = []
    for file in sorted(group, key=lambda one: (one.left, one.path)):
        if chosen and not _joins(file, chosen, packing):
            yield from _worth(chosen, packing)
            chosen = []
        chosen.append(file)
    yield from _worth(chosen, packing)


def _joins(file: DataFile, chosen: Sequence[DataFile], packing: Packing) -> bool:
    so_far = sum(one.left for one in chosen)
    read = sum(one.bytes for one in chosen) + file.bytes
    alike = file.left <= max(ALIKE_BYTES, so_far)
    fits = so_far + file.left <= packing.target and read <= packing.step
    return alike and fits and len(chosen) < MOST_FILES


def _worth(chosen: Sequence[DataFile], packing: Packing) -> Iterator[Sequence[DataFile]]:
    if len(chosen) >= packing.fewest:
        yield chosen
    elif worn := [file for file in chosen if _worn(file, packing)]:
        yield worn


def _step(chosen: Sequence[DataFile], packing: Packing) -> Compact:
    size, deleted = sum(file.bytes for file in chosen), sum(file.deleted for file in chosen)
    rows = sum(file.rows for file in chosen)
    what = f"{len(chosen)} files below {_mib(packing.target)}" if len(chosen) >= packing.fewest else "files"
    said = f", {deleted:,} of their {rows:,} rows are deleted" if deleted else ""
    where = f" in {chosen[0].partition}" if chosen[0].partition else ""
    paths = tuple(file.path for file in chosen)
    return Compact(paths, size, packing.target, chosen[0].spec, chosen[0].partition, f"{what}{where}{said}")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
