"""``cdc maintain``: put files together and let go of what nobody needs, beside the service or without it."""

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Annotated, Any

import typer

from cdc.bootstrap.maintenance import build_maintainer, kept_tables, own_tables
from cdc.bootstrap.operations import OperatorParts
from cdc.bootstrap.spark import open_session
from cdc.cli.complete import known_config
from cdc.cli.load import heed_signals
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, Why
from cdc.cli.selection import all_tables, select_tables
from cdc.config.models import Config
from cdc.core.maintenance import MaintenancePlan, Step
from cdc.core.names import TableName
from cdc.ops.logs import set_up_logs
from cdc.ops.metrics import Metrics
from cdc.pipeline.maintain import Kept, Maintenance, Outcome
from cdc.pipeline.rewind import note

ROUNDS = 20
"""Looks at one table: what a step did may make another one due."""

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TABLE..", help="Source's or target's name of a table; * stands for any text. All tables by default."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("maintain")(maintain)


def maintain(
    table: Names = None,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    dry_run: DryRun = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Put small files together, expire snapshots and remove what nobody needs, until nothing is due.

    The running service does so by itself; both may work at the same time. Without names, the service's own tables are
    maintained as well. How long what is kept is in `maintenance` of the configuration.
    """
    loaded = known_config(config)
    set_up_logs(loaded.operations.log_format, "WARNING")
    stop = heed_signals()
    session = open_session(loaded, brief=True)
    try:
        tables = chosen(loaded, table)
        maintenance = Maintenance(
            "",
            lambda: tables,
            build_maintainer(loaded, session),
            Metrics(),
            loaded.maintenance.interval,
            timedelta(days=1),
        )
        found = [_one(maintenance, one, stop, dry_run=dry_run, as_json=as_json) for one in tables]
    finally:
        session.stop()
    if not dry_run:
        _note(loaded, [(one.name, outcomes) for one, (_, outcomes) in zip(tables, found, strict=True)], why)
    if as_json:
        typer.echo(json.dumps([report for report, _ in found], default=str, indent=2))
    if stop.is_set() or any(outcome.error for _, outcomes in found for outcome in outcomes):
        raise typer.Exit(1)


def chosen(config: Config, names: Sequence[str] | None) -> list[Kept]:
    """Return the tables to look at; raises ConfigError for a name that fits none."""
    selected = select_tables(config, names) if names else all_tables(config)
    targets = kept_tables(config, [one.target for one in selected], thorough=True)
    return targets if names else [*targets, *own_tables(config, thorough=True)]


Found = tuple[dict[str, Any], list[Outcome]]


def _one(maintenance: Maintenance, table: Kept, stop: threading.Event, *, dry_run: bool, as_json: bool) -> Found:
    """Maintain a table until nothing more is due, or show what is."""
    plan, outcomes = maintenance.plan(table), list[Outcome]()
    if not as_json:
        for line in lines(plan):
            typer.echo(line)
    if not dry_run:
        outcomes = _until_nothing_is_due(maintenance, table, stop)
        if not as_json:
            for line in map(told, outcomes):
                typer.echo(f"  {line}")
    return {**plan_json(plan), "done": [outcome_json(one) for one in outcomes]}, outcomes


def _until_nothing_is_due(maintenance: Maintenance, table: Kept, stop: threading.Event) -> list[Outcome]:
    found: list[Outcome] = []
    for _ in range(ROUNDS):
        tried = [] if stop.is_set() else maintenance.maintain(table)
        found += tried
        if not tried or any(one.error for one in tried):
            break
        table = replace(table, limits=replace(table.limits, thorough=False))  # what is looked for once was looked for
    return found


def lines(plan: MaintenancePlan) -> list[str]:
    """Return what is due, for people."""
    held = [f"  held: {plan.held}"] if plan.held else []
    if not plan:
        return [f"{plan.target}: nothing is due", *held]
    return [f"{plan.target}:", *(f"  {_name(step)}: {step.reason}" for step in plan.steps), *held]


def told(outcome: Outcome) -> str:
    """Return what became of a step, for people."""
    if outcome.error:
        return f"not done: {_name(outcome.step)}: {outcome.error}"
    done = outcome.done
    what = (
        f"{done.files_removed:,} files became {done.files_added:,}" if done.files_removed or done.files_added else "",
        f"{done.snapshots:,} snapshots expired" if done.snapshots else "",
        f"{outcome.seconds:.1f} s",
    )
    return f"done: {_name(outcome.step)}: {', '.join(filter(None, what))}"


def plan_json(plan: MaintenancePlan) -> dict[str, Any]:
    """Return a plan for machines."""
    due = [{"step": step.kind, "reason": step.reason} for step in plan.steps]
    return {"table": str(plan.target), "due": due, "held": plan.held}


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return what became of a step, for machines."""
    done = asdict(outcome.done)
    return {"step": outcome.step.kind, **done, "seconds": round(outcome.seconds, 3), "error": outcome.error}


def _name(step: Step) -> str:
    return step.kind.replace("_", " ")


def _note(config: Config, done: Sequence[tuple[TableName, list[Outcome]]], why: str) -> None:
    audit = OperatorParts(config).operations.audit
    for table, outcomes in done:
        if outcomes:
            what = ", ".join(sorted({_name(one.step) for one in outcomes}))
            failed = next((one.error for one in outcomes if one.error), "")
            note(
                audit,
                "maintain",
                table,
                what,
                why,
                f"failed: {failed}" if failed else "done",
            )
