"""``cdc load``: the first rows of tables, read straight from the database while their changes go on."""

import json
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cdc.bootstrap.load import SourceLoads
from cdc.bootstrap.service import default_jars
from cdc.bootstrap.specs import specs_of
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames
from cdc.cli.progress import LoadBars
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.config.sources import Snapshot, SourceConfig
from cdc.core.errors import CdcError, ConfigError
from cdc.core.load import LoadPlan
from cdc.core.names import TableName
from cdc.ops.logs import set_up_logs
from cdc.pipeline.table import TableSpec
from cdc.spark.session import build_session

Tables = Annotated[
    list[str] | None, typer.Option("--tables", "-t", help="Only these tables, by source or target name; * is any text.")
]
Reload = Annotated[
    bool, typer.Option("--reload", help="Load tables anew that are loaded: readers see the old rows until the swap.")
]
Rate = Annotated[int | None, typer.Option("--rows-per-second", min=0, help="Read no faster than this; 0: no limit.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("load")(load)


def load(
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    *,
    tables: Tables = None,
    reload: Reload = False,
    rows_per_second: Rate = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load tables that have no rows yet, the largest first; the stream may run all the while.

    Interrupted, it goes on behind its last commit when it is started again. Tables that are loaded are left alone.
    Exit code 1 if a table could not be loaded; the others are.
    """
    loaded = load_config(config, only=source)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chosen = chosen_tables(loaded, tables or [])
    if dry_run:
        _show_plans(loaded, chosen, as_json=as_json)
        return
    failed = run_loads(loaded, chosen, stop, again=reload, rows_per_second=rows_per_second, as_json=as_json)
    if failed or stop.is_set():
        raise typer.Exit(1)


Chosen = Sequence[tuple[SourceConfig, list[TableSpec]]]


def chosen_tables(config: Config, patterns: Sequence[str]) -> Chosen:
    """Return the tables of each source that are loaded by us and fit a pattern; raises ConfigError if one fits none."""
    unused = set(patterns)
    chosen: list[tuple[SourceConfig, list[TableSpec]]] = []
    for source in config.sources:
        specs = []
        for table, spec in zip(source.tables, specs_of(source), strict=True):
            names = (str(table.source), str(spec.target))
            fitting = {p for p in patterns if any(fnmatchcase(name, p) for name in names)}
            unused -= fitting
            if (fitting or not patterns) and source.snapshot_of(table) is Snapshot.LOAD:
                specs.append(spec)
            elif fitting:
                raise ConfigError(f"{table.source} has `snapshot: connector`", hint="set `snapshot: load` for it")
        chosen.append((source, specs))
    if unused:
        known = ", ".join(str(table.source) for source in config.sources for table in source.tables)
        raise ConfigError(f"no table fits {min(unused)!r}", hint=f"the configuration has {known}")
    return [(source, specs) for source, specs in chosen if specs]


def run_loads(
    config: Config,
    chosen: Chosen,
    stop: threading.Event,
    *,
    again: bool,
    rows_per_second: int | None = None,
    as_json: bool = False,
) -> Mapping[TableName, CdcError]:
    """Load the tables, source by source, showing how far they are; return the errors of those that failed."""
    set_up_logs("json" if as_json else config.operations.log_format, "WARNING" if sys.stderr.isatty() else "INFO")
    session = build_session(config, Path(config.spark.jars) if config.spark.jars else default_jars())
    failed: dict[TableName, CdcError] = {}
    try:
        with LoadBars(as_json=as_json) as bars:
            for source, specs in chosen:
                loads = SourceLoads(config, source, session, bars.show, stop.is_set, rows_per_second)
                failed |= loads.run(specs, again=again)
    finally:
        session.stop()
    for target, error in failed.items():
        sys.stderr.write(f"error: {target}: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
    return failed


def _show_plans(config: Config, chosen: Chosen, *, as_json: bool) -> None:
    """Print what would be read, without a JVM: ranges by number and size, never by the key values that bound them."""
    plans: list[tuple[TableSpec, LoadPlan]] = []
    for source, specs in chosen:
        names = {source.topic_of(table): table.source for table in source.tables}
        plans += [(spec, SourceLoads.plan_of(config, source, names[spec.topic], spec)) for spec in specs]
    if as_json:
        sys.stdout.write(json.dumps([_plan_json(spec, plan) for spec, plan in plans], indent=2) + "\n")
        return
    table = Table("source", "target", "rows, about", "MB, about", "ranges", "columns")
    for spec, plan in plans:
        megabytes = f"{plan.size.bytes / 1e6:,.1f}"
        table.add_row(
            str(plan.source),
            str(spec.target),
            f"{plan.size.rows:,}",
            megabytes,
            str(len(plan.ranges)),
            str(len(plan.columns)),
        )
    Console().print(table)


def _plan_json(spec: TableSpec, plan: LoadPlan) -> dict[str, Any]:
    return {
        "source": str(plan.source),
        "target": str(spec.target),
        "rows_estimate": plan.size.rows,
        "bytes_estimate": plan.size.bytes,
        "columns": plan.columns,
        "ranges": [{"number": p.number, "relation": str(p.relation), "rows_estimate": p.rows} for p in plan.ranges],
    }
