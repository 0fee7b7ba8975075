"""`cdc checkpoint`, `cdc rewind` and `cdc replay` as a person or a script uses them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from cdc.bootstrap import operations
from cdc.cli import checkpoint, replay, rewind
from cdc.core.errors import ConfigError, PositionLost, TerminalError, TransientError
from cdc.core.progress import TopicState
from cdc.lake.audit import AuditLog
from cdc.pipeline.replay import Replayed
from tests.fakes.configuration import configuration
from tests.sql_catalog import sql_catalog
from tests.unit.core.histories import batch, topic

TARGET = ("shop", "customers")


class Cluster:
    """The topics of the configured cluster; None: it does not answer."""

    state_: TopicState | None = topic((0, 9))

    def __init__(self, _config: Any) -> None:
        pass

    def state(self, _topic: str) -> TopicState | None:
        if Cluster.state_ is None:
            raise TransientError("Kafka is away")
        return Cluster.state_


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that calls ``cdc`` on a table with three checkpoints."""
    catalog = sql_catalog(tmp_path)
    catalog.create_namespace("shop")
    table = catalog.create_table(TARGET, pa.schema([("id", pa.int32())]))
    for number in (1, 3, 6):
        summary = {name: value for name, value in batch(number).items() if name != "operation"}
        table.append(pa.table({"id": pa.array([number], pa.int32())}), snapshot_properties=summary)
    for module, name in ((checkpoint, "known_config"), (replay, "complete_config"), (rewind, "known_config")):
        monkeypatch.setattr(module, name, lambda *_, **__: configuration())
    monkeypatch.setattr(operations, "open_catalog", lambda _: catalog)
    monkeypatch.setattr(operations, "TopicStates", Cluster)
    monkeypatch.setattr(Cluster, "state_", topic((0, 9)))
    app = typer.Typer()
    checkpoint.register(app)
    rewind.register(app)
    replay.register(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def listed(run: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("checkpoint", "list", "--json").output)
    return found


def test_list_and_show(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, middle, first = listed(run)
    assert [one["offsets"] for one in (newest, middle, first)] == [{"0": 6}, {"0": 3}, {"0": 1}]
    assert newest["parent"] == middle["table_snapshot"]
    assert newest["committed_at"].endswith("Z")
    assert {one["reach"] for one in (newest, middle, first)} == {"rewind"}
    assert [one["table_snapshot"] for one in json.loads(run("checkpoint", "list", "-n", "1", "--json").output)] == [
        newest["table_snapshot"]
    ]
    shown = run("checkpoint", "show", first["table_snapshot"][:-1], "-t", "public.customers").output
    assert f"snapshot         {first['table_snapshot']} (batch), parent none" in shown
    assert "next offsets     0=1 of shop.public.customers" in shown
    assert "can be had by    rewind" in shown
    one = json.loads(run("checkpoint", "show", "latest", "-t", "shop.customers", "--json").output)
    assert one == newest
    monkeypatch.setattr(Cluster, "state_", None)
    assert {one["reach"] for one in listed(run)} == {"unknown"}, "Kafka may be away"
    assert "shop.customers" in run("checkpoint", "list").output


def test_rebuild(run: Any) -> None:
    result = run("checkpoint", "rebuild", "-t", "shop.customers", "--dry-run")
    assert result.output == "shop.customers: 3 rows are missing\n"
    assert run("checkpoint", "rebuild", "-t", "shop.customers").output == "shop.customers: 3 rows were missing\n"
    assert run("checkpoint", "rebuild", "-t", "shop.customers").output == "shop.customers: complete\n"
    assert json.loads(run("checkpoint", "rebuild", "-t", "shop.customers", "--json").output)["rows"] == {
        "shop.customers": 0
    }
    assert len(listed(run)) == 3


def test_a_dry_run_shows_what_a_rewind_does_and_does_nothing(run: Any, tmp_path: Path) -> None:
    newest, _, first = listed(run)
    words = ("rewind", "-t", "shop.customers", "--to", first["table_snapshot"], "--dry-run")
    assert run(*words).output.splitlines()[1:5] == [
        f"snapshot  {newest['table_snapshot']} -> {first['table_snapshot']}, of {first['committed_at']}",
        "offsets   0: 6 -> 1",
        "messages  5 will be applied again",
        "position  last (6,) -> last (1,)",
    ]
    planned = json.loads(run(*words, "--json").output)
    assert (planned["done"], planned["messages"], planned["offsets"]) == (False, 5, {"0": {"from": 6, "to": 1}})
    assert len(listed(run)) == 3
    assert AuditLog(sql_catalog(tmp_path), "cdc").read(9) == []


def test_a_rewind_asks_first_and_tells_how_to_undo_it(run: Any, tmp_path: Path) -> None:
    first = listed(run)[-1]["table_snapshot"]
    words = ("rewind", "-t", "shop.customers", "--to", first)
    refused = run(*words)
    assert isinstance(refused.exception, TerminalError)
    assert "--yes" in refused.exception.hint
    done = run(*words, "--yes", "--why", "a bad deploy")
    assert done.exit_code == 0, done.exception
    assert "hint: no service was seen yet" in done.output
    undo = next(line for line in done.output.splitlines() if line.startswith("rewound; undo it with: cdc "))
    (kept,) = AuditLog(sql_catalog(tmp_path), "cdc").read(9)
    assert (kept.command, kept.why, kept.outcome) == ("rewind", "a bad deploy", "done")
    assert listed(run)[0]["kind"] == "rewind"
    back = run(*undo.partition("cdc ")[2].split(), "--json")
    assert json.loads(back.stdout)["messages"] == 0
    assert listed(run)[0]["offsets"] == {"0": 6}


def test_waiting_says_when_nobody_does_it(run: Any) -> None:
    first = listed(run)[-1]["table_snapshot"]
    waited = run("rewind", "-t", "shop.customers", "--to", first, "--yes", "--wait", "--timeout", "0")
    assert isinstance(waited.exception, TerminalError)
    assert "the rewind itself is done" in waited.exception.hint


def test_what_cannot_be_had_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, middle, first = listed(run)
    monkeypatch.setattr(Cluster, "state_", topic((2, 9)))
    refused = run("rewind", "-t", "shop.customers", "--to", first["table_snapshot"], "--yes").exception
    assert isinstance(refused, PositionLost)
    assert middle["table_snapshot"] in refused.hint
    assert isinstance(run("rewind", "-t", "shop.*", "--to", "1").exception, ConfigError)
    assert isinstance(run("rewind", "-t", "store.c", "--to", "1").exception, TerminalError)


def test_a_replay_is_planned_without_spark(run: Any) -> None:
    _, middle, _ = listed(run)
    words = ("replay", "-t", "shop.customers", "--from", middle["table_snapshot"], "--dry-run")
    assert run(*words).output.splitlines() == [
        "table     shop.customers",
        "into      the table itself, in one swap if a row changes",
        "offsets   0: 3 to 6",
        "messages  3 will be applied again",
    ]
    planned = json.loads(run(*words, "--into", "lab.copy", "--json").output)
    assert (planned["done"], planned["into"], planned["base"]) == (False, "lab.copy", middle["table_snapshot"])
    assert "a copy of snapshot" in run(*words, "--into", "lab.copy").output
    for name in ("store.c", "cdc.status", "copy"):
        assert isinstance(run(*words, "--into", name).exception, ConfigError), name
    assert isinstance(run(*words, "--to", "offset:0=99").exception, TerminalError)


def test_a_replay_says_what_became_of_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = Replayed(messages=6, events=5, changed=0)
    monkeypatch.setattr(replay, "carry_out", lambda *_: done)
    words = ("replay", "-t", "shop.customers", "--from", "earliest")
    assert run(*words).output.splitlines()[-1] == "no-op: 6 messages applied again, 0 rows changed"
    done = Replayed(messages=6, events=5, changed=2, snapshot_id=7)
    assert run(*words).output.splitlines()[-1] == "replayed: 6 messages applied again, 2 rows changed"
    told = json.loads(run(*words, "--json").output)
    assert (told["done"], told["no_op"], told["changed"], told["snapshot"]) == (True, False, 2, "7")
