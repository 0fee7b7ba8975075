"""Large tables whose batches are staged as row deltas: what readers find, and what an index lives through."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.errors import CommitConflict, TerminalError
from cdc.lake.held import HeldTable
from cdc.lake.index_entries import KeyColumns
from cdc.lake.indexed_table import IndexedTable
from cdc.lake.target import Target
from tests.contract.events import INT, NUMBERED, TEXT, Topic, column
from tests.contract.test_commit import call, numbers
from tests.contract.test_rewriting import updates
from tests.lake import PLACEHOLDER, Killed, LakeTable, killed_before_publish

PATH_ID, POS_ID = 2147483546, 2147483545
"""Columns of position deletes."""
NewTable = Callable[..., LakeTable]


def scanned(table: LakeTable) -> dict[int, int]:
    """Return id -> n as pyiceberg reads the table; a key that is there twice is an error."""
    found = table.files.load_table(table.spec.target).scan().to_arrow().to_pylist()
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row["n"] for row in found}


def metadata(table: LakeTable, kind: str, columns: str) -> list[Any]:
    """Return rows of one of Iceberg's metadata tables, sorted."""
    return sorted(
        tuple(row) for row in table.session.sql(f"SELECT {columns} FROM {table.table.sql_name}.{kind}").collect()
    )


def counts(inserted: int, updated: int, deleted: int) -> dict[str, int]:
    return {"inserted": inserted, "updated": updated, "deleted": deleted}


def test_a_batch_adds_rows_and_deletes_by_position(new_table: NewTable) -> None:
    table, topic = new_table("delta", NUMBERED, deltas=True), Topic()
    first = table.apply(updates(topic, 1, 1, 2, 3))
    assert (first.way, first.counts) == ("delta", counts(3, 0, 0))
    second = table.apply([*updates(topic, 2, 1, 4), topic.change("d", {"id": 2}, (200, 290))])
    assert (second.way, second.counts) == ("delta", counts(1, 1, 1))
    assert numbers(table) == scanned(table) == {1: 2, 3: 1, 4: 2}
    assert metadata(table, "files", "content, record_count") == [(0, 2), (0, 3), (1, 2)]
    first_file, last_file = metadata(table, "data_files", "file_path, record_count")
    (named,) = metadata(
        table, "delete_files", f"lower_bounds[{PATH_ID}], upper_bounds[{PATH_ID}], upper_bounds[{POS_ID}]"
    )
    path = next(path for path, rows in (first_file, last_file) if rows == 3).encode()
    assert named == (path, path, (1).to_bytes(8, "little"))
    manifests = metadata(table, "manifests", "content, added_data_files_count, added_delete_files_count")
    assert manifests == [(0, 1, 0), (0, 1, 0), (1, 0, 1)]
    summary = table.session.sql(
        f"SELECT summary, operation FROM {table.table.sql_name}.snapshots ORDER BY committed_at DESC"
    )
    newest, operation = summary.collect()[0]
    assert operation == "overwrite"
    totals = {
        n: newest[f"total-{n}"]
        for n in ("records", "data-files", "delete-files", "position-deletes", "equality-deletes")
    }
    assert totals == dict(zip(totals, ("5", "2", "1", "2", "0"), strict=True))
    third = table.apply([topic.change("d", {"id": i}, (300, 300 + i)) for i in (1, 3, 9)])
    assert (third.way, third.counts) == ("delta", counts(0, 0, 2))
    assert numbers(table) == scanned(table) == {4: 2}


def test_crashes_and_older_events(new_table: NewTable) -> None:
    table, topic = new_table("delta_crash", NUMBERED, deltas=True), Topic()
    table.apply(updates(topic, 1, 1, 2))
    batch = [*updates(topic, 3, 2, 3), topic.change("d", {"id": 1}, (300, 390))]
    with killed_before_publish(table), pytest.raises(Killed):
        table.apply(batch)
    assert numbers(table) == {1: 1, 2: 1}
    assert table.apply(batch).way == "delta"
    late = [topic.change("u", {"id": i, "n": 2}, (200, 200 + i)) for i in (1, 2, 3, 4)]
    assert (table.apply(late).way, numbers(table)) == ("delta", {2: 3, 3: 3, 4: 2})


