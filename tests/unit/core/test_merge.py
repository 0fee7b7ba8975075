"""Collapse and merge: what the events of a key make of its row, in one batch and cut into several."""

from collections.abc import Iterable, Sequence
from itertools import pairwise, permutations
from time import process_time
from typing import Any

import pytest

from cdc.core.collapse import collapse, torn
from cdc.core.errors import UnavailableValue
from cdc.core.events import ChangeEvent, Operation
from cdc.core.merge import TableState, merge, torn_at
from cdc.core.positions import LAYOUTS, Position

POSTGRES, MYSQL = LAYOUTS["postgres"], LAYOUTS["mysql"]
BIG = frozenset({"big"})


def event(
    operation: str,
    key: int,
    at: tuple[int, int],
    *,
    old: int | None = None,
    new: int | None = None,
    lacks: frozenset[str] = frozenset(),
    **values: Any,
) -> ChangeEvent:
    """An event of PostgreSQL; ``at`` is (LSN of the commit before, LSN). Offsets follow the LSN."""
    read = operation == "r"
    position = Position(0, (0 if read else at[0], 0 if read else 1, at[1]), at[1])
    moved = [None if k is None else (k,) for k in (old, new)]
    return ChangeEvent(Operation(operation), (key,), position, values, lacks, *moved)


def rows(*batches: Sequence[ChangeEvent], state: TableState | None = None) -> dict[int, dict[str, Any]]:
    """Return key -> values after the batches."""
    table = state or TableState()
    for batch in batches:
        table = merge(table, batch, POSTGRES)
    return {key[0]: row.values for key, row in table.rows.items()}


def splits(events: Sequence[ChangeEvent]) -> Iterable[list[Sequence[ChangeEvent]]]:
    """Return the events in one batch, and cut in two at every place."""
    yield [events]
    for cut in range(1, len(events)):
        yield [events[:cut], events[cut:]]


def assert_always(events: Sequence[ChangeEvent], expected: dict[int, dict[str, Any]]) -> None:
    for batches in splits(events):
        assert rows(*batches) == expected, [len(b) for b in batches]


def test_the_newest_event_of_a_key_wins_in_any_order() -> None:
    """P29: by the commit's place, then the change's own."""
    events = [event("c", 1, (0, 10), n=1), event("u", 1, (20, 30), n=2), event("u", 1, (40, 25), n=3)]
    for order in permutations(events):
        assert rows(order) == {1: {"n": 3}}
        assert rows(*[[e] for e in order]) == {1: {"n": 3}}


def test_redeliveries_change_nothing() -> None:
    """P30, K6."""
    events = [event("c", 1, (0, 10), n=1), event("u", 1, (10, 20), n=2), event("d", 1, (20, 30))]
    assert rows(events, events) == {}
    assert rows(events[:2], events[:2], events[:1]) == {1: {"n": 2}}


def test_a_snapshot_read_does_not_overwrite_a_change() -> None:
    assert rows([event("u", 1, (0, 5), n=2)], [event("r", 1, (0, 100), n=1)]) == {1: {"n": 2}}


@pytest.mark.parametrize("late", [10, 19])
def test_a_deleted_row_does_not_come_back(late: int) -> None:
    """S14: a duplicate older than the delete arrives after it, when the row is long gone."""
    assert rows([event("c", 1, (0, 10), n=1)], [event("d", 1, (0, 20))], [event("c", 1, (0, late), n=1)]) == {}


def test_a_row_deleted_and_inserted_again_stays() -> None:
    events = [event("c", 1, (0, 10), n=1), event("d", 1, (10, 20)), event("c", 1, (20, 30), n=2)]
    assert_always(events, {1: {"n": 2}})
    together = [event("c", 1, (0, 10), n=1), event("d", 1, (10, 20)), event("c", 1, (10, 30), n=2)]
    assert_always(together, {1: {"n": 2}})


def test_an_unavailable_value_keeps_the_one_before() -> None:
    """P3: in the batch or in the table; the placeholder is never a value."""
    events = [event("c", 1, (0, 10), n=1, big="x"), event("u", 1, (10, 20), n=2, lacks=BIG)]
    assert_always(events, {1: {"n": 2, "big": "x"}})


