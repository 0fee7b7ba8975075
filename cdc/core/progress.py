"""Progress: which offsets of a topic are in the table, and when the source's history started anew.

It is written into the summary of the very commit that brings the rows, so data and progress cannot part.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cdc.core.errors import PositionLost

Ranges = Mapping[str, Mapping[int, tuple[int, int]]]
"""Per topic and partition the first offset of a range, and the one behind its last."""


def messages_in(ranges: Ranges) -> int:
    """Return a bound of the number of messages: not every offset is one's."""
    return sum(map(offsets_in, ranges.values()))


def offsets_in(of_topic: Mapping[int, tuple[int, int]]) -> int:
    """Return how many offsets the ranges of one topic's partitions have."""
    return sum(end - start for start, end in of_topic.values())


@dataclass(frozen=True)
class PartitionProgress:
    """One partition: the next offset to read, the epoch of the source's history, and whether streaming has begun.

    ``streaming`` is true once a change (not a snapshot read) was seen in this epoch: a later snapshot read then opens
    the next epoch, because initial snapshots never interleave with the stream.
    """

    next_offset: int
    epoch: int = 0
    streaming: bool = False


@dataclass(frozen=True)
class Progress:
    """Everything of a topic below these offsets is in the table.

    ``capture`` names the stretch of the log that the connector captures without a gap, and that the table's load began
    in (``heartbeat_topic``); it is empty where nothing was loaded.
    """

    topic: str
    topic_id: str
    partitions: Mapping[int, PartitionProgress] = field(default_factory=dict)
    capture: str = ""

    def to_json(self) -> str:
        """Return the form that is kept in snapshot summaries."""
        parts = {str(p): [s.next_offset, s.epoch, int(s.streaming)] for p, s in sorted(self.partitions.items())}
        known = {"topic": self.topic, "topic_id": self.topic_id, "partitions": parts}
        return json.dumps(known | ({"capture": self.capture} if self.capture else {}), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """Return the progress that ``to_json`` wrote."""
        data = json.loads(text)
        partitions = {int(p): PartitionProgress(n, e, bool(s)) for p, (n, e, s) in data["partitions"].items()}
        return cls(data["topic"], data["topic_id"], partitions, data.get("capture", ""))

    def of(self, partition: int) -> PartitionProgress:
        """Return the progress of one partition; a new partition starts at its first offset."""
        return self.partitions.get(partition, PartitionProgress(0))

    def advanced(self, changes: Mapping[int, PartitionProgress]) -> "Progress":
        """Return the progress after a batch; raises ValueError if an offset would go back.

        The highest epoch holds for all partitions from then on, so that positions compare between partitions.
        """
        for partition, state in changes.items():
            if state.next_offset < self.of(partition).next_offset:
                raise ValueError(f"progress of {self.topic}[{partition}] would go back to {state.next_offset}")
        merged = {**self.partitions, **changes}
        highest = max((state.epoch for state in merged.values()), default=0)
        return replace(self, partitions={p: replace(state, epoch=highest) for p, state in merged.items()})


def raised(progress: Progress) -> Progress:
    """Return the progress in an epoch above all that it has, so that what comes next is newer whatever its position."""
    epoch = max((state.epoch for state in progress.partitions.values()), default=0) + 1
    states = {p: replace(s, epoch=epoch, streaming=True) for p, s in progress.partitions.items()}
    return replace(progress, partitions=states)


def slice_of(cursor: Mapping[int, int], ends: Mapping[int, int], limit: int) -> dict[int, int]:
    """Return the ends of the next slice of about ``limit`` messages between ``cursor`` and ``ends``, per partition."""
    left = {p: max(0, end - cursor[p]) for p, end in ends.items()}
    total = sum(left.values())
    share = {p: n if total <= limit else -(-n * limit // total) for p, n in left.items()}
    return {p: cursor[p] + n for p, n in share.items()}


@dataclass(frozen=True)
class TopicState:
    """A topic as the cluster has it: its id, and per partition the first and the next offset."""

    topic_id: str
    watermarks: Mapping[int, tuple[int, int]]


def past_markers(progress: Progress, topic: TopicState) -> Progress:
    """Return the progress behind markers of transactions that retention has removed with all messages before them.

    A message of a transaction is followed by the transaction's marker, which has an offset and is no message. Where an
    empty partition ends one offset behind the progress, that offset was a marker's: a message would have had one behind
    it. Only for topics that are written in transactions.
    """
    ends = {p: end for p, (first, end) in topic.watermarks.items() if first == end}
    moved = {
        p: replace(state, next_offset=ends[p])
        for p, state in progress.partitions.items()
        if ends.get(p) == state.next_offset + 1
    }
    return replace(progress, partitions={**progress.partitions, **moved})


def backlog(progress: Progress, topic: TopicState, *, transactional: bool) -> int:
    """Return how many offsets of a topic are still to be read.

    Markers of transactions count, but for one that is all there is left in its partition: no message comes before it.
    """
    at = {p: max(first, progress.of(p).next_offset) for p, (first, _) in topic.watermarks.items()}
    return unread(at, {p: end for p, (_, end) in topic.watermarks.items()}, transactional=transactional)


def unread(at: Mapping[int, int], ends: Mapping[int, int], *, transactional: bool) -> int:
    """Return how many offsets there are from some on to the ends of the same partitions, as ``backlog`` counts them."""
    left = [end - at[p] for p, end in ends.items()]
    return sum(n for n in left if n > (1 if transactional else 0))


def same_capture(one: str, other: str) -> bool:
    """Return whether two names of a stretch of the log may be the same; one that is not known may be any."""
    return not (one and other) or one == other


def further(one: Progress, other: Progress) -> bool:
    """Return whether one is further than the other anywhere; of another topic by that name its offsets say nothing."""
    ahead = (state.next_offset > other.of(p).next_offset for p, state in one.partitions.items())
    return one.topic_id == other.topic_id and any(ahead)


def check_continuity(progress: Progress, topic: TopicState, capture: str = "") -> None:
    """Refuse to go on when the offsets that come next are gone or belong to another topic (K1, K3).

    A table without progress needs its topic from the beginning: what came first are its rows. A table that was loaded
    needs the connector to go on where it was. Raises PositionLost with what is missing.
    """
    if progress.topic_id and progress.topic_id != topic.topic_id:
        raise PositionLost(
            f"topic {progress.topic!r} was created anew: its id is {topic.topic_id}, not {progress.topic_id}",
            hint="offsets of the old topic mean nothing in the new one: `cdc tables reset TABLE` loads the table anew",
        )
    if not same_capture(progress.capture, capture):
        raise PositionLost(
            f"the connector behind {progress.topic} has begun anew without its offsets: changes in between are missing",
            hint="`cdc tables reset TABLE` loads the table anew",
        )
    for partition in sorted({*progress.partitions, *topic.watermarks}):
        first, end = topic.watermarks.get(partition, (0, 0))
        wanted = progress.of(partition).next_offset
        if not first <= wanted <= end:
            raise PositionLost(
                f"offset {wanted} of {progress.topic}[{partition}] is not there: it has {first} to {end}",
                hint="unread events were removed: raise the topic's retention, then `cdc tables reset TABLE`",
            )


@dataclass(frozen=True)
class PartitionEvents:
    """What one batch holds of one partition: offsets, and the offsets at which snapshot reads begin.

    ``restarts`` are the offsets of snapshot reads that directly follow a change in the batch; ``first_is_read`` and
    ``last_is_read`` describe the batch's ends. Incremental snapshots count as changes (they interleave by design).
    """

    first_offset: int
    last_offset: int
    first_is_read: bool = False
    last_is_read: bool = False
    restarts: tuple[int, ...] = ()


def short_of(events: PartitionEvents, offset: int | None) -> PartitionEvents | None:
    """Return what a batch holds of a partition before ``offset``; None if that is nothing."""
    if offset is None or offset > events.last_offset:
        return events
    return replace(events, last_offset=offset - 1) if offset > events.first_offset else None


def epochs(state: PartitionProgress, events: PartitionEvents) -> tuple[tuple[int, int], ...]:
    """Return (first offset, epoch) pairs, ascending: from that offset on, events belong to that epoch."""
    starts = [events.first_offset] if state.streaming and events.first_is_read else []
    starts += events.restarts
    return ((0, state.epoch), *((offset, state.epoch + n) for n, offset in enumerate(starts, 1)))


def after(state: PartitionProgress, events: PartitionEvents) -> PartitionProgress:
    """Return a partition's progress once the events are in the table."""
    epoch = epochs(state, events)[-1][1]
    seen_change = not events.last_is_read or (state.streaming and epoch == state.epoch)
    return PartitionProgress(events.last_offset + 1, epoch, seen_change)
