"""Maintenance of real tables: rows and progress stay, what is promised to a rewind stays, and the rest goes."""

import os
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdc.core.compaction import Compact
from cdc.core.errors import CommitConflict, Yielded
from cdc.core.maintenance import (
    LOT,
    MANY_DELETE_FILES,
    MANY_MANIFESTS,
    ORPHANS_AT,
    PRUNED_AT,
    Limits,
    MaintenancePlan,
    Pruning,
    RewriteDeletes,
    TableShape,
    plan_maintenance,
)
from cdc.core.names import TableName
from cdc.core.progress import Progress
from cdc.core.retention import Keep
from cdc.core.status import LedgerRow
from cdc.lake import compaction, packing
from cdc.lake.checkpoints import Histories
from cdc.lake.java import load_table
from cdc.lake.maintenance import TableMaintainer
from cdc.lake.rewind import Rewinder
from cdc.lake.status import DirectStatusTables, StatusTables
from cdc.lake.tables import BRANCH
from cdc.lake.yielding import yielding
from cdc.ops.metrics import Metrics
from cdc.pipeline.apply import PROGRESS
from cdc.pipeline.maintain import BATCHES, Kept, Maintenance, Outcome
from cdc.spark.session import sibling_session
from tests.contract.events import NUMBERED, Topic
from tests.contract.test_rewind import Operator, unread
from tests.contract.test_rewind import rows as rows_with_positions
from tests.lake import Killed, LakeTable, killed_before_publish, writable_catalog
from tests.small_commits import SmallCommits

COMMITS = int(os.environ.get("CDC_TEST_COMMITS", "60"))  # noqa: TID251 - how long a test is
"""Commits of the test of a table that is written to for long; 300 for the figures of docs/evidence.md."""

LONG = Keep(timedelta(days=1), 20, 1000)
SHORT = Keep(timedelta(0), 1, 1)
MERGED = {"write.merge.mode": "merge-on-read"}


@dataclass
class Hands:
    """Maintains one table as the service does, at the time that it is told."""

    lake: Any
    name: TableName
    limits: Limits = field(default_factory=lambda: Limits(LONG, 64 << 20))
    later: timedelta = timedelta(0)
    direct: bool = False

    def __post_init__(self) -> None:
        session, config = self.lake
        files = writable_catalog(config)
        histories, direct = Histories(files), files if self.direct else None
        self.hands = TableMaintainer(session, config.catalog.name, config.metadata_namespace, histories, direct)
        self.histories = histories

    def look(self) -> TableShape:
        found = self.hands.look(self.name, self.limits)
        assert found is not None
        return found

    def plan(self) -> MaintenancePlan:
        return plan_maintenance(self.look(), self.limits, datetime.now(UTC) + self.later)

    def round(self) -> list[Outcome]:
        """Look once and do what is due."""
        return self._maintenance().maintain(Kept(self.name, self.limits))

    def rounds(self, most: int = 8) -> list[str]:
        """Look until nothing is due; return what was done."""
        found: list[str] = []
        for _ in range(most):
            tried = self.round()
            assert [one.error for one in tried if one.error] == []
            if not tried:
                return found
            found += [one.step.kind for one in tried]
            self.limits = replace(self.limits, thorough=False)
        raise AssertionError(f"always something due: {found}")

    def _maintenance(self) -> Maintenance:
        return Maintenance(
            "shop",
            list,
            self.hands,
            Metrics(),
            timedelta(minutes=5),
            timedelta(minutes=5),
            now=lambda: datetime.now(UTC) + self.later,
        )


@pytest.fixture
def hands(lake: tuple[Any, Any]) -> Callable[..., Hands]:
    return lambda table, **options: Hands(lake, table.spec.target if isinstance(table, LakeTable) else table, **options)


def written(table: LakeTable, topic: Topic, batches: int, first: int = 0) -> None:
    """Apply batches that insert, update and delete."""
    for n in range(first, first + batches):
        at = (10 * n, 10 * n + 1)
        changes = [topic.change("c", {"id": 100 * n + i, "n": n}, at) for i in range(20)]
        if n:
            changes += [topic.change("u", {"id": 100 * (n - 1) + i, "n": -n}, at) for i in range(5)]
            changes += [topic.change("d", {"id": 100 * (n - 1) + i}, at) for i in range(10, 14)]
        table.apply(changes)