def test_key_changes_find_their_rows_by_the_index(new_table: NewTable) -> None:
    table, topic = new_table("delta_moves", [*NUMBERED, column("large", TEXT)], deltas=True), Topic()
    table.apply([topic.change("c", {"id": i, "n": i, "large": f"of {i}"}, (10, 10 + i)) for i in (1, 2, 3)])
    moves = [
        *topic.move({"id": 1}, {"id": 2, "n": 1, "large": PLACEHOLDER}, (20, 30)),
        *topic.move({"id": 2}, {"id": 4, "n": 2, "large": PLACEHOLDER}, (20, 40)),
        topic.change("u", {"id": 3, "n": 9, "large": PLACEHOLDER}, (20, 50)),
    ]
    assert table.apply_whole(moves).way == "delta"
    assert {r.id: (r.n, r.large) for r in table.rows()} == {2: (1, "of 1"), 3: (9, "of 3"), 4: (2, "of 2")}


def test_columns_that_a_batch_does_not_know_keep_their_values(new_table: NewTable) -> None:
    """A column that was added is null in files from before; one that is renamed, and text of any length."""
    wide = [*NUMBERED, column("more", INT), column("text", TEXT)]
    table, topic = new_table("delta_narrower", wide, deltas=True), Topic()
    table.apply([topic.change("c", {"id": i, "n": 1, "more": i, "text": f"t{i}"}, (10, 10 + i)) for i in range(1, 6)])
    assert table.apply(updates(topic, 2, 5, 3, 1, 9), NUMBERED).way == "delta"
    rows = {r.id: (r.n, r.more, r.text) for r in table.rows()}
    assert rows == {
        1: (2, 1, "t1"),
        2: (1, 2, "t2"),
        3: (2, 3, "t3"),
        4: (1, 4, "t4"),
        5: (2, 5, "t5"),
        9: (2, None, None),
    }
    later = [*wide, column("added", INT)]
    row = {"id": 2, "n": 3, "more": 9, "text": "u", "added": 7}
    assert table.apply([topic.change("u", row, (900, 901))], later).way == "delta"
    assert table.apply(updates(topic, 10, 1, 2), NUMBERED).way == "delta"
    assert {r.id: (r.n, r.text, r.added) for r in table.rows() if r.id < 3} == {1: (10, "t1", None), 2: (10, "u", 7)}


