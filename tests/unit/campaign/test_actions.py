"""The actions of a campaign: the same for the same seed, of every kind, and the same again from a file."""

from collections import Counter
from itertools import islice

import pytest

from tests.campaign.actions import COMPARED_EVERY, MOST_PAUSED, SERVERS, Action, action, actions, read, written
from tests.campaign.statements import add_column, create, statements
from tests.campaign.tables import BY_NAME, ENGINES, TABLES, added
from tests.campaign.world import Ground

MANY = [action(seed, number) for seed in range(20) for number in range(1, 201)]
KINDS = {
    "transaction",
    "burst",
    "truncate",
    "add",
    "kill",
    "pause",
    "replay",
    "rewind",
    "reload",
    "maintain",
    "compare",
}


def test_an_action_is_made_of_its_seed_and_its_number_alone() -> None:
    assert [action(7, number) for number in (5, 3, 4)] == [list(islice(actions(7), 5))[n] for n in (4, 2, 3)]
    assert action(7, 5) != action(8, 5)


def test_every_kind_is_drawn_and_known_to_the_world() -> None:
    kinds = Counter(one.kind for one in MANY)
    assert set(kinds) == KINDS
    assert all(hasattr(Ground, f"_do_{kind}") for kind in KINDS)
    assert min(kinds.values()) >= 20, kinds


def test_two_hundred_actions_kill_every_server_pause_many_and_compare_often() -> None:
    for seed in range(20):
        drawn = [action(seed, number) for number in range(1, 201)]
        assert sum(one.kind == "kill" for one in drawn) >= 10
        assert sum(one.kind == "compare" for one in drawn) == 200 // COMPARED_EVERY
    assert {one.target for one in MANY if one.kind == "kill"} == set(SERVERS)
    pauses = [one for one in MANY if one.kind == "pause"]
    assert {one.target for one in pauses} == set(SERVERS)
    assert all(1 <= one.seconds <= MOST_PAUSED for one in pauses)


def test_transactions_have_savepoints_rollbacks_several_tables_and_every_change() -> None:
    made = [one for one in MANY if one.kind == "transaction"]
    assert any(one.undone for one in made)
    assert any(not one.committed for one in made)
    assert any(len({change.table for change in one.changes}) >= 3 for one in made)
    drawn = {(change.how, change.table) for one in made for change in one.changes}
    assert drawn == {(how, table.name) for table in TABLES for how in table.hows}
    assert not any(change.how == "truncate" for one in made for change in one.undone)  # MySQL's ends the transaction


def test_actions_are_the_same_from_a_file() -> None:
    assert read(written(MANY)) == MANY
    assert read("") == []


@pytest.mark.parametrize("text", ["{", '{"kind": "kill"}', '{"number": 1, "kind": "kill", "whom": "kafka"}'])
def test_a_file_of_something_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        read(text)


def test_an_action_says_what_it_does() -> None:
    assert str(Action(3, "pause", "kafka", seconds=2.5)) == "3 pause, kafka, for 2.5 s"
    assert str(Action(4, "transaction", committed=False)) == "4 transaction, rolled back"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_change_is_the_same_statements_again(engine: str) -> None:
    """NaN is not equal to itself, so texts are compared."""
    changes = [change for one in MANY[:400] for change in (*one.changes, *one.undone)]
    assert {repr(statements(one, engine)) == repr(statements(one, engine)) for one in changes} == {True}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_statement_has_a_value_for_each_mark_also_with_further_columns(engine: str) -> None:
    more = [added(engine, seed, seed) for seed in range(12)]
    assert {bool(one.default) for one in more} == {True, False}
    for one in MANY[:400]:
        for change in one.changes:
            for sql, values in statements(change, engine, more):
                assert sql.count("%s") == len(values), sql


def test_columns_that_are_added_later_change_nothing_of_what_was_drawn_before() -> None:
    """A shorter list of actions, without the one that adds a column, does the same to the others."""
    more, longer = [added("postgres", 1, 1)], 0
    for change in (change for one in MANY[:400] for change in one.changes):
        without, with_them = statements(change, "postgres"), statements(change, "postgres", more)
        assert len(without) == len(with_them)
        for (sql, values), (other, others) in zip(without, with_them, strict=True):
            rest = list(map(repr, others))
            assert all(rest.pop(rest.index(repr(value))) for value in values)
            longer += sql != other and "added_1" in other
    assert longer > 100


def test_a_deferrable_key_is_so_in_postgres_alone() -> None:
    seats = BY_NAME["seats"]
    assert "DEFERRABLE" in create(seats, "postgres")[0]
    assert "REPLICA IDENTITY FULL" in create(seats, "postgres")[1]
    assert "DEFERRABLE" not in "".join(create(seats, "mysql"))


def test_keys_of_mysql_are_told_apart_by_their_case() -> None:
    assert "utf8mb4_bin" in create(BY_NAME["tags"], "mysql")[0]


def test_a_column_is_added_with_and_without_a_default() -> None:
    made = {add_column(BY_NAME["tags"], added("postgres", seed, 9)) for seed in range(60)}
    assert "ALTER TABLE campaign.tags ADD COLUMN added_9 integer NULL" in made
    assert "ALTER TABLE campaign.tags ADD COLUMN added_9 integer NOT NULL DEFAULT 7" in made
    assert "ALTER TABLE campaign.tags ADD COLUMN added_9 text NULL DEFAULT 'as before'" in made
    assert not any("NOT NULL" in one and "DEFAULT" not in one for one in made)
