"""Tables of hundreds of columns whose source adds some while they change."""

from typing import Any

import pytest

from cdc.bootstrap.engine import SparkEngine
from cdc.core.errors import TransientError
from cdc.spark.microbatch import MESSAGE_DDL, TopicSlice
from tests.contract.wide import JsonTable, WideSource, columns, kept
from tests.lake import LakeTable


def check(table: LakeTable, first: int, versions: int, changes: int) -> None:
    """Apply a batch, then one with a column more in every version, and compare every column of every row."""
    source = WideSource()
    table.apply(source.changes(first, 100), columns(first))
    counts = range(first, first + versions)
    table.apply_mixed([(columns(count), source.changes(count, changes)) for count in counts])
    found = table.values()
    assert set(found) == set(source.rows)
    for key, row in source.rows.items():
        assert found[key] == kept(row, counts[-1])


@pytest.mark.parametrize(
    ("way", "kind", "first", "versions"),
    [
        ("spark", LakeTable, 329, 2),
        pytest.param("core", LakeTable, 329, 2, marks=pytest.mark.campaign),
        pytest.param("spark", JsonTable, 329, 2, marks=pytest.mark.campaign),
        pytest.param("core", LakeTable, 996, 5, marks=pytest.mark.campaign),
        pytest.param("spark", LakeTable, 996, 5, marks=pytest.mark.campaign),
    ],
)
def test_a_column_that_was_added_to_a_wide_table_took_all_of_the_heap(
    lake: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, way: str, kind: type[LakeTable], first: int, versions: int
) -> None:
    """P68, T17: conditions that Spark pushed into the decoding copied each column's expression into each column's
    check.
    """
    if way == "spark":
        monkeypatch.setattr("cdc.spark.small.MESSAGES", 0)
    check(kind(*lake, columns(first), name=f"wide_{way}_{kind.event_format}_{first}"), first, versions, changes=120)


@pytest.mark.parametrize("text", ["'x'", "cast(id AS string)"], ids=["planning", "in a task"])
def test_memory_that_one_table_lacked_ended_the_process_of_all(lake: tuple[Any, Any], text: str) -> None:
    """S27: Spark ended the JVM for a task's; one met while planning was called a bug, and told of no memory."""
    session, config = lake
    engine = SparkEngine(config, config.sources[0], session)
    spec = LakeTable(session, config, columns(2)).spec
    with (
        pytest.raises(TransientError, match=r"could not apply a batch to ns\.t: OutOfMemoryError: ") as told,
        engine.open(spec, engine.micro_batch(session.createDataFrame([], MESSAGE_DDL)), TopicSlice()),
    ):
        session.sql(f"SELECT max(repeat({text}, 2000000000)) FROM range(1)").collect()
    assert "spark.driver_memory" in told.value.hint
    assert session.range(3).count() == 3
