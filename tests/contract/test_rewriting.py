"""Small tables that are rewritten without Spark: when they are, what they hold, and what Spark then finds."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.errors import CommitConflict, TerminalError
from cdc.core.history import TOMBSTONES
from cdc.lake import tombstones
from cdc.lake.held import HeldTable
from cdc.lake.rewriting import RewrittenTable
from cdc.lake.target import Target
from cdc.spark import small
from tests.contract.events import INT, NUMBERED, TEXT, Topic, column
from tests.contract.test_commit import files, numbers
from tests.lake import LakeTable

NewTable = Callable[..., LakeTable]


def updates(topic: Topic, n: int, *ids: int) -> list[Any]:
    return [topic.change("u", {"id": i, "n": n}, (100 * n, 100 * n + i)) for i in ids]


def test_a_small_table_is_one_file_after_every_batch(new_table: NewTable) -> None:
    table, topic = new_table("one_file", NUMBERED), Topic()
    for n in range(1, 5):
        assert table.apply(updates(topic, n, 1, 2, n + 2)).way == "rewrite"
        assert files(table) == (1, 0)
        manifests = table.session.sql(f"SELECT path FROM {table.table.sql_name}.manifests").collect()
        assert len(manifests) <= 2, "one of the new file, and one of the file that it replaces"
    assert numbers(table) == {1: 4, 2: 4, 3: 1, 4: 2, 5: 3, 6: 4}
    assert table.table.row_count() == 6
    gone = table.apply([topic.change("d", {"id": i}, (900, 900 + i)) for i in range(1, 7)])
    assert (gone.way, gone.counts) == ("rewrite", {"inserted": 0, "updated": 0, "deleted": 6})
    assert (files(table), numbers(table)) == ((0, 0), {})


def test_tombstones_are_kept_in_the_same_table_whoever_made_it(
    new_table: NewTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 tables that delete for the first time cost 200 jobs of Spark's, and everything else waited for them."""
    monkeypatch.setattr(tombstones, "TEXT", 0)
    key = [column("id", INT), column("at", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"})]
    made = []
    for name, rewrites in (("by_spark", False), ("without_spark", True)):
        table, topic = new_table(name, [*key, column("name", TEXT)], key=("id", "at")), Topic(key=("id", "at"))
        table.rewrites = rewrites
        for n, op in enumerate("cdcd", 1):
            table.apply([topic.change(op, {"id": 1, "at": 5, "name": "a"}, (100 * n, 100 * n + 1))])
        found = table.files.load_table(table.held_tombstones.name)
        fields = [(field.name, field.field_type, field.required) for field in found.schema().fields]
        parts = [(field.name, str(field.transform)) for field in found.spec().fields]
        wanted = {name: value for name, value in found.properties.items() if name.startswith("write.")}
        made.append((fields, parts, wanted, found.metadata.format_version))
        assert table.session.table(f"{table.catalog}.cdc.{table.held_tombstones.name.table}").count() == 2
    assert made[0] == made[1]


@pytest.mark.parametrize("late", ["driver", "merge", "large"])
def test_tombstones_that_wait_in_properties_count_whoever_looks(
    new_table: NewTable, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S14: a late duplicate does not bring a deleted row back, whichever way its batch takes."""
    table, topic = new_table(f"wait_{late}", NUMBERED), Topic()
    inserts = [topic.change("c", {"id": i, "n": 1}, (100, 100 + i)) for i in range(1, 5)]
    table.apply(inserts)
    for i in (1, 2):
        assert table.apply([topic.change("d", {"id": i}, (200, 200 + i))]).way == "rewrite"
    assert not table.session.catalog.tableExists(f"{table.catalog}.cdc.{table.held_tombstones.name.table}")
    assert table.files.load_table(table.spec.target).properties[TOMBSTONES]
    if late == "merge":
        table.held.avoided = "to be merged"
    if late == "large":
        monkeypatch.setattr(small, "MESSAGES", 0)
    again = [topic.change("c", {"id": i, "n": 7}, (100, 100 + i)) for i in range(1, 5)]
    applied = table.apply([*again, topic.change("u", {"id": 3, "n": 9}, (300, 301))])
    assert applied.way.startswith("rewrite" if late == "driver" else "merge")
    assert numbers(table) == {3: 9, 4: 1}


def test_metadata_of_a_table_that_is_rewritten_is_bounded(new_table: NewTable) -> None:
    table, topic = new_table("bounded", NUMBERED, properties={"write.metadata.previous-versions-max": "3"}), Topic()
    for n in range(1, 9):
        table.apply(updates(topic, n, 1))
    folder = Path(table.files.load_table(table.spec.target).metadata.location.removeprefix("file:"), "metadata")
    assert len(list(folder.glob("*.metadata.json"))) <= 6


def test_a_value_that_pyiceberg_cannot_write_stopped_its_table(new_table: NewTable) -> None:
    """PostgreSQL's infinity lies outside of Python's years; Spark merges it, from then on too."""
    column_at = column("at", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"})
    table, topic = new_table("endless", [*NUMBERED, column_at]), Topic()
    for n, at in ((1, 0), (2, 2**63 - 1), (3, 5)):
        applied = table.apply([topic.change("u", {"id": i, "n": n, "at": at}, (100 * n, 100 * n + i)) for i in (1, 2)])
        assert applied.way == ("rewrite" if n == 1 else "merge: it was not written without Spark: OverflowError")
    assert numbers(table) == {1: 3, 2: 3}


@pytest.mark.parametrize(
    ("options", "patched", "why"),
    [
        ({"properties": {"write.merge.mode": "merge-on-read"}}, {}, "its merge mode is not copy-on-write"),
        ({"properties": {"format-version": "3"}}, {}, "format version 3"),
        ({}, {"cdc.lake.rewriting.SMALL_ROWS": 1}, "it has 2 rows"),
        ({}, {"cdc.lake.rewriting.SMALL_BYTES": 10}, r"it has \d+ bytes"),
        ({}, {"cdc.lake.rewriting.ROW_BYTES": 10}, "its rows take 0 MiB"),
    ],
)
def test_spark_merges_what_is_not_to_be_rewritten(
    new_table: NewTable, monkeypatch: pytest.MonkeyPatch, options: Any, patched: dict[str, int], why: str
) -> None:
    name = "merged_" + "".join(c for c in why if c.isalnum())
    table, topic = new_table(name, [*NUMBERED, column("name", TEXT)], **options), Topic()
    table.apply([topic.change("c", {"id": i, "n": 1, "name": f"name {i}"}, (10, 10 + i)) for i in (1, 2)])
    table.held = HeldTable(table.files, table.spec.target)  # as a process that has just begun
    for limit, value in patched.items():
        monkeypatch.setattr(limit, value)
    applied = table.apply([topic.change("u", {"id": 1, "n": 5, "name": "new"}, (500, 501))])
    assert applied.way.startswith("merge: ")
    assert re.fullmatch(why, applied.way.removeprefix("merge: "))
    assert numbers(table) == {1: 5, 2: 1}


def test_delete_files_are_left_to_spark_and_gone_afterwards(
    new_table: NewTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, topic = new_table("with_deletes", NUMBERED), Topic()
    with monkeypatch.context() as large:
        large.setattr("cdc.lake.tables.SMALL_BYTES", 0)
        large.setattr("cdc.lake.rewriting.SMALL_ROWS", -1)
        for n in (1, 2):
            table.apply(updates(topic, n, 1, 2, 3))
    assert files(table)[1] > 0
    table.apply(updates(topic, 3, 1))  # sets the mode by the size, for the next one
    assert table.apply(updates(topic, 4, 1, 2, 3)).way == "merge: it has delete files"
    assert numbers(table) == {1: 4, 2: 4, 3: 4}


def test_a_key_that_is_there_twice_stops_the_table_as_it_does_in_a_merge(new_table: NewTable) -> None:
    """S12."""
    table, topic = new_table("twice", NUMBERED), Topic()
    table.apply(updates(topic, 1, 1, 2))
    table.session.sql(f"INSERT INTO {table.table.sql_name} SELECT * FROM {table.table.sql_name} WHERE id = 1")
    with pytest.raises(TerminalError, match="audit"):
        table.apply(updates(topic, 2, 1))


def test_columns_that_a_batch_does_not_know_keep_their_values(new_table: NewTable) -> None:
    """A column that was added is null in the rows from before, which nothing has written to."""
    wide = [*NUMBERED, column("more", INT), column("text", TEXT)]
    table, topic = new_table("narrower", wide), Topic()
    table.apply([topic.change("c", {"id": i, "n": 1, "more": i, "text": "t"}, (10, 10 + i)) for i in (1, 2)])
    applied = table.apply(updates(topic, 2, 1, 3), NUMBERED)
    assert applied.way == "rewrite"
    assert {r.id: (r.n, r.more, r.text) for r in table.rows()} == {1: (2, 1, "t"), 2: (1, 2, "t"), 3: (2, None, None)}
    later = [*wide, column("added", INT)]
    row = {"id": 2, "n": 3, "more": 9, "text": "u", "added": 7}
    assert table.apply([topic.change("u", row, (900, 901))], later).way == "rewrite"
    assert {r.id: (r.n, r.added) for r in table.rows()} == {1: (2, None), 2: (3, 7), 3: (2, None)}


def test_a_partitioned_table_keeps_its_partitions(new_table: NewTable) -> None:
    table, topic = new_table("partitioned", NUMBERED), Topic()
    table.spec = replace(table.spec, partition_by=("bucket(4, id)",))
    for n in (1, 2):
        assert table.apply(updates(topic, n, *range(1, 20))).way == "rewrite"
    partitions = table.session.sql(f"SELECT partition FROM {table.table.sql_name}.files").collect()
    assert 1 < len(partitions) == len(set(partitions)) <= 4
    assert numbers(table) == dict.fromkeys(range(1, 20), 2)
    found = table.session.sql(f"SELECT n FROM {table.table.sql_name} WHERE id = 7").collect()
    assert [row.n for row in found] == [2]


@pytest.mark.parametrize("rows", [20_000, -1], ids=["rewritten", "merged by Spark"])
def test_a_row_whose_partition_changes_is_not_there_twice_s34(
    new_table: NewTable, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """The partition is of a column that is no key, so its row is looked for in all of them."""
    monkeypatch.setattr("cdc.lake.rewriting.SMALL_ROWS", rows)
    table, topic = new_table(f"moves_{rows}", NUMBERED), Topic()
    table.spec = replace(table.spec, partition_by=("n",))
    for n in (1, 2, 3):
        applied = table.apply(updates(topic, n, 1, n))
        assert applied.way.startswith("rewrite" if rows > 0 else "merge")
    assert numbers(table) == {1: 3, 2: 2, 3: 3}
    assert len(table.rows()) == 3


def test_whoever_was_overtaken_while_it_wrote_publishes_nothing(new_table: NewTable) -> None:
    """Promise 4: main is not where it was read, though this writer has not looked since."""
    table, topic = new_table("rewriter_overtaken", NUMBERED), Topic()
    table.apply(updates(topic, 1, 1, 2))
    late = HeldTable(table.files, table.spec.target)
    small, target = RewrittenTable(late), Target(late, table.table)
    base = target.read()
    rows = small.rows()
    assert isinstance(rows, pa.Table)
    assert small.replace(rows, base.summary) is None
    table.apply(updates(topic, 2, 1))
    staged, _ = target.staged(base.snapshot_id)
    with pytest.raises(CommitConflict):
        target.publish(base.snapshot_id, staged, {})
    assert numbers(table) == {1: 2, 2: 1}


def test_spark_merges_into_what_was_rewritten(new_table: NewTable, monkeypatch: pytest.MonkeyPatch) -> None:
    table, topic = new_table("in_turns", NUMBERED), Topic()
    for n in range(1, 7):
        with monkeypatch.context() as patched:
            if n % 2:
                patched.setattr("cdc.lake.rewriting.SMALL_ROWS", -1)
            applied = table.apply(updates(topic, n, n, n + 1))
        assert applied.way.startswith("merge" if n % 2 else "rewrite")
    assert numbers(table) == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 6}
