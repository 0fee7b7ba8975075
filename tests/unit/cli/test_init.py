"""`cdc init` where it refuses; what it finds is tried on real databases."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cdc.cli.init import register
from cdc.core.errors import ConfigError, PreflightError, TransientError

NOWHERE = "postgres://me:hidden@127.0.0.1:1/shop"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    app.command()(lambda: None)  # a second one, so that the first has a name
    return app


def refused(app: typer.Typer, *arguments: str) -> BaseException | None:
    result = CliRunner().invoke(app, ["init", *arguments])
    assert "hidden" not in result.output + str(result.exception)
    return result.exception


def test_files_that_are_there_are_not_overwritten(app: typer.Typer, tmp_path: Path) -> None:
    there = tmp_path / "cdc.yaml"
    there.write_text("mine")
    assert isinstance(refused(app, NOWHERE, "--output", str(there)), ConfigError)
    there.rename(tmp_path / "shop-setup.sql")
    assert isinstance(refused(app, NOWHERE, "--output", str(there)), ConfigError)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (NOWHERE, TransientError),
        ("mysql://me:hidden@127.0.0.1:1/shop", TransientError),
        ("oracle://me:hidden@127.0.0.1:1/ORCL", ConfigError),
        ("mysql://me:hidden@127.0.0.1:1/shop?sslmode=perhaps", ConfigError),
        ("sqlite:///hidden", ConfigError),
    ],
)
def test_nothing_is_written_where_nothing_was_seen(
    app: typer.Typer, tmp_path: Path, address: str, error: type[Exception]
) -> None:
    assert isinstance(refused(app, address, "--output", str(tmp_path / "cdc.yaml")), error)
    assert list(tmp_path.iterdir()) == []


def test_a_stack_that_is_down_is_named(app: typer.Typer, tmp_path: Path) -> None:
    error = refused(app, NOWHERE, "--local", "never-up", "--output", str(tmp_path / "cdc.yaml"))
    assert isinstance(error, PreflightError)
    assert error.hint == "cdc local up --name never-up"


@pytest.mark.parametrize("catalog", ["ftp://x", "s3"])
def test_a_catalog_of_no_known_kind_is_refused(app: typer.Typer, catalog: str, tmp_path: Path) -> None:
    error = refused(app, NOWHERE, "--catalog", catalog, "--output", str(tmp_path / "cdc.yaml"))
    assert isinstance(error, ConfigError)
