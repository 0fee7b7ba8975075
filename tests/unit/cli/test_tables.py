"""`cdc tables` as a person or a script uses it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cdc.bootstrap import accept
from cdc.cli import tables
from cdc.cli.selection import select_tables
from cdc.cli.tables import register, standing
from cdc.core.control import ControlState, Pause
from cdc.core.errors import ConfigError
from cdc.core.status import StatusRow, TableState
from cdc.lake.audit import AuditLog
from cdc.lake.control import Control
from tests.fakes.configuration import configuration
from tests.sql_catalog import sql_catalog

ROOT = Path(__file__).parents[3]
LOCAL = ROOT / "config" / "local.yaml"
PAUSE = Pause("ann", "2026-01-02", "a bad deploy")
ROW = StatusRow(
    "shop", "shop.public.a", "shop.a", "running", "", "", None, 1, 0, 0, 0, 0, 0, 0, None, None, None,
    datetime(2026, 1, 2, tzinfo=UTC), "",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the command on a catalog in a folder, with the configuration of the tests."""
    monkeypatch.setattr(tables, "open_catalog", lambda _: sql_catalog(tmp_path))
    monkeypatch.setattr(accept, "open_catalog", lambda _: sql_catalog(tmp_path))
    monkeypatch.setattr(tables, "known_config", lambda *_, **__: configuration())
    app = typer.Typer()
    register(app)

    def invoke(*words: str) -> Any:
        return CliRunner().invoke(app, ["tables", *words])

    return invoke


def test_tables_are_listed_before_anything_ran(run: Any) -> None:
    lines = json.loads(run("list", "--json").output)
    assert [line["target"] for line in lines] == ["shop.customers", "shop.order__items", "store.c", "erp.sales_orders"]
    assert {(line["state"], line["rows"], line["committed_at"]) for line in lines} == {("new", None, None)}
    assert [line["snapshot"] for line in lines] == ["load", "load", "load", "connector"]
    shown = run("list").output
    assert "shop.customers" in shown
    assert "shop.customers: not seen by `cdc stream` yet" in shown


def test_a_pause_is_told_kept_and_shown(run: Any, tmp_path: Path) -> None:
    result = run("pause", "public.customers", "store.*", "--why", "a bad deploy")
    assert result.output.splitlines() == [
        "paused shop.customers",
        "paused store.c",
        "the running service takes it up within a few seconds",
    ]
    again = run("pause", "shop.customers")
    assert again.output.startswith("shop.customers is already paused (paused by ")
    assert "few seconds" not in again.output
    states = {line["target"]: (line["state"], line["detail"]) for line in json.loads(run("list", "--json").output)}
    assert states["store.c"][0] == "paused"
    assert "a bad deploy" in states["store.c"][1]
    assert states["erp.sales_orders"][0] == "new"
    kept = AuditLog(sql_catalog(tmp_path), "cdc").read(9)
    assert {(one.command, one.target, one.why) for one in kept} == {
        ("tables pause", "shop.customers", "a bad deploy"),
        ("tables pause", "store.c", "a bad deploy"),
    }


def test_an_outdated_table_is_accepted_and_told_who_did_so(run: Any, tmp_path: Path) -> None:
    Control(sql_catalog(tmp_path), "cdc").outdated("shop.customers", "a label was renamed")
    assert run("accept", "shop.*", "--why", "nobody uses it").output.splitlines() == [
        "accepted shop.customers",
        "shop.order__items is neither outdated nor stopped by another history of its source",
        "the running service takes it up within a few seconds",
    ]
    assert json.loads(run("accept", "shop.customers", "--json").output)[0]["changed"] is False
    (kept,) = AuditLog(sql_catalog(tmp_path), "cdc").read(9)
    assert (kept.command, kept.target, kept.why) == ("tables accept", "shop.customers", "nobody uses it")
    assert "a label was renamed" in kept.what


def test_a_resume_is_told_for_machines_too(run: Any) -> None:
    run("pause", "store.c")
    (done,) = json.loads(run("resume", "store.c", "--json").output)
    assert (done["target"], done["changed"]) == ("store.c", True)
    assert run("resume", "store.c").output.splitlines() == ["store.c is not paused"]


def test_an_unknown_table_is_an_error_that_names_the_nearest(run: Any) -> None:
    result = run("pause", "shop.customer", "store.c")
    assert isinstance(result.exception, ConfigError)
    assert "shop.customer" in str(result.exception)
    assert result.exception.hint == 'did you mean "shop.customers"?'
    assert json.loads(run("list", "--json").output)[2]["state"] == "new", "all or nothing"


def test_a_catalog_of_files_says_that_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration(catalog={"type": "hadoop", "warehouse": str(tmp_path)})
    monkeypatch.setattr(tables, "known_config", lambda *_, **__: config)
    app = typer.Typer()
    register(app)
    assert CliRunner().invoke(app, ["tables", "list"]).exit_code == 0
    assert isinstance(CliRunner().invoke(app, ["tables", "pause", "store.c"]).exception, ConfigError)


@pytest.mark.parametrize(
    ("patterns", "targets"),
    [
        (['public."Order. Items"'], ["shop.order__items"]),
        (["shop.*", "public.customers"], ["shop.customers", "shop.order__items"]),
        (["*"], ["shop.customers", "shop.order__items", "store.c", "erp.sales_orders"]),
        (["store.c", "*customers"], ["shop.customers", "store.c"]),
    ],
)
def test_tables_are_named_as_in_the_source_or_in_the_lake(patterns: list[str], targets: list[str]) -> None:
    assert [str(one.target) for one in select_tables(configuration(), patterns)] == targets


def test_a_name_is_no_expression() -> None:
    with pytest.raises(ConfigError):
        select_tables(configuration(), ["shop.customer."])


@pytest.mark.parametrize(
    ("row", "paused", "state", "detail"),
    [
        (None, False, "new", "not seen"),
        (None, True, "paused", "ann"),
        (ROW, False, "running", ""),
        (ROW, True, "paused", "not noticed"),
        (replace(ROW, state="paused", last_error=str(PAUSE)), True, "paused", str(PAUSE)),
        (replace(ROW, state="paused", last_error=str(PAUSE)), False, "paused", "resumed"),
        (replace(ROW, state="stopped", last_error="no room"), True, "stopped", "no room; paused by ann"),
        (replace(ROW, state="loading", last_error="waits for its load"), False, "loading", "waits"),
    ],
)
def test_a_state_is_what_the_service_wrote_and_what_it_is_asked_for(
    row: StatusRow | None, paused: bool, state: str, detail: str
) -> None:
    found, said = standing(row, ControlState({"shop.a": PAUSE} if paused else {}), "shop.a")
    assert found == state
    assert detail in said


def test_every_state_has_a_colour() -> None:
    assert set(tables.COLOURS) == {*TableState, tables.DOWN}
