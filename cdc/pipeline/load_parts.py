"""What a load works with: a shadow, the source's capture, and the functions that bootstrap puts in."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from cdc.core.errors import IncompatibleSchema, TransientError
from cdc.core.evolution import CDC_COLUMNS, plan_schema
from cdc.core.load import BulkSource, LoadPlan, Range, RangeResult, Stamp, TableSize
from cdc.core.names import TableName
from cdc.core.partitioning import PartitionTerm, parse_term
from cdc.core.preflight import Finding
from cdc.core.progress import Progress
from cdc.pipeline.catch_up import RangeEngine
from cdc.pipeline.table import TableSpec, TargetTable

log = structlog.get_logger()

RETENTION_SECONDS = 60.0
"""How often it is looked whether log and topic last for as long as a load takes."""

MENDED = 10_000
"""Keys that are read again at a time."""


class ShadowTable(Protocol):
    """The next state of a target, made beside it; commits are atomic, ``graft`` is a compare-and-swap."""

    name: TableName

    def exists(self) -> bool:
        """Return whether the shadow is there."""
        ...

    def create(self, properties: Mapping[str, str], *, snapshot: int | None = None) -> None:
        """Make it with the target's schema, without rows or with those of a snapshot of the target."""
        ...

    def set_key(self, key: Sequence[str]) -> None:
        """Make these columns its key, and no others; idempotent."""
        ...

    def set_partitioning(self, terms: Sequence[PartitionTerm]) -> None:
        """Partition what is written from now on by these terms."""
        ...

    def replace_columns(self, columns: Mapping[str, str]) -> None:
        """Drop and add columns whose type cannot be widened; their values are gone from the shadow."""
        ...

    def properties(self) -> Mapping[str, str]:
        """Return the shadow's properties."""
        ...

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set properties of the shadow."""
        ...

    def history(self) -> Sequence[Mapping[str, str]]:
        """Return the summaries of its commits, newest first."""
        ...

    def append(self, files: Sequence[Any], summary: Mapping[str, str]) -> None:
        """Commit data files, or none, with these entries in the commit's summary."""
        ...

    def repeated_keys(self, key: Sequence[str], limit: int) -> Sequence[Sequence[Any]]:
        """Return keys that more than one row has, up to a limit."""
        ...

    def marked_keys(self, key: Sequence[str], mark: str, limit: int) -> Sequence[Sequence[Any]]:
        """Return the keys of rows whose ``_cdc_op`` is ``mark``, up to a limit."""
        ...

    def replace_rows(self, key: Sequence[str], values: Sequence[Sequence[Any]], files: Sequence[Any]) -> None:
        """Put the rows of data files in the place of those with these keys, in one commit."""
        ...

    def hand_over_tombstones(self, key: Sequence[str]) -> None:
        """Add the shadow's tombstones to the target's, which go if they are of another key; idempotent."""
        ...

    def graft(self, base: int, summary: Mapping[str, str]) -> int:
        """Make its head ``main`` of the target; raises CommitConflict if main is not ``base`` any more."""
        ...

    def drop(self) -> None:
        """Forget it, with its files unless the target may have them; idempotent."""
        ...


class Capture(Protocol):
    """What is known of a source's connector. Calls may raise TransientError."""

    def lacking(self, table: TableName) -> str:
        """Return why changes of a table may not be in its topic from now on; empty if they will be."""
        ...

    def passed(self, high: str) -> bool:
        """Return whether all changes committed at or before a position are in the topics."""
        ...

    def trouble(self) -> str:
        """Return what is wrong with the connector, empty if it runs."""
        ...

    def retention(self, seconds: float) -> Sequence[Finding]:
        """Return what does not keep changes for so long."""
        ...


@dataclass(frozen=True)
class LoadParts:
    """What a load of one source works with.

    ``read`` carries out ranges of a plan and yields results as they come. ``shadow`` gives a table's shadow,
    ``declared`` the columns that the source declares now, ``identity`` which table it is; ``moved`` tells a running
    service that a table was swapped, and by which plan; ``quiet`` keeps it from a table while that is swapped in;
    ``places`` tells how far the logs of the source were read, up to now;
    ``still_holder`` raises Fenced once another load of the source has begun. Whoever starts loads has waited for
    capture before; ``capture_seconds`` are for a connector that has only just lost it.
    """

    bulk: BulkSource
    engine: RangeEngine
    capture: Capture
    read: Callable[[TableSpec, LoadPlan, Sequence[Range], Stamp], Generator[RangeResult]]
    shadow: Callable[[TableSpec], ShadowTable]
    declared: Callable[[TableSpec], Mapping[str, str]]
    identity: Callable[[TableSpec], str]
    moved: Callable[[TableSpec, LoadPlan], None]
    still_holder: Callable[[], None]
    rows_per_range: Callable[[TableSize], int]
    places: Callable[[], Mapping[str, str]] = dict
    quiet: Callable[[TableSpec], AbstractContextManager[None]] = lambda _spec: nullcontext()
    blocked_keys: int = 1000
    capture_seconds: float = 10.0
    passed_seconds: float = 600.0


def draft(
    bulk: BulkSource,
    source: TableName,
    spec: TableSpec,
    columns: Mapping[str, str],
    rows_per_range: Callable[[TableSize], int],
    where: str = "",
) -> LoadPlan:
    """Return what a load that began now would read; changes nothing. ``where`` is tried on the database."""
    size = bulk.size(source)
    ranges = tuple(replace(part, where=where) for part in bulk.ranges(source, spec.key, rows_per_range(size)))
    if where:
        reader = bulk.reader(source, spec.key, dict(columns))
        with closing(reader.read(Range(0, source, "1 = 0", 0, where=where))) as nothing:
            list(nothing)
    return LoadPlan("", source, spec.key, dict(columns), size, ranges, Progress(spec.topic, ""), "", "")


def bring_columns(table: TargetTable, shadow: ShadowTable, columns: Mapping[str, str]) -> None:
    """Give a shadow the columns that the source declares; those of another type lose their values."""
    present = {n: kind for n, kind in table.read().columns.items() if n not in CDC_COLUMNS}
    clash = {}
    for name, kind in columns.items():
        try:
            plan_schema(present, {name: kind})
        except IncompatibleSchema:
            clash[name] = kind
    if clash:
        shadow.replace_columns(clash)
    if change := plan_schema(table.read().columns, columns):
        table.evolve(change)


def arrange(table: TargetTable, shadow: ShadowTable, spec: TableSpec) -> None:
    """Give a shadow without rows the key that is configured, and the partitioning if one is."""
    state = table.read()
    if state.key != frozenset(spec.key):
        shadow.set_key(spec.key)
    terms = [parse_term(term) for term in spec.partition_by]
    if terms and state.partitioning != tuple(map(str, terms)):
        shadow.set_partitioning(terms)


def warn_of_retention(capture: Capture, target: TableName, seconds: float) -> None:
    """Warn when the changes that a load needs at its end may not be kept for so long."""
    try:
        findings = capture.retention(seconds)
    except TransientError as error:
        log.warning("retention not checked", table=str(target), error=str(error))
        return
    for finding in findings:
        log.warning("retention", table=str(target), what=finding.what, hint=finding.hint)
