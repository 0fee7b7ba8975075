"""Digests of rows and fingerprints of ranges, as Python makes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.core.fingerprint import (
    Digest,
    Fingerprint,
    KeyRange,
    Rendering,
    digest,
    fingerprint,
    joined,
    parted,
    ranges_between,
    rendered,
)

ROWS = st.lists(st.none() | st.text(alphabet=",;-ab\x00🦊"), max_size=4)
DIGESTS = st.lists(st.builds(Digest, st.integers(0, 2**60 - 1), st.integers(0, 2**60 - 1)))


@given(ROWS)
def test_a_joined_row_is_parted_again(row: list[str | None]) -> None:
    assert parted(joined(row)) == tuple(row)


@given(ROWS, ROWS)
def test_two_rows_have_two_texts(one: list[str | None], other: list[str | None]) -> None:
    assert (joined(one) == joined(other)) == (one == other)


@pytest.mark.parametrize("text", ["a", ",", "a,;b", ",;,"])
def test_what_is_no_joined_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a joined row"):
        parted(text)


def test_digests_are_of_md5() -> None:
    """``md5('1,;,-')`` as every database has it."""
    assert joined(["1", None]) == "1,;,-"
    assert digest(["1", None]) == Digest(0x3FD3B67A298B164, 0xF3332D04BD2A5CD)


@given(DIGESTS, DIGESTS, st.randoms())
def test_fingerprints_add_up_in_any_order(one: list[Digest], other: list[Digest], r: object) -> None:
    both = one + other
    r.shuffle(both)  # type: ignore[attr-defined]
    assert fingerprint(both) == fingerprint(one).joined(fingerprint(other))


def test_a_row_that_is_there_twice_does_not_cancel_itself() -> None:
    """As it would where digests are combined by exclusive or."""
    assert len({fingerprint([Digest(1, 2)] * n) for n in range(4)}) == 4


def test_sums_of_a_database_may_be_texts_and_none() -> None:
    assert Fingerprint.of(0, None, None) == Fingerprint()
    assert Fingerprint.of(3, "18446744073709551617", 2) == Fingerprint(3, 1, 2)


@pytest.mark.parametrize(
    ("rendering", "text", "expected"),
    [
        (Rendering.PLAIN, "1.50", "1.50"),
        (Rendering.NUMBER, "1.50", "1.5"),
        (Rendering.NUMBER, "100", "100"),
        (Rendering.NUMBER, "0.00", "0"),
        (Rendering.NUMBER, "NaN", "NaN"),
        (Rendering.FLOAT, "1.5", "3fc00000"),
        (Rendering.FLOAT, "NaN", "7fc00000"),
        (Rendering.DOUBLE, "-0.0", "8000000000000000"),
        (Rendering.DOUBLE, "NaN", "7ff8000000000000"),
        (Rendering.DOUBLE, "Infinity", "7ff0000000000000"),
        (Rendering.DOUBLE, None, None),
    ],
)
def test_texts_that_are_digested(rendering: Rendering, text: str | None, expected: str | None) -> None:
    assert rendered(rendering, text) == expected


def test_ranges_hold_every_key() -> None:
    assert ranges_between("id", [], numbers=True) == (KeyRange("id"),)
    assert ranges_between("id", ["3", "7"], numbers=False) == (
        KeyRange("id", None, "3", numbers=False),
        KeyRange("id", "3", "7", numbers=False),
        KeyRange("id", "7", None, numbers=False),
    )
