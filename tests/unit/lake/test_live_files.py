"""Bitmaps of deleted rows, places that live, and the bytes of keys."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.lake.index_entries import fixed
from cdc.lake.key_encoding import as_bytes, encoded, order_of
from cdc.lake.live_files import LiveFiles, grouped

unhurried = settings(deadline=None)


@unhurried
@given(st.integers(1, 200), st.data())
def test_rows_live_until_they_are_deleted(rows: int, data: st.DataObject) -> None:
    files = LiveFiles()
    file = files.add("a", rows)
    gone = data.draw(st.lists(st.integers(0, rows - 1)))
    files.delete("d1", {"a": np.array(gone[::2], np.int64), "elsewhere": np.array([1])})
    files.delete("d2", {"a": np.array(gone[1::2], np.int64)})
    numbers = np.arange(rows)
    assert [n for n in numbers.tolist() if not file.lives(numbers)[n]] == sorted(set(gone))
    assert files.living() == rows - len(set(gone))
    assert files.deletes == {"d1": frozenset({0}), "d2": frozenset({0})}


def test_places_in_files_that_are_gone_do_not_live() -> None:
    files = LiveFiles()
    files.add("a", 10)
    files.add("b", 10)
    files.delete("d", {"b": np.array([3])})
    numbers, rows = np.array([0, 1, 1, 7], np.uint32), np.array([3, 3, 4, 0], np.uint32)
    assert files.lives(numbers, rows).tolist() == [True, False, True, False]
    files.remove("a")
    assert files.lives(numbers, rows).tolist() == [False, False, True, False]
    assert files.add("c", 1).number == 2, "a number is never given again"


def test_groups_are_whole() -> None:
    numbers = np.array([5, 2, 5, 2, 9])
    assert {n: at.tolist() for n, at in grouped(numbers)} == {2: [1, 3], 5: [0, 2], 9: [4]}
    assert list(grouped(np.array([], int))) == []


@unhurried
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3)), min_size=1))
def test_no_two_keys_have_the_same_bytes(keys: list[tuple[str, int, bytes]]) -> None:
    texts, numbers, parts = (list(column) for column in zip(*keys, strict=True))
    found = as_bytes(encoded([pa.array(texts), pa.array(numbers, pa.int64()), pa.array(parts, pa.binary())]))
    assert len(set(found)) == len(set(keys))
    assert [found[a] == found[0] for a in range(len(keys))] == [key == keys[0] for key in keys]


@unhurried
@given(st.lists(st.floats(), min_size=1))
def test_floats_are_equal_as_spark_finds_them(values: list[float]) -> None:
    found = as_bytes(encoded([pa.array(values, pa.float64())]))
    equal = {"nan" if value != value else repr(value + 0.0) for value in values}  # noqa: PLR0124
    assert len(set(found)) == len(equal)


@unhurried
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, unique=True))
def test_integers_keep_their_order_and_their_width_does_not_matter(values: list[int]) -> None:
    narrow, wide = (encoded([pa.array(values, kind)]) for kind in (pa.int32(), pa.int64()))
    assert as_bytes(narrow) == as_bytes(wide)
    assert [values[n] for n in order_of(wide).tolist()] == sorted(values)


@unhurried
@given(st.lists(st.text(max_size=4), min_size=1))
def test_texts_are_ordered_by_their_bytes(values: list[str]) -> None:
    keys = encoded([pa.array(values)])
    assert [as_bytes(keys)[n] for n in order_of(keys).tolist()] == sorted(v.encode() for v in values)


def test_slices_are_encoded_as_what_they_hold() -> None:
    numbers = pa.array([1, 2, 3, 4])
    assert as_bytes(encoded([numbers.slice(2)])) == as_bytes(encoded([numbers]))[2:]
    texts = pa.chunked_array([["a"], ["b", "c"]])
    assert as_bytes(encoded([texts.slice(1)])) == [b"b", b"c"]


def test_a_key_without_a_value_is_none() -> None:
    """S10."""
    with pytest.raises(ValueError, match="no value"):
        encoded([pa.array([1, None])])


@pytest.mark.parametrize("texts", [["abc", "abd"], ["abcd", "ab"], ["", "abc"], [], ["äb", "abc"]])
def test_positions_are_cut_and_padded(texts: list[str]) -> None:
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    assert fixed(column, 3).tolist() == [text.encode()[:3] for text in texts]
    assert fixed(column.slice(1), 3).tolist() == [text.encode()[:3] for text in texts[1:]]
