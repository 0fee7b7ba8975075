"""`cdc quarantine` as a person or a script uses it, on a table as the service makes it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from cdc.bootstrap import operations
from cdc.cli import quarantine
from cdc.cli.quarantine import register
from cdc.core.batch import BEHIND
from cdc.core.errors import ConfigError
from cdc.core.history import PROGRESS
from cdc.core.progress import PartitionProgress, Progress, TopicState
from cdc.lake.audit import AuditLog
from cdc.lake.control import Control
from tests.fakes.configuration import POSTGRES, configuration
from tests.sql_catalog import sql_catalog

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
TOPIC, OTHER = "shop.public.customers", "shop.public.Order._Items"
COLUMNS = pa.schema(
    [
        *(("pipeline", pa.string()), ("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())),
        *(("key", pa.binary()), ("value", pa.binary()), ("reason", pa.string())),
        ("quarantined_at", pa.timestamp("us", "UTC")),
    ]
)
ROWS = [
    (TOPIC, 0, 5, b"\x01", b"bad \xff", "not Avro"),
    (TOPIC, 0, 9, b"\x01", b"good", BEHIND),
    (TOPIC, 1, 2, b"\x02", b"bad", "not Avro"),
    (TOPIC, 1, 7, None, b"lost", "no key"),
    (OTHER, 0, 1, b"\x01", None, "unknown schema 7"),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the command on a quarantine with messages of two topics."""
    catalog = sql_catalog(tmp_path)
    rows = [
        dict(zip(COLUMNS.names, ("shop", *row, BEGAN + timedelta(seconds=n)), strict=True))
        for n, row in enumerate(ROWS)
    ]
    catalog.create_namespace("cdc")
    catalog.create_table("cdc.quarantine", COLUMNS).append(pa.Table.from_pylist(rows, COLUMNS))
    monkeypatch.setattr(operations, "open_catalog", lambda _: catalog)
    for name in ("known_config", "complete_config"):
        monkeypatch.setattr(quarantine, name, lambda *_, **__: configuration(POSTGRES))
    app = typer.Typer()
    register(app)

    def invoke(*words: str, code: int = 0, answer: str | None = None) -> str:
        result = CliRunner().invoke(app, ["quarantine", *words], input=answer)
        assert result.exit_code == code, result.output
        return str(result.output)

    return invoke


def held(run: Any) -> dict[str, tuple[int, int, str]]:
    found = json.loads(run("list", "--json"))
    return {one["target"]: (one["messages"], one["keys"], one["reason"]) for one in found}


def test_what_is_held_is_listed_by_table(run: Any) -> None:
    assert held(run) == {"shop.customers": (4, 2, "not Avro"), "shop.order__items": (1, 1, "unknown schema 7")}
    shown = run("list")
    assert "shop.customers" in shown
    assert "2026-01-02 00:00Z" in shown


def test_messages_are_shown_without_their_values_unless_they_are_asked_for(run: Any) -> None:
    messages = json.loads(run("show", "public.customers", "--json"))
    assert [(one["partition"], one["offset"], one["key"], one["reason"]) for one in messages] == [
        (0, 5, "01", "not Avro"),
        (0, 9, "01", BEHIND),
        (1, 2, "02", "not Avro"),
        (1, 7, None, "no key"),
    ]
    plain = run("show", "shop.customers", "--limit", "1")
    assert "partition=0  offset=5  key=01" in plain
    assert "bad" not in plain
    assert "value=bad \\xff" in run("show", "shop.customers", "--values")


def test_a_key_is_freed_and_the_service_is_told(run: Any, tmp_path: Path) -> None:
    """X9."""
    assert "2 messages of shop.customers would be discarded" in run(
        "discard", "public.customers", "--key", "01", "--dry-run"
    )
    assert held(run)["shop.customers"][0] == 4
    assert "2 messages of shop.customers are discarded" in run(
        "discard", "public.customers", "--key", "01", "--yes", "--why", "known"
    )
    assert held(run) == {"shop.customers": (2, 1, "not Avro"), "shop.order__items": (1, 1, "unknown schema 7")}
    catalog = sql_catalog(tmp_path)
    assert set(Control(catalog, "cdc").read().moved) == {"shop.customers"}
    (row,) = AuditLog(catalog, "cdc").read(5)
    assert (row.command, row.what, row.why) == ("quarantine discard", "2 messages, 1 keys", "known")


def test_all_of_a_table_goes_after_a_question(run: Any) -> None:
    run("discard", "public.customers", code=1, answer="n\n")
    assert held(run)["shop.customers"][0] == 4
    assert "4 messages of shop.customers are discarded" in run("discard", "public.customers", answer="y\n")
    assert set(held(run)) == {"shop.order__items"}
    assert "0 messages of shop.customers are discarded" in run("discard", "public.customers", "--yes")


@pytest.mark.usefixtures("run")
def test_a_key_that_is_none_is_refused() -> None:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["quarantine", "discard", "shop.customers", "--key", "xyz", "--yes"])
    assert isinstance(result.exception, ConfigError)
    assert "cdc quarantine show" in result.exception.hint


def test_a_retry_shows_from_where_the_topic_is_read_again(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = sql_catalog(tmp_path)
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.customers", pa.schema([("id", pa.int32())]))
    progress = Progress(TOPIC, "id", {0: PartitionProgress(20), 1: PartitionProgress(5)})
    table.append(pa.table({"id": pa.array([1], pa.int32())}), snapshot_properties={PROGRESS: progress.to_json()})
    state = TopicState("id", {0: (0, 30), 1: (0, 9)})
    monkeypatch.setattr(operations.TopicStates, "state", lambda *_: state)
    (plan,) = json.loads(run("retry", "public.customers", "--dry-run", "--json"))
    assert plan == {
        "table": "shop.customers",
        "done": False,
        "held": 4,
        "keys": 2,
        "offsets": {"0": {"from": 5, "to": 20}, "1": {"from": 2, "to": 5}},
        "messages": 18,
    }
    (plan,) = json.loads(run("retry", "public.customers", "--key", "02", "--dry-run", "--json"))
    assert (plan["held"], plan["offsets"]["0"], plan["messages"]) == (1, {"from": 20, "to": 20}, 3)
    assert "4 messages of 2 keys are held; 18 messages" in run("retry", "shop.customers", "--dry-run")
    run("discard", "public.customers", "--yes")
    assert "shop.customers: nothing is held" in run("retry", "public.customers")
