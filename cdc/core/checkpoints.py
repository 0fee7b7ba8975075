"""Checkpoints: the commits of a table at which it can be had again, and how each still can.

The snapshots in the ancestry of ``main`` are the truth. The ledger of commits is derived from them; it may know ones
whose snapshots were expired.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import FENCE, KIND, LOAD, PIPELINE, PROGRESS, REWOUND_FROM, TOKEN, TableHistory, Version
from cdc.core.progress import Progress, TopicState
from cdc.core.status import LedgerRow


class Reach(StrEnum):
    """How a checkpoint can still be had.

    REWIND: its snapshot is there, and the topic has what came after it; it can be replayed, too. REPLAY: only the topic
    still has what came after it. GONE: neither. UNKNOWN: the topic could not be asked.
    """

    REWIND = "rewind"
    REPLAY = "replay"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Checkpoint:
    """One commit of the service to one target; ``kind`` is batch, load, rewind, or what the commit says of itself."""

    target: str
    pipeline: str
    table_snapshot: int
    parent: int | None
    committed_at: datetime
    token: int
    progress: Progress
    first_position: str
    last_position: str
    events: int
    inserted: int
    updated: int
    deleted: int
    kind: str = "batch"
    source_at: datetime | None = None


def checkpoints_of(history: TableHistory) -> Iterator[Checkpoint]:
    """Yield the checkpoints in the ancestry of ``main``, newest first; none that holds a part of a batch."""
    parts = history.parts()
    for version in history.ancestry(history.head):
        if version.snapshot_id not in parts and (version.is_batch or REWOUND_FROM in version.summary):
            recorded = history.recorded(version.snapshot_id)
            if recorded and PROGRESS in recorded:
                yield _checkpoint(history, version, recorded)


def _checkpoint(history: TableHistory, version: Version, recorded: Mapping[str, str]) -> Checkpoint:
    own = version.summary
    newest = _number(own, "cdc.source_ts_ms")
    return Checkpoint(
        target=str(history.target),
        pipeline=recorded.get(PIPELINE, ""),
        table_snapshot=version.snapshot_id,
        parent=version.parent,
        committed_at=version.at,
        token=_number(recorded, TOKEN),
        progress=Progress.from_json(recorded[PROGRESS]),
        first_position=own.get("cdc.first_position", ""),
        last_position=own.get("cdc.last_position", ""),
        events=_number(own, "cdc.events"),
        inserted=_number(own, "spark.merge-into.num-target-rows-inserted"),
        updated=_number(own, "spark.merge-into.num-target-rows-updated"),
        deleted=_number(own, "spark.merge-into.num-target-rows-deleted"),
        kind=kind_of(own),
        source_at=datetime.fromtimestamp(newest / 1000, UTC) if newest else None,
    )


def kind_of(summary: Mapping[str, str]) -> str:
    """Return what kind of commit of the service a summary tells of."""
    if FENCE in summary:
        return "rewind" if REWOUND_FROM in summary else "fence"
    return summary.get(KIND) or ("load" if LOAD in summary else "batch")


def checkpoint_of_row(row: LedgerRow) -> Checkpoint:
    """Return what the ledger knows of a commit."""
    return Checkpoint(
        target=row.target,
        pipeline=row.pipeline,
        table_snapshot=row.table_snapshot,
        parent=row.parent_snapshot or None,
        committed_at=row.committed_at,
        token=row.token,
        progress=Progress.from_json(row.offsets),
        first_position=row.first_position,
        last_position=row.last_position,
        events=row.events,
        inserted=row.inserted,
        updated=row.updated,
        deleted=row.deleted,
        source_at=row.source_at,
    )


def ledger_row(checkpoint: Checkpoint) -> LedgerRow:
    """Return the ledger's row of a commit; how long it took is known to the service alone."""
    return LedgerRow(
        pipeline=checkpoint.pipeline,
        target=checkpoint.target,
        table_snapshot=checkpoint.table_snapshot,
        parent_snapshot=checkpoint.parent or 0,
        token=checkpoint.token,
        first_position=checkpoint.first_position,
        last_position=checkpoint.last_position,
        offsets=checkpoint.progress.to_json(),
        events=checkpoint.events,
        inserted=checkpoint.inserted,
        updated=checkpoint.updated,
        deleted=checkpoint.deleted,
        source_at=checkpoint.source_at,
        committed_at=checkpoint.committed_at,
        seconds=None,
    )


