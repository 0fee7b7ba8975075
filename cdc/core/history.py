"""History: a target table's snapshots as a value, and what the service recorded in them.

The rule for what counts at a snapshot is that of ``cdc.lake.tables``: the newest entries along its ancestry, down to
the newest commit of a batch; fences lie above it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cdc.core.names import TableName
from cdc.core.progress import Progress

PREFIX = "cdc."
PROGRESS, TOKEN, PIPELINE, FENCE = "cdc.progress", "cdc.token", "cdc.pipeline", "cdc.fence"
TRUNCATED, LAST_DELETE = "cdc.truncated", "cdc.last_delete"
LOAD, LOAD_OFFSETS, LOAD_WHERE = "cdc.load", "cdc.load_offsets", "cdc.load_where"
"""Entries of snapshot summaries; those of a load are its id, the progress that its epoch began with, and which part."""

TOMBSTONES = "cdc.tombstones"
"""Property of a table: its newest tombstones, packed, as long as they are few."""

ACCEPTED = "cdc-accepted"
"""Property of a table: its progress when its source's other history was accepted. It goes back with no rewind."""

INSERTED, UPDATED, DELETED = (f"spark.merge-into.num-target-rows-{did}" for did in ("inserted", "updated", "deleted"))
"""What a MERGE counts, as Spark names it in the summary; whoever merges in another way counts so, too."""

KIND = "cdc.kind"
"""Entry of commits that are no ordinary batch: what it is, such as ``replay``."""

REWOUND_FROM, REWOUND_TO = "cdc.rewound_from", "cdc.rewound_to"
"""Entries of the fence that a rewind puts onto the snapshot it went to: the snapshot it came from, and that one."""

_OF_ONE_COMMIT = {FENCE, REWOUND_FROM, REWOUND_TO, TOMBSTONES, "cdc.events", "cdc.first_position"}


def carried(recorded: Mapping[str, str], kind: str) -> dict[str, str]:
    """Return what a commit has to bear that changes nothing, so that no older one is needed to know what counts."""
    return {**{name: value for name, value in recorded.items() if name not in _OF_ONE_COMMIT}, KIND: kind}


def part_of_batch(summary: Mapping[str, str]) -> dict[str, str]:
    """Return what a commit bears that is one of several of a batch, and not the last: whose it is, as a fence does.

    With the batch's progress it would be taken for all of it: a table that is rewound to it would lack the other rows.
    """
    return {**{name: summary[name] for name in (TOKEN, PIPELINE) if name in summary}, FENCE: "true"}


@dataclass(frozen=True)
class Version:
    """One snapshot of a table: its parent, time (UTC) and summary; ``schema_id`` is the schema it was written with."""

    snapshot_id: int
    parent: int | None
    at: datetime
    schema_id: int | None = None
    summary: Mapping[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> dict[str, str]:
        """Return what the service recorded in it."""
        return {name: value for name, value in self.summary.items() if name.startswith(PREFIX)}

    @property
    def is_batch(self) -> bool:
        """Return whether it holds rows and progress of the service, not a fence or somebody else's work."""
        return PROGRESS in self.summary and FENCE not in self.summary


@dataclass(frozen=True)
class TableHistory:
    """A table's snapshots as they were read together.

    ``main_log`` tells which snapshot became ``main`` when, ascending; ``refs`` are the tags and branches, ``schemas``
    the field ids of the columns of each schema. ``properties`` are the table's.
    """

    target: TableName
    head: int | None
    versions: Mapping[int, Version]
    main_log: tuple[tuple[datetime, int], ...] = ()
    refs: Mapping[str, int] = field(default_factory=dict)
    schema_id: int = 0
    schemas: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    def ancestry(self, snapshot_id: int | None) -> Iterator[Version]:
        """Yield the snapshot and its ancestors, newest first, as far as they are still there."""
        while snapshot_id is not None and snapshot_id in self.versions:
            version = self.versions[snapshot_id]
            yield version
            snapshot_id = version.parent

    def recorded(self, snapshot_id: int | None) -> dict[str, str] | None:
        """Return the entries that count at a snapshot; None if history was expired so far that nobody knows.

        At the head, the table's properties tell what expired history cannot.
        """
        recorded: dict[str, str] = {}
        parent: int | None = snapshot_id
        for version in self.ancestry(snapshot_id):
            recorded = {**version.entries, **recorded}
            parent = version.parent
            if version.entries and FENCE not in version.entries:
                return recorded
        if parent is None:
            return recorded
        if snapshot_id != self.head:
            return None
        return {**{n: v for n, v in self.properties.items() if n.startswith(PREFIX)}, **recorded}

    def progress(self, snapshot_id: int | None) -> Progress | None:
        """Return the progress that counts at a snapshot; None if there was none yet, or nobody knows."""
        text = (self.recorded(snapshot_id) or {}).get(PROGRESS)
        return Progress.from_json(text) if text else None

    def before_accepted(self, progress: Progress) -> bool:
        """Return whether events behind a progress are of a history of the source that was given up since."""
        text = self.properties.get(ACCEPTED)
        states = Progress.from_json(text).partitions if text else {}
        return any(progress.of(p).epoch < state.epoch for p, state in states.items())

    def parts(self) -> dict[int, int]:
        """Return the snapshots that hold the first part of a batch, each with the one that holds the whole of it.

        Earlier versions of the service gave both the same entries: the deletes of a truncate, and what was merged then.
        """
        found: dict[int, int] = {}
        for whole in self.versions.values():
            part = None if whole.parent is None else self.versions.get(whole.parent)
            if part is not None and part.is_batch and part.entries == whole.entries:
                found[part.snapshot_id] = whole.snapshot_id
        return found

    def loaded_where(self) -> str:
        """Return the condition that a row had to fulfil to be loaded; empty if the whole table was."""
        loads = (version.summary for version in self.ancestry(self.head) if LOAD in version.summary)
        return next(loads, self.properties).get(LOAD_WHERE, "")

    def is_ancestor(self, snapshot_id: int) -> bool:
        """Return whether the snapshot is ``main`` or an ancestor of it."""
        return any(version.snapshot_id == snapshot_id for version in self.ancestry(self.head))
