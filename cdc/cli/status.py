"""``cdc status``: where every table stands, read from the status table; the service need not run."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, Json, SourceNames
from cdc.cli.progress import progress_json, status_text
from cdc.config.loader import load_config
from cdc.core.load import LoadProgress
from cdc.core.status import StatusRow
from cdc.core.trouble import Trouble, as_dict, from_json
from cdc.lake.control import Control
from cdc.lake.loads import read_loads
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
    """Show position, counts, lag, state and last error of every table, and what is wrong with the sources.

    Exit code 2 if a table is stopped or something is wrong.
    """
    loaded = load_config(config, only=source)
    names = {one.name for one in loaded.sources}

    targets = [source.target_of(table) for source in loaded.sources for table in source.tables]

    def look() -> Seen:
        catalog = open_catalog(loaded.catalog)
        found = [row for row in read_status(catalog, loaded.metadata_namespace) if row.pipeline in names]
        kept = Control(catalog, loaded.metadata_namespace).read().troubles
        troubles = {name: from_json(text) for name, text in kept.items() if name in names}
        return Seen(found, read_loads(catalog, loaded.metadata_namespace, targets), troubles)

    if watch:
        _watch(look)
        return
    seen = look()
    if as_json:
        typer.echo(json.dumps(_json(seen), default=str, indent=2))
    else:
        Console().print(_table(seen))
    if any(row.state == "stopped" for row in seen.rows) or any(seen.troubles.values()):
        raise typer.Exit(2)


class Seen(NamedTuple):
    """What there is to show: the tables' rows, loads that are under way or failed, what is wrong with which source."""

    rows: list[StatusRow]
    loads: list[LoadProgress]
    troubles: Mapping[str, Sequence[Trouble]]


def _json(seen: Seen) -> list[dict[str, Any]]:
    """Return each table with its load; a table that no service has seen yet is its load alone; then the troubles."""
    loads = {str(progress.target): progress_json(progress) for progress in seen.loads}
    known = [{**asdict(row), "load": loads.pop(row.target, None)} for row in seen.rows]
    loading = [{"target": target, "state": "loading", "load": load} for target, load in loads.items()]
    found = ((source, one) for source, troubles in seen.troubles.items() for one in troubles)
    return [*known, *loading, *({"pipeline": source, "state": "trouble", **as_dict(one)} for source, one in found)]


def _watch(look: Callable[[], Seen]) -> None:
    try:
        with Live(_table(look()), auto_refresh=False) as live:
            while True:
                time.sleep(2)
                live.update(_table(look()), refresh=True)
    except KeyboardInterrupt:
        return


def _table(seen: Seen) -> Table:
    rows = seen.rows
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
    for progress in seen.loads:
        table.add_row("", escape(f"load of {progress.target}"), "", "", "", "", "", "", escape(status_text(progress)))
    for source, trouble in ((source, one) for source, found in seen.troubles.items() for one in found):
        table.add_row(source, f"[red]{escape(str(trouble))}[/]")
    return table


def ago(at: datetime | None) -> str:
    """Return how long ago a moment was, nothing for none."""
    return "" if at is None else f"{(datetime.now(UTC) - at).total_seconds():.0f} s ago"
