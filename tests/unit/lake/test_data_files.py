"""Data files: what a writer decides from the rows that it sees."""

import pyarrow as pa

from cdc.lake.data_files import SAMPLE, repetitive


def test_columns_whose_values_repeat_get_a_dictionary_and_keys_and_free_text_do_not() -> None:
    rows = 2 * SAMPLE
    table = pa.table(
        {
            "id": range(rows),
            "note": [f"note {n}" for n in range(rows)],
            "state": [("new", "paid", None)[n % 3] for n in range(rows)],
            "paired": [n // 2 for n in range(rows)],
            "_cdc_op": ["r"] * rows,
            "_cdc_nothing": pa.nulls(rows, pa.string()),
            "tags": [["a"]] * rows,
        }
    )
    assert repetitive(table) == ["state", "paired", "_cdc_op", "_cdc_nothing"]


def test_a_table_of_one_row_and_one_of_none_can_be_asked() -> None:
    one = pa.table({"id": [1]})
    assert repetitive(one) == []
    assert repetitive(one.slice(1)) == ["id"]
