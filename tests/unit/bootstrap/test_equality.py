"""Rows of source and lake beside each other: by their digests, and by their values."""

import pyarrow as pa

from cdc.bootstrap.by_value import differing_values, key_values
from cdc.bootstrap.equality import _together
from cdc.core.canonical import Form
from cdc.core.fingerprint import joined
from cdc.spark.digests import NO_DIGESTS, differing

DIGESTS = pa.table({"key": ["1,;", "2,;"], "first": [1, 2], "second": [3, 4]}, schema=NO_DIGESTS.schema)


def test_a_range_without_rows_had_no_columns() -> None:
    """A reader may give no batch at all; what the lake holds there is extra."""
    assert _together([pa.table({}), pa.table({})], NO_DIGESTS) == NO_DIGESTS
    assert _together([pa.table({}), DIGESTS], NO_DIGESTS) == DIGESTS
    assert sorted(differing(NO_DIGESTS, DIGESTS)) == ["1,;", "2,;"]
    assert differing(DIGESTS, DIGESTS) == []
    assert list(differing_values(pa.table({}), pa.table({"id": [1]}), ["id"], {})) == []


def test_values_that_mean_the_same_are_alike() -> None:
    """NaN is NaN, lists and structs are compared by their members, JSON by its content."""
    source = pa.table(
        {
            "id": [1, 2, 3, 4],
            "ratio": [float("nan"), 0.5, None, 1.0],
            "tags": [["a"], ["b"], None, []],
            "at": [{"x": 1}, None, {"x": 2}, {"x": 3}],
            "doc": ['{"a": 1}', "null", None, "[1]"],
        }
    )
    lake = source.set_column(4, "doc", pa.array(['{"a":1}', "null", None, "[1,2]"])).take([3, 2, 1, 0])
    assert list(differing_values(source, lake, ["id"], {"doc": Form.JSON})) == [joined(["4"])]
    other = source.set_column(2, "tags", pa.array([["a"], ["c"], None, []]))
    assert list(differing_values(source, other, ["id"], {})) == [joined(["2"])]


def test_keys_are_values_of_their_columns_again() -> None:
    ((number, text, raw),) = key_values([("7", "a", "00ff")], ["long", "string", "binary"])
    assert (number, text, raw) == (7, "a", b"\x00\xff")
