"""Shadows on a real catalog: what is made beside a target takes its place whole, and goes on like any other."""

import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from cdc.bootstrap.spark import fetch_spark
from cdc.config.models import Config
from cdc.core.errors import CommitConflict
from cdc.core.names import TableName
from cdc.core.partitioning import parse_term
from cdc.lake.shadow import Shadow
from cdc.lake.tables import IcebergTable
from cdc.local.stack import LocalStack
from cdc.spark.session import build_session

pytestmark = pytest.mark.timeout(600)
COLUMNS = {"id": "long", "name": "string", "day": "date"}
ROW = {"_cdc_position": "1-0", "_cdc_op": "r", "_cdc_source_ts": None, "_cdc_committed_at": None}


@pytest.fixture(scope="module")
def session(stack: LocalStack) -> Iterator[SparkSession]:
    config = jdbc_config(stack)
    session = build_session(config, fetch_spark())
    yield session
    session.stop()


def jdbc_config(stack: LocalStack) -> Config:
    at = stack.addresses()
    secrets = at.environment()
    return Config.model_validate(
        {
            "kafka": {"bootstrap_servers": at.kafka},
            "registry": {"url": at.registry},
            "connect": {"url": at.connect},
            "catalog": {
                "type": "jdbc",
                "uri": at.catalog_uri,
                "username": "catalog",
                "password": "${env:CDC_CATALOG_PASSWORD}",
                "warehouse": str(at.warehouse),
            },
            "spark": {"master": "local[2]", "driver_memory": "1g"},
            "sources": [
                {
                    "type": "postgres",
                    "name": "shop",
                    "host": "127.0.0.1",
                    "database": "shop",
                    "password": "${env:CDC_POSTGRES_PASSWORD}",
                    "tables": [{"source": "public.t", "key": ["id"]}],
                }
            ],
        },
        context={"resolve": lambda _kind, name: secrets[name]},
    )


def target(session: SparkSession, name: str, partition_by: tuple[str, ...] = ()) -> IcebergTable:
    table = IcebergTable(session, "lake", TableName("shadows", name))
    session.sql("CREATE NAMESPACE IF NOT EXISTS lake.shadows")
    session.sql(f"DROP TABLE IF EXISTS {table.sql_name}")
    table.create(COLUMNS, ("id",), partition_by, {"write.merge.mode": "merge-on-read"})
    return table


def batch(ids: list[int], name: str) -> pa.RecordBatch:
    days = pa.array([n % 3 for n in ids], pa.int32()).cast(pa.date32())
    return pa.RecordBatch.from_arrays([pa.array(ids), pa.array([name] * len(ids)), days], ["id", "name", "day"])


def filled(session: SparkSession, table: IcebergTable, ids: list[int], name: str) -> Shadow:
    """Return a shadow with these rows."""
    shadow = Shadow(session, "lake", "cdc", table.name)
    shadow.drop()
    shadow.create({"load.plan": "{}"})
    files = shadow.file_writer(("id",), ROW, {}).write(f"load-{uuid.uuid4()}", [batch(ids, name)], ordered=False)
    shadow.append(files, {"load.ranges": "1"})
    shadow.append([], {"cdc.progress": "P", "cdc.load": "x"})
    return shadow


def rows(session: SparkSession, table: IcebergTable) -> list[tuple[Any, ...]]:
    return sorted(tuple(r) for r in session.sql(f"SELECT id, name FROM {table.sql_name}").collect())


