"""What `cdc status` says of services and sources."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdc.cli import status
from cdc.cli.status import DOWN, Seen, SourceSeen, rows_of, see
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.core.trouble import Trouble, to_json
from cdc.lake.control import Control
from cdc.lake.holder import LeaseSeen, this_process
from tests.fakes.configuration import POSTGRES, configuration
from tests.sql_catalog import sql_catalog
from tests.unit.cli.test_tables import ROW

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILED = Finding("connector_failed", "it failed", "restart it")
MISSING = Finding("table_missing", "it is gone", "", table=TableName("public", "a"))


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that looks, with a service that is up or not, and findings of a look without it."""
    catalog = sql_catalog(tmp_path)
    Control(catalog, "cdc").note(relations={}, troubles={"shop": to_json([Trouble(FAILED, BEGAN)])})
    config = configuration(POSTGRES).model_copy(update={"metadata_namespace": "cdc"})

    def look(*, up: bool, findings: tuple[Finding, ...] = ()) -> Seen:
        lease = LeaseSeen(this_process(), datetime.now(UTC) - (timedelta() if up else timedelta(hours=1)))
        monkeypatch.setattr(status, "open_catalog", lambda _: catalog)
        monkeypatch.setattr(status, "read_lease", lambda *_: lease)
        monkeypatch.setattr(status, "find_now", lambda *_: findings)
        monkeypatch.setattr(status, "read_status", lambda *_: [ROW])
        return see(config, live=True)

    return look


def test_with_the_service_up_its_own_word_counts(seen: Any) -> None:
    found = seen(up=True, findings=(MISSING,))
    assert [(row.target, row.state) for row in found.rows] == [("shop.a", "running")]
    assert found.sources[0].troubles == [Trouble(FAILED, BEGAN)]
    assert "service of shop is up (process " in str(found.sources[0])


def test_with_the_service_down_no_table_runs_and_the_source_is_looked_at(seen: Any) -> None:
    """A process that was gone left `running` behind."""
    remark = Finding("superuser", "", "", fatal=False)
    found = seen(up=False, findings=(FAILED, MISSING, remark))
    assert [row.state for row in found.rows] == [DOWN]
    (source,) = found.sources
    assert [one.finding for one in source.troubles] == [FAILED, MISSING]
    assert source.troubles[0].since == BEGAN
    assert str(source).startswith("service of shop is down since 20")
    document = json.loads(json.dumps(status._json(found), default=str))  # noqa: SLF001
    assert [one["state"] for one in document] == ["down", "service down", "trouble", "trouble"]
    assert document[-1]["table"] == "public.a"


def test_a_service_that_never_ran_says_how_it_is_started() -> None:
    assert str(SourceSeen("shop", False, "", None, [])) == "service of shop is down: it never ran; start it: cdc stream"


def test_a_stopped_table_stays_so_and_other_sources_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(ROW, state="stopped"), replace(ROW, pipeline="other")]
    monkeypatch.setattr(status, "read_status", lambda *_: rows)
    assert [row.state for row in rows_of(None, "cdc", {"shop": False})] == ["stopped"]  # type: ignore[arg-type]
