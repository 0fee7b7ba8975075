"""Rewind: what it means to move a table back to one of its snapshots, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cdc.core.checkpoints import checkpoints_of, earliest, kind_of, missing
from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import FENCE, PIPELINE, PROGRESS, REWOUND_FROM, REWOUND_TO, TOKEN, TableHistory
from cdc.core.names import TableName
from cdc.core.progress import Progress, TopicState

TAG = "cdc_before_rewind_"


@dataclass(frozen=True)
class RewindPlan:
    """The move of ``main`` from one snapshot to another, with everything that has to change with it.

    ``entries`` are what the service had recorded at the snapshot to go to, ``stale`` the properties that mirror what it
    had not; ``loads`` is how many loads of the table lie between, whose rows are given up. ``fence`` is what a new,
    empty snapshot on top of it bears: no writer can still hold that one as its base. ``schema_id`` becomes the current
    schema; None leaves it. ``tag`` keeps what is abandoned.
    """

    target: TableName
    from_snapshot: int
    to_snapshot: int
    to_at: datetime
    before: Progress
    after: Progress
    position_before: str
    position_after: str
    entries: Mapping[str, str]
    fence: Mapping[str, str]
    stale: tuple[str, ...]
    schema_id: int | None
    columns: tuple[str, ...]
    tag: str
    loads: int = 0

    @property
    def offsets(self) -> dict[int, tuple[int, int]]:
        """Return partition -> (next offset now, next offset after the rewind)."""
        partitions = sorted({*self.before.partitions, *self.after.partitions})
        return {p: (self.before.of(p).next_offset, self.after.of(p).next_offset) for p in partitions}

    @property
    def messages(self) -> int:
        """Return how many messages will be applied again."""
        return sum(max(0, now - then) for now, then in self.offsets.values())


def plan_rewind(
    history: TableHistory, to_snapshot: int, topic_name: str, topic: TopicState, now: datetime
) -> RewindPlan:
    """Return what a rewind to the snapshot does.

    Raises TerminalError if the table is there already or the snapshot holds a part of a batch, PositionLost if nobody
    knows the snapshot's progress or the topic lacks messages after it.
    """
    head = history.head
    if head is None or head == to_snapshot or _rewound_to(history) == to_snapshot:
        raise TerminalError(f"{history.target} is at snapshot {to_snapshot} already", hint="there is nothing to rewind")
    if to_snapshot in (parts := history.parts()):
        raise TerminalError(
            f"snapshot {to_snapshot} of {history.target} holds a part of a batch, and says that it is the whole",
            hint=f"the whole of it is {parts[to_snapshot]}",
        )
    here, there = history.recorded(head), history.recorded(to_snapshot)
    if there is None or here is None:
        raise PositionLost(
            f"what {history.target} held at snapshot {to_snapshot} is not known: the snapshots before were expired",
            hint=_instead(history, topic),
        )
    after = _progress(there, topic_name, topic)
    if lost := missing(after, topic):
        raise PositionLost(
            f"{history.target} cannot go on from snapshot {to_snapshot}: {lost}", hint=_instead(history, topic)
        )
    if history.before_accepted(after):
        raise PositionLost(
            f"{history.target} cannot go on from snapshot {to_snapshot}: its source has had another history since",
            hint="`cdc tables reset TABLE` loads it anew",
        )
    schema_id, columns = _schema(history, to_snapshot)
    return RewindPlan(
        target=history.target,
        from_snapshot=head,
        to_snapshot=to_snapshot,
        to_at=history.versions[to_snapshot].at,
        before=_progress(here, topic_name, topic),
        after=after,
        position_before=here.get("cdc.last_position", ""),
        position_after=there.get("cdc.last_position", ""),
        entries={n: v for n, v in {**there, **_kept(here)}.items() if n not in (FENCE, REWOUND_FROM, REWOUND_TO)},
        fence={**_kept(here), REWOUND_FROM: str(head), REWOUND_TO: str(to_snapshot)},
        stale=tuple(sorted(name for name in here if name not in there and name in history.properties)),
        schema_id=schema_id,
        columns=columns,
        tag=f"{TAG}{now:%Y%m%dT%H%M%S_%f}Z",
        loads=_loads_between(history, head, to_snapshot),
    )


def _rewound_to(history: TableHistory) -> int | None:
    """Return the snapshot that ``main`` was moved to, if nothing was published since."""
    head = history.versions.get(history.head) if history.head is not None else None
    to = head.summary.get(REWOUND_TO) if head else None
    return int(to) if to else None


def _loads_between(history: TableHistory, head: int, to_snapshot: int) -> int:
    kept = {version.snapshot_id for version in history.ancestry(to_snapshot)}
    given_up = (version for version in history.ancestry(head) if version.snapshot_id not in kept)
    return sum(kind_of(version.summary) == "load" for version in given_up)


def _kept(here: Mapping[str, str]) -> dict[str, str]:
    """Return what does not go back: whoever was overtaken since must not find its own token again."""
    return {name: here[name] for name in (TOKEN, PIPELINE) if name in here}


def _progress(entries: Mapping[str, str], topic_name: str, topic: TopicState) -> Progress:
    text = entries.get(PROGRESS)
    return Progress.from_json(text) if text else Progress(topic_name, topic.topic_id)


def _schema(history: TableHistory, snapshot: int) -> tuple[int | None, tuple[str, ...]]:
    """Return the schema that has to become the current one, and the columns because of which; (None, ()) if none.

    A column that was dropped and added again has another id: under the current schema its former values are not seen.
    """
    then = history.versions[snapshot].schema_id
    if then is None or then not in history.schemas:
        return None, ()
    now = history.schemas[history.schema_id]
    other = tuple(name for name, number in history.schemas[then].items() if now.get(name, number) != number)
    return (then, other) if other else (None, ())


def _instead(history: TableHistory, topic: TopicState) -> str:
    """Return the hint that names the oldest snapshot that can be had."""
    found = earliest(checkpoints_of(history), history.versions.keys(), topic)
    if found is None:
        return "no snapshot of it can be had any more: `cdc tables reset TABLE` loads the table anew"
    return f"the earliest that can be had is {found.table_snapshot}, of {found.committed_at.isoformat()}"
