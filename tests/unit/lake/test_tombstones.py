"""Tombstones without Spark: their table is made like Spark's, and those that may count are found."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, LongType, NestedField, StringType, UUIDType

from cdc.core.names import TableName
from cdc.lake import own_tables
from cdc.lake import tombstones as module
from cdc.lake.held import HeldTable
from cdc.lake.own_tables import FILES
from cdc.lake.tombstones import Tombstones
from tests.sql_catalog import sql_catalog

KEY = ("id", "part")
ROWS = pa.schema([("id", pa.int64()), ("part", pa.string()), ("_cdc_position", pa.string())])


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    made = sql_catalog(tmp_path)
    for namespace in ("ns", "cdc"):
        made.create_namespace(namespace)
    columns = {"id": LongType(), "part": StringType(), "n": DecimalType(9, 2), "code": UUIDType()}
    columns["_cdc_position"] = StringType()
    made.create_table(
        "ns.t", Schema(*[NestedField(n, name, kind) for n, (name, kind) in enumerate(columns.items(), 1)])
    )
    return made


def tombstones(catalog: Any) -> Tombstones:
    """Return them as a process does that has just begun."""
    target = HeldTable(catalog, TableName("ns", "t"))
    return Tombstones(HeldTable(catalog, TableName("cdc", "tombstones_t")), target)


def deleted(*numbers: int) -> pa.Table:
    told = [{"id": n, "part": f"p{n}", "_cdc_position": position(n)} for n in numbers]
    return pa.Table.from_pylist(told, ROWS)


def position(n: int) -> str:
    return f"00000001-{n:016x}-0-0-{n:016x}"


def found(stones: Tombstones, n: int) -> list[int]:
    rows = stones.since(position(n)[:25], KEY)
    assert rows is not None
    assert rows.column_names == [*KEY, "_cdc_position"]
    assert all(row == deleted(row["id"]).to_pylist()[0] for row in rows.to_pylist())
    return sorted(rows["id"].to_pylist())


def test_before_the_first_delete_there_is_nothing_to_find(catalog: Any) -> None:
    assert found(tombstones(catalog), 0) == []
    assert not catalog.table_exists("cdc.tombstones_t")


def test_what_was_deleted_at_a_position_or_later_is_found(catalog: Any) -> None:
    """S14: by whoever looks, the process that has written it and one that has just begun; folded files, too."""
    stones = tombstones(catalog)
    for n in range(1, FILES + 5):
        assert stones.append(deleted(2 * n, 2 * n + 1))
        for one in (stones, tombstones(catalog)):
            assert found(one, 2 * n) == [2 * n, 2 * n + 1]
    assert len(found(tombstones(catalog), 0)) == 2 * FILES + 8
    assert found(stones, 20) == list(range(20, 2 * FILES + 10))
    assert found(stones, 9999) == []


def test_old_files_are_not_read(catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stones = tombstones(catalog)
    for n in range(1, 6):
        stones.append(deleted(n))
    monkeypatch.setattr(module, "ROWS", 1)
    assert found(stones, 5) == [5]
    assert stones.since(position(4), KEY) is None, "more than are looked through"


@pytest.mark.parametrize("key", [("id", "nothing"), ("code",)])
def test_what_is_sparks_is_left_to_spark(catalog: Any, key: tuple[str, ...]) -> None:
    stones = tombstones(catalog)
    rows = pa.table({name: pa.array(["x"]) for name in (*key, "_cdc_position")})
    assert not stones.append(rows)
    assert not catalog.table_exists("cdc.tombstones_t")


def test_a_table_of_another_format_is_left_to_spark(catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stones = tombstones(catalog)
    assert stones.append(deleted(1))
    monkeypatch.setattr(own_tables, "FORMAT", 3)
    assert not stones.append(deleted(2))
