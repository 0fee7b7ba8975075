"""Large tables whose batches are staged as row deltas: what readers find, and what an index lives through."""

from collections.abc import Callable
from typing import Any

from tests.contract.events import NUMBERED, Topic
from tests.contract.test_commit import numbers
from tests.contract.test_rewriting import updates
from tests.lake import LakeTable

NewTable = Callable[..., LakeTable]


def scanned(table: LakeTable) -> dict[int, int]:
    """Return id -> n as pyiceberg reads the table; a key that is there twice is an error."""
    found = table.files.load_table(table.spec.target).scan().to_arrow().to_pylist()
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row["n"] for row in found}


def test_a_batch_adds_rows_and_deletes_by_position(new_table: NewTable) -> None:
    table, topic = new_table("delta", NUMBERED, deltas=True), Topic()
    first = table.apply(updates(topic, 1, 1, 2, 3))
    assert (first.way, first.counts) == ("delta", {"inserted": 3, "updated": 0, "deleted": 0})
    second = table.apply([*updates(topic, 2, 1, 4), topic.change("d", {"id": 2}, (200, 290))])
    assert (second.way, second.counts) == ("delta", {"inserted": 1, "updated": 1, "deleted": 1})
    assert numbers(table) == scanned(table) == {1: 2, 3: 1, 4: 2}