def reachable(checkpoint: Checkpoint, snapshots: Collection[int], topic: TopicState | None) -> Reach:
    """Return how the checkpoint can still be had; ``topic`` is None if it could not be asked."""
    if topic is None:
        return Reach.UNKNOWN
    if missing(checkpoint.progress, topic):
        return Reach.GONE
    return Reach.REWIND if checkpoint.table_snapshot in snapshots else Reach.REPLAY


def missing(progress: Progress, topic: TopicState) -> str:
    """Return what the topic lacks of the messages after ``progress``, empty if it has all of them.

    A partition that the progress does not name has to begin at its first message.
    """
    if progress.topic_id and progress.topic_id != topic.topic_id:
        return f"topic {progress.topic!r} was created anew since"
    for partition in sorted({*progress.partitions, *topic.watermarks}):
        wanted = progress.of(partition).next_offset
        first, end = topic.watermarks.get(partition, (0, 0))
        if wanted < first:
            return f"offset {wanted} of {progress.topic}[{partition}] is gone: the topic begins at {first}"
        if wanted > end:
            return f"offset {wanted} of {progress.topic}[{partition}] is not there: the topic ends at {end}"
    return ""


def earliest(found: Iterable[Checkpoint], snapshots: Collection[int], topic: TopicState) -> Checkpoint | None:
    """Return the oldest checkpoint of main's history that a rewind can go to."""
    fit = [one for one in found if reachable(one, snapshots, topic) is Reach.REWIND]
    return min(fit, key=lambda one: one.committed_at, default=None)


def find_snapshot(history: TableHistory, reference: str) -> int:
    """Return the snapshot behind ``latest``, an id or the beginning of one, ``tag:NAME`` or a time.

    A time means the snapshot that was ``main`` then; without an offset it is UTC. Raises TerminalError if there is no
    such snapshot or more than one, PositionLost if it was expired.
    """
    if reference == "latest":
        return _latest(history)
    if reference.startswith("tag:"):
        return _referred(history, reference.removeprefix("tag:"))
    if reference.isdigit():
        return _by_prefix(history, reference)
    return _at(history, moment_of(reference))


def _latest(history: TableHistory) -> int:
    newest = next(checkpoints_of(history), None)
    if newest is None:
        raise TerminalError(f"{history.target} has no checkpoint yet", hint="the service makes one with each batch")
    return newest.table_snapshot


def _referred(history: TableHistory, name: str) -> int:
    if name not in history.refs:
        raise TerminalError(
            f"{history.target} has no tag {name!r}", hint=f"it has {', '.join(sorted(history.refs)) or 'none'}"
        )
    return history.refs[name]


def _by_prefix(history: TableHistory, digits: str) -> int:
    found = [one for one in history.versions if str(one) == digits] or [
        one for one in history.versions if str(one).startswith(digits)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise TerminalError(
            f"{history.target} has no snapshot {digits}",
            hint="`cdc checkpoint list` shows them; one that was expired can only be replayed",
        )
    raise TerminalError(f"{len(found)} snapshots of {history.target} begin with {digits}", hint="give more digits")


def moment_of(text: str) -> datetime:
    """Return the moment of a time in ISO 8601, UTC unless it says otherwise; raises TerminalError if it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise TerminalError(
            f"{text!r} is no snapshot, tag or time",
            hint="give an id, the beginning of one, tag:NAME, or a time such as 2026-01-31T12:00:00Z",
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _at(history: TableHistory, moment: datetime) -> int:
    before = [snapshot for at, snapshot in history.main_log if at <= moment]
    if not before:
        first = f"its history begins at {history.main_log[0][0].isoformat()}" if history.main_log else "it has none yet"
        raise PositionLost(f"{history.target} has no snapshot as old as {moment.isoformat()}", hint=first)
    if before[-1] not in history.versions:
        raise PositionLost(
            f"the snapshot of {history.target} at {moment.isoformat()} was expired",
            hint=f"the oldest is of {min(v.at for v in history.versions.values()).isoformat()}",
        )
    return before[-1]


def _number(entries: Mapping[str, str], name: str) -> int:
    return int(entries.get(name) or "0")
