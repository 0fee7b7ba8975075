"""``cdc checkpoint``: the commits at which a table can be had again; works without Spark and with the service down."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cdc.bootstrap.operations import OperatorParts
from cdc.cli.complete import known_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json
from cdc.cli.selection import Selected, all_tables, select_tables
from cdc.config.models import Config
from cdc.core.checkpoints import Checkpoint, Reach
from cdc.core.errors import ConfigError, TransientError
from cdc.core.progress import TopicState
from cdc.lake.checkpoints import Histories
from cdc.pipeline.checkpoints import Found, list_checkpoints, rebuild_ledger, show_checkpoint

OneTable = Annotated[str, typer.Option("--table", "-t", help="The table, by its name in the source or in the lake.")]
SomeTables = Annotated[
    list[str] | None,
    typer.Option("--table", "-t", help="Only this table, by source or target name; * is any text. All by default."),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Show so many of each table, the newest first.")]

checkpoint_app = typer.Typer(no_args_is_help=True, help="Show the commits that tables can be taken back to.")
_COLOURS = {Reach.REWIND: "green", Reach.REPLAY: "yellow", Reach.GONE: "red"}


def register(app: typer.Typer) -> None:
    """Add ``cdc checkpoint`` to the root command."""
    app.add_typer(checkpoint_app, name="checkpoint")


def one_table(config: Config, name: str) -> Selected:
    """Return the one table of this name; raises ConfigError if it fits none, or several."""
    found = select_tables(config, [name])
    if len(found) > 1:
        raise ConfigError(
            f'{len(found)} tables are called "{name}"',
            hint=f"give one of {', '.join(str(one.target) for one in found)}",
        )
    return found[0]


@checkpoint_app.command("list")
def list_(
    config: ConfigPath = DEFAULT_CONFIG, table: SomeTables = None, *, limit: Limit = 20, as_json: Json = False
) -> None:
    """Show the checkpoints of tables, and how each can still be had: by a rewind, by a replay, or not at all."""
    loaded = known_config(config)
    parts = OperatorParts(loaded)
    found = {str(chosen.target): _found(parts, chosen)[:limit] for chosen in _chosen(loaded, table)}
    if as_json:
        typer.echo(json.dumps([checkpoint_json(one) for each in found.values() for one in each], indent=2))
        return
    for target, each in found.items():
        if each:
            Console().print(_shown(target, each))
        else:
            typer.echo(f"{target}: no checkpoint yet; has `cdc stream` run?")


@checkpoint_app.command("show")
def show(
    checkpoint: Annotated[str, typer.Argument(help="Snapshot id or its first digits, latest, tag:NAME, or a time.")],
    table: OneTable,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    as_json: Json = False,
) -> None:
    """Show one checkpoint with its positions and the offsets that come next."""
    loaded = known_config(config)
    parts, chosen = OperatorParts(loaded), one_table(loaded, table)
    found = show_checkpoint(_found(parts, chosen), parts.operations.histories.read(chosen.target), checkpoint)
    if as_json:
        typer.echo(json.dumps(checkpoint_json(found), indent=2))
        return
    for line in details(found):
        typer.echo(line)


@checkpoint_app.command("rebuild")
def rebuild(
    config: ConfigPath = DEFAULT_CONFIG, table: SomeTables = None, *, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Write what the ledger of commits lacks again, from the tables' own histories.

    The ledger is derived: nothing depends on it but this list and people's queries.
    """
    loaded = known_config(config)
    parts = OperatorParts(loaded)
    written: dict[str, int] = {}
    for chosen in _chosen(loaded, table):
        history = parts.operations.histories.read(chosen.target)
        written[str(chosen.target)] = rebuild_ledger(history, parts.ledger, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "rows": written}))
        return
    for name, rows in written.items():
        typer.echo(f"{name}: {rows} rows {'are' if dry_run else 'were'} missing" if rows else f"{name}: complete")


def details(found: Found) -> list[str]:
    """Return the lines that tell all of a checkpoint."""
    one = found.checkpoint
    offsets = ", ".join(f"{p}={s.next_offset}" for p, s in sorted(one.progress.partitions.items()))
    epochs = sorted({s.epoch for s in one.progress.partitions.values()})
    return [
        f"table            {one.target}",
        f"snapshot         {one.table_snapshot} ({one.kind}), parent {one.parent or 'none'}",
        f"committed at     {iso(one.committed_at)}",
        f"writer's token   {one.token}",
        f"events           {one.events}: {one.inserted} inserted, {one.updated} updated, {one.deleted} deleted",
        f"positions        {one.first_position or '-'} to {one.last_position or '-'}",
        f"newest change    {iso(one.source_at) if one.source_at else '-'}",
        f"next offsets     {offsets or 'none'} of {one.progress.topic}",
        f"epoch            {', '.join(map(str, epochs)) or '-'}",
        f"can be had by    {found.reach}",
    ]


def checkpoint_json(found: Found) -> dict[str, Any]:
    """Return a checkpoint for machines; ids are texts, for they do not fit into a double."""
    one: Checkpoint = found.checkpoint
    return {
        **{name: value for name, value in asdict(one).items() if name != "progress"},
        "table_snapshot": str(one.table_snapshot),
        "parent": one.parent and str(one.parent),
        "committed_at": iso(one.committed_at),
        "source_at": one.source_at and iso(one.source_at),
        "topic": one.progress.topic,
        "offsets": {str(p): s.next_offset for p, s in sorted(one.progress.partitions.items())},
        "reach": str(found.reach),
    }


def iso(at: datetime) -> str:
    """Return a time in UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _chosen(config: Config, names: Sequence[str] | None) -> list[Selected]:
    return select_tables(config, names) if names else all_tables(config)


def _found(parts: OperatorParts, chosen: Selected) -> list[Found]:
    history = Histories(parts.catalog).find(chosen.target)
    if history is None:
        return []  # the table is not there yet: neither are checkpoints
    return list_checkpoints(history, parts.ledger.read(chosen.target), _topic(parts, chosen))


def _topic(parts: OperatorParts, chosen: Selected) -> TopicState | None:
    try:
        state = parts.operations.topics.state(chosen.source.topic_of(chosen.table))
    except TransientError:
        return None
    return state or TopicState("", {})


def _shown(target: str, found: Sequence[Found]) -> Table:
    table = Table(title=target, title_justify="left", box=None)
    for title in ("checkpoint", "committed at", "kind", "events", "ins/upd/del", "can be had by"):
        table.add_column(title, no_wrap=title in ("checkpoint", "committed at"))
    for each in found:
        one = each.checkpoint
        table.add_row(
            str(one.table_snapshot),
            iso(one.committed_at),
            one.kind,
            f"{one.events:,}",
            f"{one.inserted:,}/{one.updated:,}/{one.deleted:,}",
            f"[{_COLOURS.get(each.reach, 'white')}]{each.reach}[/]",
        )
    return table
