"""Maintenance: what a table needs so that reading, writing and storing it cost the same however old it is, as a value.

Each step is small, can be left out or done twice, and says why it is due. No step changes a row, or moves progress.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from cdc.core.compaction import Compact, DataFile, Packing, plan_compaction
from cdc.core.history import TableHistory
from cdc.core.names import TableName
from cdc.core.retention import Keep, expirable, has_to_be_carried

ORPHANS_AT, PRUNED_AT = "maintenance.orphans-at", "maintenance.pruned-at"
"""Properties of a table: when its orphans were removed last, and its old rows; UTC, ISO 8601."""

BOUND_METADATA, METADATA_FILES = "write.metadata.delete-after-commit.enabled", "write.metadata.previous-versions-max"
TARGET_BYTES = "write.target-file-size-bytes"

DAY = timedelta(days=1)
MANIFEST_BYTES = 8 << 20
"""Size of a manifest that is not small, Iceberg's default."""

MANY_MANIFESTS = 20
"""So many manifests more than their size asks for are rewritten."""

MANY_DELETE_FILES = 10
"""So many delete files of a partition beyond one for each data file are rewritten."""

DELETE_FILES_READ = 500
"""So many more a compaction reads along, and mostly ends; beyond that they are put together before it."""

MOST_EXPIRED = 500
"""Snapshots that are expired at once, at most."""

LOT = 10
"""Snapshots are expired when there are a tenth more than are kept, by number or time: each expiry reads all of them."""


@dataclass(frozen=True)
class Pruning:
    """Rows that are not kept for ever: for how long, by which column of instants."""

    column: str
    keep: timedelta


@dataclass(frozen=True)
class TableShape:
    """A table as it was found.

    ``files`` are those that may be rewritten, ``surplus_deletes`` delete files beyond one for each data file in the
    partition that has most of them. ``shadowed`` says that another table's files lie in its folders, ``resting`` that
    its staging branch points at a published snapshot that is not the newest.
    """

    history: TableHistory
    files: tuple[DataFile, ...] = ()
    delete_files: int = 0
    surplus_deletes: int = 0
    manifests: int = 0
    manifest_bytes: int = 0
    shadowed: bool = False
    resting: bool = False

    @property
    def target(self) -> TableName:
        """Return the table's name."""
        return self.history.target

    @property
    def removable(self) -> bool:
        """Return whether the table's files may be removed."""
        return self.history.properties.get("gc.enabled", "true").lower() == "true"


@dataclass(frozen=True)
class Limits:
    """When a step is due."""

    keep: Keep
    step_bytes: int
    orphan_age: timedelta = timedelta(days=3)
    pruning: Pruning | None = None
    thorough: bool = False
    """Whether what is looked for once a day is looked for now."""
    default_target: int = 512 << 20
    fewest_files: int = 5
    """Small files of a partition that are worth putting together."""


@dataclass(frozen=True)
class SetProperties:
    """Properties that bound the table's metadata files."""

    kind: ClassVar[str] = "set_properties"
    properties: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True)
class Prune:
    """Rows whose instant in ``column`` is older go."""

    kind: ClassVar[str] = "prune"
    column: str
    before: datetime
    reason: str


@dataclass(frozen=True)
class RewriteDeletes:
    """Delete files are put together, one for each data file; those of data files that are gone are let go of."""

    kind: ClassVar[str] = "rewrite_deletes"
    reason: str


@dataclass(frozen=True)
class RewriteManifests:
    """Manifests are put together."""

    kind: ClassVar[str] = "rewrite_manifests"
    reason: str


@dataclass(frozen=True)
class Carry:
    """An empty commit says again what counts, so that nothing has to be looked for in older ones."""

    kind: ClassVar[str] = "carry"
    reason: str


@dataclass(frozen=True)
class Settle:
    """The staging branch moves to the newest snapshot, and lets go of the one that it rests on."""

    kind: ClassVar[str] = "settle"
    reason: str


@dataclass(frozen=True)
class Expire:
    """Snapshots go, and the files that only they have."""

    kind: ClassVar[str] = "expire"
    snapshots: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class RemoveOrphans:
    """Files in the table's folders that it does not know, and that are older, go."""

    kind: ClassVar[str] = "remove_orphans"
    before: datetime
    reason: str


Step = SetProperties | Prune | RewriteDeletes | Compact | RewriteManifests | Carry | Settle | Expire | RemoveOrphans
KINDS = tuple(
    one.kind
    for one in (SetProperties, Prune, RewriteDeletes, Compact, RewriteManifests, Carry, Settle, Expire, RemoveOrphans)
)


@dataclass(frozen=True)
class Done:
    """What a step did: files that are gone, files that are new, snapshots that are gone."""

    files_removed: int = 0
    files_added: int = 0
    snapshots: int = 0