def test_an_unavailable_value_survives_several_updates() -> None:
    """P3: each update alone lacks it, and a changed value in between counts."""
    events = [
        event("c", 1, (0, 10), n=1, big="x"),
        event("u", 1, (10, 20), n=2, lacks=BIG),
        event("u", 1, (20, 30), n=3, big="y"),
        event("u", 1, (30, 40), n=4, lacks=BIG),
    ]
    assert_always(events, {1: {"n": 4, "big": "y"}})


def test_a_value_known_nowhere_stops_the_table() -> None:
    """P4."""
    with pytest.raises(UnavailableValue, match="'big'"):
        rows([event("u", 1, (0, 10), n=1, lacks=BIG)])


def test_an_unavailable_value_is_not_taken_from_a_deleted_row() -> None:
    events = [event("c", 1, (0, 10), big="old"), event("d", 1, (10, 20)), event("u", 1, (20, 30), n=1, lacks=BIG)]
    with pytest.raises(UnavailableValue):
        rows(events)


def test_a_key_change_takes_the_unavailable_value_along() -> None:
    """P6."""
    moved = [event("d", 1, (10, 20), new=2), event("c", 2, (10, 20), old=1, n=2, lacks=BIG)]
    assert rows([event("c", 1, (0, 10), n=1, big="x"), *moved]) == {2: {"n": 2, "big": "x"}}
    assert rows([event("c", 1, (0, 10), n=1, big="x")], moved) == {2: {"n": 2, "big": "x"}}


def test_a_chain_of_key_changes_takes_it_along() -> None:
    first = [event("d", 1, (10, 20), new=2), event("c", 2, (10, 20), old=1, n=2, lacks=BIG)]
    second = [event("d", 2, (20, 30), new=3), event("c", 3, (20, 30), old=2, n=3, lacks=BIG)]
    assert rows([event("c", 1, (0, 10), n=1, big="x")], first + second) == {3: {"n": 3, "big": "x"}}


def test_a_placeholder_whose_old_key_left_in_an_earlier_batch_stops_the_table() -> None:
    """The value went with the old row: why key changes are applied whole, and what happens after waiting in vain."""
    before = [event("c", 1, (0, 10), n=1, big="x")]
    with pytest.raises(UnavailableValue):
        rows(before, [event("d", 1, (10, 20), new=2)], [event("c", 2, (10, 20), old=1, n=2, lacks=BIG)])


def test_a_batch_ends_before_a_key_change_of_which_only_one_half_is_there() -> None:
    """P6, P11: either half may come first."""
    state = merge(TableState(), [event("c", k, (0, k), n=k, big="x") for k in (1, 2)], POSTGRES)
    first = [event("d", 1, (10, 20), new=3), event("c", 3, (10, 20), old=1, n=1, lacks=BIG)]
    second = [event("d", 2, (10, 30), new=4), event("c", 4, (10, 30), old=2, n=2, lacks=BIG)]
    assert torn_at(state, [*first, *second], POSTGRES) is None
    for half in second:
        assert torn_at(state, [*first, half], POSTGRES) == (10, 1, 30)
        assert torn_at(state, [first[0], half], POSTGRES) == (10, 1, 20)


def test_a_key_change_that_is_applied_already_is_not_waited_for() -> None:
    """A redelivery of one half in a batch of its own changes nothing and holds nothing back."""
    moved = [event("d", 1, (10, 20), new=2), event("c", 2, (10, 20), old=1, n=1)]
    state = merge(TableState(), [event("c", 1, (0, 10), n=1), *moved], POSTGRES)
    assert [torn_at(state, [half], POSTGRES) for half in moved] == [None, None]


def test_a_key_change_that_was_given_up_is_not_waited_for() -> None:
    halves = [event("d", 1, (10, 20), new=2), event("d", 3, (10, 30), new=4)]
    states = {e.key: collapse(None, [e], POSTGRES) for e in halves}
    assert torn(states) == (10, 1, 20)
    assert torn(states, given_up=(10, 1, 20)) == (10, 1, 30)
    assert torn(states, given_up=(10, 1, 30)) is None


