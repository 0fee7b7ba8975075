"""The contract of ``cdc.pipeline.table.TargetTable``, held by the fake and by Iceberg alike."""

from collections.abc import Mapping
from itertools import count
from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from cdc.config.models import Config
from cdc.core.errors import CommitConflict, CommitStateUnknown
from cdc.core.evolution import CDC_COLUMNS, SchemaPlan
from cdc.core.names import TableName
from cdc.lake.held import HeldTable
from cdc.lake.row_delta import delta_of
from cdc.lake.tables import IcebergTable
from cdc.lake.target import Target
from cdc.spark.session import snapshot_properties
from tests.fakes.target_table import FakeTargetTable
from tests.file_catalog import FileCatalog

COLUMNS = {"id": "int", "Name, or: `what` ever": "string"}
_numbers = count(1)


class RealTable(IcebergTable):
    """Iceberg, with the two things that a test does besides."""

    def write(self, summary: Mapping[str, str]) -> None:
        with snapshot_properties(self._session, summary):
            self._session.sql(f"INSERT INTO {self.branch_sql} VALUES (1, 'a', '', '', NULL, NULL)")

    def write_elsewhere(self) -> None:
        self._session.sql(f"INSERT INTO {self.sql_name} VALUES (2, 'b', '', '', NULL, NULL)")


class HeldReal(Target):
    """Iceberg through pyiceberg, which stages without a commit."""

    def write(self, summary: Mapping[str, str]) -> None:
        self._held.stage(delta_of(self._held.table, (), summary))

    def write_elsewhere(self) -> None:
        assert isinstance(self._java, RealTable)
        self._java.write_elsewhere()


def held_table(session: SparkSession, config: Config, name: TableName) -> HeldReal:
    return HeldReal(HeldTable(cast("Any", FileCatalog(config)), name), RealTable(session, config.catalog.name, name))


