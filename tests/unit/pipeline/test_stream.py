"""One pipeline over several tables: who stops, who goes on, and how it ends."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cdc.core.errors import (
    CommitStateUnknown,
    Fenced,
    LeaseHeld,
    PreflightError,
    TerminalError,
    TransientError,
)
from cdc.core.names import heartbeat_topic
from cdc.core.progress import PartitionProgress, Progress, TopicState
from cdc.core.status import TableState
from cdc.pipeline import comeback, stream
from cdc.pipeline.apply import PROGRESS, TOKEN, TableMemory
from cdc.pipeline.begin import begin
from tests.fakes.pipeline import MemoryMicroBatch, MemoryTable
from tests.unit.pipeline.rig import BOTH, COLUMNS, LATER, A, B, Rig, progress_at, until


def test_batches_reach_all_tables_and_the_end_is_reported() -> None:
    rig = Rig(BOTH, LATER)
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (7, 12)
    assert all(batch.closed for batch in rig.engine.batches)
    assert rig.lease.released
    assert rig.states() == {"ns.a": (TableState.RUNNING, ""), "ns.b": (TableState.RUNNING, "")}
    assert len(rig.store.ledger) == 4


def test_a_table_that_takes_long_does_not_keep_quiet_about_the_others() -> None:
    """What is applied is shown when it is, and its lag is that of then: it was told with the slowest table's."""
    rig = Rig(BOTH)
    stage = rig.table(A).stage

    def slow(base: int) -> None:
        until(lambda: rig.state(B) == TableState.RUNNING and rig.next_offset(B) == 10)
        stage(base)

    rig.table(A).stage = slow  # type: ignore[method-assign]
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 10)


def test_a_batch_of_a_table_under_maintenance_waits_and_those_of_others_do_not() -> None:
    rig = Rig(BOTH)
    assert rig.pipeline.streaming() == [], "it has no lease"
    rig.engine.done = lambda: None
    with rig.pipeline.turns.maintenance(str(A.target), 1.0) as wanted:
        assert wanted is not None
        thread = rig.run_beside()
        until(lambda: rig.next_offset(B) == 10)
        until(wanted)
        assert rig.next_offset(A) == 0
        assert rig.pipeline.streaming() == [A, B]
    until(lambda: rig.next_offset(A) == 5)
    rig.finish(thread)
    assert rig.pipeline.streaming() == []


def test_what_tables_lack_is_measured_while_the_query_runs() -> None:
    rig = Rig(BOTH)
    rig.engine.alive_at = rig.report.now()
    rig.engine.existing[heartbeat_topic("shop")] = TopicState("beat", {0: (0, 9)})
    rig.engine.done = lambda: None
    thread = rig.run_beside()
    rig.pipeline._capture_at = 0.0  # noqa: SLF001 - now, and not in ten seconds
    until(lambda: rig.next_offset(B) == 10 and rig.next_offset(A) == 5)
    rig.metrics.noted.clear()
    rig.pipeline._capture_at = 0.0  # noqa: SLF001
    until(lambda: ("behind", ("ns.b", 990)) in rig.metrics.noted)
    assert ("behind", ("ns.a", 995)) in rig.metrics.noted
    rig.engine.existing |= {A.topic: TopicState("id", {0: (0, 5)}), B.topic: TopicState("id", {0: (0, 10)})}
    rig.pipeline._capture_at = 0.0  # noqa: SLF001
    until(lambda: {one[1][0] for one in rig.metrics.noted if one[0] == "fresh"} == {"ns.a", "ns.b"})
    rig.finish(thread)


def test_a_failing_table_stops_alone_and_keeps_its_offsets() -> None:
    """Promise 2, S3."""
    rig = Rig(BOTH, LATER)
    rig.table(A).failures["stage"] = [TerminalError("no room")]
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (0, 12)
    assert rig.states() == {"ns.a": (TableState.STOPPED, "no room"), "ns.b": (TableState.RUNNING, "")}
    assert rig.table(A).calls.count("stage") == 1


def test_a_bug_stops_its_table_without_showing_values() -> None:
    rig = Rig(BOTH)
    rig.table(A).failures["stage"] = [KeyError("secret value")]
    rig.run()
    assert rig.states()["ns.a"] == (TableState.STOPPED, "KeyError: see the log")


def test_transient_errors_are_tried_again() -> None:
    rig = Rig(BOTH)
    rig.table(A).failures["publish"] = [TransientError("catalog away")]
    rig.run()
    assert rig.next_offset(A) == 5
    assert rig.table(A).calls.count("publish") == 2


def test_a_transient_error_that_stays_stops_the_table() -> None:
    rig = Rig(BOTH, LATER, retry=0.3)
    rig.table(A).failures["stage"] = [TransientError("catalog away")] * 50
    rig.run()
    assert rig.states()["ns.a"] == (TableState.STOPPED, "catalog away")
    assert rig.next_offset(B) == 12


