"""`cdc config` as a person or a script uses it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cdc.cli.config import register
from cdc.core.errors import ConfigError

ROOT = Path(__file__).parents[3]
LOCAL = str(ROOT / "config" / "local.yaml")


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_check_says_what_the_file_holds(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["config", "check", "-c", LOCAL, "--without-secrets", "--source", "shop"])
    assert result.exit_code == 0
    assert "is valid: shop (postgres, " in result.output


def test_check_reads_the_path_from_the_environment_and_prints_json(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["config", "check", "--without-secrets", "--json"], env={"CDC_CONFIG": LOCAL})
    assert [source["name"] for source in json.loads(result.output)["sources"]] == ["shop", "store"]


def test_check_fails_with_every_problem(app: typer.Typer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("kafka: {}\n")
    result = CliRunner().invoke(app, ["config", "check", "-c", str(wrong), "--json"])
    assert result.exit_code == 1
    assert any("kafka.bootstrap_servers: is missing" in line for line in json.loads(result.output)["problems"])
    plain = CliRunner().invoke(app, ["config", "check", "-c", str(wrong)])
    assert isinstance(plain.exception, ConfigError)


def test_schema_and_reference_are_printed(app: typer.Typer) -> None:
    assert json.loads(CliRunner().invoke(app, ["config", "schema"]).output)["title"] == "Config"
    assert "`bootstrap_servers`" in CliRunner().invoke(app, ["config", "reference"]).output


def test_writing_outside_the_repository_is_refused(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(CliRunner().invoke(app, ["config", "schema", "--write"]).exception, ConfigError)
