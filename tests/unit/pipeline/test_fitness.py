"""Tables that the source does not let go on: they rest alone, and come back when it does, or when they are loaded."""

from collections.abc import Iterator

from cdc.core.errors import TerminalError
from cdc.core.preflight import Finding
from cdc.core.status import TableState
from tests.unit.pipeline.rig import BOTH, LATER, A, B, Offsets, Rig, until

KEYLESS = Finding("key_not_unique", "key (id) is not unique", "choose another key")
UNLOGGED = Finding("unlogged", "it is unlogged", "SET LOGGED", gap=True)


def test_a_table_that_is_unfit_from_the_start_rests_and_the_others_run() -> None:
    """One table that was dropped refused the start of all."""
    rig = Rig(BOTH)
    rig.pipeline.judge({A.topic: UNLOGGED})
    rig.run()
    assert [set(start) for start in rig.engine.starts] == [{B.topic}]
    assert rig.states() == {
        "ns.a": (TableState.STOPPED, "it is unlogged; SET LOGGED"),
        "ns.b": (TableState.RUNNING, ""),
    }
    assert rig.control.marks == {}, "it had not begun: nothing can have been missed"
    assert rig.report.resting() == ["ns.a: stopped: it is unlogged; SET LOGGED"]


def test_a_table_goes_on_from_its_own_progress_once_it_is_fit_again() -> None:
    rig = Rig()

    def running() -> Iterator[Offsets]:
        yield BOTH
        rig.pipeline.judge({A.topic: KEYLESS})
        until(lambda: rig.state(A) == TableState.STOPPED)
        yield LATER
        rig.pipeline.judge({})

    rig.script(running, lambda: iter([{A.topic: (5, 6)}]))
    rig.run()
    assert (rig.started_at(A), rig.started_at(B)) == ([0, 5], [0, 12])
    assert (rig.next_offset(A), rig.next_offset(B)) == (7, 12)
    assert rig.states()["ns.a"] == (TableState.RUNNING, "")
    assert rig.control.marks == {}


def test_a_table_that_may_have_missed_changes_stays_out_until_it_is_loaded_anew() -> None:
    rig = Rig()

    def running() -> Iterator[Offsets]:
        yield BOTH
        rig.pipeline.judge({A.topic: UNLOGGED})
        until(lambda: rig.state(A) == TableState.STOPPED)
        rig.pipeline.judge({})
        until(lambda: set(rig.control.marks) == {"ns.a"})
        yield LATER

    def again() -> Iterator[Offsets]:
        rig.hold(A, 42)
        rig.control.loaded("ns.a")
        yield {B.topic: (12, 13)}

    rig.script(running, again, lambda: iter([{A.topic: (42, 50)}]))
    rig.run()
    assert rig.started_at(A) == [0, None, 42]
    assert rig.next_offset(B) == 14
    assert rig.states()["ns.a"] == (TableState.RUNNING, "")
    assert "ns.a" not in rig.control.marks


def test_a_stale_mark_outlives_the_service_and_says_how_it_ends() -> None:
    rig = Rig(BOTH)
    rig.hold(A, 5)
    rig.control.stale("ns.a", "it was unlogged")
    rig.run()
    assert rig.started_at(A) == [None]
    state, said = rig.states()["ns.a"]
    assert state == TableState.STOPPED
    assert "it was unlogged: its rows may be wrong since 2026-01-03" in said
    assert "`cdc tables reset ns.a` loads it anew" in said


def test_a_mark_that_could_not_be_written_is_written_later() -> None:
    rig = Rig()
    stale = rig.control.stale

    def away(*_: object) -> None:
        raise ConnectionError

    def running() -> Iterator[Offsets]:
        yield BOTH
        rig.control.stale = away  # type: ignore[method-assign]
        rig.pipeline.judge({A.topic: UNLOGGED})
        until(lambda: rig.state(A) == TableState.STOPPED)
        assert rig.control.marks == {}
        rig.control.stale = stale  # type: ignore[method-assign]
        rig.pipeline.judge({A.topic: UNLOGGED})
        until(lambda: "ns.a" in rig.control.marks)

    rig.script(running)
    rig.run()
    assert rig.control.marks["ns.a"].why == "it is unlogged"


def test_a_table_that_is_added_unfit_rests_from_the_start_and_comes_in_when_it_is_fit() -> None:
    """It had not begun, so nothing can have been missed, whatever it lacks."""
    rig = Rig(specs=(B,))

    def alone() -> Iterator[Offsets]:
        yield {B.topic: (0, 9)}
        rig.pipeline.reconfigure((A, B), rig.engine)
        rig.pipeline.judge({A.topic: UNLOGGED})

    def both() -> Iterator[Offsets]:
        rig.pipeline.judge({A.topic: UNLOGGED})  # as the watch does, again and again
        until(lambda: rig.state(A) == TableState.STOPPED)
        yield {B.topic: (10, 11)}
        rig.pipeline.judge({})

    rig.script(alone, both, lambda: iter([{A.topic: (0, 4)}]))
    rig.run()
    assert rig.started_at(A) == [None, None, 0]
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 12)
    assert rig.control.marks == {}


def test_a_pipeline_whose_tables_are_all_unfit_waits() -> None:
    rig = Rig(BOTH)
    rig.pipeline.judge({A.topic: KEYLESS, B.topic: KEYLESS})
    thread = rig.run_beside()
    until(lambda: rig.state(B) == TableState.STOPPED)
    assert rig.engine.starts == []
    rig.pipeline.judge({})
    thread.join(10)
    assert (rig.next_offset(A), rig.next_offset(B)) == (5, 10)


def test_a_gap_that_opened_while_a_table_was_stopped_is_a_gap_all_the_same() -> None:
    """The table was tried again by itself, and went on behind what nobody had captured."""
    rig = Rig()
    rig.table(A).failures["publish"] = [TerminalError("no room")]
    set_aside = Finding("set_aside", "the connector goes on without it", "", gap=True)

    def running() -> Iterator[Offsets]:
        yield {A.topic: (0, 4)}
        rig.table(A).failures["publish"] = [TerminalError("no room")]
        yield {A.topic: (5, 6), B.topic: (0, 9)}
        until(lambda: rig.state(A) == TableState.STOPPED)
        rig.pipeline.judge({A.topic: set_aside})
        until(lambda: set(rig.control.marks) == {"ns.a"})
        rig.pipeline.judge({A.topic: set_aside})
        rig.pipeline.judge({})

    rig.table(A).failures.clear()
    rig.script(running)
    rig.run()
    assert rig.next_offset(A) == 5
    assert rig.states()["ns.a"][0] == TableState.STOPPED
