"""A proof names what differs and nothing else, whatever changes while it is made."""

import random
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.core.errors import TransientError
from cdc.core.fingerprint import joined
from cdc.core.proof import LOOKS, PART, Kind, TableProof, changed_share, part_rows, part_seconds, suspects_at_once
from cdc.pipeline.prove import Progressing, Proof
from tests.fakes.sides import FakeSides

SEEDS = st.integers(0, 2**32)
KEYS = 60


def filled(seed: int) -> FakeSides:
    """Rows that came and went, all of which the lake has."""
    rng = random.Random(seed)
    sides = FakeSides(rng, KEYS)
    for key in range(KEYS):
        sides.put(str(key), rng.choice(["a", "b", None]))
    sides.follow(len(sides.log))
    return sides


def prove(sides: FakeSides) -> TableProof:
    return Proof(sides, ("public.t", "shop.t"), pause=lambda _seconds: None).run()


def named(proof: TableProof) -> dict[str, Kind]:
    return {one.key: one.kind for one in proof.differences}


def plant(sides: FakeSides, number: int) -> dict[str, Kind]:
    """Make rows of the lake wrong; returns how their keys differ then."""
    rows, planted = sides.rows_of_source(), {}
    for key in sides.rng.sample(range(KEYS), number):
        is_there = str(key) in rows
        kind = sides.rng.choice([Kind.MISSING, Kind.DIFFERENT]) if is_there else Kind.EXTRA
        sides.wrong[str(key)] = None if kind is Kind.MISSING else "wrong"
        planted[joined([str(key)])] = kind
    return planted


@given(SEEDS, st.integers(0, 12), st.booleans())
def test_at_rest_all_that_differs_is_named(seed: int, number: int, busy: bool) -> None:
    sides = filled(seed)
    sides.is_busy = busy
    planted = plant(sides, number)
    proof = prove(sides)
    assert named(proof) == planted
    assert proof.equal == (not planted)
    assert proof.rows == len(sides.rows_of_source())
    assert proof.unsettled == 0


@given(SEEDS, st.integers(0, 12), st.booleans(), st.floats(0, 0.9))
def test_what_changes_meanwhile_is_no_difference(seed: int, number: int, busy: bool, rate: float) -> None:
    """Keys that nobody changes are told apart from those in flight; of these none is named that is right."""
    sides = filled(seed)
    sides.is_busy = busy
    planted = plant(sides, number)
    restless = [str(n) for n in range(KEYS) if joined([str(n)]) not in planted and n % 2]
    values = count()

    def change(sides: FakeSides) -> None:
        if sides.rng.random() < rate:
            for key in sides.rng.sample(restless, 5):
                sides.put(key, sides.rng.choice([None, f"v{next(values)}", "a"]))

    sides.change = change
    assert named(prove(sides)) == planted


@given(SEEDS)
def test_a_row_that_comes_and_goes_with_one_content_is_not_missing(seed: int) -> None:
    """Whenever the source is read it is there, and whenever the lake is read it is not: its tombstone is another."""
    sides = filled(seed)
    sides.put("7", "a")

    def change(sides: FakeSides) -> None:
        sides.put("7", None)
        sides.put("7", "a")

    sides.change = change
    assert named(prove(sides)) == {}


def test_what_changes_at_every_look_is_unsettled_and_no_difference() -> None:
    """A counter that is always moving keeps nothing else from being proved."""
    sides, values = filled(1), count()
    sides.put("3", "x")
    planted = {joined(["5"]): Kind.EXTRA if "5" not in sides.rows_of_source() else Kind.DIFFERENT}
    sides.wrong["5"] = "wrong"
    sides.change = lambda sides: sides.put("3", f"v{next(values)}")
    proof = prove(sides)
    assert proof.unsettled == 1
    assert named(proof) == planted


def test_a_change_that_was_lost_is_a_difference() -> None:
    """The lake has passed it, and holds the row as it was before, or none."""
    sides = filled(2)
    there = next(iter(sides.rows_of_source()))
    sides.put(there, "new")
    sides.follow(1)
    sides.wrong[there] = "old"
    (found,) = prove(sides).differences
    assert found.kind is Kind.DIFFERENT
    assert found.columns == ("value",)
    assert (found.source or {})["value"] == "new"
    assert "new" not in repr(found)  # row values are for those who ask for them


