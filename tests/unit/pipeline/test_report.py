from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cdc.core.batch import Collapsed
from cdc.core.progress import PartitionProgress, Progress
from cdc.core.status import TableState
from cdc.pipeline.apply import Applied
from cdc.pipeline.report import Late, Report
from tests.fakes.pipeline import MemoryMetrics, MemoryStore, spec_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = spec_of()
PROGRESS = Progress(SPEC.topic, "id", {0: PartitionProgress(9)})


def report_to(store: MemoryStore, metrics: MemoryMetrics | None = None) -> Report:
    return Report("shop", store, metrics or MemoryMetrics(), timedelta(seconds=60), now=lambda: NOW)


def applied(snapshot: int | None = 5, problems: int = 0) -> Applied:
    at = int(NOW.timestamp() * 1000) - 2500
    collapsed = Collapsed(events=10, keys=4, problems=problems, first_position="a", last_position="b", newest_at_ms=at)
    counts = {"inserted": 1, "updated": 2, "deleted": 1}
    return Applied(collapsed, PROGRESS, snapshot, 4, counts, {"merge": 1.5, "publish": 0.5}, problems)


def test_a_status_row_tells_position_counts_and_lag() -> None:
    store = MemoryStore()
    report = report_to(store)
    report.applied(SPEC, 3, applied())
    report.applied(SPEC, 3, applied(problems=2))
    report.flush()
    (row,) = store.status
    assert (row.state, row.position, row.table_snapshot, row.token, row.batches) == (TableState.RUNNING, "b", 5, 3, 2)
    assert (row.events, row.inserted, row.updated, row.deleted, row.quarantined) == (18, 2, 4, 2, 2)
    assert (row.lag_seconds, row.committed_at, row.offsets) == (2.5, NOW, PROGRESS.to_json())


def test_the_lag_of_a_table_that_lacks_nothing_is_the_age_of_the_heartbeat() -> None:
    """The lag of an idle table stood at that of its last change, and what it lacks was promised and never measured."""
    store, metrics = MemoryStore(), MemoryMetrics()
    report = report_to(store, metrics)
    report.applied(SPEC, 3, applied())
    for offsets, alive_at in ((7, NOW), (0, None), (0, NOW - timedelta(seconds=1))):
        report.behind(SPEC, offsets, alive_at)
    target = str(SPEC.target)
    assert [one for one in metrics.noted if one[0] in ("behind", "fresh")] == [
        ("behind", (target, 7)),
        ("behind", (target, 0)),
        ("behind", (target, 0)),
        ("fresh", (target, 1.0)),
    ]
    report.flush()
    assert store.status[0].lag_seconds == 1.0


def test_a_table_is_late_that_lacks_changes_for_longer_than_it_may() -> None:
    """What it lacks when it is looked at may have come a moment ago: it counts from when it lacked nothing."""
    moment = [NOW]
    report = Report("shop", MemoryStore(), MemoryMetrics(), timedelta(seconds=60), now=lambda: moment[0])
    spec = replace(SPEC, freshness=60.0)

    def later(seconds: float, offsets: int) -> list[float]:
        moment[0] += timedelta(seconds=seconds)
        report.behind(spec, offsets, None)
        return [one.seconds for one in report.late()]

    report.applied(spec, 3, applied())
    assert [later(100, 0), later(300, 5), later(30, 9)] == [[], [300], [330]]
    assert [later(30, 0), later(59, 1), later(0, 0), later(100, 7)] == [[], [], [], [100]]
    report.paused(spec, "by somebody")
    assert report.late() == [], "it is named as paused"


def test_a_table_that_is_never_quite_through_is_as_late_as_its_newest_change() -> None:
    moment = [NOW]
    report = Report("shop", MemoryStore(), MemoryMetrics(), timedelta(seconds=60), now=lambda: moment[0])
    spec = replace(SPEC, freshness=60.0)
    for minute in range(1, 10):
        moment[0] = NOW + timedelta(minutes=minute)
        at = int(moment[0].timestamp() * 1000) - 2500
        result = applied()
        report.applied(spec, 3, replace(result, collapsed=replace(result.collapsed, newest_at_ms=at)))
        report.behind(spec, 1000, None)
        assert report.late() == []
    moment[0] += timedelta(seconds=58)
    assert report.late() == [Late(str(SPEC.target), 60.5, 60.0)]


