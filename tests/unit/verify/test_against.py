"""A comparison of two tables names what differs at rest and nothing else, as long as neither is further behind."""

import random
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.core.errors import PreflightError, TransientError
from cdc.core.fingerprint import Rendering, joined, parted
from cdc.core.pairing import Compared, Pairing, compared_as, paired
from cdc.core.proof import Kind, TableProof
from cdc.pipeline.against import Comparison
from cdc.pipeline.prove import Progressing
from tests.fakes.pair import FakePair

SEEDS = st.integers(0, 2**32)
KEYS = 60
BEHIND = 10.0
NAMES = ("lake:old.t", "ns.t")


def filled(seed: int, delays: tuple[float, float] = (0.0, 0.0)) -> FakePair:
    """Rows that came and went long ago, which both have."""
    pair = FakePair(random.Random(seed), KEYS, delays)
    pair.now = 0.0
    for key in range(KEYS):
        pair.put(str(key), pair.rng.choice(["a", "b", None]))
    pair.now = 1_000.0
    return pair


def compare(pair: FakePair, **options: object) -> TableProof:
    made = {"behind": BEHIND, "pause": pair.pause, "clock": lambda: pair.now} | options
    return Comparison(pair, NAMES, **made).run()  # type: ignore[arg-type]


def named(proof: TableProof) -> dict[str, Kind]:
    return {str(parted(one.key)[0]): one.kind for one in proof.differences}


def plant(pair: FakePair, number: int) -> dict[str, Kind]:
    """Make rows of the other table wrong; returns how their keys differ then."""
    planted: dict[str, Kind] = {}
    ours = pair.rows(0)
    for key in map(str, pair.rng.sample(range(0, KEYS, 2), number)):
        kinds = [Kind.EXTRA, Kind.DIFFERENT, Kind.DUPLICATE] if key in ours else [Kind.MISSING, Kind.DUPLICATE]
        planted[key] = pair.rng.choice(kinds)
        one = ours.get(key, ["a"])
        wrong = {Kind.EXTRA: [], Kind.DIFFERENT: ["wrong"], Kind.MISSING: ["lost"], Kind.DUPLICATE: one * 2}
        pair.wrong[key] = wrong[planted[key]]
    return planted


@given(SEEDS, st.integers(0, 12))
def test_at_rest_all_that_differs_is_named(seed: int, number: int) -> None:
    pair = filled(seed)
    planted = plant(pair, number)
    proof = compare(pair)
    assert named(proof) == planted
    assert proof.equal == (not planted)
    assert (proof.unsettled, proof.suspects, proof.other) == (0, len(planted), "old.t")


@given(SEEDS, st.integers(0, 12), st.floats(0, BEHIND), st.floats(0, BEHIND))
def test_what_is_on_its_way_is_no_difference(seed: int, number: int, ours: float, theirs: float) -> None:
    """Whichever of both is ahead, and however its rows come and go."""
    pair, values = filled(seed, (ours, theirs)), count()
    planted = plant(pair, number)

    def change(pair: FakePair) -> None:
        if pair.rng.random() < 0.1:
            for key in pair.rng.sample(range(1, KEYS, 2), 3):
                pair.put(str(key), pair.rng.choice([None, f"v{next(values)}", "a"]))

    pair.change = change
    for _ in range(100):
        pair.pause(0.2)
    assert named(compare(pair)) == planted


def test_a_row_that_comes_and_goes_with_one_content_is_no_difference() -> None:
    """Whenever the other table is read it is there, and whenever ours is read it is not: its tombstone is another."""
    pair = filled(1)
    pair.change = lambda pair: (pair.put("7", "a"), pair.put("7", None))[0]
    pair.wrong["7"] = ["a"]
    proof = compare(pair)
    assert (named(proof), proof.unsettled) == ({}, 1)


def test_a_table_that_is_further_behind_than_was_said_is_named_as_different() -> None:
    """What nobody can know: the rows look as if they were lost."""
    pair = filled(2, (0.0, 10 * BEHIND))
    key = next(iter(pair.rows(0)))
    pair.put(key, "new")
    pair.now += 1.0
    assert named(compare(pair)) == {key: Kind.DIFFERENT}
    assert named(compare(pair, behind=10 * BEHIND)) == {}


def test_what_changes_at_every_look_is_unsettled_and_keeps_nothing_else_from_being_named() -> None:
    pair, values = filled(3), count()
    pair.delays = (0.0, 3.0)
    pair.wrong["4"] = ["x", "y"]
    pair.change = lambda pair: pair.put("3", f"v{next(values)}")
    pair.pause(1.0)
    proof = compare(pair)
    assert proof.unsettled == 1
    (found,) = proof.differences
    assert (found.key, found.kind) == (joined(["4"]), Kind.DUPLICATE)
    assert found.columns == ("value",)
    assert "'x'" not in repr(found)  # row values are for those who ask for them


