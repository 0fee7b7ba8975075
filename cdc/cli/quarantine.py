"""``cdc quarantine``: messages that could not be used; works with the service down; only `retry` takes Spark."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cdc.bootstrap.operations import OperatorParts
from cdc.cli.checkpoint import iso, one_table
from cdc.cli.complete import complete_config, known_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames, Why, Yes
from cdc.cli.retry import Asked, retry
from cdc.cli.selection import all_tables
from cdc.core.errors import ConfigError
from cdc.lake.quarantine import Quarantine, Quarantined

Name = Annotated[str, typer.Argument(metavar="TABLE", help="The table, by its name in the source or in the lake.")]
Names = Annotated[
    list[str], typer.Argument(metavar="TABLE..", help="Source's or target's name of a table; * stands for any text.")
]
Keys = Annotated[list[str] | None, typer.Option("--key", help="Only this raw key, in hexadecimal as `show` has it.")]

group = typer.Typer(no_args_is_help=True, help="Messages that could not be used, and the keys that wait behind them.")


def register(app: typer.Typer) -> None:
    """Add the commands to the root application."""
    app.add_typer(group, name="quarantine")


@group.command("list")
def list_(config: ConfigPath = DEFAULT_CONFIG, source: SourceNames = None, *, as_json: Json = False) -> None:
    """Show of each table how many messages are held, how many keys wait, since when, and why most often."""
    loaded = known_config(config, source)
    by_topic = {one.source.topic_of(one.table): one for one in all_tables(loaded)}
    held = _quarantine(OperatorParts(loaded)).held(by_topic)
    if as_json:
        found = [{"target": str(by_topic[one.topic].target), **asdict(one)} for one in held]
        typer.echo(json.dumps(found, default=str, indent=2))
        return
    table = Table("target", "messages", "keys", "since", "reason", caption="" if held else "nothing is held")
    for one in held:
        target, since = str(by_topic[one.topic].target), f"{one.since:%Y-%m-%d %H:%MZ}"
        table.add_row(escape(target), str(one.messages), str(one.keys), since, escape(one.reason))
    Console().print(table)


@group.command("show")
def show(
    table: Name,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show so many, in the order of offsets.")] = 50,
    values: Annotated[
        bool, typer.Option("--values", help="Show the messages themselves: they hold row values.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the messages of a table that are held: where each is in its topic, its raw key, since when, and why."""
    loaded = known_config(config)
    chosen = one_table(loaded, table)
    messages = _quarantine(OperatorParts(loaded)).messages(chosen.source.topic_of(chosen.table))[:limit]
    if as_json:
        typer.echo(json.dumps([_shown(one, values=values) for one in messages], indent=2))
        return
    for one in messages:
        shown = _shown(one, values=values)
        typer.echo("  ".join(f"{name}={value}" for name, value in shown.items() if value is not None))
    typer.echo(f"{len(messages)} messages" + (f"; cdc quarantine retry {chosen.target}" if messages else ""))


@group.command("discard")
def discard(
    table: Name,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    key: Keys = None,
    why: Why = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Let go of a table's messages, or of those of some keys: later events of these keys are applied again at once.

    What the messages said is not applied: such a row is right again with its next change, or after `cdc tables reset`.
    A change that arrives at this very moment may still wait: `cdc quarantine retry` brings it in.
    """
    loaded = known_config(config)
    parts, chosen = OperatorParts(loaded), one_table(loaded, table)
    topic, keys = chosen.source.topic_of(chosen.table), _raw(key)
    quarantine = _quarantine(parts)
    found = [one for one in quarantine.messages(topic) if keys is None or one.key in keys]
    if found and not (dry_run or yes):
        typer.confirm(f"{len(found)} messages of {chosen.target} are never applied. Go on?", abort=True)
    if found and not dry_run:
        quarantine.discard(topic, keys)
        parts.operations.control.moved(str(chosen.target))  # the service looks anew which keys wait
        what = f"{len(found)} messages, {'all keys' if keys is None else f'{len(keys)} keys'}"
        parts.operations.audit.write("quarantine discard", str(chosen.target), what, why)
    _tell(str(chosen.target), len(found), dry_run=dry_run, as_json=as_json)


@group.command("retry")
def retry_(
    table: Names,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    key: Keys = None,
    why: Why = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring a table's messages, and those behind them, into it, once what kept them out is mended.

    The stream may run. What still cannot be used stays held and is named; exit code 1 tells of it.
    """
    retry(complete_config(config), Asked(table, _raw(key), why), dry_run=dry_run, as_json=as_json)


def _tell(target: str, gone: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"target": target, "discarded": gone, "dry_run": dry_run}))
        return
    typer.echo(f"{gone} messages of {target} {'would be' if dry_run else 'are'} discarded")
    if gone and not dry_run:
        typer.echo(f"rows that lack what they said: their next change mends them, or cdc tables reset {target}")


def _quarantine(parts: OperatorParts) -> Quarantine:
    return Quarantine(parts.catalog, parts.config.metadata_namespace)


def _shown(message: Quarantined, *, values: bool) -> dict[str, Any]:
    shown = {
        "partition": message.partition,
        "offset": message.offset,
        "key": None if message.key is None else message.key.hex(),
        "at": iso(message.quarantined_at),
        "reason": message.reason,
    }
    if values:
        shown["value"] = None if message.value is None else message.value.decode("utf-8", "backslashreplace")
    return shown


def _raw(keys: Sequence[str] | None) -> list[bytes] | None:
    try:
        return [bytes.fromhex(key) for key in keys] if keys else None
    except ValueError:
        raise ConfigError("a key is not hexadecimal", hint="`cdc quarantine show TABLE` prints them") from None