@dataclass(frozen=True)
class MaintenancePlan:
    """What is due, in the order in which it is done; nothing is no step. ``held`` says what cannot be due, and why."""

    target: TableName
    steps: tuple[Step, ...] = ()
    held: str = ""

    def __bool__(self) -> bool:
        """Return whether anything is due."""
        return bool(self.steps)


def plan_maintenance(shape: TableShape, limits: Limits, now: datetime) -> MaintenancePlan:
    """Return what is due; ``now`` is UTC."""
    return MaintenancePlan(shape.target, tuple(_steps(shape, limits, now)), held_by(shape))


def held_by(shape: TableShape) -> str:
    """Return why no file of the table may be removed; nothing if they may.

    A load's files lie in its target's folders, and a replay begins with files of its target: until they are swapped in,
    none of the target's snapshots says that they are needed.
    """
    if shape.shadowed:
        return "a load or replay of it is under way, or was left behind: no snapshot expires, no orphan is removed"
    return "" if shape.removable else "its property gc.enabled is false: no snapshot expires, no orphan is removed"


def _steps(shape: TableShape, limits: Limits, now: datetime) -> Iterator[Step]:
    history = shape.history
    yield from _properties(shape, limits, now)
    if history.head is None:
        return
    yield from _pruning(shape, limits, now)
    compactions = plan_compaction(shape.files, packing_of(shape, limits))
    if shape.surplus_deletes >= (DELETE_FILES_READ if compactions else MANY_DELETE_FILES):
        yield RewriteDeletes(f"{shape.surplus_deletes:,} delete files beyond one for each data file")
    yield from compactions
    wanted = -(-shape.manifest_bytes // MANIFEST_BYTES)
    if shape.manifests - wanted >= MANY_MANIFESTS:
        yield RewriteManifests(f"{shape.manifests:,} manifests, where {max(1, wanted)} would do")
    if has_to_be_carried(history, limits.keep, now):
        yield Carry("progress is only known from a commit that is older than what is kept")
    if shape.resting:
        yield Settle("the staging branch holds an older snapshot")
    if not held_by(shape):
        yield from _expiry(shape, limits, now)
        yield from _orphans(shape, limits, now)


def packing_of(shape: TableShape, limits: Limits) -> Packing:
    """Return how the table's files are put together: to the size that its property names."""
    text = shape.history.properties.get(TARGET_BYTES, "")
    target = int(text) if text.isdigit() and int(text) else limits.default_target
    return Packing(target, limits.step_bytes, limits.fewest_files)


def _properties(shape: TableShape, limits: Limits, now: datetime) -> Iterator[Step]:
    """A table whose owner wants all metadata files says so by the property, and is left alone."""
    unbound = BOUND_METADATA not in shape.history.properties
    wanted = {BOUND_METADATA: "true", METADATA_FILES: "20"} if unbound else {}
    if _made_at(shape) is None:
        wanted[ORPHANS_AT] = now.isoformat(timespec="seconds")
        if limits.pruning:
            wanted[PRUNED_AT] = wanted[ORPHANS_AT]
    if missing := tuple((name, value) for name, value in wanted.items() if name not in shape.history.properties):
        yield SetProperties(missing, "old metadata files stay for ever" if unbound else "the first look is noted")


def _expiry(shape: TableShape, limits: Limits, now: datetime) -> Iterator[Step]:
    keep = limits.keep
    found = expirable(shape.history, keep, now)
    overdue = found and shape.history.versions[found[0]].at <= now - keep.time - keep.time / LOT
    if found and (overdue or len(found) * LOT >= keep.most or limits.thorough):
        some = found[:MOST_EXPIRED]
        kept = f"{keep.time} and the newest {keep.fewest} are kept, {keep.most} of main at most"
        yield Expire(some, f"{len(found):,} of {len(shape.history.versions):,} snapshots: {kept}")


def _pruning(shape: TableShape, limits: Limits, now: datetime) -> Iterator[Step]:
    pruning = limits.pruning
    if pruning is None or not (limits.thorough or _due(shape, PRUNED_AT, now)):
        return
    before = (now - pruning.keep).replace(hour=0, minute=0, second=0, microsecond=0)  # whole days go without a rewrite
    yield Prune(pruning.column, before, f"rows are kept for {pruning.keep}")


def _orphans(shape: TableShape, limits: Limits, now: datetime) -> Iterator[Step]:
    if limits.thorough or _due(shape, ORPHANS_AT, now):
        yield RemoveOrphans(now - limits.orphan_age, f"looked for once a day; older than {limits.orphan_age}")


def _due(shape: TableShape, name: str, now: datetime) -> bool:
    """Return whether a day has passed, since the table was made if it was not done yet."""
    since = _time(shape.history.properties.get(name)) or _made_at(shape)
    return since is not None and since <= now - DAY


def _made_at(shape: TableShape) -> datetime | None:
    """Return when the table's first commit was, None if that is forgotten: then the first look has to be noted."""
    return next((version.at for version in shape.history.versions.values() if version.parent is None), None)


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
