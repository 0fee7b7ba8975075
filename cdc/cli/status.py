"""``cdc status``: where every table stands, read from the status table; the service need not run."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, Json, SourceNames
from cdc.config.loader import load_config
from cdc.core.status import StatusRow
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.status_reader import read_status

COLOURS = {"running": "green", "waiting": "yellow", "loading": "blue", "paused": "magenta", "stopped": "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    *,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Show position, counts, lag, state and last error of every table.

    Exit code 2 if a table is stopped.
    """
    loaded = load_config(config, only=source)
    names = {one.name for one in loaded.sources}

    def rows() -> list[StatusRow]:
        found = read_status(open_catalog(loaded.catalog), loaded.metadata_namespace)
        return [row for row in found if row.pipeline in names]

    if watch:
        _watch(rows)
        return
    found = rows()
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in found], default=str, indent=2))
    else:
        Console().print(_table(found))
    if any(row.state == "stopped" for row in found):
        raise typer.Exit(2)


def _watch(rows: Callable[[], list[StatusRow]]) -> None:
    try:
        with Live(_table(rows()), auto_refresh=False) as live:
            while True:
                time.sleep(2)
                live.update(_table(rows()), refresh=True)
    except KeyboardInterrupt:
        return


def _table(rows: list[StatusRow]) -> Table:
    titles = ("pipeline", "table", "state", "events", "ins/upd/del", "quarantined", "lag s", "last commit", "position")
    table = Table(*titles, caption="" if rows else "nothing yet: has `cdc stream` run?")
    for row in rows:
        colour = COLOURS.get(row.state, "white")
        table.add_row(
            row.pipeline,
            row.target,
            f"[{colour}]{row.state}[/]",
            f"{row.events:,}",
            f"{row.inserted:,}/{row.updated:,}/{row.deleted:,}",
            str(row.quarantined),
            "" if row.lag_seconds is None else f"{row.lag_seconds:.1f}",
            ago(row.committed_at),
            row.position.rpartition("-")[0],
        )
        if row.last_error:
            table.add_row("", f"[{colour}]{escape(row.last_error)}[/]")
    return table


def ago(at: datetime | None) -> str:
    """Return how long ago a moment was, nothing for none."""
    return "" if at is None else f"{(datetime.now(UTC) - at).total_seconds():.0f} s ago"
