"""Apply one micro-batch to one table: the commit protocol, step by step.

1. Read the table; refuse to go on when a newer writer's token is in its history; drop what it already holds.
2. Bring the schema along: create the table, or add and widen columns.
3. Collapse the batch; set the history's epochs right, quarantine what cannot be used, and hold back what follows a key
   change of which only one half is there, before anything is merged.
4. Stage the changes, with progress and positions in the snapshot's summary: a MERGE into the branch, or files of which
   no commit was made yet. Tombstones are written, or are published with the changes.
5. Audit what was staged.
6. Publish by compare-and-swap. A crash before this point changes nothing; after it, the batch is skipped.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from cdc.core.added import Wait, added, reached
from cdc.core.batch import Collapsed, Problem, Skip
from cdc.core.errors import CommitConflict, Fenced, Moved, RuleBroken, TerminalError
from cdc.core.evolution import SchemaPlan, filled, plan_schema, unify
from cdc.core.history import DELETED, INSERTED, LAST_DELETE, PIPELINE, PROGRESS, TOKEN, TRUNCATED, UPDATED
from cdc.core.progress import PartitionEvents, PartitionProgress, Progress, after, epochs, short_of
from cdc.core.quality import Verdict, broken, checks, stopping
from cdc.pipeline.stopwatch import Stopwatch
from cdc.pipeline.table import Epochs, TableBatch, TableSpec, TargetState, TargetTable

log = structlog.get_logger()


HOLD_SECONDS = 30.0
"""How long a key change of which only one half is there holds its table back."""


@dataclass
class TableMemory:
    """What a running pipeline remembers of one table between batches; all of it can be found again.

    ``blocked`` maps raw keys to the (partition, offset) of the quarantined message that later ones wait behind.
    ``torn`` is the place of a key change that is waited for since ``torn_since``, ``given_up`` the last one waited for
    in vain. ``progress`` is the table's as this pipeline last saw or made it, None before the first look, ``intended``
    that of a commit whose outcome it does not know yet. ``partitions`` are those that the topic had when it was looked
    at: of a table that has read nothing yet all of them are known, and none was added.
    """

    topic_id: str = ""
    blocked: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    torn: str = ""
    torn_since: float = 0.0
    given_up: str = ""
    progress: Progress | None = None
    intended: Progress | None = None
    partitions: frozenset[int] = frozenset()
    wait: Wait | None = None
    """For what messages of partitions that were added wait."""


@dataclass(frozen=True)
class Applied:
    """What became of a batch: the published snapshot (None if nothing had to change) and how long each stage took.

    After a batch that was ``held`` back in part, no later batch of the same query may be applied to the table.
    """

    collapsed: Collapsed
    progress: Progress
    snapshot_id: int | None = None
    parent_id: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    blocked: int = 0
    held: bool = False
    way: str = ""
    """How the rows were staged, nothing where there were none."""
    schema: SchemaPlan | None = None
    """What was changed in the target's columns for the batch."""
    broken: Mapping[str, Verdict] = field(default_factory=dict)
    """The rules that rows of the batch break, by their names."""


