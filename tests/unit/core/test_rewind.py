"""The plan of a rewind."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import FENCE, REWOUND_FROM, REWOUND_TO, TableHistory, part_of_batch
from cdc.core.rewind import RewindPlan, plan_rewind
from tests.unit.core.histories import TOPIC, batch, fence, history, progress, topic, without

NOW = datetime(2026, 2, 1, 8, 30, tzinfo=UTC)


def plan(made: TableHistory, to: int, *marks: tuple[int, int]) -> RewindPlan:
    return plan_rewind(made, to, TOPIC, topic(*(marks or [(0, 99), (0, 99)])), NOW)


def test_what_goes_back() -> None:
    found = plan(history(fence(), batch(3, 1), batch(5, 4)), 102)
    assert (found.from_snapshot, found.to_snapshot) == (103, 102)
    assert found.offsets == {0: (5, 3), 1: (4, 1)}
    assert found.messages == 5
    assert (found.position_before, found.position_after) == ("last (5, 4)", "last (3, 1)")
    assert found.tag == "cdc_before_rewind_20260201T083000_000000Z"
    assert (found.schema_id, found.loads) == (None, 0)


def test_the_token_does_not_go_back() -> None:
    """Whoever held the lease at that snapshot has been overtaken since."""
    found = plan(history(batch(3, 1, token=4), fence(6), batch(5, 4, token=6)), 101)
    assert found.entries["cdc.token"] == "6"
    assert found.fence["cdc.token"] == "6"
    assert found.entries["cdc.progress"] == progress(3, 1).to_json()
    assert found.fence[REWOUND_FROM] == "103"
    assert not {FENCE, REWOUND_FROM, REWOUND_TO} & found.entries.keys()


def test_properties_of_later_commits_go_away() -> None:
    made = history(batch(1, 0), batch(5, 4, **{"cdc.truncated": "place"}), properties={"cdc.truncated": "place"})
    assert plan(made, 101).stale == ("cdc.truncated",)
    assert plan(replace(made, properties={}), 101).stale == ()


def test_back_to_before_the_first_batch_and_forth_again() -> None:
    made = history(fence(), batch(3, 1))
    back = plan(made, 101)
    assert (back.after.partitions, back.messages) == ({}, 4)
    rewound = history(fence(), batch(3, 1), {**fence(), REWOUND_FROM: "102", REWOUND_TO: "101"}, refs={back.tag: 102})
    rewound = replace(rewound, versions={**rewound.versions, 103: replace(rewound.versions[103], parent=101)})
    assert plan(rewound, 102).messages == 0
    with pytest.raises(TerminalError, match="already"):
        plan(rewound, 101)
    with pytest.raises(TerminalError, match="already"):
        plan(rewound, 103)


def test_a_schema_follows_only_where_a_column_has_become_another() -> None:
    made = history(batch(1, 0), batch(5, 4))
    added = replace(made, schema_id=1, schemas={0: {"id": 1, "n": 2}, 1: {"id": 1, "n": 2, "new": 3}})
    assert plan(added, 101).schema_id is None
    dropped = replace(made, schema_id=1, schemas={0: {"id": 1, "n": 2}, 1: {"id": 1}})
    assert plan(dropped, 101).schema_id is None
    again = replace(made, schema_id=1, schemas={0: {"id": 1, "n": 2}, 1: {"id": 1, "n": 3}})
    assert (plan(again, 101).schema_id, plan(again, 101).columns) == (0, ("n",))


def test_a_rewind_to_the_deletes_of_a_truncate_lost_the_rows_of_its_batch() -> None:
    """The deletes of the truncate and the rows of its batch were two commits, and both had the batch's progress."""
    made = history(batch(1, 0), batch(5, 4), batch(5, 4), batch(9, 9))
    with pytest.raises(TerminalError, match=r"snapshot 102 of .* holds a part of a batch") as raised:
        plan(made, 102)
    assert raised.value.hint == "the whole of it is 103"
    assert plan(made, 103).offsets == {0: (9, 5), 1: (9, 4)}


def test_the_deletes_of_a_truncate_bear_no_progress_and_a_rewind_to_them_goes_on_before_the_truncate() -> None:
    made = history(batch(1, 0), part_of_batch(batch(5, 4)), batch(5, 4), batch(9, 9))
    assert plan(made, 102).after == progress(1, 0)
    assert not made.parts()


def test_loads_that_are_given_up_are_counted() -> None:
    made = history(batch(1, 0), batch(2, 0, **{"cdc.load": "x"}), batch(5, 4))
    assert plan(made, 101).loads == 1
    assert plan(made, 102).loads == 0


def test_refused_with_the_earliest_that_can_be_had() -> None:
    """X3."""
    made = history(batch(1, 0), batch(2, 2), batch(5, 4))
    with pytest.raises(PositionLost, match=r"offset 1 of shop.public.customers\[0\] is gone") as refused:
        plan(made, 101, (2, 9), (0, 9))
    assert "102" in refused.value.hint
    with pytest.raises(PositionLost, match="is gone") as refused:
        plan(made, 101, (9, 9), (9, 9))
    assert "cdc tables reset" in refused.value.hint
    foreign = {"operation": "append"}
    with pytest.raises(PositionLost, match="not known"):
        plan(without(history(batch(1, 0), foreign, batch(5, 4)), 101), 102)
