"""The contract of ``cdc.pipeline.report.StatusStore``: the same rows, whoever writes them."""

from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

import pytest

from cdc.core.status import LedgerRow, StatusRow, TableState
from cdc.lake.status import DirectStatusTables, StatusTables
from tests.file_catalog import FileCatalog

_numbers = count(1)
AT = datetime(2026, 1, 1, 12, 0, 0, 5, UTC)


def row(pipeline: str, target: str, **changes: Any) -> StatusRow:
    made = StatusRow(
        pipeline,
        f"topic.{target}",
        target,
        TableState.RUNNING,
        "p",
        "{}",
        2**60,
        1,
        2,
        3,
        4,
        5,
        6,
        0,
        0.5,
        AT,
        AT,
        AT,
        "",
    )
    return StatusRow(**{**vars(made), **changes})


def commit(pipeline: str, number: int) -> LedgerRow:
    return LedgerRow(pipeline, "ns.t", number, 0, 1, "a", "b", "{}", 1, 1, 0, 0, None, AT, None)


@pytest.fixture(params=["spark", "without spark"])
def stores(request: pytest.FixtureRequest, lake: tuple[Any, Any]) -> Any:
    """Return a store and what reads its tables."""
    session, config = lake
    namespace = f"status_{next(_numbers)}"
    made = StatusTables(session, config.catalog.name, namespace)
    made.create()
    catalog = cast("Any", FileCatalog(config))
    store = made if request.param == "spark" else DirectStatusTables(made, catalog, namespace)

    def rows(table: str) -> list[dict[str, Any]]:
        frame = session.table(f"{config.catalog.name}.{namespace}.{table}")
        return sorted(frame.toArrow().to_pylist(), key=lambda one: [str(value) for value in one.values()])

    return store, rows, session, f"{config.catalog.name}.{namespace}"


def test_rows_of_a_pipeline_replace_its_own_and_no_others(stores: Any) -> None:
    store, rows, _, _ = stores
    store.write([row("one", "a"), row("one", "b", lag_seconds=None, source_at=None)], [])
    store.write([row("two", "c", table_snapshot=None)], [])
    store.write([row("one", "a", state=TableState.STOPPED, last_error="é")], [])
    assert rows("status") == [
        vars(row("one", "a", state="stopped", last_error="é")),
        vars(row("two", "c", table_snapshot=None)),
    ]


def test_the_ledger_grows(stores: Any) -> None:
    store, rows, _, _ = stores
    store.write([], [commit("one", 1), commit("one", 2)])
    store.write([], [commit("two", 3)])
    assert rows("commits") == [vars(commit("one", 1)), vars(commit("one", 2)), vars(commit("two", 3))]


def test_tables_that_were_dropped_are_made_again(stores: Any) -> None:
    store, rows, session, namespace = stores
    store.write([row("one", "a")], [commit("one", 1)])
    for table in ("status", "commits"):
        session.sql(f"DROP TABLE {namespace}.{table}")
    store.write([row("one", "b")], [commit("one", 2)])
    assert rows("status") == [vars(row("one", "b"))]
    assert rows("commits") == [vars(commit("one", 2))]


def test_a_status_table_of_an_older_version_gets_its_columns(lake: tuple[Any, Any]) -> None:
    """X4."""
    session, config = lake
    namespace = f"status_{next(_numbers)}"
    made = StatusTables(session, config.catalog.name, namespace)
    made.create()
    session.sql(f"ALTER TABLE {config.catalog.name}.{namespace}.status DROP COLUMNS (way, seconds)")
    made.create()
    DirectStatusTables(made, cast("Any", FileCatalog(config)), namespace).write([row("one", "a", way="rewrite")], [])
    found = session.table(f"{config.catalog.name}.{namespace}.status").select("target", "way", "seconds").collect()
    assert [tuple(one) for one in found] == [("a", "rewrite", None)]
