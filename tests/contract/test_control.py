"""The control table and its fake alike: pauses, moves, and writers that meet."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdc.core.control import ControlState
from cdc.core.errors import ConfigError
from cdc.lake.control import Control
from cdc.lake.pyiceberg_catalog import HadoopReader
from tests.fakes.control import MemoryControl
from tests.sql_catalog import sql_catalog


@pytest.fixture(params=["fake", "real"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Return a function that opens the control table as another process does."""
    fake = MemoryControl()
    return (lambda: fake) if request.param == "fake" else (lambda: Control(sql_catalog(tmp_path), "cdc"))


def test_nothing_is_told_before_the_first_write(opened: Callable[[], Any]) -> None:
    assert opened().read() == ControlState()
    for _ in range(2):
        opened().create()
    assert opened().read() == ControlState()


def test_a_pause_tells_who_when_and_why_until_it_is_ended(opened: Callable[[], Any]) -> None:
    control = opened()
    control.pause('shop."Order. Items"', "ann@host", "a bad deploy")
    control.pause("shop.customers", "bob@host", "")
    paused = opened().read().paused
    assert set(paused) == {'shop."Order. Items"', "shop.customers"}
    pause = paused['shop."Order. Items"']
    assert (pause.who, pause.why, pause.at[:2]) == ("ann@host", "a bad deploy", "20")
    for _ in range(2):
        control.resume('shop."Order. Items"')
    assert set(opened().read().paused) == {"shop.customers"}


def test_every_move_has_an_id_of_its_own_and_touches_nothing_else(opened: Callable[[], Any]) -> None:
    control = opened()
    control.pause("shop.a", "ann", "")
    control.moved("shop.a")
    first = opened().read()
    control.moved("shop.a")
    control.moved("shop.b")
    second = opened().read()
    assert set(second.moved) == {"shop.a", "shop.b"}
    assert second.moved["shop.a"] != first.moved["shop.a"]
    assert second.paused == first.paused


def test_a_stale_mark_keeps_its_first_reason_until_the_table_is_loaded_anew(opened: Callable[[], Any]) -> None:
    control = opened()
    control.stale("shop.a", "it was unlogged")
    control.stale("shop.a", "it was dropped")
    control.stale("shop.b", "it was dropped")
    control.note(relations={"shop.a": "16384", "shop.b": "16390"}, troubles={})
    before = opened().read()
    assert before.stale["shop.a"].why == "it was unlogged; it was dropped"
    assert before.stale["shop.a"].at[:2] == "20"
    control.moved("shop.a")
    assert opened().read().stale == before.stale
    control.loaded("shop.a", "16400", since="2999-01-01T00:00:00+00:00")
    assert opened().read().relations["shop.a"] == "16400"
    control.loaded("shop.a", since="2999-01-01T00:00:00+00:00")
    after = opened().read()
    assert (set(after.stale), after.relations) == ({"shop.b"}, {"shop.b": "16390"})
    assert after.moved["shop.a"] != before.moved.get("shop.a")


def test_a_further_reason_of_a_mark_outlives_a_load_that_began_before_it(opened: Callable[[], Any]) -> None:
    control = opened()
    for why in ("a label was renamed", "a label was renamed", "a partition was dropped"):
        control.outdated("shop.a", why)
    mark = opened().read().outdated["shop.a"]
    assert mark.why == "a label was renamed; a partition was dropped"
    assert mark.last >= mark.at
    control.stale("shop.a", "it was dropped")
    control.loaded("shop.a", since="2020-01-01T00:00:00+00:00")
    assert (set(opened().read().stale), set(opened().read().outdated)) == ({"shop.a"}, {"shop.a"})


def test_a_mark_as_outdated_outlives_loads_that_began_before_it(opened: Callable[[], Any]) -> None:
    control = opened()
    control.outdated("shop.a", "a label was renamed")
    control.loaded("shop.a", since="2020-01-01T00:00:00+00:00")
    assert set(opened().read().outdated) == {"shop.a"}
    control.loaded("shop.a", since="2999-01-01T00:00:00+00:00")
    assert opened().read().outdated == {}
    control.outdated("shop.a", "a label was renamed")
    assert [control.accept("shop.a"), control.accept("shop.a")] == [True, False]
    assert opened().read().outdated == {}


