"""``cdc replay``: apply a range of messages again, to the table itself or into a new one."""

import json
import signal
import sys
import threading
from typing import Annotated, Any

import typer

from cdc.bootstrap.operations import OperatorParts
from cdc.bootstrap.replay import run_replay
from cdc.bootstrap.spark import open_session
from cdc.bootstrap.specs import spec_of
from cdc.cli.checkpoint import OneTable, one_table
from cdc.cli.complete import complete_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, Why
from cdc.cli.selection import Selected
from cdc.config.models import Config
from cdc.core.errors import ConfigError
from cdc.core.names import TableName, parse_table_name
from cdc.core.replay import Known, ReplayPlan, plan_copy, plan_replay
from cdc.ops.logs import set_up_logs
from cdc.pipeline.apply import Applied
from cdc.pipeline.checkpoints import list_checkpoints
from cdc.pipeline.replay import Replayed
from cdc.pipeline.rewind import topic_state

From = Annotated[
    str,
    typer.Option(
        "--from",
        help="earliest, a checkpoint (id or first digits), tag:NAME, a time (UTC), offset:P=N[,P=N] or position:TEXT.",
    ),
]
To = Annotated[str, typer.Option("--to", help="The same; where the table is by default.")]
Into = Annotated[
    str | None, typer.Option("--into", help="Make this new table (namespace.table) instead of changing the table.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    table: OneTable,
    from_: From,
    to: To = "latest",
    into: Into = None,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    dry_run: DryRun = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Apply messages of a table's topic again, while the stream goes on.

    To the table itself: messages that it holds change nothing; rows that were lost, or changed by hand, are set right
    in one swap. Into a new table: the rows of a checkpoint and what came after it, as the table was at --to.
    """
    loaded = complete_config(config)
    set_up_logs(loaded.operations.log_format, "WARNING")
    parts, chosen = OperatorParts(loaded), one_table(loaded, table)
    plan = make_plan(parts, chosen, from_, to, into)
    if not as_json:
        typer.echo("\n".join(lines(plan)))
    if dry_run:
        if as_json:
            typer.echo(json.dumps({"done": False, **plan_json(plan)}, indent=2))
        return
    done = carry_out(loaded, chosen, plan, why)
    if as_json:
        typer.echo(json.dumps({"done": True, **plan_json(plan), **result_json(done)}, indent=2))
    else:
        typer.echo(result(plan, done))


def make_plan(parts: OperatorParts, chosen: Selected, start: str, end: str, into: str | None) -> ReplayPlan:
    """Return what a replay would do now; raises the errors of ``cdc.core.replay``, ConfigError for a wrong new name."""
    known = known_of(parts, chosen)
    if into is None:
        return plan_replay(known, start, end)
    from_connector = chosen.source.snapshot_of(chosen.table).value == "connector"
    return plan_copy(known, start, end, new_name(parts.config, into), from_connector=from_connector)


def known_of(parts: OperatorParts, chosen: Selected) -> Known:
    """Return what a replay of a table is planned with, as it is now."""
    topic_name = chosen.source.topic_of(chosen.table)
    history = parts.operations.histories.read(chosen.target)
    topic = topic_state(parts.operations, topic_name)
    found = list_checkpoints(history, parts.ledger.read(chosen.target), topic)
    return Known(history, [one.checkpoint for one in found], topic_name, topic)


def new_name(config: Config, text: str) -> TableName:
    """Return the name of a table to make; raises ConfigError if it is none, or a table of the service."""
    try:
        name = parse_table_name(text)
    except ValueError as error:
        raise ConfigError(f"--into: {error}", hint="write namespace.table") from None
    targets = {source.target_of(table) for source in config.sources for table in source.tables}
    if name in targets or name.namespace == config.metadata_namespace:
        raise ConfigError(f"{name} is a table of the service", hint="choose a name that is not in the configuration")
    return name


def lines(plan: ReplayPlan) -> list[str]:
    """Return what a replay does, for people."""
    offsets = ", ".join(f"{p}: {first} to {end}" for p, (first, end) in plan.offsets.items())
    found = [
        f"table     {plan.target}",
        f"into      {plan.into or 'the table itself, in one swap if a row changes'}",
        f"offsets   {offsets or 'none'}",
        f"messages  {plan.messages:,} will be applied again",
    ]
    if plan.into is not None:
        found.insert(2, f"rows      {'none' if plan.base is None else f'a copy of snapshot {plan.base}'} to begin with")
    if plan.left_out:
        found.append(f"left out  {plan.left_out}")
    return found


def plan_json(plan: ReplayPlan) -> dict[str, Any]:
    """Return a plan for machines; ids are texts, for they do not fit into a double."""
    return {
        "table": str(plan.target),
        "into": plan.into and str(plan.into),
        "base": plan.base and str(plan.base),
        "offsets": {str(p): {"from": first, "to": end} for p, (first, end) in plan.offsets.items()},
        "messages": plan.messages,
        "left_out": plan.left_out,
    }


def result(plan: ReplayPlan, done: Replayed) -> str:
    """Return what became of a replay, for people."""
    if plan.into is not None:
        copied = f"{done.copied:,} rows copied"
        return f"{plan.into}: {copied}, {done.messages:,} messages applied, {done.changed:,} rows changed"
    kind = "no-op" if done.no_op else "replayed"
    return f"{kind}: {done.messages:,} messages applied again, {done.changed:,} rows changed"


def result_json(done: Replayed) -> dict[str, Any]:
    """Return what became of a replay, for machines."""
    return {
        "no_op": done.no_op,
        "events": done.events,
        "changed": done.changed,
        "copied": done.copied,
        "snapshot": done.snapshot_id and str(done.snapshot_id),
    }


def carry_out(config: Config, chosen: Selected, plan: ReplayPlan, why: str) -> Replayed:
    """Carry a replay out in a Spark session of its own; SIGTERM and Ctrl-C end it between two commits."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    spec = spec_of(chosen.source, chosen.table)
    session = open_session(config, brief=True)
    try:
        return run_replay(config, chosen.source, session, spec, plan, why, on_applied=_tell, stopping=stop.is_set)
    finally:
        session.stop()


def _tell(applied: Applied) -> None:
    changed = sum(applied.counts.values())
    sys.stderr.write(f"{applied.collapsed.events:,} events applied, {changed:,} rows changed\n")
