"""Load: a table read in parts, as values; how the parts meet the stream is told in docs/decisions/0014.

A load reads *ranges*. Each is read in one statement, so at one moment, which lies between two positions of the source's
log: ``low``, read before it, and ``high``, read after it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from cdc.core.history import PROGRESS
from cdc.core.names import TableName
from cdc.core.positions import OFFSET_DIGITS, Position, hexadecimal
from cdc.core.progress import PartitionProgress, Progress

PLAN, FAILURE = "load.plan", "load.failure"
"""Properties of a shadow: the plan, and why its load does not go on."""

RANGES, ROWS, BYTES = "load.ranges", "load.rows", "load.bytes"
"""Entries of the summary of a commit that brings ranges to a shadow."""


class TableSize(NamedTuple):
    """The database's own estimate of a table: rows, and bytes of what is read of it."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class Range:
    """A part of a table that one task reads in one statement.

    ``relation`` is the table, or the leaf partition that holds the part. ``predicate`` is a condition in the source's
    SQL with everything quoted, empty for all rows; it may hold key values, so it is never logged or shown. ``where`` is
    an operator's condition, the same in all ranges, that their rows have to fulfil besides. ``rows`` is an estimate,
    without regard to it. The ranges of a table are disjoint and together hold each of its rows. Rows of an ``ordered``
    range come in the order of the key, and a key belongs to one range for good; those of another lie side by side on
    disk, where a row that is updated meanwhile may move from one range to another.
    """

    number: int
    relation: TableName
    predicate: str
    rows: int
    ordered: bool = True
    where: str = ""

    @property
    def clause(self) -> str:
        """Return the WHERE of the range with a space before it, or nothing; what is asked for may end in a comment."""
        conditions = [self.predicate, f"({self.where}\n)" if self.where else ""]
        if all(conditions):
            conditions[0] = f"({self.predicate})"
        return " WHERE " + " AND ".join(filter(None, conditions)) if any(conditions) else ""


class RangeRows(Protocol):
    """The rows of one range as Arrow record batches of bounded size, to be read once.

    ``low`` is known from the start; ``high`` once the batches are exhausted. Both are positions as the source prints
    them (an LSN, ``file:position``, an SCN).
    """

    low: str
    high: str

    def __iter__(self) -> Iterator[Any]:
        """Yield ``pyarrow.RecordBatch``, columns named as in the source."""
        ...

    def close(self) -> None:
        """End the statement and the connection; idempotent."""
        ...


class RangeReader(Protocol):
    """Reads ranges, in a task: it can be pickled, connects at each call and holds nothing between calls."""

    def read(self, part: Range) -> RangeRows:
        """Open a range; raises TransientError, PreflightError or TerminalError, now or while it is read."""
        ...


class BulkSource(Protocol):
    """What a load asks of a source's database; every call connects anew and changes nothing.

    Calls may raise TransientError (no answer) and PreflightError (refused, or the table is not there).
    """

    def size(self, table: TableName) -> TableSize:
        """Return the database's estimate of a table."""
        ...

    def ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[Range, ...]:
        """Return the parts that a table is read in; at least one."""
        ...

    def reader(self, table: TableName, key: Sequence[str], columns: dict[str, str]) -> RangeReader:
        """Return the reader of a table's ranges.

        ``columns`` are the columns to read with the Iceberg types of the target (``cdc.core.source_types``). Rows of a
        range come in the order of the key where that costs nothing.
        """
        ...

    def keys(self, table: TableName, key: Sequence[str], values: Sequence[Sequence[Any]]) -> Range:
        """Return the range of the rows with these keys, given as Python values of the target's key columns."""
        ...

    def position(self) -> str:
        """Return a position that every change committed before the call lies at or before."""
        ...


@dataclass(frozen=True)
class LoadPlan:
    """All that a load has to know to be carried out, and to go on after a crash; it is kept with the shadow.

    ``progress`` is where the topic ended before the first row was read, in a new epoch; ``base`` a position of the log
    at or behind everything before that. ``columns`` are those of the source, with the target's types; ``relation`` is
    the identity of its table.
    """

    id: str
    source: TableName
    key: tuple[str, ...]
    columns: dict[str, str]
    size: TableSize
    ranges: tuple[Range, ...]
    progress: Progress
    base: str
    started_at: str
    relation: str = ""

    @property
    def where(self) -> str:
        """Return the condition of the part that is loaded, in the source's SQL; empty for the whole table."""
        return self.ranges[0].where

    def to_json(self) -> str:
        """Return the form that is kept."""
        kept = {**asdict(self), "progress": self.progress.to_json()}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "LoadPlan":
        """Return the plan that ``to_json`` wrote."""
        data = json.loads(text)
        ranges = tuple(Range(**{**part, "relation": TableName(*part["relation"])}) for part in data["ranges"])
        return cls(
            **{
                **data,
                "source": TableName(*data["source"]),
                "key": tuple(data["key"]),
                "size": TableSize(*data["size"]),
                "ranges": ranges,
                "progress": Progress.from_json(data["progress"]),
            }
        )


