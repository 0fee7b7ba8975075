"""``cdc quarantine retry``: messages that could not be used, brought into their tables once the cause is mended."""

import json
import signal
import sys
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from pyspark.sql import SparkSession

from cdc.bootstrap.operations import OperatorParts
from cdc.bootstrap.replay import run_retry
from cdc.bootstrap.spark import open_session
from cdc.bootstrap.specs import specs_of
from cdc.cli.replay import known_of
from cdc.cli.selection import Selected, select_tables
from cdc.config.models import Config
from cdc.core.errors import CdcError
from cdc.core.replay import ReplayPlan, plan_retry
from cdc.lake.quarantine import Quarantine, Quarantined
from cdc.ops.logs import set_up_logs
from cdc.pipeline.apply import Applied
from cdc.pipeline.replay import ReplayParts
from cdc.pipeline.retry import Retried, Retry


@dataclass(frozen=True)
class Asked:
    """What is to be tried again: tables by name or pattern, all raw keys or some, and why."""

    tables: Sequence[str]
    keys: Collection[bytes] | None
    why: str


def retry(config: Config, asked: Asked, *, dry_run: bool, as_json: bool) -> None:
    """Try again what tables hold, one table after another, and tell; exits 1 if something still cannot be used."""
    set_up_logs(config.operations.log_format, "WARNING")
    parts = OperatorParts(config)
    held = [(one, _held(parts, one, asked.keys)) for one in select_tables(config, asked.tables)]
    if dry_run or not any(found for _, found in held):
        plans = [_plan_json(one, found, _plan(parts, one, _places(found)) if found else None) for one, found in held]
        _tell(plans, [_plan_line(plan) for plan in plans], as_json=as_json)
        return
    done = _carry_out(config, parts, [one for one, found in held if found], asked)
    _tell([_json(*one) for one in done], [line for one in done for line in _lines(*one)], as_json=as_json)
    if any(isinstance(outcome, CdcError) or outcome.left for _, outcome in done):
        raise typer.Exit(1)


Outcome = tuple[Selected, Retried | CdcError]


def _carry_out(config: Config, parts: OperatorParts, chosen: Sequence[Selected], asked: Asked) -> list[Outcome]:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    session = open_session(config, brief=True)
    try:
        return [(one, _one(config, parts, session, one, asked, stop)) for one in chosen]
    finally:
        session.stop()


def _one(
    config: Config, parts: OperatorParts, session: SparkSession, chosen: Selected, asked: Asked, stop: threading.Event
) -> Retried | CdcError:
    """Try one table; what keeps it from being tried is its own trouble."""
    topic = chosen.source.topic_of(chosen.table)
    spec = next(spec for spec in specs_of(chosen.source) if spec.topic == topic)

    def plan(places: Collection[tuple[int, int]]) -> ReplayPlan:
        return _plan(parts, chosen, places)

    def tell(applied: Applied) -> None:
        changed = sum(applied.counts.values())
        sys.stderr.write(f"{chosen.target}: {applied.collapsed.events:,} events applied, {changed:,} rows changed\n")

    def make(replays: ReplayParts, quarantine: Quarantine) -> Retry:
        return Retry(replays, quarantine, plan, spec, asked.keys, asked.why, tell, stop.is_set)

    try:
        return run_retry(config, chosen.source, session, make, stopping=stop.is_set)
    except CdcError as error:
        return error


def _held(parts: OperatorParts, chosen: Selected, keys: Collection[bytes] | None) -> list[Quarantined]:
    quarantine = Quarantine(parts.catalog, parts.config.metadata_namespace)
    found = quarantine.places(chosen.source.topic_of(chosen.table))
    return [one for one in found if keys is None or one.key in keys]


def _plan(parts: OperatorParts, chosen: Selected, places: Collection[tuple[int, int]]) -> ReplayPlan:
    return plan_retry(known_of(parts, chosen), places)


def _places(found: Sequence[Quarantined]) -> list[tuple[int, int]]:
    return [(one.partition, one.offset) for one in found]


def _plan_json(chosen: Selected, held: Sequence[Quarantined], plan: ReplayPlan | None) -> dict[str, Any]:
    offsets = {} if plan is None else plan.offsets
    return {
        "table": str(chosen.target),
        "done": False,
        "held": len(held),
        "keys": len({one.key for one in held if one.key is not None}),
        "offsets": {str(p): {"from": first, "to": end} for p, (first, end) in offsets.items()},
        "messages": 0 if plan is None else plan.messages,
    }


def _plan_line(plan: dict[str, Any]) -> str:
    if not plan["held"]:
        return f"{plan['table']}: nothing is held"
    held = f"{plan['held']:,} messages of {plan['keys']:,} keys are held"
    return f"{plan['table']}: {held}; {plan['messages']:,} messages of the topic will be applied again"


def _json(chosen: Selected, outcome: Retried | CdcError) -> dict[str, Any]:
    table = str(chosen.target)
    if isinstance(outcome, CdcError):
        return {"table": table, "done": False, "error": str(outcome), "hint": outcome.hint_for(table)}
    left = [{"partition": p, "offset": offset, "reason": why} for (p, offset), why in sorted(outcome.left.items())]
    return {"table": table, "done": True, "released": outcome.released, "changed": outcome.changed, "left": left}


def _lines(chosen: Selected, outcome: Retried | CdcError) -> list[str]:
    table = str(chosen.target)
    if isinstance(outcome, CdcError):
        hint = f"\nhint: {outcome.hint_for(table)}" if outcome.hint else ""
        return [f"{table}: error: {outcome}{hint}"]
    lines = [f"{table}: {outcome.released:,} messages are in the table, {outcome.changed:,} rows changed"]
    if outcome.left:
        (place, why), *_ = sorted(outcome.left.items())
        lines.append(
            f"{table}: {len(outcome.left):,} still cannot be used; partition {place[0]} offset {place[1]}: {why}"
        )
        lines.append(f"hint: cdc quarantine show {table}; or cdc tables reset {table}, which reads the rows anew")
    return lines


def _tell(documents: list[dict[str, Any]], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(documents, indent=2))
        return
    for line in lines:
        typer.echo(line)