@pytest.fixture(params=["fake", "iceberg", "iceberg without a JVM"])
def table(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return FakeTargetTable()
    session, config = request.getfixturevalue("lake")
    name = TableName("ns", f"contract_{next(_numbers)}")
    if request.param == "iceberg":
        return RealTable(session, config.catalog.name, name)
    return held_table(session, config, name)


def test_create_is_idempotent_and_starts_without_a_snapshot(table: Any) -> None:
    assert not table.exists()
    assert table.find() is None
    for _ in range(2):
        table.create(COLUMNS, ("id",), (), {})
        assert table.exists()
    state = table.read()
    assert table.find() == state
    assert state.snapshot_id == -1
    assert dict(state.columns) == {**COLUMNS, **CDC_COLUMNS}
    assert dict(state.summary) == {}


def test_evolve_is_idempotent(table: Any) -> None:
    table.create(COLUMNS, ("id",), (), {})
    for _ in range(2):
        table.evolve(SchemaPlan({"more. of it": "decimal(5, 2)"}, {"id": "long"}))
    assert dict(table.read().columns) == {**COLUMNS, **CDC_COLUMNS, "more. of it": "decimal(5, 2)", "id": "long"}


def test_a_staged_commit_is_seen_once_it_is_published(table: Any) -> None:
    table.create(COLUMNS, ("id",), (), {})
    table.fence({"cdc.token": "1"})
    base = table.read()
    table.stage(base.snapshot_id)
    assert table.staged(base.snapshot_id) == (base.snapshot_id, {})
    table.write({"cdc.token": "1", "cdc.progress": "p"})
    assert table.read() == base
    staged, summary = table.staged(base.snapshot_id)
    assert staged != base.snapshot_id
    assert summary["cdc.progress"] == "p"
    table.publish(base.snapshot_id, staged, {"cdc.progress": "p"})
    assert table.read().snapshot_id == staged
    assert dict(table.read().summary) == {"cdc.token": "1", "cdc.progress": "p"}


def test_publish_is_a_compare_and_swap(table: Any) -> None:
    """S22: a foreign commit, or the fence of a newer writer, makes a staged commit unpublishable."""
    table.create(COLUMNS, ("id",), (), {})
    table.fence({"cdc.token": "1", "cdc.progress": "p"})
    for disturb in (table.write_elsewhere, lambda: table.fence({"cdc.token": "2", "cdc.progress": "p"})):
        base = table.read().snapshot_id
        table.stage(base)
        table.write({"cdc.token": "1", "cdc.progress": "q"})
        staged, _ = table.staged(base)
        disturb()
        moved = table.read()
        with pytest.raises(CommitConflict):
            table.publish(base, staged, {"cdc.progress": "q"})
        assert table.read() == moved
        assert moved.summary["cdc.progress"] == "p", "S20: found beyond a commit that says nothing"
    assert table.read().summary["cdc.token"] == "2"


def test_what_was_staged_and_not_published_is_discarded(table: Any) -> None:
    """S1: a new attempt begins at main."""
    table.create(COLUMNS, ("id",), (), {})
    table.fence({"cdc.token": "1"})
    base = table.read().snapshot_id
    for attempt in ("first", "second"):
        table.stage(base)
        table.write({"cdc.attempt": attempt})
    staged, summary = table.staged(base)
    assert summary["cdc.attempt"] == "second"
    table.publish(base, staged, {})
    table.stage(table.read().snapshot_id)
    assert table.staged(staged) == (staged, {})


@pytest.mark.parametrize("version", ["2", "3"])
def test_progress_is_published_without_a_row(table: Any, version: str) -> None:
    table.create(COLUMNS, ("id",), (), {"format-version": version})
    table.fence({"cdc.token": "1"})
    base = table.read().snapshot_id
    table.stage_progress(base, {"cdc.token": "1", "cdc.progress": "p"})
    assert table.read().snapshot_id == base
    staged, _ = table.staged(base)
    assert staged != base
    table.publish(base, staged, {"cdc.progress": "p"})
    assert table.read().summary["cdc.progress"] == "p"


def test_both_ways_read_the_same_of_a_table(lake: tuple[Any, Any]) -> None:
    session, config = lake
    held = held_table(session, config, TableName("ns", f"contract_{next(_numbers)}"))
    nested = {"list": "list<struct<a: int, c: decimal(9, 2)>>", "map": "map<string, long>", "tz": "timestamptz"}
    held.create({**COLUMNS, **nested, "at": "timestamp"}, ("id", "at"), ("bucket(4, id)", "day(at)"), {})
    java = IcebergTable(session, config.catalog.name, held._held.name)  # noqa: SLF001
    for summary in ({"cdc.token": "1"}, {"cdc.token": "2", "cdc.progress": "p"}):
        held.fence(summary)
        assert held.read() == java.read()
    held.evolve(SchemaPlan({"more": "binary"}, {"id": "long"}))
    assert held.read() == java.read()


class LostAnswer(RealTable):
    """Swaps main and loses the answer; or loses the question."""

    arrives = True

    def _swap(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        if self.arrives:
            super()._swap(base, staged, properties)
        raise CommitStateUnknown("the answer was lost")


def test_an_unknown_outcome_is_resolved_s4(lake: tuple[Any, Any]) -> None:
    """S4, S24: the commit is looked for, never made twice."""
    session, config = lake
    table = LostAnswer(session, config.catalog.name, TableName("ns", "lost_answer"))
    table.create(COLUMNS, ("id",), (), {})
    table.fence({"cdc.token": "1"})
    base = table.read().snapshot_id
    table.stage(base)
    table.write({"cdc.progress": "p"})
    staged, _ = table.staged(base)
    table.arrives = False
    with pytest.raises(CommitStateUnknown):
        table.publish(base, staged, {})
    assert table.read().snapshot_id == base
    table.arrives = True
    table.publish(base, staged, {})
    assert table.read().snapshot_id == staged
