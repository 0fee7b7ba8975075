"""What goes on in other processes while a pipeline runs: loads, pauses, moves, another configuration."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cdc.core.control import ControlState, Pause, Stale
from cdc.core.errors import TerminalError, TransientError
from cdc.core.names import TableName
from cdc.core.quality import Rule, Verdict
from cdc.core.status import TableState
from cdc.pipeline.apply import TOKEN
from cdc.pipeline.control import Marks
from tests.fakes.control import MemoryControl
from tests.fakes.pipeline import MemoryMicroBatch, MemoryTable, spec_of
from tests.unit.pipeline.rig import BOTH, COLUMNS, LATER, A, B, Offsets, Rig, until

LOADED = replace(A, snapshot="load")
C = spec_of("c")
PAUSED_BY_ANN = "paused by ann at 2026-01-02T00:00:00+00:00: a bad deploy"


def test_a_table_waits_for_its_load_and_the_others_go_on() -> None:
    rig = Rig(BOTH, specs=(LOADED, B))
    rig.run()
    assert [set(start) for start in rig.engine.starts] == [{B.topic}]
    assert rig.states() == {"ns.a": (TableState.LOADING, "waits for its load"), "ns.b": (TableState.RUNNING, "")}
    assert ("state", ("ns.a", "loading")) in rig.metrics.noted
    assert not rig.table(A).calls, "its load has it for itself"


def test_a_table_to_be_loaded_is_made_so_that_it_can_be_read() -> None:
    rig = Rig(BOTH, specs=(LOADED, B))
    rig.engine.columns = {A.topic: COLUMNS}
    rig.run()
    assert rig.table(A).calls[:3] == ["create", "fence", "read"]
    assert rig.table(A).calls.count("fence") == 1
    assert rig.states()["ns.a"][0] == TableState.LOADING


def test_a_loaded_table_comes_in_where_its_load_says() -> None:
    rig = Rig(specs=(LOADED, B))
    del rig.engine.existing[A.topic]  # nor is its topic there yet

    def before() -> Iterator[Offsets]:
        yield {B.topic: (0, 9)}
        rig.engine.existing[A.topic] = rig.engine.existing[B.topic]
        rig.hold(A, 42)
        rig.control.moved("ns.a")

    rig.script(before, lambda: iter([{A.topic: (42, 50), B.topic: (10, 11)}]))
    rig.run()
    assert (rig.started_at(A), rig.started_at(B)) == ([None, 42], [0, 10])
    assert (rig.next_offset(A), rig.next_offset(B)) == (51, 12)
    assert rig.table(A).summary[TOKEN] == "7"
    assert rig.states()["ns.a"] == (TableState.RUNNING, "")


def test_a_load_that_could_not_tell_of_its_end_is_found() -> None:
    rig = Rig(specs=(replace(B, snapshot="load"), LOADED))
    rig.hold(B, 5)

    def before() -> Iterator[Offsets]:
        rig.hold(A, 42)
        yield {B.topic: (5, 9)}

    rig.script(before, lambda: iter([{A.topic: (42, 50)}]))
    rig.run()
    assert rig.next_offset(A) == 51


def test_a_pipeline_whose_tables_all_wait_runs_without_a_query() -> None:
    rig = Rig({A.topic: (5, 6)}, specs=(LOADED,))
    thread = rig.run_beside()
    until(lambda: rig.state(A) == TableState.LOADING)
    assert rig.engine.starts == []
    rig.hold(A, 5)
    rig.control.moved("ns.a")
    thread.join(10)
    assert rig.next_offset(A) == 7
    assert not thread.is_alive()


def test_a_pipeline_whose_other_tables_are_stopped_goes_on_waiting() -> None:
    rig = Rig({B.topic: (0, 9)}, specs=(LOADED, B))
    rig.table(B).failures["stage"] = [TerminalError("no room")]
    rig.engine.done = lambda: None
    thread = rig.run_beside()
    until(lambda: rig.state(B) == TableState.STOPPED)
    assert thread.is_alive()
    rig.finish(thread)


def test_a_loaded_table_without_its_topic_stops() -> None:
    rig = Rig({B.topic: (0, 9)}, specs=(LOADED, B))
    rig.hold(A, 5)
    del rig.engine.existing[A.topic]
    rig.run()
    assert "does not exist" in rig.states()["ns.a"][1]


def test_a_paused_table_is_left_out_and_goes_on_from_its_own_progress() -> None:
    rig = Rig()

    def running() -> Iterator[Offsets]:
        yield BOTH
        rig.control.pause("ns.a", "ann", "a bad deploy")
        until(lambda: rig.state(A) == TableState.PAUSED)
        yield LATER
        assert (rig.next_offset(A), rig.next_offset(B)) == (5, 12)
        assert rig.states()["ns.a"] == (TableState.PAUSED, PAUSED_BY_ANN)
        rig.control.resume("ns.a")
        yield {A.topic: (7, 8), B.topic: (12, 13)}
        assert rig.next_offset(A) == 5, "this query has passed it by"

    rig.script(running, lambda: iter([{A.topic: (5, 8), B.topic: (12, 13)}]))
    rig.run()
    assert rig.started_at(A) == [0, 5]
    assert (rig.next_offset(A), rig.next_offset(B)) == (9, 14)
    assert rig.states()["ns.a"] == (TableState.RUNNING, "")
    assert ("state", ("ns.a", "paused")) in rig.metrics.noted


def test_a_table_that_was_paused_before_the_start_is_not_touched() -> None:
    rig = Rig(BOTH)
    rig.hold(A, 3)
    rig.control.pause("ns.a", "ann", "a bad deploy")
    rig.run()
    assert rig.started_at(A) == [None]
    assert rig.table(A).calls == []
    assert rig.states()["ns.a"] == (TableState.PAUSED, PAUSED_BY_ANN)


def test_a_pause_during_a_batch_shows_when_the_batch_is_through() -> None:
    rig = Rig(BOTH)
    stage = rig.table(A).stage

    def paused_meanwhile(base: int) -> None:
        rig.control.pause("ns.a", "ann", "")
        until(lambda: rig.state(A) == TableState.PAUSED)
        stage(base)

    rig.table(A).stage = paused_meanwhile  # type: ignore[method-assign]
    rig.run()
    assert rig.next_offset(A) == 5
    assert rig.states()["ns.a"][0] == TableState.PAUSED
    last = dict(value for name, value in rig.metrics.noted if name == "state")
    assert last == {"ns.a": "paused", "ns.b": "running"}


def test_a_stopped_table_that_somebody_moved_begins_again() -> None:
    rig = Rig()
    rig.table(A).failures["stage"] = [TerminalError("no room")]

    def first() -> Iterator[Offsets]:
        yield BOTH
        assert rig.state(A) == TableState.STOPPED
        rig.hold(A, 2)
        rig.control.moved("ns.a")

    rig.script(first, lambda: iter([{A.topic: (2, 6), B.topic: (10, 11)}]))
    rig.run()
    assert rig.started_at(A) == [0, 2]
    assert rig.next_offset(A) == 7
    assert rig.states()["ns.a"] == (TableState.RUNNING, "")


def test_moves_from_before_the_start_do_not_start_the_query_again() -> None:
    rig = Rig(BOTH)
    rig.control.moved("ns.a")
    rig.run()
    assert len(rig.engine.starts) == 1


def test_a_move_of_another_pipelines_table_is_none_of_ours() -> None:
    rig = Rig()

    def batches() -> Iterator[Offsets]:
        yield BOTH
        rig.control.moved("else.where")
        seen = rig.control.reads
        until(lambda: rig.control.reads > seen + 1)
        yield LATER

    rig.script(batches)
    rig.run()
    assert len(rig.engine.starts) == 1


def test_a_control_table_that_cannot_be_read_stops_nothing() -> None:
    rig = Rig()

    def batches() -> Iterator[Offsets]:
        rig.control.failures = [TransientError("catalog away"), ValueError("broken")]
        yield BOTH
        until(lambda: not rig.control.failures)
        yield LATER

    rig.script(batches)
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (7, 12)


def test_a_pause_that_could_not_be_read_at_the_start_is_heeded_once_it_can() -> None:
    """What moved in between is not known: the query starts again where the tables say."""
    rig = Rig()
    rig.control.failures = [TransientError("catalog away")]
    rig.control.pause("ns.a", "ann", "a bad deploy")

    def first() -> Iterator[Offsets]:
        until(lambda: rig.state(A) == TableState.PAUSED)
        yield BOTH

    rig.script(first, lambda: iter([BOTH]))
    rig.run()
    assert rig.started_at(A) == [0, None]
    assert (rig.next_offset(A), rig.next_offset(B)) == (0, 10)


def test_a_broken_rule_is_marked_once_and_one_that_cannot_be_is_marked_with_a_later_batch() -> None:
    control, told = MemoryControl(), []
    marks = Marks("shop", control)
    control.breaks = lambda target, why: told.append((str(target), why))  # type: ignore[method-assign]
    verdicts = [Verdict(Rule(name, check="n > 0"), 5, 1) for name in ("amount", "mail")]
    marks.breaks(A, verdicts)
    marks.state = ControlState(broken={str(A.target): Stale("2026-01-01", "rule 'amount' is broken")})
    marks.breaks(A, verdicts)
    name = str(A.target)
    assert told == [(name, "rule 'amount' is broken"), (name, "rule 'mail' is broken"), (name, "rule 'mail' is broken")]

    def away(_target: object, _why: str) -> None:
        raise TransientError("the catalog is away")

    control.breaks = away  # type: ignore[method-assign,assignment]
    marks.breaks(A, verdicts)


def test_marks_are_read_once_an_interval_and_a_change_is_told_once() -> None:
    control = MemoryControl()
    marks = Marks("shop", control, interval=3600)
    control.pause("ns.a", "ann", "")
    heard = marks.poll([A, B])
    assert heard is not None
    assert (heard.paused, heard.resumed, heard.moved) == ((A,), (), ())
    assert marks.poll([A, B]) is None
    assert control.reads == 1
    assert (marks.pause_of(A), marks.pause_of(B)) == (str(Pause("ann", "2026-01-02T00:00:00+00:00", "")), "")


def other_engine(rig: Rig, *specs: Any) -> Any:
    """Return the engine of another configuration, on the same tables."""
    for spec in specs:
        rig.engine.tables.setdefault(spec.topic, MemoryTable())
        rig.engine.existing.setdefault(spec.topic, rig.engine.existing[A.topic])
    return rig.engine


def test_tables_come_in_and_go_while_the_others_go_on() -> None:
    """X2."""
    rig = Rig()

    def before() -> Iterator[Offsets]:
        yield BOTH
        rig.pipeline.reconfigure([B, C], other_engine(rig, C))

    rig.script(before, lambda: iter([{B.topic: (10, 11), C.topic: (0, 3), A.topic: (5, 6)}]))
    rig.run()
    assert [set(start) for start in rig.engine.starts] == [{A.topic, B.topic}, {B.topic, C.topic}]
    assert (rig.next_offset(A), rig.next_offset(B), rig.next_offset(C)) == (5, 12, 4)
    assert rig.table(B).calls.count("fence") == 1
    assert set(rig.states()) == {"ns.b", "ns.c"}
    assert ("removed", "ns.a") in rig.metrics.noted


def test_a_batch_comes_to_its_end_before_another_configuration_holds() -> None:
    rig = Rig()
    stage = rig.table(A).stage

    def reconfigured_meanwhile(base: int) -> None:
        rig.pipeline.reconfigure([B], rig.engine)
        until(rig.pipeline._draining.is_set)  # noqa: SLF001 - it wants to go on, and waits for this batch
        stage(base)

    rig.table(A).stage = reconfigured_meanwhile  # type: ignore[method-assign]
    rig.script(lambda: iter([BOTH, LATER]), lambda: iter([{B.topic: (10, 11)}]))
    rig.run()
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 12)


def test_a_stopped_table_that_is_configured_anew_begins_again() -> None:
    rig = Rig()
    rig.table(A).failures["stage"] = [TerminalError("no room")]

    def first() -> Iterator[Offsets]:
        yield BOTH
        rig.pipeline.reconfigure([replace(A, properties={"x": "y"}), B], rig.engine)

    rig.script(first, lambda: iter([{A.topic: (0, 6)}]))
    rig.run()
    assert rig.next_offset(A) == 7


def test_a_topic_with_another_target_is_another_table() -> None:
    """S17."""
    rig = Rig()
    elsewhere = replace(A, target=TableName("ns", "elsewhere"))

    def first() -> Iterator[Offsets]:
        yield BOTH
        rig.engine.tables[A.topic] = MemoryTable()
        rig.pipeline.reconfigure([elsewhere, B], rig.engine)

    rig.script(first, lambda: iter([{A.topic: (0, 6)}]))
    rig.run()
    assert rig.started_at(A) == [0, 0]
    assert set(rig.states()) == {"ns.elsewhere", "ns.b"}


def test_the_newest_of_several_configurations_holds() -> None:
    rig = Rig()

    def first() -> Iterator[Offsets]:
        rig.pipeline.reconfigure([A], rig.engine)
        rig.pipeline.reconfigure([A, C], other_engine(rig, C))
        yield BOTH

    rig.script(first, lambda: iter([{C.topic: (0, 3)}]))
    rig.run()
    assert rig.next_offset(C) == 4


@pytest.mark.parametrize("how", ["paused", "loading"])
def test_a_batch_is_closed_even_if_nobody_wants_it(how: str) -> None:
    spec = LOADED if how == "loading" else A
    rig = Rig(specs=(spec, B))
    if how == "paused":
        rig.control.pause("ns.a", "ann", "")
    batch = MemoryMicroBatch(rig.engine, {A.topic: (0, 4)})
    rig.engine._pending = [batch]  # noqa: SLF001
    rig.run()
    assert batch.closed
    assert rig.next_offset(A) == 0