def test_two_rows_swap_their_keys() -> None:
    """P12, as tried on a real server: taking the last event per key would delete row 2."""
    before = [event("c", 1, (0, 10), v="one"), event("c", 2, (0, 11), v="two")]
    swap = [
        event("d", 1, (20, 30), new=2),
        event("c", 2, (20, 30), old=1, v="one"),
        event("d", 2, (20, 40), new=1),
        event("c", 1, (20, 40), old=2, v="two"),
    ]
    assert_always(before + swap, {1: {"v": "two"}, 2: {"v": "one"}})
    for batches in splits(swap):
        assert rows(before, *batches) == {1: {"v": "two"}, 2: {"v": "one"}}


def test_a_swap_cut_in_two_whose_second_row_leaves_a_value_out_stops_the_table() -> None:
    """P6, P12: one row of a key is kept between batches, so the value of the one that has yet to leave is gone."""
    before = [event("c", 1, (0, 10), n=1, big="one"), event("c", 2, (0, 11), n=2, big="two")]
    first = [event("d", 1, (20, 30), new=2), event("c", 2, (20, 30), old=1, n=1, big="one")]
    second = [event("d", 2, (20, 40), new=1), event("c", 1, (20, 40), old=2, n=2, lacks=BIG)]
    assert rows(before, [*first, *second]) == {1: {"n": 2, "big": "two"}, 2: {"n": 1, "big": "one"}}
    with pytest.raises(UnavailableValue):
        rows(before, first, second)


def test_long_chains_of_key_changes_are_completed_in_time() -> None:
    """Every departure was gone through once for every other one."""
    count = 3_000
    state = merge(TableState(), [event("c", 0, (0, 1), n=0, big="x")], POSTGRES)
    chain = [
        half
        for k in range(count)
        for half in (event("d", k, (5, 10 + k), new=k + 1), event("c", k + 1, (5, 10 + k), old=k, n=k, lacks=BIG))
    ]
    began = process_time()
    assert rows(chain, state=state) == {count: {"n": count - 1, "big": "x"}}
    assert process_time() - began < 5


def test_three_rows_change_keys_in_a_ring() -> None:
    before = [event("c", k, (0, k), v=k) for k in (1, 2, 3)]
    ring = [
        half
        for lsn, (old, new) in enumerate(pairwise((1, 2, 3, 1)), 30)
        for half in (event("d", old, (20, lsn), new=new), event("c", new, (20, lsn), old=old, v=old))
    ]
    assert_always(before + ring, {1: {"v": 3}, 2: {"v": 1}, 3: {"v": 2}})


@pytest.mark.parametrize("upwards", [True, False])
def test_all_keys_shift_by_one(upwards: bool) -> None:
    """P12: UPDATE .. SET id = id + 1, whichever row the server takes first."""
    before = [event("c", k, (0, k), v=k, big=f"b{k}") for k in (1, 2, 3)]
    order = (1, 2, 3) if upwards else (3, 2, 1)
    shift = [
        half
        for lsn, k in enumerate(order, 30)
        for half in (event("d", k, (20, lsn), new=k + 1), event("c", k + 1, (20, lsn), old=k, v=k, lacks=BIG))
    ]
    assert rows(before, shift) == {k + 1: {"v": k, "big": f"b{k}"} for k in (1, 2, 3)}


def test_all_keys_shift_by_one_in_oracle() -> None:
    """O30: legal there, since keys are checked when the statement has ended; the order is that in the transaction."""
    layout = LAYOUTS["oracle"]

    def at(sequence: int) -> Position:
        return Position(0, (700, 1, sequence), sequence)

    rows_before = [ChangeEvent(Operation.CREATE, (k,), Position(0, (600, 1, k), k), {"v": k}) for k in (1, 2, 3)]
    shift = [
        half
        for n, k in enumerate((1, 2, 3), 4)
        for half in (
            ChangeEvent(Operation.DELETE, (k,), at(n), new_key=(k + 1,)),
            ChangeEvent(Operation.CREATE, (k + 1,), at(n), {"v": k}, old_key=(k,)),
        )
    ]
    whole = merge(merge(TableState(), rows_before, layout), shift, layout)
    assert {key[0]: row.values for key, row in whole.rows.items()} == {k + 1: {"v": k} for k in (1, 2, 3)}