def test_a_pipeline_without_a_table_that_could_go_on_stays_and_tries_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ended, and with it what told of it; with several sources nobody began it again."""
    monkeypatch.setattr(comeback, "FIRST_SECONDS", 0.05)
    rig = Rig()
    for spec in (A, B):
        rig.table(spec).failures["stage"] = [TerminalError(f"{spec.topic} cannot go on")]

    rig.script(lambda: iter([BOTH]), lambda: iter([BOTH]))
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 10)
    assert {state for state, _ in rig.states().values()} == {TableState.RUNNING}
    assert rig.lease.released


def test_a_table_that_stopped_because_something_was_away_begins_again_beside_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A catalog that was away for longer than ``retry_for`` left its tables stopped until somebody came."""
    monkeypatch.setattr(comeback, "FIRST_SECONDS", 0.05)
    rig = Rig(retry=0.05)
    rig.table(A).failures["stage"] = [TransientError("catalog away")] * 2

    rig.script(lambda: iter([BOTH]), lambda: iter([{A.topic: BOTH[A.topic], B.topic: LATER[B.topic]}]))
    rig.run()
    assert rig.started_at(B) == [0, 10]
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 12)
    assert rig.states()["ns.a"] == (TableState.RUNNING, "")


def test_a_pipeline_that_has_ended_can_be_run_again() -> None:
    rig = Rig(BOTH)
    rig.table(A).failures["publish"] = [Fenced("a newer instance")]
    with pytest.raises(Fenced):
        rig.run()
    rig.stop.clear()
    rig.engine._pending = list(rig.engine.batches)  # noqa: SLF001
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 10)


def test_a_fenced_instance_ends_at_once() -> None:
    """Promise 4."""
    rig = Rig(BOTH, LATER)
    rig.table(A).failures["publish"] = [Fenced("a newer instance")]
    with pytest.raises(Fenced):
        rig.run()
    assert rig.next_offset(A) == 0
    assert rig.next_offset(B) <= 10


def test_a_lost_lease_ends_the_run_without_a_batch() -> None:
    rig = Rig()
    rig.engine.done = rig.lease.lose
    with pytest.raises(Fenced):
        rig.run()


def test_a_lease_that_is_held_elsewhere_is_not_released() -> None:
    rig = Rig(BOTH)

    def held(**_: Any) -> int:
        raise LeaseHeld("held by another")

    rig.lease.acquire = held  # type: ignore[method-assign]
    with pytest.raises(LeaseHeld):
        rig.run()
    assert not rig.lease.released
    assert rig.engine.starts == []


def test_a_stop_lets_the_running_batch_end() -> None:
    """X8: whether the query begins one more before it hears of the stop is a matter of chance: here is no other."""
    rig = Rig(BOTH)
    original: Callable[..., None] = rig.table(A).stage

    def stage(base: int) -> None:
        rig.stop.set()
        original(base)

    rig.table(A).stage = stage  # type: ignore[method-assign]
    rig.run()
    assert rig.next_offset(A) == 5
    assert rig.next_offset(B) == 10


def test_the_query_starts_where_the_tables_are() -> None:
    """Promise 3, S16, S17, S19: nothing but the tables is asked."""
    rig = Rig()
    progress = Progress(A.topic, "id", {0: PartitionProgress(42, 1, streaming=True)})
    table = rig.table(A)
    table.holding({"id": "int"}, {PROGRESS: progress.to_json(), TOKEN: "3"})
    rig.run()
    assert rig.engine.starts == [{A.topic: progress, B.topic: Progress(B.topic, "id")}]
    assert table.summary[TOKEN] == "7"


def test_a_recreated_topic_stops_its_table_before_the_query_starts() -> None:
    """K3."""
    rig = Rig({B.topic: (0, 9)})
    table = rig.table(A)
    progress = Progress(A.topic, "old", {0: PartitionProgress(42)})
    table.holding({"id": "int"}, {PROGRESS: progress.to_json()})
    rig.run()
    assert [set(start) for start in rig.engine.starts] == [{B.topic}]
    assert rig.states()["ns.a"][0] == TableState.STOPPED
    assert rig.next_offset(B) == 10


def test_offsets_that_are_gone_everywhere_stop_all_tables() -> None:
    """K1."""
    rig = Rig()
    for spec in (A, B):
        progress = Progress(spec.topic, "id", {0: PartitionProgress(42)})
        rig.table(spec).holding({"id": "int"}, {PROGRESS: progress.to_json()})
        rig.engine.existing[spec.topic] = TopicState("id", {0: (50, 60)})
    thread = rig.run_beside()
    until(lambda: len(rig.pipeline.report.resting()) == 2)
    rig.finish(thread)
    assert all("offset 42" in told for _, told in rig.states().values())
    assert rig.engine.starts == []