@dataclass(frozen=True)
class Applier:
    """Applies batches with one fencing token; ``still_holder`` is asked right before each publish.

    One with ``doubtful`` marks is for shadows: it marks rows that lack a value instead of stopping the table. In a
    replay, ``published`` is how far the rows are that it applies older messages to, which are not quarantined again.
    ``on_problems`` hears of the messages that cannot be used, those behind them included.
    """

    token: int
    blocked_keys: int
    still_holder: Callable[[], None]
    hold_seconds: float = HOLD_SECONDS
    doubtful: str = ""
    published: Progress | None = None
    on_problems: Callable[[Sequence[Problem]], None] = lambda _problems: None
    clock: Callable[[], float] = time.monotonic
    outdated: Callable[[TableSpec, Sequence[str]], None] = lambda _spec, _columns: None
    """Told of added columns that hold something in the source's rows from before; may raise TransientError."""
    ends: Callable[[str], Mapping[int, int]] = lambda _topic: {}
    """Asked for the ends of a topic's partitions as they are now; may raise TransientError."""
    judges: bool = False
    """Whether rows are judged by the rules of their tables; what was read by a load or came before is not."""

    def apply(self, spec: TableSpec, table: TargetTable, batch: TableBatch, memory: TableMemory) -> Applied:
        """Return what became of the batch; raises the errors of ``cdc.core.errors`` as they concern this table."""
        watch = Stopwatch()
        with watch.stage("read"):
            state = table.find()
            progress = progress_of(state, spec, memory.topic_id)
            if state:
                check_token(state, self.token, spec)
            check_place(spec, progress, memory)
        if _covered(progress, batch):
            return Applied(Collapsed(), progress, seconds=watch.seconds)
        with watch.stage("schema"):
            state, plan = self._prepare(spec, table, batch, state)
        with watch.stage("collapse"):
            waiting = self._waiting(spec, batch, progress, memory)
            collapsed, following, held = self._whole(state, batch, progress, memory, waiting)
        if state is None:
            return Applied(collapsed, following, seconds=watch.seconds)
        applied = self._commit(spec, table, batch, state, (collapsed, following, memory), watch)
        return replace(applied, held=held, schema=plan)

    def _prepare(
        self, spec: TableSpec, table: TargetTable, batch: TableBatch, state: TargetState | None
    ) -> tuple[TargetState | None, SchemaPlan | None]:
        columns = unify(batch.rows)
        if state is None:
            if not columns:
                return None, None  # nothing but unusable messages so far: there is no schema to create a table from
            create_table(spec, table, columns, self.token)
            return table.read(), None
        plan = plan_schema(state.columns, columns)
        if not plan:
            return state, None
        if defaults := filled(batch.rows, plan.add):
            self.outdated(spec, defaults)  # first: a mark without the columns does no harm
        table.evolve(plan)
        return table.read(), plan

    def _waiting(
        self, spec: TableSpec, batch: TableBatch, progress: Progress, memory: TableMemory
    ) -> Mapping[int, int]:
        """Return from where on messages of added partitions wait for older ones in others (K4)."""
        new = added(progress, batch.first_offsets)
        if not new:
            return {}
        if memory.wait is None:
            memory.wait = Wait(self.ends(spec.topic), self.clock())
            log.info("partitions were added", topic=spec.topic, partitions=sorted(new))
        elif batch.last_offsets.keys() - new:
            memory.wait = replace(memory.wait, since=self.clock())
        if reached(progress, batch.last_offsets, memory.wait.ends, transactional=spec.transactional):
            memory.wait = None
        elif self.clock() - memory.wait.since >= self.hold_seconds:
            log.warning("partitions that were added are read, others came not to their ends", topic=spec.topic)
            memory.wait = None
        return new if memory.wait else {}

    def _whole(
        self,
        state: TargetState | None,
        batch: TableBatch,
        progress: Progress,
        memory: TableMemory,
        held: Mapping[int, int],
    ) -> tuple[Collapsed, Progress, bool]:
        """Collapse as far as the batch holds both halves of its key changes; return whether something is held back."""
        collapsed, following = self._collapse(state, batch, progress, memory, held)
        while self._given_up(memory, collapsed.torn):
            collapsed, following = self._collapse(state, batch, progress, memory, held)
        while collapsed.torn:
            held = {**held, **batch.offsets_from(collapsed.torn)}
            collapsed, following = self._collapse(state, batch, progress, memory, held)
        return collapsed, following, bool(held)

    def _given_up(self, memory: TableMemory, torn: str) -> bool:
        """Note which torn key change is waited for; return whether that was long enough."""
        if memory.torn != torn:
            memory.torn, memory.torn_since = torn, self.clock()
        if not torn or self.clock() - memory.torn_since < self.hold_seconds:
            return False
        log.warning("key change applied in halves, the other one did not come", place=torn, seconds=self.hold_seconds)
        memory.given_up = torn
        return True

    def _collapse(
        self,
        state: TargetState | None,
        batch: TableBatch,
        progress: Progress,
        memory: TableMemory,
        held: Mapping[int, int],
    ) -> tuple[Collapsed, Progress]:
        columns = _typed(state, batch)
        truncated = state.summary.get(TRUNCATED, "") if state else ""
        last_delete = state.summary.get(LAST_DELETE, "") if state else ""
        skip = Skip(progress, dict(memory.blocked), held, memory.given_up, last_delete, self.doubtful, self.published)
        assumed: Epochs = {p: ((0, progress.of(p).epoch),) for p in batch.last_offsets}
        collapsed = batch.collapse(columns, skip, assumed, truncated)
        if collapsed.problems and not collapsed.torn:
            skip, first = self._quarantine(batch, skip, memory), collapsed.problems
            collapsed = batch.collapse(columns, skip, assumed, truncated)
            if collapsed.problems > first and not collapsed.torn:
                self._quarantine(batch, skip, memory)  # what came behind them in this very batch waits, too
        if collapsed.torn:
            return collapsed, progress
        events = self._partition_events(batch, collapsed, held)
        actual = {p: epochs(progress.of(p), e) for p, e in events.items()}
        if any(len(pairs) > 1 for pairs in actual.values()):
            collapsed = batch.collapse(columns, skip, actual, truncated)
        if collapsed.truncates:
            truncated = max(truncated, batch.truncate_place())
            collapsed = replace(batch.collapse(columns, skip, actual, truncated), truncates=collapsed.truncates)
        following = {p: after(progress.of(p), e) for p, e in events.items()}
        if not progress.partitions:
            following = dict.fromkeys(memory.partitions, PartitionProgress(0)) | following
        return collapsed, progress.advanced(_never_back(progress, following))

    def _quarantine(self, batch: TableBatch, skip: Skip, memory: TableMemory) -> Skip:
        found = batch.problems(self.blocked_keys + 1)
        if self.published is None:  # older ones were judged when they came: they are in the table, or held
            batch.quarantine(found)
        self.on_problems(found)
        for problem in found:
            if problem.key is not None:
                memory.blocked.setdefault(problem.key, (problem.partition, problem.offset))
        if len(memory.blocked) > self.blocked_keys or len(found) > self.blocked_keys:
            raise TerminalError(
                f"more than {self.blocked_keys} messages cannot be used; the first: {found[0].reason}",
                hint="cdc quarantine list; a wrong converter or topic is more likely than so many broken messages",
            )
        return replace(skip, blocked=dict(memory.blocked))

    @staticmethod
    def _partition_events(
        batch: TableBatch, collapsed: Collapsed, held: Mapping[int, int]
    ) -> Mapping[int, PartitionEvents]:
        only_reads = collapsed.snapshot_reads > 0 and collapsed.snapshot_reads == collapsed.events
        plain = {
            p: PartitionEvents(first, batch.last_offsets[p], only_reads, only_reads)
            for p, first in batch.first_offsets.items()
        }
        mixed = collapsed.snapshot_reads > 0 and not only_reads
        events = {**plain, **batch.partition_events()} if mixed else plain
        short = {p: short_of(e, held.get(p)) for p, e in events.items()}
        return {p: e for p, e in short.items() if e is not None}

    def _commit(
        self,
        spec: TableSpec,
        table: TargetTable,
        batch: TableBatch,
        state: TargetState,
        result: tuple[Collapsed, Progress, TableMemory],
        watch: Stopwatch,
    ) -> Applied:
        collapsed, progress, memory = result
        truncate = batch.truncate_place() if collapsed.truncates else ""
        changed = bool(collapsed.keys or truncate)
        if not changed and not (collapsed.problems and self.published is None):
            return Applied(collapsed, progress, seconds=watch.seconds)
        broken = self._judged(spec, batch, collapsed, watch)
        summary = self._summary(spec, state, collapsed, progress, truncate)
        with watch.stage("merge"):
            if changed:
                batch.stage(summary, truncate, partial(table.stage, state.snapshot_id))
            else:  # read again, messages that were let go of since would be held anew
                table.stage_progress(state.snapshot_id, summary)
        with watch.stage("publish"):
            staged, counts = table.staged(state.snapshot_id)
            if staged == state.snapshot_id:
                return Applied(collapsed, progress, seconds=watch.seconds)
            if counts.get(TOKEN, str(self.token)) != str(self.token):
                raise CommitConflict(f"another writer has staged a commit of {spec.target}")
            audit(spec, collapsed, counts)
            self.still_holder()
            memory.intended = progress
            table.publish(state.snapshot_id, staged, {**summary, **(batch.properties if changed else {})})
            memory.progress = progress
        merged = {name: int(counts.get(key, "0")) for name, key in _COUNTS.items()}
        way, blocked = batch.way if changed else "", len(memory.blocked)
        return Applied(
            collapsed, progress, staged, state.snapshot_id, merged, watch.seconds, blocked, way=way, broken=broken
        )

    def _judged(
        self, spec: TableSpec, batch: TableBatch, collapsed: Collapsed, watch: Stopwatch
    ) -> Mapping[str, Verdict]:
        """Return the rules that rows of the batch break; raises RuleBroken if one of them stops the table."""
        if not (self.judges and collapsed.upserts and checks(spec.rules)):
            return {}
        with watch.stage("quality"):
            verdicts = batch.judge(spec.rules)
        if why := stopping(verdicts):
            raise RuleBroken(
                f"{why} of a batch of {spec.target}",
                hint="mend them in the source, or the rule in the configuration: it is tried again by itself",
            )
        return broken(verdicts)

    def _summary(
        self, spec: TableSpec, state: TargetState, collapsed: Collapsed, progress: Progress, truncate: str
    ) -> dict[str, str]:
        entries = {
            PROGRESS: progress.to_json(),
            TOKEN: str(self.token),
            TRUNCATED: max(truncate, state.summary.get(TRUNCATED, "")),
            LAST_DELETE: max(collapsed.last_delete, state.summary.get(LAST_DELETE, "")),
            PIPELINE: spec.pipeline,
            "cdc.first_position": collapsed.first_position,
            "cdc.last_position": collapsed.last_position,
            "cdc.events": str(collapsed.events),
            "cdc.source_ts_ms": "" if collapsed.newest_at_ms is None else str(collapsed.newest_at_ms),
        }
        return {name: value for name, value in entries.items() if value}