def test_counts_and_positions_of_a_table_that_is_idle_outlive_a_restart() -> None:
    store = MemoryStore()
    first = report_to(store)
    first.applied(SPEC, 3, applied())
    first.flush()
    again = report_to(store)
    again.remember(store.status)
    again.found(SPEC, PROGRESS)
    again.flush()
    (row,) = store.status
    assert (row.events, row.position, row.committed_at, row.state) == (10, "b", NOW, TableState.RUNNING)
    again.applied(SPEC, 4, applied())
    again.flush()
    assert (store.status[0].events, store.status[0].token) == (20, 4)


def test_every_commit_is_in_the_ledger_once() -> None:
    store = MemoryStore()
    report = report_to(store)
    report.applied(SPEC, 3, applied())
    report.flush()
    report.flush()
    report.applied(SPEC, 3, applied(snapshot=None))
    report.flush()
    (row,) = store.ledger
    assert (row.table_snapshot, row.parent_snapshot, row.first_position, row.last_position) == (5, 4, "a", "b")
    assert (row.seconds, row.events) == (2.0, 10)


def test_a_failed_write_is_kept_for_the_next_time() -> None:
    """S2, X7."""
    store = MemoryStore(failures=1)
    report = report_to(store)
    report.applied(SPEC, 3, applied())
    report.flush()
    assert (store.status, store.ledger) == ([], [])
    report.flush()
    assert (len(store.status), len(store.ledger)) == (1, 1)


def test_writes_wait_for_their_interval_but_not_for_a_stopped_table() -> None:
    store = MemoryStore()
    report = report_to(store)
    report.found(SPEC, PROGRESS)
    report.flush_when_due()
    report.applied(SPEC, 3, applied())
    report.flush_when_due()
    assert store.ledger == []
    report.stopped(SPEC, "no room")
    report.flush_when_due()
    assert [(row.state, row.last_error) for row in store.status] == [(TableState.STOPPED, "no room")]
    assert len(store.ledger) == 1


def test_a_table_without_events_waits() -> None:
    store, metrics = MemoryStore(), MemoryMetrics()
    report = report_to(store, metrics)
    report.found(SPEC, Progress(SPEC.topic, "id"))
    report.started()
    report.flush()
    assert store.status[0].state == TableState.WAITING
    assert ("lease", True) in metrics.noted
    assert ("state", ("ns.t", "waiting")) in metrics.noted


def test_metrics_are_of_the_batch() -> None:
    metrics = MemoryMetrics()
    report_to(MemoryStore(), metrics).applied(SPEC, 3, applied(problems=2))
    noted = dict(metrics.noted)
    assert noted["batch"]["events"] == 8
    assert noted["batch"]["rows"] == 4
    assert noted["quarantined"] == (2, 2)
    assert noted["committed"] == {"at": NOW.timestamp(), "newest_change_at": NOW.timestamp() - 2.5}


def test_tables_at_rest_say_why_at_once_and_forget_it_when_they_go_on() -> None:
    store, metrics = MemoryStore(), MemoryMetrics()
    report = report_to(store, metrics)
    report.loading(SPEC)
    report.flush_when_due()
    assert [(row.state, row.last_error) for row in store.status] == [(TableState.LOADING, "waits for its load")]
    report.paused(SPEC, "paused by ann")
    report.flush_when_due()
    assert [(row.state, row.last_error) for row in store.status] == [(TableState.PAUSED, "paused by ann")]
    report.found(SPEC, PROGRESS)
    report.flush()
    assert [(row.state, row.last_error) for row in store.status] == [(TableState.RUNNING, "")]
    assert [value for name, value in metrics.noted if name == "state"] == [("ns.t", "loading"), ("ns.t", "paused")]


def test_saying_the_same_again_writes_nothing() -> None:
    store = MemoryStore()
    report = report_to(store)
    report.loading(SPEC)
    report.flush_when_due()
    store.status = []
    report.loading(SPEC)
    report.flush_when_due()
    assert store.status == []


def test_a_batch_that_ends_after_the_pause_does_not_hide_it() -> None:
    store, metrics = MemoryStore(), MemoryMetrics()
    report = report_to(store, metrics)
    report.paused(SPEC, "paused by ann")
    report.applied(SPEC, 3, applied())
    report.flush()
    assert (store.status[0].state, store.status[0].events) == (TableState.PAUSED, 10)
    assert metrics.noted[-1] == ("state", ("ns.t", "paused"))


def test_a_removed_table_is_forgotten() -> None:
    store, metrics = MemoryStore(), MemoryMetrics()
    report = report_to(store, metrics)
    report.applied(SPEC, 3, applied())
    report.removed(SPEC)
    report.flush()
    assert store.status == []
    assert metrics.noted[-1] == ("removed", "ns.t")
