"""The ``cdc`` command: one sub-command group per module of this package."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

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
    "maintain",
    "quarantine",
    "verify",
    "quality",
    "doctor",
    "capacity",
    "demo",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, of this process or with these arguments, and exit.

    Whatever a command fails with becomes one clear sentence with a hint and exit code 1; wrong usage is exit code 2.
    """
    try:
        run(arguments)
    except SystemExit as ended:
        if arguments is None and sys.argv[1:2] == ["stream"]:
            _leave(ended.code)
        raise


def _leave(code: object) -> None:
    """End the process at once: a service that has come to its end has nothing left to do.

    Threads of libraries that wait for what does not answer would keep it, and nobody would see why.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def run(arguments: Sequence[str] | None) -> None:
    """Run the command line; raises SystemExit."""
    for group in _wanted(sys.argv[1:] if arguments is None else arguments):
        module = import_module(f"cdc.cli.{group}")
        if group not in _registered:
            module.register(app)
            _registered.add(group)
    try:
        app(args=arguments, prog_name="cdc")
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        from cdc.cli.failures import explained  # noqa: PLC0415 - it knows the errors of all libraries

        told = explained(error)
        sys.stderr.write(f"error: {told}\n")
        if told.hint:
            sys.stderr.write(f"hint: {told.hint}\n")
        sys.exit(1)


def _wanted(arguments: Sequence[str]) -> Sequence[str]:
    """Return the group that is asked for, all of them if that is not the first word: the others take a second."""
    first = arguments[0] if arguments else ""
    if first in GROUPS:
        return [first]
    return () if first == "--version" else GROUPS


_registered: set[str] = set()
