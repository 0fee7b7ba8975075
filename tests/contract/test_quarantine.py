"""Messages that cannot be used: kept with their coordinates and reason; later ones of the same key wait behind them."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from cdc.core.batch import BEHIND
from cdc.core.errors import TerminalError
from cdc.pipeline.apply import TableMemory
from cdc.spark.staging import blocked_keys, release_quarantined
from tests.contract.events import NUMBERED, Topic
from tests.lake import Killed, LakeTable, Message, killed_before_publish

NewTable = Callable[..., LakeTable]
FRAME = b"\0\0\0\0\1"


def quarantined(table: LakeTable) -> dict[tuple[int, int], Any]:
    rows = table.session.table(table.quarantine).where(f"topic = '{table.spec.topic}'").collect()
    found = {(row.partition, row.offset): row for row in rows}
    assert len(found) == len(rows), "a message is in the quarantine twice"
    return found


def blocked(table: LakeTable) -> dict[bytes, tuple[int, int]]:
    """Return what a service that starts finds in the quarantine table."""
    return blocked_keys(table.session, table.quarantine, [table.spec.topic])[table.spec.topic]


def key_bytes(number: int) -> bytes:
    return FRAME + bytes([number * 2])


def test_poison_blocks_its_key_alone(new_table: NewTable) -> None:
    """K5, K12, X9."""
    table, topic = new_table("poison", NUMBERED), Topic()

    def change(operation: str, number: int, n: int, lsn: int) -> Message:
        return topic.change(operation, {"id": number, "n": n}, (0, lsn))

    table.apply([change("c", i, 1, 10 + i) for i in range(1, 7)])
    bad = {
        (0, 6): topic.raw({"id": 2}, FRAME),  # nothing after the frame
        (0, 7): topic.raw({"id": 3}, b"\0\0\0\0\x63abc"),
        (0, 8): topic.raw({"id": 4}, b"{not avro}"),
        (0, 9): topic.raw(None, b"hello"),
        (0, 10): topic.raw(FRAME, FRAME + b"\0"),
        (0, 11): change("u", 5, 2, 30),
    }
    no_key = Message(0, 11, None, bad[0, 11].value)
    batch = [*list(bad.values())[:-1], no_key]
    bad[0, 12] = change("u", 2, 2, 31)
    batch += [bad[0, 12], change("u", 1, 2, 32)]
    with killed_before_publish(table), pytest.raises(Killed):
        table.apply(batch)
    table.memory = TableMemory("topic-id", blocked(table))
    applied = table.apply(batch)
    assert applied.collapsed.problems == len(bad)
    found = quarantined(table)
    assert set(found) == set(bad)
    assert bytes(found[0, 8].value) == b"{not avro}"
    assert bytes(found[0, 8].key) == key_bytes(4)
    assert found[0, 9].key is None
    assert found[0, 12].reason == BEHIND
    assert "unknown schema" in found[0, 7].reason
    assert "key column id" in found[0, 11].reason
    assert all(row.reason and row.pipeline == "shop" and row.quarantined_at for row in found.values())
    assert {row.id: row.n for row in table.rows()} == {1: 2, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1}
    assert blocked(table) == {key_bytes(2): (0, 6), key_bytes(3): (0, 7), key_bytes(4): (0, 8), FRAME: (0, 10)}

    table.memory = TableMemory("topic-id", blocked(table))
    table.apply([change("u", 2, 3, 40), change("u", 6, 3, 41), change("d", 3, 0, 42)])
    assert {row.id: row.n for row in table.rows()} == {1: 2, 2: 1, 3: 1, 4: 1, 5: 1, 6: 3}
    later = quarantined(table)
    assert set(later) - set(found) == {(0, 14), (0, 16)}
    assert later[0, 14].reason == later[0, 16].reason == BEHIND


def test_what_comes_behind_poison_in_the_same_batch_is_kept_with_it(new_table: NewTable) -> None:
    table, topic = new_table("behind", NUMBERED), Topic()
    table.apply([topic.change("c", {"id": i, "n": 1}, (0, 10 + i)) for i in (1, 2)])
    bad = topic.raw({"id": 1}, b"nonsense")
    table.apply([bad, topic.change("u", {"id": 1, "n": 2}, (0, 20)), topic.change("u", {"id": 2, "n": 2}, (0, 21))])
    assert {place: row.reason == BEHIND for place, row in quarantined(table).items()} == {(0, 2): False, (0, 3): True}
    assert {row.id: row.n for row in table.rows()} == {1: 1, 2: 2}


def test_too_many_stop_the_table(new_table: NewTable) -> None:
    """K13."""
    table, topic = new_table("poisoned", NUMBERED), Topic()
    table.blocked_keys = 2
    table.apply([topic.change("c", {"id": 9, "n": 1}, (0, 10))])
    before = table.table.read()
    with pytest.raises(TerminalError, match="more than 2 messages cannot be used; the first: "):
        table.apply([topic.raw({"id": i}, b"nonsense") for i in range(4)])
    assert table.table.read() == before


def test_a_topic_of_nothing_but_nonsense_makes_no_table(new_table: NewTable) -> None:
    table, topic = new_table("nonsense", NUMBERED), Topic()
    assert table.apply([topic.raw(None, b"hello"), topic.tombstone({"id": 1})]).collapsed.problems == 1
    assert not table.table.exists()
    assert set(quarantined(table)) == {(0, 0)}
    table.apply([topic.change("c", {"id": 1, "n": 1}, (0, 10))])
    assert [row.id for row in table.rows()] == [1]


def test_what_a_load_has_read_again_is_released(new_table: NewTable) -> None:
    """Messages of the topic below the load's offsets leave the quarantine; later ones and other topics' stay."""
    table, topic = new_table("released", NUMBERED), Topic()
    other = new_table("unreleased", NUMBERED)
    for one in (table, other):
        one.apply([topic.raw({"id": i}, b"nonsense") for i in range(4)])
    bad, others = quarantined(table), quarantined(other)
    assert len(bad) == len(others) == 4
    middle = sorted(bad)[2][1]
    name, commits = table.quarantine, f"SELECT count(*) FROM {table.quarantine}.snapshots"
    before = table.session.sql(commits).first()
    release_quarantined(table.session, name, table.spec.topic, {0: 0, 1: 99})
    assert table.session.sql(commits).first() == before, "nothing was there to release, and it was committed"
    release_quarantined(table.session, name, table.spec.topic, {0: middle, 1: 0})
    assert set(quarantined(table)) == set(sorted(bad)[2:])
    assert quarantined(other) == others


def test_many_blocked_keys_do_not_slow_a_batch_down(new_table: NewTable) -> None:
    """A condition for each of thousands of keys overflowed the stack of Spark's planner, and the table stopped."""
    table, topic = new_table("crowded", NUMBERED), Topic()
    table.blocked_keys = 100_000
    table.apply([topic.change("c", {"id": i, "n": 0}, (0, 10 + i)) for i in range(100)])
    took = {}
    for count in (1, 5_000):  # Spark decodes both batches: a message may wait behind one that is blocked
        table.memory = TableMemory("topic-id", {FRAME + b"far" + i.to_bytes(4): (0, 0) for i in range(count)})
        table.memory.blocked |= {key_bytes(7): (0, 0)} if count > 1 else {}
        best = []
        for _ in range(3):
            began = time.monotonic()
            table.apply([topic.change("u", {"id": i, "n": count}, (0, 10_000 + topic.offsets[0] + i)) for i in (7, 8)])
            best.append(time.monotonic() - began)
        took[count] = min(best)
    print(f"a batch took {took[1]:.2f} s with one blocked key, {took[5_000]:.2f} s with 5,000")
    assert {row.id: row.n for row in table.rows() if row.id in (7, 8)} == {7: 1, 8: 5_000}
    assert took[5_000] < 2 * took[1] + 2