@pytest.mark.parametrize("partition_by", [(), ("bucket(4, id)",), ("day",), ("days(day)", "truncate(2, name)")])
def test_readers_see_old_rows_until_the_swap_and_deletes_reach_new_files(
    session: SparkSession, partition_by: tuple[str, ...]
) -> None:
    table = target(session, "swapped", partition_by)
    for n in range(12):  # the shadow's few commits must not end with smaller numbers than later deletes have
        session.sql(f"INSERT INTO {table.sql_name} VALUES ({n}, 'old', DATE'2020-01-01', '0', 'r', null, null)")
    shadow = filled(session, table, list(range(100, 0, -1)), "new")
    assert len(rows(session, table)) == 12
    base = table.read().snapshot_id
    grafted = shadow.graft(base, {"cdc.token": "7"})
    shadow.drop()
    assert rows(session, table) == [(n, "new") for n in range(1, 101)]
    state = table.read()
    assert (state.snapshot_id, state.summary["cdc.progress"], state.summary["cdc.token"]) == (grafted, "P", "7")
    session.sql(f"DELETE FROM {table.sql_name} WHERE id <= 50")
    session.sql(f"MERGE INTO {table.sql_name} t USING (SELECT 60 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE")
    assert rows(session, table) == [(n, "new") for n in range(51, 101) if n != 60]
    assert len(session.sql(f"SELECT * FROM {table.sql_name} VERSION AS OF {base}").collect()) == 12


def test_files_of_a_swapped_shadow_were_purged_when_it_was_dropped_after_a_crash(session: SparkSession) -> None:
    """S26: whoever finds it later knows nothing of the swap, and the table lives from its files."""
    table = target(session, "outlived")
    filled(session, table, [1, 2], "new").graft(table.read().snapshot_id, {})
    Shadow(session, "lake", "cdc", table.name).drop()
    assert rows(session, table) == [(1, "new"), (2, "new")]


def test_deletes_of_the_shadow_itself_come_along(session: SparkSession) -> None:
    table = target(session, "deleted")
    shadow = filled(session, table, list(range(1, 21)), "new")
    session.sql(
        f"MERGE INTO {shadow.table.sql_name} t USING (SELECT 3 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE"
    )
    shadow.graft(table.read().snapshot_id, {})
    assert [n for n, _ in rows(session, table)] == [n for n in range(1, 21) if n != 3]


def test_a_swap_is_a_compare_and_swap(session: SparkSession) -> None:
    table = target(session, "raced")
    shadow = filled(session, table, [1], "new")
    base = table.read().snapshot_id
    session.sql(f"INSERT INTO {table.sql_name} VALUES (5, 'other', null, '0', 'r', null, null)")
    with pytest.raises(CommitConflict):
        shadow.graft(base, {})
    assert rows(session, table) == [(5, "other")]


def test_a_column_of_another_type_is_seen_with_its_old_values_until_the_swap(session: SparkSession) -> None:
    table = target(session, "retyped")
    session.sql(f"INSERT INTO {table.sql_name} VALUES (1, 'old', null, '0', 'r', null, null)")
    shadow = Shadow(session, "lake", "cdc", table.name)
    shadow.drop()
    shadow.create({})
    shadow.replace_columns({"name": "int"})
    made = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([42], pa.int32())], ["id", "name"])
    shadow.append(shadow.file_writer(("id",), ROW, {}).write("load-y-000001", [made], ordered=True), {})
    assert rows(session, table) == [(1, "old")]
    before = table.read().snapshot_id
    shadow.graft(before, {})
    assert rows(session, table) == [(1, 42)]
    old = session.sql(f"SELECT name FROM {table.sql_name} VERSION AS OF {before}").collect()
    assert [r.name for r in old] == ["old"]


def test_another_key_comes_with_the_swap(session: SparkSession) -> None:
    table = target(session, "rekeyed")
    session.sql(f"INSERT INTO {table.sql_name} VALUES (1, 'old', null, '0', 'r', null, null)")
    assert table.read().key == {"id"}
    shadow = Shadow(session, "lake", "cdc", table.name)
    shadow.drop()
    shadow.create({})
    shadow.set_key(("name",))
    shadow.set_key(("name",))
    files = shadow.file_writer(("name",), ROW, {}).write("load-x-000001", [batch([7, 8], "x")], ordered=False)
    shadow.append(files, {})
    assert table.read().key == {"id"}
    shadow.hand_over_tombstones(("name",))
    shadow.graft(table.read().snapshot_id, {})
    assert table.read().key == {"name"}
    session.sql(f"INSERT INTO {table.sql_name} VALUES (null, 'no id', null, '0', 'r', null, null)")
    assert session.sql(f"SELECT count(*) AS n FROM {table.sql_name} WHERE id IS NULL").collect()[0].n == 1


