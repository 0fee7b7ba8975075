"""Histories, ledger and the move of main on a catalog that pyiceberg writes to."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitStateUnknownException

from cdc.core.checkpoints import checkpoints_of, ledger_row
from cdc.core.errors import CommitConflict, CommitStateUnknown, ConfigError, TerminalError
from cdc.core.history import REWOUND_FROM
from cdc.core.names import TableName
from cdc.core.rewind import RewindPlan, plan_rewind
from cdc.lake.checkpoints import Histories, Ledger
from cdc.lake.pyiceberg_catalog import HadoopReader
from cdc.lake.rewind import Rewinder
from tests.sql_catalog import sql_catalog
from tests.unit.core.histories import TOPIC, batch, fence, progress, topic
from tests.unit.core.test_rewind import NOW

TARGET = TableName("shop", "customers")


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    """A catalog with a table of three batches and a fence between them."""
    made = sql_catalog(tmp_path)
    made.create_namespace("shop")
    table = made.create_table(TARGET, pa.schema([("id", pa.int32())]), properties={"cdc.merge-mode-by-size": "true"})
    for number, summary in enumerate(
        (batch(1), fence(8), batch(3, token=8), batch(6, token=8, **{"cdc.truncated": "p"}))
    ):
        own = {name: value for name, value in summary.items() if name != "operation"}
        ids = [] if "cdc.fence" in own else [number]
        table.append(pa.table({"id": pa.array(ids, pa.int32())}), snapshot_properties=own)
        if ids:
            table.transaction().set_properties(own).commit_transaction()
    return made


def ids(catalog: SqlCatalog) -> list[int]:
    return sorted(catalog.load_table(TARGET).scan().to_arrow()["id"].to_pylist())


def plan_to(catalog: SqlCatalog, nth: int) -> RewindPlan:
    """Return the plan of a rewind to the nth newest checkpoint."""
    history = Histories(catalog).read(TARGET)
    chosen = list(checkpoints_of(history))[nth]
    return plan_rewind(history, chosen.table_snapshot, TOPIC, topic((0, 9)), NOW)


def test_histories(catalog: SqlCatalog) -> None:
    history = Histories(catalog).read(TARGET)
    assert [one.progress for one in checkpoints_of(history)] == [progress(6), progress(3), progress(1)]
    assert [number for _, number in history.main_log] == [
        v.snapshot_id for v in reversed(list(history.ancestry(history.head)))
    ]
    assert history.schemas == {0: {"id": 1}}
    with pytest.raises(TerminalError, match=r"no table shop\.orders"):
        Histories(catalog).read(TableName("shop", "orders"))


def test_one_commit_moves_rows_progress_properties_and_tags(catalog: SqlCatalog) -> None:
    plan = plan_to(catalog, 2)
    versions = len(catalog.load_table(TARGET).metadata.metadata_log)
    moved = Rewinder(catalog).move(plan)
    table = catalog.load_table(TARGET)
    assert len(table.metadata.metadata_log) == versions + 1
    assert ids(catalog) == [0]
    assert table.metadata.current_snapshot_id == moved
    assert table.current_snapshot().parent_snapshot_id == plan.to_snapshot
    assert table.metadata.refs[plan.tag].snapshot_id == plan.from_snapshot
    assert table.properties["cdc.progress"] == progress(1).to_json()
    assert table.properties["cdc.token"] == "8"
    assert table.properties["cdc.merge-mode-by-size"] == "true"
    assert "cdc.truncated" not in table.properties
    assert REWOUND_FROM not in table.properties
    assert table.current_snapshot().summary["total-records"] == "1"
    history = Histories(catalog).read(TARGET)
    assert history.progress(history.head) == progress(1)
    assert [one.kind for one in checkpoints_of(history)] == ["rewind", "batch"]

    table.append(pa.table({"id": pa.array([7], pa.int32())}))
    assert ids(catalog) == [0, 7], "others go on from there"


def test_whoever_is_slower_gets_a_conflict(catalog: SqlCatalog) -> None:
    plan = plan_to(catalog, 2)
    catalog.load_table(TARGET).append(pa.table({"id": pa.array([7], pa.int32())}))
    with pytest.raises(CommitConflict):
        Rewinder(catalog).move(plan)
    assert ids(catalog) == [0, 2, 3, 7]


class LostAnswers(SqlCatalog):
    """Commits, or does not, and loses the answer."""

    arrives = True

    def commit_table(self, *arguments: Any) -> Any:
        if self.arrives:
            super().commit_table(*arguments)
        raise CommitStateUnknownException("the answer was lost")


@pytest.mark.parametrize("arrives", [True, False])
def test_lost_answers_s4(catalog: SqlCatalog, arrives: bool) -> None:
    lossy = LostAnswers("lake", **catalog.properties)
    lossy.arrives = arrives
    plan = plan_to(catalog, 2)
    if arrives:
        Rewinder(lossy).move(plan)
        assert ids(catalog) == [0]
    else:
        with pytest.raises(CommitStateUnknown):
            Rewinder(lossy).move(plan)
        assert ids(catalog) == [0, 2, 3]


def test_a_catalog_of_files_is_refused(catalog: SqlCatalog, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hadoop"):
        Rewinder(HadoopReader("lake", str(tmp_path))).move(plan_to(catalog, 2))


def test_the_ledger_is_written_where_there_is_none(catalog: SqlCatalog) -> None:
    ledger = Ledger(catalog, "cdc")
    assert ledger.read(TARGET) == []
    ledger.append([])
    rows = [ledger_row(one) for one in checkpoints_of(Histories(catalog).read(TARGET))]
    ledger.append(rows[:1])
    ledger.append(rows[1:])
    assert ledger.read(TARGET) == rows
    assert ledger.read(TableName("shop", "orders")) == []
