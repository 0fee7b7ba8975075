"""``cdc load``: the first rows of tables, read straight from the database while their changes go on."""

import json
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cdc.bootstrap.connectors import watched_capture
from cdc.bootstrap.load import SourceLoads, load_order
from cdc.bootstrap.load_estimate import seconds_at_least
from cdc.bootstrap.service import require_catalog
from cdc.bootstrap.spark import open_session
from cdc.bootstrap.specs import spec_of
from cdc.cli.complete import complete_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames, Why
from cdc.cli.progress import LoadBars
from cdc.cli.selection import all_tables, select_tables
from cdc.config.models import Config
from cdc.config.sources import Snapshot, SourceConfig
from cdc.core.errors import CdcError, ConfigError
from cdc.core.load import LoadPlan
from cdc.core.names import TableName
from cdc.lake.audit import AuditLog
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.ops.logs import set_up_logs
from cdc.pipeline.table import TableSpec

Tables = Annotated[
    list[str] | None, typer.Option("--tables", "-t", help="Only these tables, by source or target name; * is any text.")
]
Reload = Annotated[
    bool, typer.Option("--reload", help="Load tables anew that are loaded: readers see the old rows until the swap.")
]
Rate = Annotated[int | None, typer.Option("--rows-per-second", min=0, help="Read no faster than this; 0: no limit.")]
Where = Annotated[
    str | None,
    typer.Option("--where", help="Only rows that fulfil this condition, in the database's SQL; for one table."),
]

Chosen = Sequence[tuple[SourceConfig, list[TableSpec]]]


@dataclass(frozen=True)
class Asked:
    """What an operator asked for, as the log of operations has it.

    ``where`` None goes on with what an interrupted load began with; ``rows_per_second`` None is what is configured.
    """

    command: str
    why: str = ""
    where: str | None = None
    rows_per_second: int | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("load")(load)