def test_equal_ranges_are_read_once_and_suspects_by_their_keys() -> None:
    sides = filled(3)
    rows = len(sides.rows_of_source())
    assert prove(sides).read == rows
    sides.wrong["1"] = "wrong"
    proof = prove(sides)
    assert rows < proof.read < 2 * rows


def test_the_position_is_that_from_before_the_first_row() -> None:
    sides = filled(4)
    assert prove(sides).position == str(KEYS)


def test_a_lake_that_does_not_come_on_is_not_waited_for_for_ever() -> None:
    sides, clock = filled(5), count(0, 50)
    sides.put("1", "x")
    sides.follow = lambda _changes: None  # type: ignore[method-assign]
    told: list[Progressing] = []
    proof = Proof(
        sides,
        ("public.t", "shop.t"),
        on_progress=told.append,
        pause=lambda _seconds: None,
        clock=lambda: float(next(clock)),
    )
    with pytest.raises(TransientError, match=r"shop\.t has not come to 61 within [34]\d\d s") as caught:
        proof.run()
    assert "cdc stream" in caught.value.hint
    assert "waiting for the lake to pass 61" in told[-1].detail


def test_a_lake_in_trouble_is_not_waited_for_for_long() -> None:
    sides, clock = filled(5), count(0, 4)
    sides.put("1", "x")
    sides.follow = lambda _changes: None  # type: ignore[method-assign]
    sides.trouble = lambda: "connector 'shop' is paused"  # type: ignore[method-assign]
    proof = Proof(sides, ("public.t", "shop.t"), pause=lambda _seconds: None, clock=lambda: float(next(clock)))
    with pytest.raises(TransientError, match=r"within [12]\d s: connector 'shop' is paused"):
        proof.run()


@pytest.mark.parametrize("busy", [False, True])
def test_no_more_rows_are_read_in_a_second_than_may_be(busy: bool) -> None:
    """However they are read."""
    sides, rests = filled(8), list[float]()
    sides.is_busy = busy
    proof = Proof(sides, ("public.t", "shop.t"), rows_per_second=10, pause=rests.append, clock=lambda: 0.0).run()
    assert sum(rests) == pytest.approx(proof.read / 10)


def test_a_proof_can_be_stopped() -> None:
    sides = filled(6)
    proof = Proof(sides, ("public.t", "shop.t"), stopping=lambda: sides.statements > 5, pause=lambda _seconds: None)
    with pytest.raises(TransientError, match="told to stop"):
        proof.run()


@pytest.mark.parametrize(
    ("rate", "rows", "busy"),
    [(0, 10_000_000, False), (20, 10_000_000, False), (1000, 10_000_000, True), (5, 1000, True), (0.001, 1000, False)],
)
def test_tables_are_busy_where_most_ranges_would_differ(rate: float, rows: int, busy: bool) -> None:
    """Of a small one any change is in the only range: its keys are few enough to be compared at once."""
    seconds = min(rows, PART) / 100_000 + 5
    assert (changed_share(rate, rows, 10_000, seconds) > 0.5) == busy


@pytest.mark.parametrize(("rate", "rows", "seconds"), [(0, PART, 15.0), (2_000, 60_000, 35.0), (10**6, PART, 6.0)])
def test_what_is_read_slowly_is_compared_in_small_parts(rate: int, rows: int, seconds: float) -> None:
    assert (part_rows(rate), part_seconds(rate)) == (rows, seconds)


def test_looks_are_bounded() -> None:
    sides, values = filled(7), count()
    sides.change = lambda sides: sides.put("3", f"v{next(values)}")
    prove(sides)
    assert sides.statements < 20 * LOOKS * 5


@pytest.mark.parametrize(
    ("rows", "size", "suspects"),
    [
        (10_000_000, 500 << 20, 50_000),  # of fifty bytes each
        (1_000_000, 1 << 30, 7_812),  # of a thousand
        (1_000, 1 << 30, 5_000),  # of a million: no fewer than were ever looked at together
        (0, 0, 50_000),
    ],
)
def test_more_suspects_are_looked_at_together_where_rows_are_small(rows: int, size: int, suspects: int) -> None:
    """Each look reads through the table once: of ten million rows a proof did not come to its end in ten minutes."""
    assert suspects_at_once(rows, size) == suspects
