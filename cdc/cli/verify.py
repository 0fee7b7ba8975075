"""``cdc verify``: prove that the lake is what the source was at a position, while both go on."""

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cdc.bootstrap.against import Comparisons, require
from cdc.bootstrap.spark import open_session
from cdc.bootstrap.verify import Verification
from cdc.cli.checkpoint import SomeTables
from cdc.cli.complete import complete_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames, Why
from cdc.cli.proof_page import page, require_writable, write_page
from cdc.cli.proof_text import lines, proof_json
from cdc.cli.selection import Selected, all_tables, select_tables
from cdc.config.models import Config
from cdc.core.errors import CdcError, ConfigError
from cdc.core.names import TableName, parse_table_name
from cdc.core.proof import TableProof
from cdc.lake.checkpoints import Histories
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.ops.logs import set_up_logs
from cdc.pipeline.against import BEHIND_SECONDS
from cdc.pipeline.prove import Progressing

ShowValues = Annotated[bool, typer.Option("--show-values", help="Show keys and values of rows that differ.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Name so many differences of each table.")]
Rate = Annotated[
    int, typer.Option("--rows-per-second", min=0, help="Read no more rows of the source in a second; 0 is no bound.")
]
Repair = Annotated[bool, typer.Option("--repair", help="Read the rows that differ from the source again.")]
Against = Annotated[
    str,
    typer.Option("--against", help="Compare with this table of the lake (namespace.table), not with the source."),
]
Behind = Annotated[
    float,
    typer.Option(
        "--behind",
        min=0,
        help="With --against: a change of the source is in both tables within so many seconds.",
    ),
]
Html = Annotated[Path | None, typer.Option("--html", help="Write the proofs to this file, too, as a page of HTML.")]


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
    against: Against = "",
    behind: Behind = BEHIND_SECONDS,
    html: Html = None,
    dry_run: DryRun = False,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Prove that every column of every row of the lake is the source's, while both go on; exit code 1 if it is not.

    The proof is of every change up to the position that it names. Connectors have to run, and the stream, if there
    is anything left for it to do. With --repair the rows that differ are read from the source again; with --dry-run,
    too, it is only said what would be.

    With --against one table is compared with another one of the lake, which something else feeds from the same source:
    rows that are missing are missing in ours. What differs at first is looked at again after twice --behind.
    """
    other = _other(against, repair=repair, rows_per_second=rows_per_second)
    if html:
        require_writable(html)
    loaded = complete_config(config, source or None)
    set_up_logs(loaded.operations.log_format, "WARNING")
    chosen = select_tables(loaded, table) if table else all_tables(loaded)
    found = (
        _compared(loaded, chosen, other, limit, behind, quiet=json_)
        if other
        else _proofs(loaded, chosen, limit, rows_per_second, why, repair=repair and not dry_run, quiet=json_)
    )
    proofs = []
    for proof in found:
        proofs.append((datetime.now(UTC), proof))
        if not json_:
            typer.echo("\n".join(lines(proof, show_values=show_values)))
            if dry_run and repair and proof.differences:
                typer.echo(f"        would read {len(proof.differences):,} rows of the source again, by their keys")
    if html:
        write_page(html, page(proofs, show_values=show_values))
    _end([proof for _, proof in proofs], show_values=show_values, as_json=json_)


def _end(proofs: Sequence[TableProof], *, show_values: bool, as_json: bool) -> None:
    equal = all(proof.equal for proof in proofs)
    if as_json:
        found = [proof_json(proof, show_values=show_values) for proof in proofs]
        typer.echo(json.dumps({"equal": equal, "tables": found}, indent=2, ensure_ascii=False))
    if not equal:
        raise typer.Exit(1)


def _other(against: str, *, repair: bool, rows_per_second: int) -> TableName | None:
    """Return the table to compare with; raises ConfigError for what cannot be, and for options that have no meaning."""
    if not against:
        return None
    if repair:
        raise ConfigError(
            "--repair reads rows from the source again, and --against does not ask it which of two tables is right",
            hint="`cdc verify --repair --table TABLE` compares with the source, and mends what differs from it",
        )
    if rows_per_second:
        raise ConfigError(
            "--rows-per-second spares the source, and --against does not read it", hint="leave one of both out"
        )
    try:
        return parse_table_name(against)
    except ValueError as error:
        raise ConfigError(f"--against: {error}", hint="give namespace.table of a table in the lake") from error


def _compared(
    config: Config, chosen: Sequence[Selected], other: TableName, limit: int, behind: float, *, quiet: bool
) -> Iterator[TableProof]:
    if len(chosen) != 1:
        raise ConfigError(
            f"--against compares one table, and {len(chosen)} are chosen",
            hint="name it: cdc verify --against OTHER --table TABLE",
        )
    ((source, table),) = chosen
    catalog = open_catalog(config.catalog)
    Histories(catalog).read(source.target_of(table))
    require(catalog, other, source.target_of(table))  # told before Spark starts
    with _spark(config) as (session, stop), _Bars(quiet=quiet) as bars:
        proof = Comparisons(config, session, bars.show, stop.is_set, limit, behind).run(source, table, other)
        Verification(config, session).record(proof)
        yield proof


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
    with _spark(config) as (session, stop), _Bars(quiet=quiet) as bars:
        verification = Verification(config, session, bars.show, stop.is_set, limit, rows_per_second)
        for one, proof in zip(chosen, verification.run([(c.source, c.table) for c in chosen]), strict=True):
            done = _repaired(verification, one, proof, why) if repair and proof.differences else proof
            verification.record(done)
            yield done


@contextmanager
def _spark(config: Config) -> Iterator[tuple[SparkSession, threading.Event]]:
    """Give a session, and what is set when the command is to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    session = open_session(config, brief=True)
    try:
        yield session, stop
    finally:
        session.stop()


def _repaired(verification: Verification, one: Selected, proof: TableProof, why: str) -> TableProof:
    try:
        after = verification.repair(one.source, one.table, proof, why)
    except CdcError as error:
        return replace(proof, error=error.said_of(one.table.source))
    return replace(after, repaired=len(proof.differences) - len(after.differences))


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
