"""Tombstones without Spark: their table is made like Spark's, and those that may count are found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, LongType, NestedField, StringType, UUIDType

from cdc.core.history import TOMBSTONES
from cdc.core.names import TableName
from cdc.lake import own_tables
from cdc.lake import tombstones as module
from cdc.lake.held import HeldTable
from cdc.lake.own_tables import FILES
from cdc.lake.packed_rows import packed
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


def tombstones(catalog: Any, **options: Any) -> Tombstones:
    """Return them as a process does that has just begun."""
    target = HeldTable(catalog, TableName("ns", "t"))
    return Tombstones(HeldTable(catalog, TableName("cdc", "tombstones_t")), target, **options)


def publish(catalog: Any, properties: Mapping[str, str] | None) -> None:
    """Publish what is to be published with a batch."""
    assert properties is not None
    with catalog.load_table("ns.t").transaction() as change:
        change.set_properties(dict(properties))


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
        assert stones.keep(deleted(2 * n, 2 * n + 1), wait=False) == {}
        for one in (stones, tombstones(catalog)):
            assert found(one, 2 * n) == [2 * n, 2 * n + 1]
    assert len(found(tombstones(catalog), 0)) == 2 * FILES + 8
    assert found(stones, 20) == list(range(20, 2 * FILES + 10))
    assert found(stones, 9999) == []


def test_old_files_are_not_read(catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stones = tombstones(catalog)
    for n in range(1, 6):
        stones.keep(deleted(n), wait=False)
    monkeypatch.setattr(module, "ROWS", 1)
    assert found(stones, 5) == [5]
    assert stones.since(position(4), KEY) is None, "more than are looked through"


@pytest.mark.parametrize("key", [("id", "nothing"), ("code",)])
def test_what_is_sparks_is_left_to_spark(catalog: Any, key: tuple[str, ...]) -> None:
    stones = tombstones(catalog)
    rows = pa.table({name: pa.array(["x"]) for name in (*key, "_cdc_position")})
    assert stones.keep(rows) is None
    assert not catalog.table_exists("cdc.tombstones_t")


def test_a_table_of_another_format_is_left_to_spark(catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stones = tombstones(catalog)
    assert stones.keep(deleted(1), wait=False) == {}
    monkeypatch.setattr(own_tables, "FORMAT", 3)
    assert stones.keep(deleted(2), wait=False) is None


def test_a_few_tombstones_are_no_commit_of_their_own(catalog: Any) -> None:
    for n in range(1, 6):
        stones = tombstones(catalog)
        publish(catalog, stones.keep(deleted(2 * n, 2 * n + 1)))
        assert found(tombstones(catalog), 0) == list(range(2, 2 * n + 2))
        assert found(tombstones(catalog), 2 * n) == [2 * n, 2 * n + 1]
    assert not catalog.table_exists("cdc.tombstones_t")
    waiting = tombstones(catalog).waiting(KEY)
    assert waiting is not None
    assert waiting.to_pylist() == deleted(*range(2, 12)).to_pylist()
    assert tombstones(catalog).waiting(("id",)) is None, "they are of another key"


def test_many_tombstones_are_moved_to_their_table(catalog: Any) -> None:
    """S14: none is lost on the way, and none is needed twice."""
    for n in range(1, 301):
        publish(catalog, tombstones(catalog).keep(deleted(n)))
        assert len(catalog.load_table("ns.t").properties[TOMBSTONES]) <= module.TEXT
    assert found(tombstones(catalog), 0) == list(range(1, 301))
    table = catalog.load_table("cdc.tombstones_t")
    assert 1 <= len(table.metadata.snapshots) <= 10
    assert table.scan().to_arrow().num_rows + len(tombstones(catalog).waiting(KEY) or ()) == 300


def test_a_batch_that_deletes_much_is_written_at_once(catalog: Any) -> None:
    publish(catalog, tombstones(catalog).keep(deleted(1)))
    assert tombstones(catalog).keep(deleted(*range(2, module.WAITING + 3))) == {}
    assert found(tombstones(catalog), 0) == list(range(1, module.WAITING + 3))


def test_what_was_moved_and_never_published_is_there_twice_and_counts_once(catalog: Any) -> None:
    publish(catalog, tombstones(catalog).keep(deleted(1, 2)))
    tombstones(catalog).keep(deleted(3), wait=False)
    for stones in (tombstones(catalog), tombstones(catalog)):
        rows = stones.since(position(0), KEY)
        assert rows is not None
        assert {row["id"] for row in rows.to_pylist()} == {1, 2, 3}


def test_rows_of_a_shadow_are_handed_over_and_its_properties_are_not(catalog: Any) -> None:
    assert tombstones(catalog, wait=False).keep(deleted(1)) == {}
    assert catalog.table_exists("cdc.tombstones_t")


def test_a_replay_sees_what_waits_in_the_table_that_it_replays(catalog: Any) -> None:
    publish(catalog, tombstones(catalog).keep(deleted(1)))
    shadow = catalog.create_table("cdc.shadow", catalog.load_table("ns.t").schema())
    held = HeldTable(catalog, TableName("cdc", "shadow"))
    live = HeldTable(catalog, TableName("ns", "t"))
    replay = Tombstones(HeldTable(catalog, TableName("cdc", "tombstones_t")), held, live)
    assert found(replay, 0) == [1]
    publish(catalog, tombstones(catalog).keep(deleted(2)))
    assert found(replay, 0) == [1, 2], "the stream goes on meanwhile"
    assert replay.keep(deleted(3)) == {}
    assert TOMBSTONES not in shadow.refresh().properties
    assert found(tombstones(catalog), 0) == [1, 2, 3]


def test_what_waits_from_before_a_key_had_another_type_is_of_another_key(catalog: Any) -> None:
    """S11."""
    texts = pa.table({"id": ["x"], "part": ["y"], "_cdc_position": [position(1)]})
    publish(catalog, {TOMBSTONES: packed(texts)})
    assert tombstones(catalog).waiting(KEY) is None
    publish(catalog, tombstones(catalog).keep(deleted(2)))
    assert found(tombstones(catalog), 0) == [2]
