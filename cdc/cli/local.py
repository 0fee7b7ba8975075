"""``cdc local``: the embedded stack, real servers as child processes on this machine."""

import json
import shlex
import subprocess
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from cdc.bootstrap.spark import fetch_spark
from cdc.cli.options import Json
from cdc.local.artifacts import fetch as fetch_distributions
from cdc.local.artifacts import rewrite_hashes
from cdc.local.stack import SERVERS, LocalStack, ServerStatus, all_stacks

Name = Annotated[str, typer.Option("--name", help="Name of the stack; stacks of different names run side by side.")]
Sources = Annotated[str, typer.Option("--sources", help="Databases to capture, with commas: postgres, mysql.")]
Wipe = Annotated[bool, typer.Option("--wipe", help="Delete the stack's data too: databases, topics, schemas, lake.")]
All = Annotated[bool, typer.Option("--all", help="Every stack of this user.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written; end with Ctrl-C.")]
Server = Annotated[str | None, typer.Argument(help=f"One of {', '.join(SERVERS)}; all by default.")]

local_app = typer.Typer(no_args_is_help=True, help="Start and stop the embedded stack on this machine.")


def register(app: typer.Typer) -> None:
    """Add ``cdc local`` to the root command."""
    app.add_typer(local_app, name="local")


@local_app.command()
def up(name: Name = "default", sources: Sources = "postgres", json_: Json = False) -> None:
    """Start databases, Kafka, registry and Connect until all are healthy; what runs already is left alone.

    Spark's jars, which `cdc stream` needs beside them, are fetched too.
    """
    stack = LocalStack(name)
    console = Console(stderr=True, highlight=False)
    asked = [part.strip() for part in sources.split(",") if part.strip()]
    stack.up(asked, on_step=lambda step: console.print(f"[green]·[/] {step}"))
    fetch_spark(lambda step: console.print(f"[green]·[/] {step}"))
    status(name, json_=json_)


@local_app.command()
def down(name: Name = "default", wipe: Wipe = False, all_: All = False) -> None:
    """Stop every process of the stack, whoever started it; its data stay for the next start unless --wipe is given."""
    for stack in all_stacks() if all_ else [LocalStack(name)]:
        stack.down(wipe=wipe)
        typer.echo(f'stack "{stack.name}" is down' + (", its data are deleted" if wipe else ""))


@local_app.command()
def status(name: Name = "default", json_: Json = False) -> None:
    """Show the health, port and process of every server; exit code 1 unless all are up and healthy."""
    servers = LocalStack(name).status()
    if json_:
        typer.echo(json.dumps({"name": name, "servers": [asdict(one) | {"log": str(one.log)} for one in servers]}))
    else:
        typer.echo("\n".join(map(_line, servers)) or f'stack "{name}" is down')
    if not servers or any(one.state != "healthy" for one in servers):
        raise typer.Exit(1)


@local_app.command()
def logs(server: Server = None, name: Name = "default", follow: Follow = False) -> None:
    """Print the end of the servers' logs."""
    stack = LocalStack(name)
    files = [stack.log(one) for one in ([server] if server else SERVERS)]
    present = [str(file) for file in files if file.is_file()]
    if present:
        subprocess.run(["tail", "-n", "50", *(["-F"] if follow else []), *present], check=False)  # noqa: S603, S607


@local_app.command()
def env(name: Name = "default", json_: Json = False) -> None:
    """Print the variables that make config/local.yaml fit the stack, passwords included: `eval "$(cdc local env)"`."""
    variables = LocalStack(name).addresses().environment()
    if json_:
        typer.echo(json.dumps(variables))
        return
    typer.echo("# contains passwords of the local stack")
    for key, value in sorted(variables.items()):
        typer.echo(f"export {key}={shlex.quote(value)}")


@local_app.command()
def fetch(
    sources: Sources = "postgres",
    write_hashes: Annotated[
        bool, typer.Option("--write-hashes", help="Write the committed hashes anew, after a change of versions.")
    ] = False,
) -> None:
    """Download, verify and unpack everything that the stack and Spark need; what is there already is kept.

    Of Spark's classes an archive is made, from which it starts in half the time.
    """
    names = ["worker", "converter", "connectors", "registry", "postgres", "spark"]
    names += ["mysql"] if "mysql" in sources else []
    console = Console(stderr=True, highlight=False)
    with console.status("fetching"):
        if write_hashes:
            rewrite_hashes(names, lambda step: console.print(f"[green]·[/] {step}"))
        else:
            fetch_distributions(names, lambda step: console.print(f"[green]·[/] {step}"))
            fetch_spark(lambda step: console.print(f"[green]·[/] {step}"))
    typer.echo(f"ready: {', '.join(names)}")


def _line(one: ServerStatus) -> str:
    place = f"127.0.0.1:{one.port}" if one.port else "-"
    return f"{one.name:<9} {one.state:<10} {place:<16} {'pid ' + str(one.pid) if one.pid else ''}".rstrip()
