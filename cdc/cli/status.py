"""``cdc status``: where every table stands, read from the status table; the service need not run."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer
from pyiceberg.catalog import Catalog
from rich.console import Console, Group
from rich.live import Live

from cdc.bootstrap.watches import find_now
from cdc.cli.complete import known_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, Json, SourceNames
from cdc.cli.progress import progress_json
from cdc.cli.status_view import ago, shown, wide_enough
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.load import LoadProgress
from cdc.core.status import StatusRow
from cdc.core.trouble import Trouble, as_dict, from_json
from cdc.lake.control import Control
from cdc.lake.holder import LeaseSeen, read_lease
from cdc.lake.loads import read_loads
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.status_reader import read_status
from cdc.lake.verifications import Proved, Verifications


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    *,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Show counts and positions, too, however wide that is.")] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Show how each table's last batch was applied, and why in that way.")
    ] = False,
) -> None:
    """Show state, lag and last error of every table, and what is wrong with the sources, with what helps.

    Exit code 2 if a table is stopped or something is wrong.
    """
    loaded = known_config(config, source)
    if watch:
        _watch(lambda: see(loaded), wide=wide, why=why)
        return
    seen = see(loaded, live=True)
    if as_json:
        typer.echo(json.dumps(_json(seen), default=str, indent=2))
    else:
        view = shown(seen.rows, seen.loads, seen.sources, proofs=seen.proofs, wide=wide, why=why)
        wide_enough(Console(), view, wide=wide).print(view)
    if any(row.state == "stopped" for row in seen.rows) or any(one.troubles for one in seen.sources):
        raise typer.Exit(2)


class SourceSeen(NamedTuple):
    """A source: whether its service is at work, who that is or was, when it last said so, and what is wrong."""

    name: str
    up: bool
    holder: str
    beat_at: datetime | None
    troubles: Sequence[Trouble]

    def __str__(self) -> str:
        by = f" ({self.holder})" if self.holder else ""
        if self.up:
            return f"service of {self.name} is up{by}, last sign of life {ago(self.beat_at)}"
        since = f" since {self.beat_at:%Y-%m-%d %H:%M:%SZ}" if self.beat_at else ": it never ran; start it: cdc stream"
        return f"service of {self.name} is down{since}{by}"


class Seen(NamedTuple):
    """What there is to show: the tables' rows, loads that are under way or failed, sources, and proofs by target."""

    rows: list[StatusRow]
    loads: list[LoadProgress]
    sources: list[SourceSeen]
    proofs: Mapping[str, Proved] = {}


def see(config: Config, *, live: bool = False) -> Seen:
    """Read what services have written; where none is at work, ``live`` looks what is wrong with its source now."""
    catalog, namespace = open_catalog(config.catalog), config.metadata_namespace
    kept = Control(catalog, namespace).read().troubles
    sources = [
        _source_seen(config, catalog, source, kept.get(source.name, "[]"), live=live) for source in config.sources
    ]
    rows = rows_of(catalog, namespace, {one.name: one.up for one in sources})
    targets = [source.target_of(table) for source in config.sources for table in source.tables]
    return Seen(rows, read_loads(catalog, namespace, targets), sources, Verifications(catalog, namespace).newest())


DOWN = "down"
"""What is shown of a table whose service is not at work, unless it would not be streamed with it either."""

_AT_WORK = ("running", "waiting")


def rows_of(catalog: Catalog, namespace: str, up: Mapping[str, bool]) -> list[StatusRow]:
    """Return the rows of these sources' tables; none is at work whose service is not up."""
    rows = [row for row in read_status(catalog, namespace) if row.pipeline in up]
    return [row if up[row.pipeline] or row.state not in _AT_WORK else replace(row, state=DOWN) for row in rows]


def is_up(config: Config, catalog: Catalog, pipeline: str) -> bool:
    """Return whether the service of a source is at work."""
    return _alive(config, read_lease(catalog, config.metadata_namespace, pipeline), datetime.now(UTC))


def _alive(config: Config, lease: LeaseSeen, now: datetime) -> bool:
    return lease.alive(config.stream.lease_ttl.total_seconds(), now)


def _source_seen(config: Config, catalog: Catalog, source: SourceConfig, kept: str, *, live: bool) -> SourceSeen:
    lease, now = read_lease(catalog, config.metadata_namespace, source.name), datetime.now(UTC)
    up = _alive(config, lease, now)
    troubles = from_json(kept)
    if not up:
        since = {one.place: one.since for one in troubles}
        found = [Trouble(finding, now) for finding in find_now(config, source)] if live else []
        troubles = [replace(one, since=since.get(one.place, now)) for one in found if one.finding.fatal]
    return SourceSeen(source.name, up, str(lease.holder or ""), lease.beat_at, troubles)


def _json(seen: Seen) -> list[dict[str, Any]]:
    """Return each table with its load and newest proof, of one that no service has seen its load; then the troubles."""
    loads = {str(progress.target): progress_json(progress) for progress in seen.loads}
    proofs = {target: asdict(proof) for target, proof in seen.proofs.items()}
    known = [{**asdict(row), "load": loads.pop(row.target, None), "proof": proofs.get(row.target)} for row in seen.rows]
    loading = [{"target": target, "state": "loading", "load": load} for target, load in loads.items()]
    services = [_service_json(one) for one in seen.sources]
    named = ((source.name, as_dict(one)) for source in seen.sources for one in source.troubles)
    troubles = [{"pipeline": name, "state": "trouble", **trouble} for name, trouble in named]
    return [*known, *loading, *services, *troubles]


def _service_json(one: SourceSeen) -> dict[str, Any]:
    state = "service up" if one.up else "service down"
    return {"pipeline": one.name, "state": state, "holder": one.holder, "beat_at": one.beat_at}


def _watch(look: Callable[[], Seen], *, wide: bool, why: bool) -> None:
    def view() -> Group:
        seen = look()
        return shown(seen.rows, seen.loads, seen.sources, proofs=seen.proofs, wide=wide, why=why)

    try:
        first = view()
        with Live(first, console=wide_enough(Console(), first, wide=wide), auto_refresh=False) as live:
            while True:
                time.sleep(2)
                live.update(view(), refresh=True)
    except KeyboardInterrupt:
        return
