"""A new epoch of a table: what its commit changes, and what it keeps from being undone."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from cdc.core.checkpoints import checkpoints_of
from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import TRUNCATED
from cdc.core.names import TableName
from cdc.core.replay import Known, plan_copy, plan_replay
from cdc.core.rewind import plan_rewind
from cdc.lake.checkpoints import Histories
from cdc.lake.epochs import Epochs
from tests.sql_catalog import sql_catalog
from tests.unit.core.histories import TOPIC, batch, progress, topic
from tests.unit.core.test_rewind import NOW

TARGET = TableName("shop", "customers")


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    """A catalog with a table of two batches."""
    made = sql_catalog(tmp_path)
    made.create_namespace("shop")
    made.create_table(TARGET, pa.schema([("id", pa.int32())]))
    for number, summary in enumerate((batch(3), batch(6, **{TRUNCATED: "p"}))):
        commit(made, number, summary)
    return made


def commit(catalog: SqlCatalog, number: int, summary: dict[str, str]) -> None:
    own = {name: value for name, value in summary.items() if name != "operation"}
    rows = pa.table({"id": pa.array([number], pa.int32())})
    catalog.load_table(TARGET).append(rows, snapshot_properties=own)


def test_only_the_epoch_is_another_one(catalog: SqlCatalog) -> None:
    before = Histories(catalog).read(TARGET)
    raised = Epochs(catalog).raise_(TARGET)
    after = Histories(catalog).read(TARGET)
    assert raised == after.progress(after.head) == progress(6, epoch=1)
    was, now = before.recorded(before.head), after.recorded(after.head)
    assert was is not None
    assert now is not None
    assert {n: now[n] for n in was if n not in ("cdc.progress", "cdc.events", "cdc.first_position")} == {
        n: v for n, v in was.items() if n not in ("cdc.progress", "cdc.events", "cdc.first_position")
    }
    assert sorted(catalog.load_table(TARGET).scan().to_arrow()["id"].to_pylist()) == [0, 1]
    assert Epochs(catalog).raise_(TARGET) == progress(6, epoch=2)


def test_nothing_is_applied_again_from_before_it(catalog: SqlCatalog) -> None:
    """Events of two histories have no order among each other."""
    Epochs(catalog).raise_(TARGET)
    commit(catalog, 2, batch(9) | {"cdc.progress": progress(9, epoch=1).to_json()})
    history = Histories(catalog).read(TARGET)
    newest, accepted, last, first = (one.table_snapshot for one in checkpoints_of(history))
    assert newest == history.head
    for old in (last, first):  # the last has the same offsets, in the epoch of before
        with pytest.raises(PositionLost, match="another history since") as caught:
            plan_rewind(history, old, TOPIC, topic((0, 99)), NOW)
        assert "cdc tables reset" in caught.value.hint
    assert plan_rewind(history, accepted, TOPIC, topic((0, 99)), NOW).after == progress(6, epoch=1)
    known = Known(history, list(checkpoints_of(history)), TOPIC, topic((0, 99)))
    replayed = plan_replay(known, "earliest", "latest")
    assert (replayed.start, bool(replayed.left_out)) == (progress(6, epoch=1), True)
    copied = plan_copy(known, "earliest", "latest", TableName("shop", "copy"), from_connector=True)
    assert copied.base == accepted


def test_a_table_that_holds_nothing_has_no_epoch(tmp_path: Path) -> None:
    made = sql_catalog(tmp_path)
    made.create_namespace("shop")
    made.create_table(TARGET, pa.schema([("id", pa.int32())]))
    with pytest.raises(TerminalError, match="holds nothing yet"):
        Epochs(made).raise_(TARGET)
