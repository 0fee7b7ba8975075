"""``cdc tables``: where each table stands, and pausing it; works without Spark and with the service down."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cdc.bootstrap.accept import accepting
from cdc.cli.complete import complete_config, known_config
from cdc.cli.load import Asked, chosen_tables, heed_signals, run_loads, show_plans
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames, Why
from cdc.cli.selection import Selected, all_tables, select_tables
from cdc.cli.status import DOWN, is_up, rows_of
from cdc.cli.status_view import COLOURS, ago
from cdc.config.models import Config
from cdc.core.control import ControlState
from cdc.core.status import StatusRow, TableState
from cdc.lake.audit import AuditLog, operator
from cdc.lake.control import Control
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.status_reader import read_row_count
from cdc.pipeline.pause import Switched, pause, resume

Names = Annotated[
    list[str], typer.Argument(metavar="TABLE..", help="Source's or target's name of a table; * stands for any text.")
]

tables_app = typer.Typer(no_args_is_help=True, help="Show, pause, resume, accept and reset single tables.")


def register(app: typer.Typer) -> None:
    """Add ``cdc tables`` to the root command."""
    app.add_typer(tables_app, name="tables")


@dataclass(frozen=True)
class TableLine:
    """One table as ``list`` shows it; ``rows`` is None where it is not known."""

    pipeline: str
    source: str
    target: str
    snapshot: str
    state: str
    rows: int | None
    committed_at: datetime | None
    detail: str


@tables_app.command("list")
def list_(config: ConfigPath = DEFAULT_CONFIG, source: SourceNames = None, *, as_json: Json = False) -> None:
    """Show every configured table: its names, where its first rows come from, state, rows and last commit."""
    lines = _lines(known_config(config, source))
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines], default=str, indent=2))
    else:
        console = Console()
        console.print(_shown(lines))
        for line in lines:
            if line.detail:
                console.print(f"{line.target}: {line.detail}", markup=False, highlight=False, soft_wrap=True)


@tables_app.command("pause")
def pause_(table: Names, config: ConfigPath = DEFAULT_CONFIG, why: Why = "", *, as_json: Json = False) -> None:
    """Stop writing to tables until they are resumed; the others go on.

    Their events wait in Kafka: resume them before the topic's retention is over.
    """
    loaded = known_config(config)
    targets = _targets(loaded, table)
    switched = pause(_control(loaded), _audit(loaded), targets, operator(), why)
    _tell(switched, "paused", "already paused", as_json=as_json)


@tables_app.command("resume")
def resume_(table: Names, config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False) -> None:
    """Write to paused tables again, from where each of them is."""
    loaded = known_config(config)
    switched = resume(_control(loaded), _audit(loaded), _targets(loaded, table))
    _tell(switched, "resumed", "not paused", as_json=as_json)


@tables_app.command("accept")
def accept_(table: Names, config: ConfigPath = DEFAULT_CONFIG, why: Why = "", *, as_json: Json = False) -> None:
    """Take outdated tables for right: no row is another one, or it does not matter.

    What no event tells of marks a table until it is reset or accepted; `cdc verify` tells whether rows differ.

    A table that was stopped because its database has another history (a replica was promoted, a backup restored, the
    server is another one) goes on where it is: what comes is newer than all that it has. Then `cdc verify --repair`
    reads again what was changed, or lost, in between.
    """
    loaded = known_config(config)
    accepted = accepting(loaded).accept([one.target for one in select_tables(loaded, table)], why)
    if as_json:
        typer.echo(json.dumps([asdict(one) | {"changed": one.changed} for one in accepted], indent=2))
        return
    for one in accepted:
        typer.echo(f"accepted {one.target}" if one.changed else f"{one.target} is {one.left}")
    if any(one.changed for one in accepted):
        typer.echo("the running service takes it up within a few seconds")


@tables_app.command("reset")
def reset(
    table: Names,
    config: ConfigPath = DEFAULT_CONFIG,
    why: Why = "",
    *,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load tables anew, whatever state they are in: stopped, wrong, or of another type than their source.

    Readers see the old rows until the new ones are swapped in; the other tables go on. The stream may run: it takes the
    table up again by itself. Interrupted, it goes on behind its last commit when it is started again.
    """
    loaded = complete_config(config)
    stop = heed_signals()
    chosen = chosen_tables(loaded, table, loaded_only=False)
    if dry_run:
        show_plans(loaded, chosen, as_json=as_json)
        return
    failed = run_loads(loaded, chosen, stop, again=True, as_json=as_json, asked=Asked("tables reset", why, where=""))
    if failed or stop.is_set():
        raise typer.Exit(1)


def standing(row: StatusRow | None, control: ControlState, target: str) -> tuple[str, str]:
    """Return a table's state and what is to be said of it: what the service wrote, and what it is asked for since."""
    wish = str(control.paused.get(target, ""))
    if row is not None and row.state == DOWN and not wish:
        return DOWN, "the service is down: cdc stream"
    if row is None:
        return (TableState.PAUSED, wish) if wish else ("new", "not seen by `cdc stream` yet")
    if row.state == TableState.STOPPED:
        return row.state, "; ".join(filter(None, (row.last_error, wish)))
    if wish:
        return TableState.PAUSED, wish if row.state == TableState.PAUSED else f"{wish}; the service has not noticed yet"
    if row.state == TableState.PAUSED:
        return row.state, "resumed; the service has not noticed yet"
    return row.state, row.last_error


def _lines(config: Config) -> list[TableLine]:
    catalog = open_catalog(config.catalog)
    up = {source.name: is_up(config, catalog, source.name) for source in config.sources}
    status = {row.target: row for row in rows_of(catalog, config.metadata_namespace, up)}
    control = _control(config).read()

    def line(one: Selected) -> TableLine:
        source, target = one.names()
        row = status.get(target)
        state, detail = standing(row, control, target)
        mode, rows = one.source.snapshot_of(one.table).value, read_row_count(catalog, one.target)
        committed_at = row.committed_at if row else None
        return TableLine(one.source.name, source, target, mode, state, rows, committed_at, detail)

    return [line(one) for one in all_tables(config)]


def _shown(lines: Sequence[TableLine]) -> Table:
    table = Table("source", "target", "snapshot", "state", "rows", "last commit")
    for line in lines:
        colour = COLOURS.get(line.state, "white")
        table.add_row(
            escape(line.source),
            escape(line.target),
            line.snapshot,
            f"[{colour}]{line.state}[/]",
            "" if line.rows is None else f"{line.rows:,}",
            ago(line.committed_at),
        )
    return table


def _targets(config: Config, patterns: Sequence[str]) -> list[str]:
    return [str(one.target) for one in select_tables(config, patterns)]


def _control(config: Config) -> Control:
    return Control(open_catalog(config.catalog), config.metadata_namespace)


def _audit(config: Config) -> AuditLog:
    return AuditLog(open_catalog(config.catalog), config.metadata_namespace)


def _tell(switched: Sequence[Switched], did: str, did_not: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in switched], indent=2))
        return
    for one in switched:
        text = f"{did} {one.target}" if one.changed else f"{one.target} is {did_not}"
        typer.echo(f"{text} ({one.pause})" if one.pause and not one.changed else text)
    if any(one.changed for one in switched):
        typer.echo("the running service takes it up within a few seconds")