@dataclass(frozen=True)
class Stamp:
    """How rows that are read are marked: as read first or again, and behind which truncate they come, if any."""

    operation: str = "r"
    truncated: str = ""


@dataclass(frozen=True)
class RangeResult:
    """What a task made of a range: the positions around it, rows, bytes of Arrow, and the files it wrote."""

    number: int
    low: str
    high: str
    rows: int
    bytes: int
    seconds: float
    files: tuple[Any, ...]


def summary_of(results: Sequence[RangeResult]) -> dict[str, str]:
    """Return what the summary of a commit says of the ranges that it brings."""
    return {
        RANGES: ",".join(str(result.number) for result in results),
        ROWS: str(sum(result.rows for result in results)),
        BYTES: str(sum(result.bytes for result in results)),
    }


class LoadState(StrEnum):
    """Where a load stands; the same words in log, status and metrics."""

    WAITING = "waiting for capture"
    READING = "reading"
    CATCHING_UP = "catching up"
    LOADED = "loaded"
    FAILED = "failed"


@dataclass(frozen=True)
class LoadProgress:
    """How far a load is.

    ``rows_before`` were loaded before this process began, ``seconds`` ago; ``rows_estimate`` is the database's guess of
    the whole, ``seconds_left`` None where none can be made.
    """

    target: TableName
    state: LoadState
    ranges: int = 0
    ranges_done: int = 0
    rows: int = 0
    rows_estimate: int = 0
    rows_before: int = 0
    bytes: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    detail: str = ""

    @property
    def rows_per_second(self) -> float:
        """Return the mean rate since this process began to read."""
        return (self.rows - self.rows_before) / self.seconds if self.seconds else 0.0


def audit_ranges(plan: LoadPlan, history: Sequence[Mapping[str, str]]) -> str:
    """Return what is wrong with a shadow's commits: every range has to be there once, with all its rows."""
    numbers = sorted(int(n) for summary in history for n in summary.get(RANGES, "").split(",") if n)
    rows = sum(int(summary.get(ROWS, "0")) for summary in history)
    found = int(history[0].get("total-records", "0")) if history else 0
    if numbers == [part.number for part in plan.ranges] and rows == found:
        return ""
    return f"{len(numbers)} of {len(plan.ranges)} ranges, {found} of {rows} rows"


def may_repeat(plan: LoadPlan) -> bool:
    """Return whether a row may have been read twice: by place on disk, and with changes meanwhile."""
    return len(plan.ranges) > 1 and not all(part.ordered for part in plan.ranges)


def new_epoch(
    topic: str, topic_id: str, ends: Mapping[int, int], before: Progress | None, capture: str = ""
) -> Progress:
    """Return the progress that a load starts from: the ends of the topic, in an epoch above all of before.

    A snapshot by the connector that follows opens another one. ``capture`` as in ``Progress``.
    """
    known = before.partitions.values() if before else ()
    epoch = max((state.epoch for state in known), default=0) + 1
    partitions = {p: PartitionProgress(end, epoch, streaming=True) for p, end in ends.items()}
    return Progress(topic, topic_id, partitions, capture)


def loaded_position(engine: str, epoch: int, base: str) -> Position:
    """Return the position of loaded rows: a read, below every change of its epoch, wherever that lies in the log.

    In PostgreSQL the base stands where the change's LSN would; nothing is compared with it but other reads.
    """
    lsn = 0
    if engine == "postgres" and "/" in base:
        high, low = base.split("/")
        lsn = (int(high, 16) << 32) + int(low, 16)
    return Position(epoch, (0, 0, lsn), 0)


def reread_position(position: str, truncated: str) -> str:
    """Return the position of rows that are read again: not below the truncate that the table has seen meanwhile."""
    return max(position, f"{truncated}-{hexadecimal(0, OFFSET_DIGITS)}") if truncated else position


def loaded(summary: Mapping[str, str]) -> bool:
    """Return whether a table has its first rows, by what its history has recorded."""
    return PROGRESS in summary