def test_a_topic_that_is_not_there_is_named_with_a_hint() -> None:
    rig = Rig({B.topic: (0, 9)})
    del rig.engine.existing[A.topic]
    rig.run()
    assert "'shop.public.a' does not exist" in rig.states()["ns.a"][1]


def test_a_query_that_ends_is_started_again() -> None:
    rig = Rig(BOTH)
    opened = rig.engine.batches[0].topics
    rounds = iter([TransientError("broker away")])

    def topics() -> Any:
        for error in rounds:
            rig.engine._pending.append(rig.engine.batches[0])  # noqa: SLF001 - the query reads it again
            raise error
        return opened()

    rig.engine.batches[0].topics = topics  # type: ignore[method-assign]
    rig.run()
    assert len(rig.engine.starts) == 2
    assert rig.next_offset(A) == 5


def test_a_table_that_held_messages_back_takes_no_later_batch_of_that_query_p6() -> None:
    """The next query begins where each table is, so that nothing is left out between."""
    rig = Rig(BOTH, LATER)
    rig.engine.batches[0].torn = {A.topic: 3}
    again = MemoryMicroBatch(rig.engine, {A.topic: (3, 6), B.topic: (10, 11)})
    started = rig.engine.start
    done = rig.engine.done

    def start(*given: Any) -> Any:
        if rig.engine.starts:
            rig.engine.done = done
            rig.engine._pending = [again]  # noqa: SLF001 - as Kafka gives it from the new offsets
        return started(*given)

    rig.engine.start = start  # type: ignore[method-assign]
    rig.engine.done = lambda: None
    rig.run()
    assert [start[A.topic].of(0).next_offset for start in rig.engine.starts] == [0, 3]
    assert [start[B.topic].of(0).next_offset for start in rig.engine.starts] == [0, 10]
    assert (rig.next_offset(A), rig.next_offset(B)) == (7, 12)
    assert rig.table(A).calls.count("publish") == 2


def fence(table: MemoryTable, token: int) -> None:
    begin(A, table, token, TableMemory("id"), lambda: None)


def test_fencing_adds_the_token_and_leaves_the_rest_to_history() -> None:
    table = MemoryTable().holding({"id": "int"}, {"cdc.truncated": "7", "cdc.last_delete": "9"})
    fence(table, 4)
    added = {TOKEN: "4", "cdc.pipeline": "shop", "cdc.fence": "true"}
    assert table.summary == {"cdc.truncated": "7", "cdc.last_delete": "9", **added}


def test_a_query_that_starts_again_does_not_fence_again() -> None:
    """Idle tables gathered a snapshot with every start of the query."""
    table = MemoryTable().holding({"id": "int"}, {TOKEN: "3"})
    for _ in range(3):
        fence(table, 4)
    assert table.calls.count("fence") == 1


def test_fencing_refuses_a_table_with_a_newer_token() -> None:
    table = MemoryTable().holding({"id": "int"}, {TOKEN: "9"})
    with pytest.raises(Fenced):
        fence(table, 4)
    assert "fence" not in table.calls


def test_tables_exist_from_the_start_empty_and_ours() -> None:
    rig = Rig()
    rig.engine.columns = {A.topic: COLUMNS}
    rig.run()
    assert rig.table(A).calls[:2] == ["create", "fence"]
    assert rig.table(A).summary[TOKEN] == "7"
    assert rig.started_at(A) == [0]
    assert not rig.table(B).exists(), "only its events can tell its columns"


@pytest.mark.parametrize("error", [TerminalError("no such partition term"), ValueError("a bug")])
def test_a_table_that_cannot_be_made_stops_alone(error: Exception) -> None:
    rig = Rig({B.topic: (0, 9)})
    rig.engine.columns = {A.topic: COLUMNS, B.topic: COLUMNS}
    rig.table(A).failures["create"] = [error]
    rig.run()
    assert rig.states()["ns.a"][0] == TableState.STOPPED
    assert rig.next_offset(B) == 10


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"n": "int"}, "key column 'id' of ns.a is not among the source's columns"),
        ({"id": "int", "_cdc_op": "string"}, "reserved"),
        (PreflightError("no such table"), "no such table"),
    ],
)
def test_columns_that_cannot_be_a_tables_own_stop_it(columns: Any, said: str) -> None:
    rig = Rig({B.topic: (0, 9)})
    rig.engine.columns = {A.topic: columns}
    rig.run()
    assert said in rig.states()["ns.a"][1]
    assert not rig.table(A).exists()
    assert rig.next_offset(B) == 10