def load(  # noqa: PLR0913 - the options of a command
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    *,
    tables: Tables = None,
    reload: Reload = False,
    where: Where = None,
    rows_per_second: Rate = None,
    why: Why = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load tables that have no rows yet, by priority and the largest first; the stream may run all the while.

    Interrupted, it goes on behind its last commit when it is started again. Tables that are loaded are left alone.
    What --where leaves out comes when it is changed; `cdc verify` knows of it, and another --reload ends it.
    Exit code 1 if a table could not be loaded; the others are.
    """
    loaded = complete_config(config, source)
    stop = heed_signals()
    chosen = chosen_tables(loaded, tables or [])
    if where and sum(len(specs) for _, specs in chosen) != 1:
        raise ConfigError("--where is for one table", hint="name it with --tables")
    if dry_run:
        show_plans(loaded, chosen, as_json=as_json, rows_per_second=rows_per_second, where=where or "")
        return
    asked = Asked("load --reload" if reload else "load", why, where, rows_per_second)
    failed = run_loads(loaded, chosen, stop, again=reload, as_json=as_json, asked=asked)
    if failed or stop.is_set():
        raise typer.Exit(1)


def heed_signals() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set: what runs ends behind its next commit."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def chosen_tables(config: Config, patterns: Sequence[str], *, loaded_only: bool = True) -> Chosen:
    """Return the tables that fit, source by source; all, without a pattern.

    ``loaded_only`` leaves out those of which Debezium takes the snapshot, and refuses them by name. Raises ConfigError
    for a pattern that fits no table.
    """
    selected = select_tables(config, patterns) if patterns else all_tables(config)
    refused = [one for one in selected if loaded_only and one.source.snapshot_of(one.table) is not Snapshot.LOAD]
    if patterns and refused:
        raise ConfigError(
            f"{refused[0].table.source} has `snapshot: connector`",
            hint=f"set `snapshot: load` for it, or `cdc tables reset {refused[0].table.source}`",
        )
    wanted = [one for one in selected if one not in refused and (patterns or one.table.key)]
    specs = [(one.source.name, spec_of(one.source, one.table)) for one in wanted]
    chosen = [(source, [spec for name, spec in specs if name == source.name]) for source in config.sources]
    return [(source, specs) for source, specs in chosen if specs]


def run_loads(
    config: Config,
    chosen: Chosen,
    stop: threading.Event,
    *,
    again: bool,
    as_json: bool,
    asked: Asked,
) -> Mapping[TableName, CdcError]:
    """Load the tables, source by source, showing how far they are; return the errors of those that failed."""
    level = "WARNING" if sys.stderr.isatty() else "INFO"
    set_up_logs("json" if as_json else config.operations.log_format, level)
    require_catalog(config)
    capture = watched_capture(config, stop)
    session = open_session(config, brief=True)
    failed: dict[TableName, CdcError] = {}
    try:
        with LoadBars(as_json=as_json) as bars:
            for source, specs in chosen:
                rate, where = asked.rows_per_second, asked.where
                loads = SourceLoads(config, source, session, bars.show, stop.is_set, rate, capture, where)
                errors = _of_source(loads, specs, again=again)
                failed |= errors
                _note(config, asked, specs, errors)
    finally:
        session.stop()
    tell(failed)
    return failed


def tell(failed: Mapping[TableName, CdcError]) -> None:
    """Write each error once, with its table; with none, if it is the error of all tables of a source."""
    errors = list(failed.values())
    for error in dict.fromkeys(errors):
        target = next(target for target, one in failed.items() if one is error)
        named = f"{target}: " if errors.count(error) == 1 else ""
        hint = f"hint: {error.hint_for(target)}\n" if error.hint else ""
        sys.stderr.write(f"error: {named}{error}\n{hint}")


def _of_source(loads: SourceLoads, specs: Sequence[TableSpec], *, again: bool) -> dict[TableName, CdcError]:
    """Load tables of one source; what keeps all of them from it is the trouble of this source alone."""
    try:
        return loads.run(specs, again=again)
    except CdcError as error:
        return {spec.target: error for spec in specs}


def _note(config: Config, asked: Asked, specs: Sequence[TableSpec], errors: Mapping[TableName, CdcError]) -> None:
    """Write to the log of operations what was asked for and what came of it."""
    what = f"loaded where {asked.where}" if asked.where else "loaded"
    audit = AuditLog(open_catalog(config.catalog), config.metadata_namespace)
    for spec in specs:
        error = errors.get(spec.target)
        audit.write(asked.command, str(spec.target), what, asked.why, "done" if error is None else str(error))


def show_plans(
    config: Config, chosen: Chosen, *, as_json: bool, rows_per_second: int | None = None, where: str = ""
) -> None:
    """Print what would be read, without a JVM: ranges by number and size, never by the key values that bound them."""
    plans: list[tuple[TableSpec, LoadPlan, float]] = []
    for source, specs in chosen:
        drafts = [SourceLoads.plan_of(config, source, spec, where) for spec in specs]
        plans += zip(specs, drafts, seconds_at_least(config, source, drafts, rows_per_second), strict=True)
    plans.sort(key=lambda one: load_order(one[0], one[1].size))
    if as_json:
        sys.stdout.write(json.dumps([_plan_json(*one) for one in plans], indent=2) + "\n")
        return
    table = Table("source", "target", "rows, about", "MB, about", "ranges", "columns", "at least")
    for spec, plan, seconds in plans:
        rows, megabytes = f"{plan.size.rows:,}", f"{plan.size.bytes / 1e6:,.1f}"
        ranges, columns = str(len(plan.ranges)), str(len(plan.columns))
        table.add_row(str(plan.source), str(spec.target), rows, megabytes, ranges, columns, f"{seconds:,.0f} s")
    Console().print(table)


def _plan_json(spec: TableSpec, plan: LoadPlan, seconds: float) -> dict[str, Any]:
    return {
        "source": str(plan.source),
        "target": str(spec.target),
        "rows_estimate": plan.size.rows,
        "bytes_estimate": plan.size.bytes,
        "seconds_at_least": round(seconds, 1),
        "columns": plan.columns,
        "where": plan.where,
        "ranges": [{"number": p.number, "relation": str(p.relation), "rows_estimate": p.rows} for p in plan.ranges],
    }