_COUNTS = {"inserted": INSERTED, "updated": UPDATED, "deleted": DELETED}


def progress_of(state: TargetState | None, spec: TableSpec, topic_id: str) -> Progress:
    """Return the progress that the table's own history tells, or that of a table not begun."""
    text = state.summary.get(PROGRESS) if state else None
    return Progress.from_json(text) if text else Progress(spec.topic, topic_id)


def create_table(spec: TableSpec, table: TargetTable, columns: Mapping[str, str], token: int) -> None:
    """Make a table, empty and ours; raises TerminalError for columns that cannot be its own."""
    absent = [name for name in spec.key if name not in columns]
    if absent:
        raise TerminalError(
            f"key column {absent[0]!r} of {spec.target} is not among the source's columns",
            hint=f"the columns are {', '.join(columns)}",
        )
    plan_schema({}, columns)  # refuses names that are ours
    table.create(columns, spec.key, spec.partition_by, spec.properties)
    table.fence({TOKEN: str(token), PIPELINE: spec.pipeline})


def check_place(spec: TableSpec, progress: Progress, memory: TableMemory) -> None:
    """Refuse to go on with a table that is not where this pipeline left it; raises Moved.

    Also when the batch at hand would fit: what the query has given already, and what had no effect then, was told from
    the table as it was. Only a commit of our own whose answer was lost may have moved it.
    """
    if memory.progress is not None and progress not in (memory.progress, memory.intended):
        raise Moved(
            f"{spec.target} was moved by somebody else",
            hint="ordinary after a load, a rewind or a replay: the query starts again where the tables say",
        )
    memory.progress, memory.intended = progress, None