def test_a_table_with_rows_that_break_rules_is_marked_with_each_until_all_hold(opened: Callable[[], Any]) -> None:
    control = opened()
    for rule in ("amount", "mail", "amount"):
        control.breaks("shop.a", f"rule {rule!r} is broken")
    assert opened().read().broken["shop.a"].why == "rule 'amount' is broken; rule 'mail' is broken"
    first, later = opened().read().broken["shop.a"].at, "2999-01-01T00:00:00+00:00"
    control.judged("shop.b", "", later)
    control.judged("shop.a", "", "2020-01-01T00:00:00+00:00")
    assert opened().read().broken["shop.a"].why.startswith("rule 'amount'"), "a batch has said so after the look"
    control.judged("shop.a", "rule 'mail' is broken by 3 rows", later)
    mark = opened().read().broken["shop.a"]
    assert (mark.at, mark.why) == (first, "rule 'mail' is broken by 3 rows")
    control.judged("shop.a", "", later)
    assert opened().read().broken == {}


def test_a_table_differs_until_a_proof_finds_it_equal_or_it_is_loaded_anew(opened: Callable[[], Any]) -> None:
    control = opened()
    control.differs("shop.a", "1 of its rows is not the source's")
    first = opened().read().differs["shop.a"].at
    control.differs("shop.a", "2 of its rows are not the source's")
    mark = opened().read().differs["shop.a"]
    assert (mark.at, mark.why) == (first, "2 of its rows are not the source's")
    control.equal("shop.b")
    assert set(opened().read().differs) == {"shop.a"}
    control.equal("shop.a")
    assert opened().read().differs == {}
    control.differs("shop.a", "1 of its rows is not the source's")
    control.loaded("shop.a", since="2020-01-01T00:00:00+00:00")
    assert set(opened().read().differs) == {"shop.a"}
    control.loaded("shop.a", since="2999-01-01T00:00:00+00:00")
    assert opened().read().differs == {}


def test_places_in_logs_are_those_noted_last(opened: Callable[[], Any]) -> None:
    control = opened()
    for place in ("4", "9"):
        control.note(places={"shop.history": place})
    assert opened().read().places == {"shop.history": "9"}


def test_troubles_are_those_noted_last(opened: Callable[[], Any]) -> None:
    control = opened()
    control.note(relations={}, troubles={"shop": "[1]", "other": "[]"})
    control.note(relations={}, troubles={"shop": "[]"})
    assert opened().read().troubles == {"shop": "[]", "other": "[]"}


def test_writers_that_meet_all_get_through(opened: Callable[[], Any]) -> None:
    opened().create()
    threads = [threading.Thread(target=opened().moved, args=(f"shop.t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(opened().read().moved) == {f"shop.t{n}" for n in range(4)}


def test_a_pause_that_was_set_by_hand_is_a_pause(tmp_path: Path) -> None:
    control = Control(sql_catalog(tmp_path), "cdc")
    control.create()
    table = sql_catalog(tmp_path).load_table(("cdc", "control"))
    with table.transaction() as change:
        change.set_properties({"paused.shop.a": "ann did it", "write.x": "y"})
    state = control.read()
    assert (set(state.paused), state.paused["shop.a"].why, state.moved) == ({"shop.a"}, "ann did it", {})


def test_metadata_stays_bounded(tmp_path: Path) -> None:
    control = Control(sql_catalog(tmp_path), "cdc")
    for _ in range(15):
        control.moved("shop.a")
    assert len(list(tmp_path.glob("warehouse/cdc/control/metadata/*.metadata.json"))) <= 11


def test_a_catalog_of_files_can_be_read_and_not_be_written(tmp_path: Path) -> None:
    control = Control(HadoopReader("lake", str(tmp_path)), "cdc")
    assert control.read() == ControlState()
    with pytest.raises(ConfigError, match="hadoop"):
        control.pause("shop.a", "ann", "")
