"""``cdc rewind``: take a table back to one of its snapshots; needs neither Spark nor the service."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from cdc.bootstrap.operations import OperatorParts
from cdc.cli.checkpoint import OneTable, iso, one_table
from cdc.cli.complete import known_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, Why, Yes
from cdc.cli.selection import Selected
from cdc.config.models import Config
from cdc.core.errors import TerminalError
from cdc.core.rewind import RewindPlan
from cdc.lake.status_reader import read_status
from cdc.ops.logs import set_up_logs
from cdc.pipeline.rewind import rewind as carry_out
from cdc.pipeline.rewind import rewind_plan, wait_until_back

STALE = timedelta(seconds=60)
"""A service whose status is older than this does not run."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rewind")(rewind)


def rewind(  # noqa: PLR0913 - options
    table: OneTable,
    to: Annotated[
        str, typer.Option("--to", help="Where to: snapshot id or its first digits, tag:NAME, or a time (UTC).")
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    dry_run: DryRun = False,
    why: Why = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the table is as far as it was before.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait with --wait.")] = 600.0,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Move a table back to one of its snapshots; the stream then applies the changes since again.

    Readers see the old rows at once. The rows that are given up stay under a tag for 30 days: a rewind to it undoes
    this one. `cdc checkpoint list` shows where a table can be taken to.
    """
    loaded = known_config(config)
    set_up_logs(loaded.operations.log_format, "WARNING")
    parts, chosen = OperatorParts(loaded), one_table(loaded, table)
    topic = chosen.source.topic_of(chosen.table)
    plan = rewind_plan(parts.operations, chosen.target, topic, to)
    if not as_json:
        typer.echo("\n".join(lines(plan)))
    done = not dry_run
    if done:
        confirm(f"Rewind {plan.target}?", yes=yes or as_json)
        plan = carry_out(parts.operations, parts.rewinder, plan, topic, why)
    if as_json:
        typer.echo(json.dumps({"done": done, **plan_json(plan)}, indent=2))
    elif done:
        typer.echo(f"rewound; undo it with: cdc rewind --table {plan.target} --to tag:{plan.tag}")
    hint = idle_hint(parts, chosen) if done else ""
    if hint:
        typer.echo(hint, err=True)
    if done and wait:
        _wait(parts, plan, timeout, show=not as_json)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless that was answered on the command line; raises TerminalError where nobody can be asked."""
    if yes:
        return
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        raise TerminalError("nobody has agreed", hint="give --yes where there is no terminal") from None
    if not agreed:
        raise TerminalError("nothing was done")


def lines(plan: RewindPlan) -> list[str]:
    """Return what a rewind does, for people."""
    offsets = ", ".join(f"{p}: {now} -> {then}" for p, (now, then) in plan.offsets.items())
    schema = (
        f"of the snapshot: {', '.join(plan.columns)} was dropped and added again since" if plan.columns else "stays"
    )
    found = [
        f"table     {plan.target}",
        f"snapshot  {plan.from_snapshot} -> {plan.to_snapshot}, of {iso(plan.to_at)}",
        f"offsets   {offsets or 'none'}",
        f"messages  {plan.messages:,} will be applied again",
        f"position  {plan.position_before or '-'} -> {plan.position_after or '-'}",
        f"schema    {schema}",
        f"kept as   tag {plan.tag}",
    ]
    if not plan.after.partitions:
        found.append("note      this is before the table's first rows; with `snapshot: load` it waits for `cdc load`")
    if plan.loads:
        found.append(f"warning   {plan.loads} load(s) of the table lie between: what they set right is given up")
    return found


def plan_json(plan: RewindPlan) -> dict[str, Any]:
    """Return a plan for machines; ids are texts, for they do not fit into a double."""
    return {
        "table": str(plan.target),
        "from_snapshot": str(plan.from_snapshot),
        "to_snapshot": str(plan.to_snapshot),
        "to_at": iso(plan.to_at),
        "offsets": {str(p): {"from": now, "to": then} for p, (now, then) in plan.offsets.items()},
        "messages": plan.messages,
        "position_before": plan.position_before,
        "position_after": plan.position_after,
        "schema_id": plan.schema_id,
        "columns": list(plan.columns),
        "loads": plan.loads,
        "tag": plan.tag,
    }


def idle_hint(parts: OperatorParts, chosen: Selected) -> str:
    """Return what to say if no service seems to write the table; empty if one does."""
    config: Config = parts.config
    rows = read_status(parts.catalog, config.metadata_namespace)
    row = next((row for row in rows if row.target == str(chosen.target)), None)
    if row is not None and datetime.now(UTC) - row.updated_at < STALE and row.state != "stopped":
        return ""
    since = f"since {iso(row.updated_at)}" if row else "yet"
    why = "the table is stopped" if row is not None and row.state == "stopped" else f"no service was seen {since}"
    return f"hint: {why}: the changes are applied again once `cdc stream` runs"


def _wait(parts: OperatorParts, plan: RewindPlan, timeout: float, *, show: bool) -> None:
    with Progress(console=Console(stderr=True), disable=not show, transient=True) as progress:
        task = progress.add_task("applying again", total=plan.messages)
        back = wait_until_back(
            parts.operations.histories,
            plan,
            seconds=timeout,
            pause=lambda: time.sleep(1),
            show=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if not back:
        raise TerminalError(
            f"{plan.target} was rewound, and is not back after {timeout:g} s",
            hint="does `cdc stream` run? `cdc status` tells; the rewind itself is done",
        )
    if show:
        typer.echo(f"{plan.target} is as far as it was before")
