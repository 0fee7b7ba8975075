"""Repair: rows of some keys read from the source again, and put in the place of those that the lake has of them.

It is a load of these keys alone (docs/decisions/0014): the shadow begins with the rows of ``main`` and is brought to
where the topic ends; the rows of the keys are then read and replaced in a new epoch, so that every change that comes
later wins; and the shadow takes the table's place when the connector has passed what was read.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from cdc.core.errors import TerminalError
from cdc.core.history import KIND, LAST_DELETE, LOAD_OFFSETS, PIPELINE, PROGRESS, TRUNCATED
from cdc.core.load import PLAN, LoadPlan, LoadProgress, LoadState, Stamp, TableSize, new_epoch
from cdc.pipeline.apply import Applier, TableMemory, progress_of
from cdc.pipeline.catch_up import CatchUp
from cdc.pipeline.load import Load
from cdc.pipeline.table import TargetState

log = structlog.get_logger()

REPAIR = "repair"
"""Property of a shadow that a repair has made, so that the next one knows it from a load's."""

_CARRIED = (TRUNCATED, LAST_DELETE, PIPELINE, LOAD_OFFSETS)

MOST = 10_000
"""Keys beyond which the table had better be loaded anew."""


@dataclass
class Repair(Load):
    """The repair of one table; ``keys`` are values of its key columns. Parts are those of a load."""

    keys: Sequence[Sequence[Any]] = ()
    _carried: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let the shadow know the tombstones of the table itself, whose rows it has."""
        super().__post_init__()
        self._shadow_spec = replace(self._shadow_spec, beside=self.spec.target)

    def run(self, *, again: bool = False) -> LoadProgress:  # noqa: ARG002 - a repair is always done
        """Carry the repair out; done again after a failure it begins anew. Raises what a load does.

        TerminalError while a load has the table's shadow, or for too many keys.
        """
        if len(self.keys) > MOST:
            raise TerminalError(
                f"{len(self.keys):,} rows of {self.spec.target} differ: more than are repaired one by one",
                hint=f"`cdc load --reload -t {self.spec.target}` reads the table anew",
            )
        columns = dict(self.parts.declared(self.spec))
        self._await_capture()
        plan = self._begun(columns)
        self._replace(plan)
        self._require_columns(plan)
        self._publish(plan)
        return self._tell(state=LoadState.LOADED, seconds_left=0.0)

    def _begun(self, columns: dict[str, str]) -> LoadPlan:
        """Make the shadow, as far as the topic goes now; what is read after that is newer than all of it."""
        self._forget_former()
        topic, capture = self._topic()
        with self.parts.engine.table(self.spec) as table:
            state = table.read()
        head = progress_of(state, self.spec, topic.topic_id if topic else "")
        self._carried = _carried(state)
        self._shadow.create({REPAIR: "true"}, snapshot=state.snapshot_id)
        self._shadow.append([], {**self._carried, PROGRESS: head.to_json()})
        applier = Applier(0, self.parts.blocked_keys, self.parts.still_holder, ends=self.parts.engine.ends)
        catch_up = CatchUp(self.parts.engine, applier, stopping=self.stopping, pause=self.pause)
        reached = catch_up.run(self._shadow_spec, self._memory(head.topic_id), self._ends())
        ends = {p: one.next_offset for p, one in reached.partitions.items()}
        part = replace(self.parts.bulk.keys(self.source, self.spec.key, self.keys), number=0)
        return LoadPlan(
            uuid.uuid4().hex[:12],
            self.source,
            self.spec.key,
            columns,
            TableSize(len(self.keys), 0),
            (part,),
            new_epoch(self.spec.topic, head.topic_id, ends, reached, head.capture or capture),
            self.parts.bulk.position(),
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            self.parts.identity(self.spec),
        )

    def _forget_former(self) -> None:
        if not self._shadow.exists():
            return
        if PLAN in self._shadow.properties():
            raise TerminalError(
                f"{self.spec.target} is being loaded", hint="`cdc load` goes on with it; verify the table afterwards"
            )
        self._shadow.drop()

    def _replace(self, plan: LoadPlan) -> None:
        with self.parts.engine.table(self._shadow_spec) as table:
            state = table.read()
        stamp = Stamp("r", state.summary.get(TRUNCATED, ""))
        results = list(self.parts.read(self.spec, plan, plan.ranges, stamp))
        rows = sum(result.rows for result in results)
        if rows > len(self.keys):
            raise TerminalError(
                f"key ({', '.join(plan.key)}) of {self.source} is not unique",
                hint="choose a key with a unique constraint in tables[].key",
            )
        self._shadow.replace_rows(plan.key, self.keys, [file for result in results for file in result.files])
        self._shadow.append([], {**_carried(state), PROGRESS: plan.progress.to_json()})
        self._tell(state=LoadState.READING, rows=rows)
        log.info("rows read again", table=str(self.spec.target), keys=len(self.keys), rows=rows)

    def _memory(self, topic_id: str) -> TableMemory:
        blocked = self.parts.engine.blocked([self.spec.topic]).get(self.spec.topic, {})
        return TableMemory(topic_id, blocked=dict(blocked))

    def _let_go(self, plan: LoadPlan) -> None:
        """Let go of nothing: what the quarantine holds is of other keys, too."""

    def _told_of(self, plan: LoadPlan) -> dict[str, str]:  # noqa: ARG002 - how the table was loaded has not changed
        return {KIND: REPAIR, **{n: v for n, v in self._carried.items() if n == LOAD_OFFSETS}}


def _carried(state: TargetState) -> dict[str, str]:
    return {name: state.summary[name] for name in _CARRIED if name in state.summary}
