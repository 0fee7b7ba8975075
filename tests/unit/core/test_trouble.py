"""What begins, what is over, and since when."""

from datetime import UTC, datetime, timedelta

from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.core.trouble import Place, Trouble, Troubles, from_json, to_json

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ITEMS = TableName("public", "Order. Items")
FAILED = Finding("connector_failed", "it failed", "restart it")
AWAY = Finding("source_away", "no answer", "")
UNLOGGED = Finding("unlogged", "it is", "SET LOGGED", table=ITEMS)


def at(seconds: int) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def names(troubles: object) -> list[str]:
    return [trouble.finding.name for trouble in troubles]  # type: ignore[attr-defined]


def test_a_trouble_begins_once_and_keeps_its_beginning_whatever_its_words():
    troubles = Troubles()
    first = troubles.follow([FAILED, UNLOGGED, Finding("b", "a remark", "", fatal=False)], at(0))
    assert names(first.begun) == ["connector_failed", "unlogged"]
    second = troubles.follow([UNLOGGED, FAILED._replace(what="another trace")], at(10))
    assert (second.begun, second.over) == ((), ())
    assert second.now[Place("connector_failed", None)] == Trouble(FAILED._replace(what="another trace"), at(0))
    third = troubles.follow([UNLOGGED], at(20))
    assert names(third.over) == ["connector_failed"]
    fourth = troubles.follow([UNLOGGED, FAILED], at(30))
    assert fourth.begun == (Trouble(FAILED, at(30)),)


def test_what_passes_by_itself_counts_from_the_second_look_and_began_with_the_first():
    troubles = Troubles(passing=("source_away",))
    assert troubles.follow([AWAY], at(0)).now == {}
    assert troubles.follow([], at(10)).over == ()
    assert troubles.follow([AWAY], at(20)).now == {}
    assert troubles.unsure
    turn = troubles.follow([AWAY], at(30))
    assert turn.begun == (Trouble(AWAY, at(20)),)
    assert not troubles.unsure
    assert troubles.follow([AWAY], at(40)).begun == ()
    assert names(troubles.follow([], at(50)).over) == ["source_away"]


def test_of_two_findings_in_one_place_the_first_counts_and_each_table_has_its_own():
    other = UNLOGGED._replace(table=TableName("public", "t"))
    turn = Troubles().follow([UNLOGGED, other, UNLOGGED._replace(what="again")], at(0))
    assert {place.table: trouble.finding.what for place, trouble in turn.now.items()} == {
        ITEMS: "it is",
        other.table: "it is",
    }


def test_troubles_are_kept_and_shown():
    kept = [Trouble(FAILED, at(0)), Trouble(UNLOGGED, at(1))]
    assert from_json(to_json(kept)) == kept
    assert [str(one) for one in kept] == [
        "connector_failed: it failed; restart it (since 2026-01-02 03:04:05Z)",
        'unlogged: public."Order. Items": it is; SET LOGGED (since 2026-01-02 03:04:06Z)',
    ]
