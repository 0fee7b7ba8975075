"""``cdc connectors``: the Debezium connectors, made to agree with the configuration."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cdc.bootstrap.connectors import connectors_of
from cdc.bootstrap.databases import source_database
from cdc.cli.complete import complete_config, completed, known_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.core.errors import CdcError
from cdc.core.preflight import ENDS_CONNECTOR, Finding
from cdc.pipeline.connector_state import ConnectorStatus
from cdc.pipeline.leftovers import Leftover
from cdc.pipeline.preflight import check_source, require_fit
from cdc.pipeline.register import ConnectorPlan, Connectors

group = typer.Typer(name="connectors", help="Register and supervise the Debezium connectors.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Sources; all of the configuration if none is named.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the tasks.", min=1)]

_COLOURS = {"RUNNING": "green", "PAUSED": "yellow", "STOPPED": "yellow", "FAILED": "red", "MISSING": "red"}
_out = Console(soft_wrap=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the root application."""
    app.add_typer(group)


@group.command()
def plan(names: Names = None, config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False) -> None:
    """Show the difference between configuration and cluster; exits 2 if there is one."""
    connectors, chosen = _chosen(complete_config(config, names), names)
    plans = [connectors.plan(name) for name in chosen]
    _show([_plan_json(p) for p in plans], (line for p in plans for line in _plan_lines(p)), as_json=as_json)
    if any(not p.empty for p in plans):
        raise typer.Exit(2)


@group.command()
def apply(
    names: Names = None,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    as_json: Json = False,
    dry_run: DryRun = False,
    timeout: Timeout = 90,
) -> None:
    """Check the sources, create topics and connectors, or change them, and wait until their tasks run.

    A table that is unfit keeps no other from being captured; exit code 1 tells of it.
    """
    found = completed(config, names)
    connectors, chosen = _chosen(found.strict(), names)
    plans = [connectors.plan(name) for name in chosen]
    if dry_run:
        _show([_plan_json(p) for p in plans], (line for p in plans for line in _plan_lines(p)), as_json=as_json)
        return
    if not as_json:
        _print(line for p in plans for line in _plan_lines(p))

    def checked(name: str) -> ConnectorStatus:
        source = connectors.source(name)
        findings = check_source(source, source_database(source))
        require_fit(source, findings)
        unfit.extend(finding for finding in findings if finding.fatal)
        _warn(finding for finding in findings if not finding.fatal)
        deadly = {one.table for one in findings if one.name in ENDS_CONNECTOR and one.table}
        plan = connectors.plan(name, deadly) if deadly else _named(plans, name)
        return connectors.apply(plan, timeout=timeout)

    unfit: list[Finding] = []
    _warn(finding for findings in found.left_out.values() for finding in findings)
    try:
        _each(chosen, checked, as_json=as_json)
    finally:  # a connector that fails may do so because of one of them
        for finding in unfit:
            sys.stderr.write(f"error: {finding.what}\nhint: {finding.hint}\n")
    if unfit:
        raise typer.Exit(1)


@group.command()
def status(names: Names = None, config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False) -> None:
    """Show connectors and tasks; exits 1 unless all of them run."""
    connectors, chosen = _chosen(load_config(config, only=names or None), names)
    states = [connectors.status(name) for name in chosen]
    _show_states(states, as_json=as_json)
    if not all(state.running for state in states):
        raise typer.Exit(1)


@group.command()
def pause(
    names: Names = None, config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False, dry_run: DryRun = False
) -> None:
    """Pause the tasks; the sources keep their logs meanwhile."""
    connectors, chosen = _chosen(load_config(config, only=names or None), names)
    _act("pause", connectors, chosen, connectors.pause, as_json=as_json, dry_run=dry_run)


@group.command()
def resume(
    names: Names = None, config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False, dry_run: DryRun = False
) -> None:
    """Let paused or stopped connectors run again."""
    connectors, chosen = _chosen(load_config(config, only=names or None), names)
    _act("resume", connectors, chosen, connectors.resume, as_json=as_json, dry_run=dry_run)


@group.command()
def restart(
    names: Names = None,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    as_json: Json = False,
    dry_run: DryRun = False,
    attempts: Annotated[int, typer.Option(help="How often to try, with growing pauses.", min=1)] = 5,
) -> None:
    """Restart what failed, and only that; one that is named is restarted as a whole if it runs, and may be silent."""
    connectors, chosen = _chosen(load_config(config, only=names or None), names)
    _act(
        "restart",
        connectors,
        chosen,
        lambda n: connectors.restart(n, whole=bool(names), attempts=attempts),
        as_json=as_json,
        dry_run=dry_run,
    )


