"""The ``cdc`` command: one sub-command group per module of this package."""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from cdc.core.errors import CdcError

app = typer.Typer(
    name="cdc",
    help="Change data capture from Debezium topics into Apache Iceberg tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"cdc {version('cdc')}")
        raise typer.Exit


@app.callback()
def root(
    *, _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False
) -> None:
    """Change data capture from Debezium topics into Apache Iceberg tables."""


GROUPS = (
    "init",
    "config",
    "connectors",
    "local",
    "load",
    "stream",
    "status",
    "tables",
    "checkpoint",
    "rewind",
    "replay",
    "quarantine",
    "verify",
    "doctor",
    "demo",
)


def main() -> None:
    """Run the command line; a known error becomes one clear sentence and exit code 1."""
    for group in GROUPS:
        import_module(f"cdc.cli.{group}").register(app)
    try:
        app()
    except CdcError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(1)