def test_a_fence_whose_answer_was_lost_is_set_again() -> None:
    rig = Rig(BOTH)
    rig.table(A).holding(COLUMNS, {})
    rig.table(A).failures["fence"] = [CommitStateUnknown("no answer")]
    rig.run()
    assert rig.next_offset(A) == 5


def test_a_source_that_is_away_does_not_keep_events_from_their_table() -> None:
    rig = Rig(BOTH)
    rig.engine.columns = {A.topic: TransientError("source away")}
    rig.run()
    assert rig.next_offset(A) == 5


def test_a_table_that_is_moved_while_a_batch_is_applied_starts_again_where_it_is() -> None:
    """A rewind: what comes next in this query would leave a gap."""
    rig = Rig()
    rig.hold(A, 5)
    rewound = rig.table(A).main
    rig.table(A).main = rig.table(A)._commit(rewound, {PROGRESS: progress_at(A, 8)})  # noqa: SLF001

    def first() -> Iterator[dict[str, tuple[int, int]]]:
        rig.table(A).main = rewound
        yield {A.topic: (8, 9), B.topic: (0, 9)}
        yield {A.topic: (10, 11), B.topic: (10, 11)}

    rig.script(first, lambda: iter([{A.topic: (5, 11), B.topic: (10, 11)}]))
    rig.run()
    assert rig.started_at(A) == [8, 5]
    assert rig.table(A).calls.count("publish") == 1, "nothing was applied behind the gap"
    assert (rig.next_offset(A), rig.next_offset(B)) == (12, 12)


def test_a_connector_that_begins_anew_stops_the_tables_that_were_loaded_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P18, P19: what the slot did not hold is in no topic; the service notices, and the other table goes on."""
    monkeypatch.setattr(stream, "CAPTURE_SECONDS", 0.0)
    rig, heartbeats = Rig(), heartbeat_topic("shop")
    rig.engine.existing[heartbeats] = TopicState("before", {0: (0, 1)})
    loaded = Progress(A.topic, "id", {0: PartitionProgress(5, 1, streaming=True)}, "before")
    rig.hold(A, 5, **{PROGRESS: loaded.to_json()})
    rig.hold(B, 10)
    rig.engine.done = lambda: None
    thread = rig.run_beside()
    until(lambda: rig.state(A) == "running")
    rig.engine.existing[heartbeats] = TopicState("after", {0: (0, 1)})
    until(lambda: rig.state(A) == "stopped")
    assert rig.state(B) == "running"
    assert "begun anew" in rig.states()[str(A.target)][1]
    rig.finish(thread)


def test_a_table_of_another_key_stops_before_a_row_is_merged_by_the_new_one() -> None:
    """P72, X1."""
    rig = Rig({B.topic: (0, 9)})
    rig.hold(A, 5)
    rig.table(A).key = frozenset({"other"})
    rig.run()
    state, error = rig.states()[str(A.target)]
    assert (state, rig.next_offset(A)) == ("stopped", 5)
    assert "made with the key (other), and the configuration says (id)" in error


def test_an_idle_table_whose_messages_have_all_expired_goes_on_with_the_next_change() -> None:
    """K1: its progress ends before the marker of the last transaction, and retention has removed that too."""
    idle = replace(A, transactional=True)
    rig = Rig({A.topic: (6, 9)}, specs=(idle, B))
    rig.hold(A, 5)
    rig.engine.existing[A.topic] = TopicState("id", {0: (6, 6)})
    rig.run()
    assert rig.started_at(A) == [6]
    assert (rig.states()["ns.a"][0], rig.next_offset(A)) == (TableState.RUNNING, 10)


def test_a_table_that_never_answers_kept_all_tables_of_its_source_waiting() -> None:
    """X11: the query did not start, for ever, and no state told why."""
    rig = Rig({B.topic: (0, 9)}, retry=0.3)
    rig.table(A).holding({"id": "int"}, {PROGRESS: progress_at(A, 0)})
    rig.table(A).failures["read"] = [TransientError("metadata away")] * 100
    rig.run()
    assert rig.next_offset(B) == 10
    assert rig.states()["ns.a"] == (TableState.STOPPED, "metadata away")


def test_a_query_that_could_not_be_stopped_made_the_next_run_skip_its_batches() -> None:
    rig = Rig(BOTH)
    started = rig.engine.start

    def start(*given: Any) -> Any:
        query = started(*given)
        stop = query.stop

        def stop_badly() -> None:
            stop()
            raise KeyError("a mistake")

        query.stop = stop_badly  # type: ignore[method-assign]
        return query

    rig.engine.start = start  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        rig.run()
    rig.engine.start = started  # type: ignore[method-assign]
    rig.stop.clear()
    rig.engine._pending = [MemoryMicroBatch(rig.engine, LATER)]  # noqa: SLF001
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (7, 12)
