"""The tables of the throughput measurement."""

import pytest

from tests.bench.shapes import COLUMNS, SHAPES, create, wide


@pytest.mark.parametrize("name", SHAPES)
def test_columns_and_tables_have_names_of_their_own(name):
    shape = SHAPES[name]
    columns = ["id", *(column.name for column in shape.columns)]
    assert len(set(columns)) == len(columns) == (200 if name == "wide" else 8)
    assert len(set(shape.names)) == shape.tables
    assert shape.changes % shape.tables == 0


def test_wide_tables_repeat_the_short_columns_with_other_values():
    columns = wide(20)
    assert columns[:7] == COLUMNS
    assert [column.name for column in columns[7:14]] == [
        "short1",
        "amount1",
        "n1",
        "flag1",
        "sent_at1",
        "code1",
        "short2",
    ]
    assert len({column.value for column in columns}) == 20


def test_a_table_is_made_with_all_its_rows():
    made, filled = create("shop.t00", COLUMNS, 1_000, seed=5)
    assert made.startswith("CREATE TABLE shop.t00 (id bigint PRIMARY KEY, short text, long text, ")
    assert "generate_series(0, 999::bigint)" in filled
    assert "md5('5:' || k)" in filled
    assert "{h}" not in filled