def live_files(table: LakeTable | SmallCommits) -> dict[str, int]:
    """Return how many files, manifests, snapshots and metadata files the table has, and files in its folder."""
    iceberg = load_table(table.session, table.table.sql_name)
    snapshot = iceberg.currentSnapshot()
    summary = dict(snapshot.summary())
    folder = Path(str(iceberg.location()).removeprefix("file:"))
    return {
        "data": int(summary["total-data-files"]),
        "deletes": int(summary["total-delete-files"]),
        "manifests": snapshot.allManifests(iceberg.io()).size(),
        "snapshots": sum(1 for _ in iceberg.snapshots()),
        "metadata": len(list(folder.glob("metadata/*.metadata.json"))),
        "on disk": sum(1 for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".")),
    }


def parquet_files(table: LakeTable) -> set[Path]:
    """Return the data and delete files in the table's folder, live or not."""
    location = str(load_table(table.session, table.table.sql_name).location()).removeprefix("file:")
    return set(Path(location, "data").rglob("*.parquet"))


def progress_of(table: LakeTable) -> Progress:
    return Progress.from_json(table.table.read().summary[PROGRESS])


@pytest.mark.parametrize(("version", "direct"), [("2", False), ("2", True), ("3", True)])
def test_rows_and_progress_stay_and_files_become_few(
    new_table: Any,
    hands: Any,
    version: str,
    direct: bool,
) -> None:
    table = new_table(f"compacted_{version}_{direct}", NUMBERED, properties={**MERGED, "format-version": version})
    topic = Topic()
    written(table, topic, 8)
    before, progress, files = rows_with_positions(table), progress_of(table), live_files(table)
    assert files["data"] >= 8
    assert files["deletes"] >= 5
    lineage = f"SELECT id, _row_id, _last_updated_sequence_number AS l FROM {table.table.sql_name} ORDER BY id"
    ids = table.session.sql(lineage).collect() if version == "3" else []

    keeper = hands(table, direct=direct)
    plan = keeper.plan()
    assert [step.kind for step in plan.steps] == ["compact"]
    assert "rows are deleted" in plan.steps[0].reason
    assert keeper.rounds() == ["compact", "settle"]

    assert rows_with_positions(table) == before
    assert progress_of(table) == progress
    now = live_files(table)
    assert (now["data"], now["deletes"]) == (1, 0)
    if version == "3":
        assert table.session.sql(lineage).collect() == ids
    written(table, topic, 2, first=8)
    assert len(rows_with_positions(table)) == len(before) + 2 * 20 - 2 * 4
    before = rows_with_positions(table)
    keeper.rounds()
    assert rows_with_positions(table) == before


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_batch_staged_before_a_compaction_is_refused_and_ends_well_when_repeated_s5(
    new_table: Any, hands: Any, version: str
) -> None:
    """S5, S7: the compaction has moved main, progress is the same: the pipeline tries the batch again."""
    table = new_table(f"overtaken_by_{version}", NUMBERED, properties={**MERGED, "format-version": version})
    topic = Topic()
    written(table, topic, 6)
    keeper = hands(table)
    batch = [topic.change("u", {"id": 500, "n": 7}, (900, 901)), topic.change("d", {"id": 501}, (900, 902))]
    table.before_publish = lambda: None if keeper.rounds() else pytest.fail("nothing was due")
    with pytest.raises(CommitConflict, match="another writer has moved main"):
        table.apply(batch)
    table.before_publish = lambda: None
    rows = rows_with_positions(table)
    assert rows[500][0] == 5
    assert 501 in rows
    table.apply(batch)
    rows = rows_with_positions(table)
    assert rows[500][0] == 7
    assert 501 not in rows
    assert len(rows) == 6 * 20 - 5 * 4 - 1


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_compaction_that_lost_to_a_batch_changes_nothing_and_leaves_no_file(
    new_table: Any, hands: Any, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S7."""
    table = new_table(f"lost_{version}", NUMBERED, properties={**MERGED, "format-version": version})
    topic = Topic()
    written(table, topic, 6)
    keeper = hands(table)
    step = next(step for step in keeper.plan().steps if isinstance(step, Compact))
    write = compaction._written  # noqa: SLF001

    def meanwhile(*arguments: Any) -> Any:
        made = write(*arguments)
        table.apply([topic.change("u", {"id": 500, "n": 7}, (900, 901)), topic.change("d", {"id": 501}, (900, 902))])
        return made

    monkeypatch.setattr(compaction, "_written", meanwhile)
    folder = Path(str(load_table(table.session, table.table.sql_name).location()).removeprefix("file:")) / "data"
    known = set(folder.rglob("*.parquet"))
    with pytest.raises(CommitConflict):
        keeper.hands.do(keeper.name, step, lambda: False, 60.0)
    live = {row.file_path for row in table.session.sql(f"SELECT file_path FROM {table.table.sql_name}.files").collect()}
    new = {one for one in folder.rglob("*.parquet") if one not in known}
    assert {one for one in new if f"file:{one}" not in live and str(one) not in live} == set()
    assert rows_with_positions(table)[500][0] == 7
    assert 501 not in rows_with_positions(table)
    monkeypatch.setattr(compaction, "_written", write)
    before = rows_with_positions(table)
    keeper.rounds()
    assert rows_with_positions(table) == before
    assert live_files(table)["data"] == 1


def test_it_works_in_a_thread_and_session_of_its_own_as_in_the_service(new_table: Any, lake: tuple[Any, Any]) -> None:
    """Iceberg looks for its catalog of files to rewrite in the session that is active in the thread."""
    session, config = lake
    table = new_table("threaded", NUMBERED, properties=MERGED)
    written(table, Topic(), 6)
    before = rows_with_positions(table)
    with ThreadPoolExecutor(1) as thread:
        beside = thread.submit(sibling_session, session, config.catalog).result()
        keeper = Hands((beside, config), table.spec.target)
        assert "compact" in thread.submit(keeper.rounds).result()
    assert rows_with_positions(table) == before
    assert live_files(table)["data"] == 1


def test_what_only_adds_rows_meanwhile_does_not_make_a_compaction_lose(
    new_table: Any, hands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S44."""
    table = new_table("added", NUMBERED, properties=MERGED)
    topic = Topic()
    written(table, topic, 6)
    keeper = hands(table)
    write = compaction._written  # noqa: SLF001

    def meanwhile(*arguments: Any) -> Any:
        made = write(*arguments)
        table.apply([topic.change("c", {"id": 9000, "n": 9}, (900, 901))])
        return made

    monkeypatch.setattr(compaction, "_written", meanwhile)
    progress = progress_of(table)
    keeper.round()
    assert rows_with_positions(table)[9000][0] == 9
    assert live_files(table)["data"] == 2
    assert progress_of(table).of(0).next_offset == progress.of(0).next_offset + 1, "not that of before the batch"


def test_a_rewind_within_its_promise_works_after_maintenance_s21(
    new_table: Any, hands: Any, lake: tuple[Any, Any]
) -> None:
    table = new_table("kept_for_rewind", NUMBERED, properties=MERGED)
    topic = Topic()
    states: list[tuple[int, dict[Any, Any]]] = []
    messages = []
    for n in range(8):
        batch = [topic.change("c", {"id": 10 * n + i, "n": n}, (n, n)) for i in range(3)]
        batch += [topic.change("d", {"id": 10 * (n - 1)}, (n, n))] if n else []
        messages += batch
        applied = table.apply(batch)
        assert applied.snapshot_id is not None
        states.append((applied.snapshot_id, rows_with_positions(table)))
    final = rows_with_positions(table)
    keeper = hands(table, limits=Limits(Keep(timedelta(0), 7, 7), 64 << 20))
    assert {"compact", "expire"} <= set(keeper.rounds())
    assert rows_with_positions(table) == final
    operator = Operator(table, lake[1])
    kept = operator.histories.read(table.spec.target).versions
    reachable = [(snapshot, rows) for snapshot, rows in states if snapshot in kept]
    assert len(reachable) >= 4
    for snapshot, before in reachable[:-1]:
        operator.rewind(snapshot)
        assert rows_with_positions(table) == before
        table.apply(unread(table, messages))
        assert rows_with_positions(table) == final
    tags = [name for name in operator.histories.read(table.spec.target).refs if name.startswith("cdc_before")]
    keeper.rounds()
    assert set(tags) <= operator.histories.read(table.spec.target).refs.keys(), "what a tag holds is not expired"
    operator.rewind(f"tag:{min(tags)}")
    assert rows_with_positions(table) == final


def test_a_rewind_to_a_snapshot_that_is_expired_meanwhile_is_refused(
    new_table: Any, hands: Any, lake: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Main does not move by an expiry: without a look at the snapshot itself its files would be gone from under it."""
    table = new_table("expired_meanwhile", NUMBERED)
    topic = Topic()
    for n in range(4):
        table.apply([topic.change("c", {"id": n, "n": n}, (n, n))])
    operator = Operator(table, lake[1])
    history = operator.histories.read(table.spec.target)
    oldest = [version.snapshot_id for version in history.ancestry(history.head)][-2]
    plan = operator.plan(oldest)

    commit = table.files.commit_table

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.undo()
        hands(table, limits=Limits(SHORT, 64 << 20)).rounds()
        return commit(*arguments)

    monkeypatch.setattr(table.files, "commit_table", meanwhile)
    before = rows_with_positions(table)
    with pytest.raises(CommitConflict, match="expired meanwhile"):
        Rewinder(table.files).move(plan)
    assert rows_with_positions(table) == before
    assert not [name for name in operator.histories.read(table.spec.target).refs if name.startswith("cdc_before")]


def test_a_table_that_is_written_to_no_more_lets_go_of_its_past_and_knows_its_progress_s20(
    new_table: Any, hands: Any
) -> None:
    table = new_table("idle", NUMBERED, properties=MERGED)
    topic = Topic()
    written(table, topic, 6)
    table.table.fence({"cdc.token": "1", "cdc.pipeline": "shop"})
    before, summary = rows_with_positions(table), dict(table.table.read().summary)
    keeper = hands(table, limits=Limits(SHORT, 64 << 20))
    done = keeper.rounds()
    assert {"compact", "carry", "settle", "expire"} <= set(done)
    files = live_files(table)
    assert files["snapshots"] == 1
    assert files["data"] == 1
    history = keeper.histories.read(table.spec.target)
    assert history.progress(history.head) == Progress.from_json(summary[PROGRESS])
    now = table.table.read().summary
    assert {n: v for n, v in now.items() if n != "cdc.kind"} == {
        n: v for n, v in summary.items() if n not in ("cdc.fence", "cdc.events", "cdc.first_position")
    }
    iceberg = load_table(table.session, table.table.sql_name)
    iceberg.updateProperties().remove(PROGRESS).commit()
    assert progress_of(table) == Progress.from_json(summary[PROGRESS]), "not from the mirror"
    assert rows_with_positions(table) == before
    written(table, topic, 1, first=6)
    assert len(rows_with_positions(table)) == len(before) + 20 - 4


def test_what_a_killed_batch_has_staged_is_left_to_the_next_one(new_table: Any, hands: Any) -> None:
    table = new_table("killed_staged", NUMBERED, properties=MERGED)
    topic = Topic()
    written(table, topic, 6)
    batch = [topic.change("u", {"id": 500, "n": 7}, (900, 901))]
    with killed_before_publish(table), pytest.raises(Killed):
        table.apply(batch)
    iceberg = load_table(table.session, table.table.sql_name)
    staged = iceberg.refs().get(BRANCH).snapshotId()
    hands(table, limits=Limits(SHORT, 64 << 20)).rounds()
    assert load_table(table.session, table.table.sql_name).refs().get(BRANCH).snapshotId() == staged
    table.apply(batch)
    assert rows_with_positions(table)[500][0] == 7


@pytest.mark.parametrize("granularity", ["file", "partition"])
def test_a_table_is_the_same_whoever_looks_at_it(
    new_table: Any, hands: Any, monkeypatch: pytest.MonkeyPatch, granularity: str
) -> None:
    table = new_table(
        f"looked_at_{granularity}", NUMBERED, properties={**MERGED, "write.delete.granularity": granularity}
    )
    topic = Topic()
    limits = Limits(LONG, 64 << 20, fewest_files=2)
    for n in range(6):
        written(table, topic, 2, first=2 * n)
        by_spark, here = hands(table, limits=limits), hands(table, limits=limits, direct=True)
        with monkeypatch.context() as patched:
            patched.setattr(TableMaintainer, "_load", None)
            found = here.look()
        expected = by_spark.look()
        assert found.files
        assert sorted(found.files, key=str) == sorted(expected.files, key=str)
        assert replace(found, files=()) == replace(expected, files=())
        if n == 3:
            here.rounds()


def test_orphans_go_when_they_are_old_and_young_files_stay_s26(new_table: Any, hands: Any) -> None:
    table = new_table("orphaned", NUMBERED)
    written(table, Topic(), 2)
    before = rows_with_positions(table)
    folder = Path(str(load_table(table.session, table.table.sql_name).location()).removeprefix("file:")) / "data"
    old, young = folder / "old.parquet", folder / "young.parquet"
    for one in (old, young):
        one.write_bytes(b"of a commit that never was")
    past = time.time() - 4 * 24 * 3600
    os.utime(old, (past, past))
    keeper = hands(table, limits=Limits(LONG, 64 << 20, thorough=True))
    assert "remove_orphans" in keeper.rounds()
    assert (old.exists(), young.exists()) == (False, True)
    assert rows_with_positions(table) == before
    assert ORPHANS_AT in keeper.look().history.properties


def test_files_of_a_load_under_way_are_no_orphans(new_table: Any, hands: Any, lake: tuple[Any, Any]) -> None:
    """S26."""
    table = new_table("loading", NUMBERED)
    written(table, Topic(), 1)
    session, config = lake
    session.sql(f"CREATE TABLE {config.catalog.name}.cdc.shadow_ns__loading (id int) USING iceberg")
    keeper = hands(table, limits=Limits(LONG, 64 << 20, thorough=True))
    assert keeper.look().shadowed
    assert "remove_orphans" not in keeper.rounds()


def test_tombstones_go_after_their_time(new_table: Any, hands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.lake.tombstones.TEXT", 0)
    table = new_table("stones", NUMBERED)
    topic = Topic()
    written(table, topic, 3)
    stones = TableName("cdc", "tombstones_stones")
    name = f"`{table.catalog}`.`cdc`.`{stones.table}`"
    count = table.session.table(name).count()
    assert count == 2 * 4
    limits = Limits(SHORT, 64 << 20, pruning=Pruning("deleted_at", timedelta(days=14)), thorough=True)
    keeper = hands(stones, limits=limits)
    assert "prune" in keeper.rounds()
    assert table.session.table(name).count() == count
    keeper.later, keeper.limits = timedelta(days=16), replace(limits, thorough=True)
    assert "prune" in [one.step.kind for one in keeper.round()]  # once: what is noted is the time of the real clock
    assert table.session.table(name).count() == 0
    assert PRUNED_AT in keeper.look().history.properties


def test_the_ledger_stays_small_and_whole(lake: tuple[Any, Any], hands: Any) -> None:
    session, config = lake
    made = StatusTables(session, config.catalog.name, "cdc")
    made.create()
    store = DirectStatusTables(made, writable_catalog(config), "cdc")
    now = datetime.now(UTC)
    for n in range(12):
        row = LedgerRow("shop", "ns.t", n, n, 1, "", "", "{}", 1, 1, 0, 0, now, now, 0.1)
        store.write([], [row])
    ledger = TableName("cdc", "commits")
    keeper = hands(ledger, limits=Limits(Keep(timedelta(0), 5, 5), 64 << 20))
    assert {"compact", "expire"} <= set(keeper.rounds())
    shape = keeper.look()
    assert len(shape.history.versions) == 5
    assert shape.files == ()
    assert session.table(f"{config.catalog.name}.cdc.commits").count() == 12
    assert "carry" not in [step.kind for step in keeper.plan().steps], "there is no progress in it"


def test_deletes_of_several_files_are_put_together(new_table: Any, hands: Any) -> None:
    """As a table has them whose deletes are by partition: they are of no data file alone."""
    table = new_table("loose", NUMBERED, properties={**MERGED, "write.delete.granularity": "partition"})
    written(table, Topic(), 5)
    before = rows_with_positions(table)
    keeper = hands(table)
    shape = keeper.look()
    assert shape.delete_files >= 4
    done = keeper.hands.do(keeper.name, RewriteDeletes("test"), lambda: False, 60.0)
    assert done.files_removed >= 4
    assert rows_with_positions(table) == before
    keeper.rounds()
    assert rows_with_positions(table) == before


def test_a_small_step_needs_no_spark_and_the_index_follows(
    new_table: Any, hands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hot table has fifty files a minute, and its batches waited twenty seconds for the JVM to put them together."""
    table, topic = new_table("packed", NUMBERED, deltas=True), Topic()
    table.rewrites = False
    written(table, topic, 1)
    written(table, topic, 8, first=1)
    before, shape = rows_with_positions(table), live_files(table)
    keeper = hands(table, direct=True)
    monkeypatch.setattr("cdc.lake.maintenance.rewrite", None)
    assert "compact" in keeper.rounds()
    after = live_files(table)
    assert (after["data"], after["deletes"]) == (1, 0)
    assert shape["data"] > 1
    assert shape["deletes"] > 1
    assert rows_with_positions(table) == before
    written(table, topic, 3, first=9)
    assert table.apply([topic.change("u", {"id": 1100, "n": 7}, (9000, 9001))]).way == "delta"
    operations = [one.summary.operation.value for one in table.files.load_table(table.spec.target).snapshots()]
    assert operations.count("replace") == 1, "readers that follow a table pass a replacement by"
    rows = rows_with_positions(table)
    assert rows[1100][0] == 7
    assert {key: row for key, row in before.items() if key < 800}.items() <= rows.items()
    assert len(rows) == table.session.table(table.table.sql_name).count(), "no key is there twice"


def test_a_small_step_that_lost_to_a_batch_changes_nothing_and_leaves_no_file(
    new_table: Any, hands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, topic = new_table("packed_late", NUMBERED, properties=MERGED), Topic()
    written(table, topic, 6)
    keeper = hands(table, direct=True)
    step = next(step for step in keeper.plan().steps if isinstance(step, Compact))
    real, expected = packing.data_files, {}

    def late(*arguments: Any) -> Any:
        written(table, topic, 1, first=6)
        expected.update(rows=rows_with_positions(table), files=parquet_files(table))
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(packing, "data_files", late)
        with pytest.raises(CommitConflict):
            keeper.hands.do(keeper.name, step, lambda: False, 60.0)
    assert rows_with_positions(table) == expected["rows"]
    assert parquet_files(table) == expected["files"]
    assert "compact" in keeper.rounds()
    assert rows_with_positions(table) == expected["rows"]


@pytest.mark.parametrize(("limit", "value"), [("BYTES", 0), ("ROWS", 1)])
def test_a_large_step_is_left_to_spark(
    new_table: Any, hands: Any, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    table = new_table(f"large_{limit.lower()}", NUMBERED, properties=MERGED)
    written(table, Topic(), 6)
    before, asked = rows_with_positions(table), []
    monkeypatch.setattr(packing, limit, value)
    real = compaction.rewrite
    monkeypatch.setattr("cdc.lake.maintenance.rewrite", lambda *given: asked.append(1) or real(*given))
    assert "compact" in hands(table, direct=True).rounds()
    assert asked
    assert rows_with_positions(table) == before


@pytest.mark.parametrize("direct", [False, True])
def test_a_step_is_given_up_for_a_batch_that_waits(new_table: Any, hands: Any, direct: bool) -> None:
    table = new_table(f"given_up_{direct}", NUMBERED, properties=MERGED)
    written(table, Topic(), 6)
    before, files = rows_with_positions(table), live_files(table)["data"]
    keeper = hands(table, direct=direct)
    step = next(step for step in keeper.plan().steps if isinstance(step, Compact))
    with pytest.raises(Yielded):
        keeper.hands.do(keeper.name, step, lambda: True, 0.0)
    assert rows_with_positions(table) == before
    assert live_files(table)["data"] == files
    keeper.rounds()
    assert rows_with_positions(table) == before


def test_a_job_of_spark_is_given_up_while_it_runs(lake: tuple[Any, Any]) -> None:
    session, _ = lake

    def runs() -> bool:
        return bool(session.sparkContext.statusTracker().getActiveJobsIds())

    with pytest.raises(Yielded), yielding(session, runs, 0.0):
        session.range(10**15).selectExpr("sum(hash(id))").collect()  # days of work
    assert session.range(10).count() == 10


def test_work_that_nobody_waits_for_is_not_given_up(lake: tuple[Any, Any]) -> None:
    session, _ = lake
    with yielding(session, lambda: False, 0.0) as go_on:
        assert session.range(10).count() == 10
        go_on()


def test_a_table_that_is_written_to_for_long_stays_small(new_table: Any, hands: Any) -> None:
    """S35: maintained every tenth commit, nothing grows with the number of commits, and a scan reads no more files."""
    table = new_table("for_long", NUMBERED, properties=MERGED)
    topic = Topic()
    keeper = hands(table, limits=Limits(Keep(timedelta(0), 20, 20), 64 << 20))
    worst: dict[str, int] = {}
    seconds = 0.0
    for first in range(0, COMMITS, 10):
        written(table, topic, 10, first=first)
        began = time.monotonic()
        keeper.rounds()
        seconds += time.monotonic() - began
        worst = {name: max(worst.get(name, 0), n) for name, n in live_files(table).items()}
    rows = rows_with_positions(table)
    assert len(rows) == COMMITS * 20 - (COMMITS - 1) * 4
    maintained = scan_seconds(table)
    full = Hands(keeper.lake, keeper.name, Limits(SHORT, 1 << 30))
    full.rounds()
    compacted = scan_seconds(table)
    print(f"{COMMITS} commits: {worst}; maintenance {seconds:.1f} s; scan {maintained:.3f} s, full {compacted:.3f} s")
    assert rows_with_positions(table) == rows
    assert worst["data"] <= 12
    assert worst["deletes"] <= 12
    assert worst["manifests"] <= 40
    assert worst["snapshots"] <= 25
    assert worst["metadata"] <= 22
    assert worst["on disk"] <= 400
    assert maintained <= 2 * compacted + 0.5


def scan_seconds(table: LakeTable | SmallCommits) -> float:
    """Return the least of several times that it takes to read every column of the table."""
    return min(seconds(table.session.sql(f"SELECT * FROM {table.table.sql_name}").toArrow) for _ in range(5))


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_a_large_table_with_a_file_of_deletes_for_every_commit_stays_small(lake: tuple[Any, Any], hands: Any) -> None:
    """S35: as a writer with an index of keys leaves it; looked at as often as the service does, for figures."""
    session, config = lake
    rows, every, keep = (300_000, BATCHES, LONG) if COMMITS > 60 else (5_000, 30, Keep(timedelta(0), 20, 20))
    table = SmallCommits(session, config.catalog.name, TableName("ns", "indexed"), rows, random.Random(7))
    keeper = hands(table.name, limits=Limits(keep, 256 << 20))
    commits, reads, looks, work, before, after = (list[float]() for _ in range(6))
    worst: dict[str, int] = {}
    for n in range(1, COMMITS + 1):
        commits.append(seconds(lambda: table.change(100)))
        if n % every:
            continue
        before.append(scan_seconds(table))
        worst = {name: max(worst.get(name, 0), n) for name, n in live_files(table).items()}
        reads.append(min(seconds(table.table.read) for _ in range(5)))
        looks.append(seconds(keeper.look))
        work.append(seconds(keeper.rounds))
        after.append(scan_seconds(table))
        shape, kept = keeper.look(), live_files(table)
        assert shape.surplus_deletes < MANY_DELETE_FILES
        assert (kept["data"] <= 12, kept["manifests"] <= 20 + MANY_MANIFESTS) == (True, True), kept
        assert kept["snapshots"] <= keep.most + keep.most // LOT + every, kept
        table.find_again()
        assert Progress.from_json(table.table.read().summary[PROGRESS]) == table.progress()
        print(
            f"{n} commits of {statistics.median(commits[-every:]) * 1000:.0f} ms; read {reads[-1] * 1000:.0f} ms; "
            f"look {looks[-1]:.2f} s, work {work[-1]:.1f} s; scan {before[-1]:.2f} s, then {after[-1]:.2f} s; {kept}"
        )
    Hands(keeper.lake, table.name, Limits(SHORT, 1 << 30)).hands.do(table.name, everything(keeper), lambda: False, 60.0)
    print(f"{COMMITS} commits: worst {worst}; scan when put together whole {scan_seconds(table):.2f} s")
    assert worst["data"] <= every + 12
    assert worst["deletes"] <= every + 24
    assert worst["metadata"] <= 22
    table.find_again()


def everything(keeper: Hands) -> Compact:
    """Return a step that makes one file of all."""
    name = f"`{keeper.lake[1].catalog.name}`.`{keeper.name.namespace}`.`{keeper.name.table}`.files"
    found = keeper.lake[0].sql(f"SELECT file_path, file_size_in_bytes AS size FROM {name} WHERE content = 0").collect()
    size = sum(row.size for row in found)
    return Compact(tuple(row.file_path for row in found), size, 512 << 20, 0, "", "all of them")