def check_token(state: TargetState, token: int, spec: TableSpec) -> None:
    """Refuse to write to a table that a newer instance has written to; raises Fenced."""
    found = int(state.summary.get(TOKEN, "0"))
    if found > token:
        raise Fenced(
            f"table {spec.target} was taken over by a newer instance (token {found}, ours is {token})",
            hint="this instance stops; the newer one goes on",
        )


def audit(spec: TableSpec, collapsed: Collapsed, counts: Mapping[str, str]) -> None:
    """Refuse to publish a commit that did more than its changes allow; raises TerminalError.

    More rows touched than keys means that the table holds a key twice.
    """
    inserted, updated, deleted = (int(counts.get(name, "0")) for name in (INSERTED, UPDATED, DELETED))
    if inserted + updated > collapsed.upserts or updated + deleted > collapsed.keys:
        raise TerminalError(
            f"audit of {spec.target} failed: {inserted} inserted, {updated} updated and {deleted} deleted rows "
            f"from {collapsed.keys} keys with {collapsed.upserts} rows",
            hint="the table holds a key more than once: `cdc tables reset TABLE` loads it anew",
        )


def _typed(state: TargetState | None, batch: TableBatch) -> Mapping[str, str]:
    columns = unify(batch.rows)
    return {name: state.columns[name] for name in columns} if state else columns


def _covered(progress: Progress, batch: TableBatch) -> bool:
    return all(last < progress.of(p).next_offset for p, last in batch.last_offsets.items())


def _never_back(progress: Progress, following: Mapping[int, PartitionProgress]) -> dict[int, PartitionProgress]:
    return {p: s if s.next_offset >= progress.of(p).next_offset else progress.of(p) for p, s in following.items()}