def test_differences_are_named_up_to_the_limit() -> None:
    pair = filled(4)
    pair.wrong = {str(key): ["wrong"] for key in range(30)}
    assert len(compare(pair, limit=7).differences) == 7


def test_tables_that_are_equal_are_not_waited_for() -> None:
    pair = filled(5)
    before = pair.now
    assert compare(pair).equal
    assert pair.now == before


def test_waiting_is_told_and_can_be_stopped() -> None:
    pair, told = filled(6), list[Progressing]()
    pair.wrong["1"] = ["wrong"]
    with pytest.raises(TransientError, match=r"comparison of ns\.t was told to stop"):
        compare(pair, on_progress=told.append, stopping=lambda: pair.now > 1_005.0)
    assert pair.now < 1_006.0
    assert told[-1].detail == "1 keys differ: they are looked at again after 10 s"


def test_what_was_not_compared_and_why_ours_does_not_go_on_stand_in_the_proof() -> None:
    """Of a column without a form in common nothing is proved, so the tables are not equal."""
    pair = filled(7)
    pair.held_by = "ns.t is paused by ann"
    pair.pairing = Pairing({"id": Compared("string")}, ("note (only in old.t)",), ())
    proof = compare(pair)
    assert proof.equal
    assert (proof.one_sided, proof.held) == (("note (only in old.t)",), "ns.t is paused by ann")
    pair.pairing = Pairing({"id": Compared("string")}, (), ("at (timestamp in ns.t, timestamptz in old.t)",))
    assert not compare(pair).equal


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ("int", "long", Compared("long")),
        ("int", "int", Compared("int")),
        ("decimal(10, 2)", "decimal(12, 4)", Compared("decimal(12, 4)")),
        ("decimal(10, 0)", "decimal(9, 4)", Compared("decimal(14, 4)")),
        ("long", "decimal(12, 2)", Compared("decimal(21, 2)")),
        ("decimal(38, 2)", "decimal(38, 10)", Compared("string", Rendering.NUMBER)),
        ("float", "double", Compared("double")),
        ("uuid", "string", Compared("string")),
        ("fixed[16]", "binary", Compared("binary")),
        ("fixed[16]", "fixed[16]", Compared("binary")),
        ("list<string>", "list<string>", Compared("list<string>")),
        ("struct<x: int, y: list<string>>", "struct<x: int, y: list<string>>", None),
        ("timestamp", "timestamptz", None),
        ("date", "timestamp", None),
        ("string", "long", None),
        ("double", "decimal(10, 2)", None),
        ("list<int>", "list<long>", None),
        ("list<list<int>>", "list<list<int>>", None),
        ("map<string, int>", "map<string, int>", None),
        ("list<map<string, int>>", "list<map<string, int>>", None),
    ],
)
def test_types_are_compared_as_what_holds_both(ours: str, theirs: str, found: Compared | None) -> None:
    if ours.startswith("struct"):
        found = Compared(ours)
    assert compared_as(ours, theirs) == found
    assert compared_as(theirs, ours) == found


def test_own_columns_are_no_columns_and_others_are_named() -> None:
    ours = {"id": "int", "a": "string", "b": "timestamp", "_cdc_position": "string"}
    theirs = {"id": "long", "b": "timestamptz", "c": "date", "_cdc_op": "string", "_cdc_loaded": "date"}
    found = paired(("ns.t", "old.t"), ours, theirs, ["id"])
    assert found.columns == {"id": Compared("long")}
    assert found.one_sided == ("a (only in ns.t)", "c (only in old.t)")
    assert found.apart == ("b (timestamp in ns.t, timestamptz in old.t)",)


def test_a_key_has_to_be_in_both_and_to_be_comparable() -> None:
    with pytest.raises(PreflightError, match=r'table old\.t has no column "id", which is of the key') as caught:
        paired(("ns.t", "old.t"), {"id": "int"}, {"ID": "int"}, ["id"])
    assert '"ID"' in caught.value.hint
    for theirs in ("string", "list<int>"):
        with pytest.raises(PreflightError, match=r'column "id" of the key is int in ns\.t and') as caught:
            paired(("ns.t", "old.t"), {"id": "int"}, {"id": theirs}, ["id"])
        assert "old.t" in caught.value.hint
    with pytest.raises(PreflightError, match="cannot be compared"):
        paired(("ns.t", "old.t"), {"id": "list<int>"}, {"id": "list<int>"}, ["id"])