def test_another_partitioning_comes_with_the_swap(session: SparkSession) -> None:
    table = target(session, "repartitioned", ("bucket(4, id)",))
    session.sql(f"INSERT INTO {table.sql_name} VALUES (1, 'old', null, '0', 'r', null, null)")
    assert table.read().partitioning == ("bucket(4, id)",)
    shadow = Shadow(session, "lake", "cdc", table.name)
    shadow.drop()
    shadow.create({})
    shadow.set_partitioning([parse_term(term) for term in ("days(day)", "truncate(1, name)", "name")])
    files = shadow.file_writer(("id",), ROW, {}).write("load-x-000001", [batch([7, 8, 9], "x")], ordered=True)
    assert len(files) == 3
    shadow.append(files, {})
    assert (rows(session, table), table.read().partitioning) == ([(1, "old")], ("bucket(4, id)",))
    shadow.graft(table.read().snapshot_id, {})
    assert table.read().partitioning == ("day(day)", "truncate(1, name)", "name")
    session.sql(f"DELETE FROM {table.sql_name} WHERE id = 8")
    assert rows(session, table) == [(7, "x"), (9, "x")]
    found = session.sql(
        f"SELECT count(DISTINCT partition) AS n FROM {table.sql_name}.files WHERE content = 0"
    ).collect()
    assert found[0].n == 3 - 1


def test_a_clone_with_rows_shares_them_and_gives_back_what_was_changed(session: SparkSession) -> None:
    table = target(session, "cloned")
    session.sql(f"INSERT INTO {table.sql_name} VALUES (1, 'a', null, '0', 'r', null, null)")
    session.sql(f"INSERT INTO {table.sql_name} VALUES (2, 'b', null, '0', 'r', null, null)")
    base = table.read().snapshot_id
    shadow = Shadow(session, "lake", "cdc", table.name)
    shadow.drop()
    shadow.create({}, snapshot=base)
    assert rows(session, shadow.table) == [(1, "a"), (2, "b")]
    session.sql(f"UPDATE {shadow.table.sql_name} SET name = 'c' WHERE id = 2")
    assert rows(session, table) == [(1, "a"), (2, "b")]
    shadow.graft(base, {})
    shadow.drop()
    assert rows(session, table) == [(1, "a"), (2, "c")]


def test_rows_are_replaced_by_their_keys_in_one_commit(session: SparkSession) -> None:
    table = target(session, "mended")
    shadow = filled(session, table, [1, 2, 3, 3], "new")
    assert shadow.repeated_keys(("id",), 10) == [(3,)]
    files = shadow.file_writer(("id",), ROW, {}).write("load-x-000002", [batch([3], "again")], ordered=True)
    before = len(shadow.history())
    shadow.replace_rows(("id",), [(3,)], files)
    assert rows(session, shadow.table) == [(1, "new"), (2, "new"), (3, "again")]
    assert shadow.repeated_keys(("id",), 10) == []
    assert len(shadow.history()) > before
    assert sorted(shadow.marked_keys(("id",), "r", 10)) == [(1,), (2,), (3,)]


def test_files_come_sorted_by_key(session: SparkSession) -> None:
    table = target(session, "sorted")
    shadow = filled(session, table, [3, 1, 2], "new")
    found = [r.id for r in session.table(shadow.table.sql_name).coalesce(1).select("id").collect()]
    assert found == [1, 2, 3]
