"""``cdc verify``: prove that the lake is what the source was at a position, while both go on."""

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cdc.bootstrap.spark import open_session
from cdc.bootstrap.verify import Verification
from cdc.cli.checkpoint import SomeTables
from cdc.cli.complete import complete_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames, Why
from cdc.cli.selection import Selected, all_tables, select_tables
from cdc.config.models import Config
from cdc.core.errors import CdcError
from cdc.core.fingerprint import parted
from cdc.core.proof import Difference, Kind, TableProof
from cdc.lake.checkpoints import Histories
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.ops.logs import set_up_logs
from cdc.pipeline.prove import Progressing

SHOWN = 20
"""Differences that are shown of each table; JSON has all that were named."""

ShowValues = Annotated[bool, typer.Option("--show-values", help="Show keys and values of rows that differ.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Name so many differences of each table.")]
Rate = Annotated[
    int, typer.Option("--rows-per-second", min=0, help="Read no more rows of the source in a second; 0 is no bound.")
]
Repair = Annotated[bool, typer.Option("--repair", help="Read the rows that differ from the source again.")]


def register(app: typer.Typer) -> None:
    """Add ``cdc verify`` to the root command."""
    app.command()(verify)


def verify(  # noqa: PLR0913 - options
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    table: SomeTables = None,
    *,
    limit: Limit = 10_000,
    rows_per_second: Rate = 0,
    show_values: ShowValues = False,
    repair: Repair = False,
    dry_run: DryRun = False,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Prove that every column of every row of the lake is the source's, while both go on; exit code 1 if it is not.

    The proof is of every change up to the position that it names. Connectors have to run, and the stream, if there
    is anything left for it to do. With --repair the rows that differ are read from the source again; with --dry-run,
    too, it is only said what would be.
    """
    loaded = complete_config(config, source or None)
    set_up_logs(loaded.operations.log_format, "WARNING")
    chosen = select_tables(loaded, table) if table else all_tables(loaded)
    proofs = []
    for proof in _proofs(loaded, chosen, limit, rows_per_second, why, repair=repair and not dry_run, quiet=json_):
        proofs.append(proof)
        if not json_:
            typer.echo("\n".join(lines(proof, show_values=show_values)))
            if dry_run and repair and proof.differences:
                typer.echo(f"        would read {len(proof.differences):,} rows of the source again, by their keys")
    equal = all(proof.equal for proof in proofs)
    if json_:
        found = [proof_json(proof, show_values=show_values) for proof in proofs]
        typer.echo(json.dumps({"equal": equal, "tables": found}, indent=2, ensure_ascii=False))
    if not equal:
        raise typer.Exit(1)


def _proofs(
    config: Config,
    chosen: Sequence[Selected],
    limit: int,
    rows_per_second: int,
    why: str,
    *,
    repair: bool,
    quiet: bool,
) -> Iterator[TableProof]:
    histories = Histories(open_catalog(config.catalog))
    for one in chosen[:1]:
        histories.find(one.target)  # a catalog that is away is told of before Spark starts
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    session = open_session(config, brief=True)
    try:
        with _Bars(quiet=quiet) as bars:
            verification = Verification(config, session, bars.show, stop.is_set, limit, rows_per_second)
            for one, proof in zip(chosen, verification.run([(c.source, c.table) for c in chosen]), strict=True):
                done = _repaired(verification, one, proof, why) if repair and proof.differences else proof
                verification.record(done)
                yield done
    finally:
        session.stop()


def _repaired(verification: Verification, one: Selected, proof: TableProof, why: str) -> TableProof:
    try:
        after = verification.repair(one.source, one.table, proof, why)
    except CdcError as error:
        return replace(proof, error=error.said_of(one.table.source))
    return replace(after, repaired=len(proof.differences) - len(after.differences))


def lines(proof: TableProof, *, show_values: bool) -> list[str]:
    """Return what became of a proof, for people."""
    name = f"{proof.source} -> {proof.target}"
    if proof.error:
        return [f"FAILED  {name}: {proof.error}"]
    found = [f"equal   {name}: {proof.rows:,} rows, every change up to {proof.position}"]
    if proof.differences:
        columns = ", ".join(f"{column} {count:,}" for column, count in sorted(proof.columns.items()))
        found = [f"DIFFERS {name}: {proof.summary()}, of {proof.rows:,} rows" + (f" ({columns})" if columns else "")]
    if show_values:
        found += [f"        {_shown(one)}" for one in proof.differences[:SHOWN]]
        if len(proof.differences) > SHOWN:
            found.append(f"        and {len(proof.differences) - SHOWN:,} more: --json names them")
    if proof.repaired:
        found.append(f"        read again, and right now: {proof.repaired:,}")
    if proof.where:
        found.append(f"        of the source's rows only those that were loaded, where {proof.where}")
    if proof.unsettled:
        found.append(f"        not settled, for they changed whenever they were looked at: {proof.unsettled:,}")
    if proof.by_value:
        found.append(f"        compared by value: {', '.join(proof.by_value)}")
    return found


def _shown(one: Difference) -> str:
    key = ", ".join(str(part) for part in parted(one.key))
    pairs = [f"{n}: {_value(one.source, n)} in the source, {_value(one.lake, n)} in the lake" for n in one.columns]
    return f"{one.kind} {key}" + (f": {'; '.join(pairs)}" if one.kind is Kind.DIFFERENT else "")


def _value(row: Any, name: str) -> str:  # noqa: ANN401 - texts by column, or no row
    text = (row or {}).get(name)
    return "null" if text is None else repr(text)


def proof_json(proof: TableProof, *, show_values: bool) -> dict[str, Any]:
    """Return a proof for machines; keys and values of rows are there if they are asked for."""
    differences: list[dict[str, Any]] = [{"kind": one.kind, "columns": list(one.columns)} for one in proof.differences]
    if show_values:
        for found, one in zip(differences, proof.differences, strict=True):
            found |= {"key": list(parted(one.key)), "source": one.source, "lake": one.lake}
    told = {"columns": proof.columns, "by_value": list(proof.by_value), "where": proof.where}
    return {**proof.figures(), **told, "differences": differences}


class _Bars:
    """Shows how far proofs are: on a terminal as bars, elsewhere what they wait for, as lines on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
        self._quiet = quiet
        self._bars = Progress(*columns, console=console) if console.is_terminal and not quiet else None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, str] = {}

    def __enter__(self) -> "_Bars":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, target: str, progress: Progressing) -> None:
        """Show how far one table is."""
        status = progress.detail or f"{progress.rows:,} rows, {progress.suspects:,} to look at again"
        if self._bars:
            task = self._tasks.setdefault(target, self._bars.add_task(target, total=None, status=""))
            self._bars.update(task, completed=progress.done, total=progress.ranges or None, status=status)
        elif progress.detail and self._told.get(target) != progress.detail and not self._quiet:
            sys.stderr.write(f"{target}: {progress.detail}\n")
        self._told[target] = progress.detail