def test_a_swap_and_a_real_delete_in_one_transaction() -> None:
    before = [event("c", 1, (0, 10), v="one"), event("c", 2, (0, 11), v="two")]
    changes = [
        event("d", 1, (20, 30), new=2),
        event("c", 2, (20, 30), old=1, v="one"),
        event("d", 2, (20, 40), new=1),
        event("c", 1, (20, 40), old=2, v="two"),
        event("d", 2, (20, 50)),
    ]
    assert_always(before + changes, {1: {"v": "two"}})


def test_a_row_that_moved_in_can_be_updated_before_the_former_leaves() -> None:
    before = [event("c", 1, (0, 10), v="one"), event("c", 2, (0, 11), v="two")]
    changes = [
        event("d", 1, (20, 30), new=2),
        event("c", 2, (20, 30), old=1, v="one"),
        event("u", 2, (20, 35), v="one again"),
        event("d", 2, (20, 40), new=3),
        event("c", 3, (20, 40), old=2, v="two"),
    ]
    assert_always(before + changes, {2: {"v": "one again"}, 3: {"v": "two"}})


def test_a_key_freed_by_one_transaction_is_taken_by_the_next() -> None:
    before = [event("c", 1, (0, 10), v="one"), event("c", 2, (0, 11), v="two")]
    changes = [
        event("d", 2, (20, 30), new=3),
        event("c", 3, (20, 30), old=2, v="two"),
        event("d", 1, (40, 50), new=2),
        event("c", 2, (40, 50), old=1, v="one"),
        event("d", 2, (60, 70)),
    ]
    assert_always(before + changes, {3: {"v": "two"}})


def test_mysql_checks_keys_at_once_so_a_delete_always_deletes() -> None:
    def at(operation: str, pos: int, **more: Any) -> ChangeEvent:
        return ChangeEvent(Operation(operation), (1,), Position(0, (3, pos, 1), pos), **more)

    batch = [at("c", 1, values={"n": 1}), at("c", 2, values={"n": 2}, old_key=(9,)), at("d", 3, new_key=(8,))]
    assert merge(TableState(), batch, MYSQL).rows == {}


def test_changes_in_one_place_follow_the_offset_in_mysql() -> None:
    """M12, M37: three updates of a compressed transaction have one file and position."""
    place = (3, 500, 1)
    batch = [ChangeEvent(Operation.UPDATE, (1,), Position(0, place, offset), {"n": offset}) for offset in (7, 5, 6)]
    assert merge(TableState(), batch, MYSQL).rows[(1,)].values == {"n": 7}


def test_a_truncate_removes_what_is_below_it() -> None:
    before = [event("c", 1, (0, 10), n=1), event("c", 2, (0, 11), n=2)]
    after = [event("t", 0, (20, 30)), event("c", 2, (40, 50), n=3)]
    assert_always(before + after, {2: {"n": 3}})


def test_what_a_truncate_covers_does_not_come_back() -> None:
    """P14."""
    before = [event("c", 1, (0, 10), n=1)]
    assert rows(before, [event("t", 0, (20, 30))], before) == {}
    assert rows([event("t", 0, (20, 30)), *before]) == {}


def test_a_new_history_wins_over_the_old() -> None:
    """Re-snapshot: the rows of a higher epoch win, although their positions are smaller."""
    old = event("u", 1, (100, 200), n=1)
    read = ChangeEvent(Operation.READ, (1,), Position(1, (0, 0, 5), 9), {"n": 2})
    assert rows([old], [read]) == {1: {"n": 2}}
    assert rows([read], [old]) == {1: {"n": 2}}


def test_a_swap_whose_halves_are_in_two_epochs_hands_values_over() -> None:
    """The highest epoch of a batch may begin between the two halves: they are matched by place, not by epoch."""
    moved = [
        ChangeEvent(Operation.DELETE, (1,), Position(0, (10, 1, 20), 5), new_key=(2,)),
        ChangeEvent(Operation.CREATE, (2,), Position(1, (10, 1, 20), 3), {"n": 2}, BIG, old_key=(1,)),
    ]
    assert rows([event("c", 1, (0, 10), n=1, big="x")], moved) == {2: {"n": 2, "big": "x"}}