@group.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Sources whose connectors go.")],
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    as_json: Json = False,
    dry_run: DryRun = False,
    offsets: Annotated[
        bool,
        typer.Option("--offsets", help="Also forget where it was: registered again, it begins anew, as tables must."),
    ] = False,
) -> None:
    """Remove connectors, also of sources that left the configuration, and say what stays behind.

    Slot, publication, topics, subjects, offsets, targets: each with the command that removes it.
    """
    configured = [source.name for source in load_config(config, secrets=False).sources]
    # a source may have left the configuration; what is there needs one
    known = [name for name in names if name in configured] or configured[:1]
    connectors = connectors_of(known_config(config, known), ask=False)
    act = connectors.leftovers if dry_run else connectors.remove
    left = {name: act(name, offsets=offsets) for name in names}
    document = [
        {"name": n, "removed": not dry_run, "left": [item._asdict() for item in items]} for n, items in left.items()
    ]
    _show(
        document,
        (line for n, items in left.items() for line in _left_lines(n, items, dry_run=dry_run)),
        as_json=as_json,
    )


def _chosen(config: Config, names: list[str] | None) -> tuple[Connectors, list[str]]:
    connectors = connectors_of(config)
    chosen = names or [source.name for source in config.sources]
    for name in chosen:
        connectors.source(name)
    return connectors, chosen


def _warn(findings: Iterable[Finding]) -> None:
    for finding in findings:
        typer.echo(f"warning: {finding.what}; {finding.hint}", err=True)


def _named(plans: Iterable[ConnectorPlan], name: str) -> ConnectorPlan:
    return next(p for p in plans if p.name == name)


def _act(  # one verb for several connectors
    verb: str,
    connectors: Connectors,
    names: list[str],
    act: Callable[[str], ConnectorStatus],
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    if dry_run:
        states = [connectors.status(name) for name in names]
        document = [{"name": s.name, "state": s.state, "would": verb} for s in states]
        _show(document, (f"would {verb} [bold]{s.name}[/], which is {s.state}" for s in states), as_json=as_json)
        return
    _each(names, act, as_json=as_json)


def _each(names: list[str], act: Callable[[str], ConnectorStatus], *, as_json: bool) -> None:
    """Act on every connector even if one fails, then raise the first failure."""
    states, failures = [], []
    for name in names:
        try:
            states.append(act(name))
        except CdcError as error:
            failures.append(error)
    _show_states(states, as_json=as_json)
    if failures:
        raise failures[0]


def _plan_json(p: ConnectorPlan) -> dict[str, Any]:
    topics = [t._asdict() | {"changes": [c._asdict() for c in t.changes]} for t in p.topics]
    return {"name": p.name, "action": p.action, "changes": [c._asdict() for c in p.changes], "topics": topics}


def _plan_lines(p: ConnectorPlan) -> Iterator[str]:
    yield f"connector [bold]{p.name}[/]: {p.action}"
    for change in p.changes:
        if change.old is None:
            yield f"  [green]+ {escape(change.key)} = {escape(change.new or '')}[/]"
        elif change.new is None:
            yield f"  [red]- {escape(change.key)} = {escape(change.old)}[/]"
        else:
            yield f"  [yellow]~ {escape(change.key)} = {escape(change.old)} -> {escape(change.new)}[/]"
    for topic in p.topics:
        details = "".join(f"; {c.key} {c.old} -> {c.new}" for c in topic.changes)
        yield f"  topic {escape(topic.name)}: {topic.action} ({topic.partitions} partitions{details})"


def _left_lines(name: str, items: Iterable[Leftover], *, dry_run: bool) -> Iterator[str]:
    yield f"connector [bold]{name}[/] {'would be removed; would stay' if dry_run else 'removed; what stays'}:"
    for item in items:
        yield f"  {item.what} {escape(item.name)}: {escape(item.removal)}"


def _show_states(states: list[ConnectorStatus], *, as_json: bool) -> None:
    if as_json:
        _show([s._asdict() | {"tasks": [t._asdict() for t in s.tasks]} for s in states], (), as_json=True)
        return
    table = Table("connector", "state", "task", "task state", "worker", "trace", box=None)
    for state in states:
        for task in state.tasks or (None,):
            cells = (
                (str(task.id), _coloured(task.state), task.worker, escape(task.trace))
                if task
                else ("-", "-", state.worker, state.trace)
            )
            table.add_row(state.name, _coloured(state.state), *cells)
    if states:
        _out.print(table)


def _coloured(state: str) -> str:
    return f"[{_COLOURS.get(state, 'yellow')}]{state}[/]"


def _show(document: list[dict[str, Any]], lines: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(lines)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        _out.print(line)