def test_batches_that_spark_collapsed_are_gathered(new_table: NewTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.spark.small.MESSAGES", 0)
    table, topic = new_table("delta_large", [*NUMBERED, column("text", TEXT)], deltas=True), Topic()
    for n in (1, 2):
        made = [topic.change("u", {"id": i, "n": n, "text": "t" * i}, (100 * n, 100 * n + i)) for i in range(n, 9)]
        assert table.apply(made).way == "delta"
    assert numbers(table) == {1: 1, **dict.fromkeys(range(2, 9), 2)}
    for limit, value in (("KEYS", 3), ("BYTES", 10)):
        with monkeypatch.context() as patched:
            patched.setattr(f"cdc.spark.ways.{limit}", value)
            made = [topic.change("u", {"id": i, "n": 3, "text": "t"}, (300, 300 + i)) for i in range(1, 9)]
            assert table.apply(made).way == "merge: a large batch"


def test_what_others_do_to_the_table_is_followed(new_table: NewTable) -> None:
    """Deletes of both kinds, compaction of files and of deletes, a MERGE, and a rollback, each between two batches."""
    table, topic = new_table("delta_others", NUMBERED, deltas=True), Topic()
    expected: dict[int, int] = {}
    name = table.table.sql_name
    mode = "ALTER TABLE {} SET TBLPROPERTIES ('write.delete.mode' = '{}')"

    def batch(n: int, *ids: int) -> None:
        assert table.apply(updates(topic, n, *ids)).way == "delta"
        expected.update(dict.fromkeys(ids, n))
        assert numbers(table) == scanned(table) == expected

    def others(*statements: str) -> None:
        for statement in statements:
            table.session.sql(statement)

    batch(1, *range(1, 20))
    batch(2, *range(1, 20, 3))
    others(mode.format(name, "merge-on-read"), f"DELETE FROM {name} WHERE id IN (2, 4)")
    del expected[2], expected[4]
    batch(3, 4, 5, 7)
    others(mode.format(name, "copy-on-write"), f"DELETE FROM {name} WHERE id IN (5, 6)")
    del expected[5], expected[6]
    batch(4, 5, 8, 9)
    call(table, "rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))")
    batch(5, 5, 10, 40)
    call(table, "rewrite_position_delete_files(table => '{name}', options => map('rewrite-all', 'true'))")
    batch(6, 5, 11, 41)
    call(table, "rewrite_manifests('{name}')")
    batch(7, 5, 12)
    assert table.apply([topic.truncate((850, 860)), *updates(topic, 9, 1, 2)]).way.startswith("merge: a truncate")
    expected = {1: 9, 2: 9}
    batch(10, 2, 3)
    before = table.table.read().snapshot_id
    table.apply(updates(topic, 11, 1, 9))
    call(table, f"rollback_to_snapshot('{{name}}', {before})")
    assert numbers(table) == expected
    topic.offsets[0] -= 2
    batch(12, 1, 3, 9)


def test_a_key_that_is_there_twice_stops_the_table_as_it_does_in_a_merge(new_table: NewTable) -> None:
    """S12."""
    table, topic = new_table("delta_twice", NUMBERED, deltas=True), Topic()
    table.apply(updates(topic, 1, 1, 2))
    table.session.sql(f"INSERT INTO {table.table.sql_name} SELECT * FROM {table.table.sql_name} WHERE id = 1")
    with pytest.raises(TerminalError, match="audit"):
        table.apply(updates(topic, 2, 1))


def test_whoever_was_overtaken_while_it_wrote_publishes_nothing(new_table: NewTable) -> None:
    """Promise 4: main is not where it was read, though this writer has not looked since."""
    table, topic = new_table("delta_overtaken", NUMBERED, deltas=True), Topic()
    table.apply(updates(topic, 1, 1, 2))
    held = HeldTable(table.files, table.spec.target)
    assert table.indexes is not None
    late = IndexedTable(held, table.indexes, KeyColumns(table.spec.key, table.spec.layout.order_width))
    target = Target(held, table.table)
    base = target.read().snapshot_id
    places = late.find(pa.array([{"id": 1}], pa.struct([("id", pa.int32())])))
    assert isinstance(places, pa.Table)
    assert late.write(late.schema.empty_table(), places.slice(0, 0), places, {}) is None
    table.apply(updates(topic, 2, 1))
    with pytest.raises(CommitConflict):
        target.publish(base, target.staged(base)[0], {})
    assert numbers(table) == {1: 2, 2: 1}


@pytest.mark.parametrize(
    ("options", "partitioned", "why"),
    [
        ({"format-version": "3"}, False, "format version 3"),
        ({}, True, "it is or was partitioned"),
        ({"write.merge.mode": "copy-on-write"}, False, "the catalog is written to by Spark alone"),
    ],
)
def test_spark_merges_what_is_not_for_deltas(
    new_table: NewTable, options: dict[str, str], partitioned: bool, why: str
) -> None:
    table, topic = new_table(f"undelta_{len(why)}", NUMBERED, properties=options, deltas=True), Topic()
    if partitioned:
        table.spec = replace(table.spec, partition_by=("bucket(4, id)",))
    table.rewrites = False
    assert table.apply(updates(topic, 1, 1, 2)).way == f"merge: {why}"
    assert numbers(table) == {1: 1, 2: 1}
