"""``cdc quality``: judge whole tables by their rules of quality."""

import json
from collections.abc import Sequence

import typer

from cdc.bootstrap.quality import Quality
from cdc.bootstrap.spark import open_session
from cdc.cli.checkpoint import SomeTables
from cdc.cli.complete import complete_config
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, DryRun, Json, SourceNames
from cdc.cli.selection import Selected, all_tables, select_tables
from cdc.core.errors import CdcError, ConfigError
from cdc.core.quality import Verdict
from cdc.lake.checkpoints import Histories
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.quality import as_dict
from cdc.ops.logs import set_up_logs


def register(app: typer.Typer) -> None:
    """Add ``cdc quality`` to the root command."""
    app.command()(quality)


def quality(
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    table: SomeTables = None,
    *,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Judge all rows of tables by the rules of quality in the configuration; exit code 1 if one is broken.

    The results are written to `quality` in the metadata namespace. A table that breaks a rule is named in status,
    health and metrics until a look finds that every rule holds. With --dry-run nothing is written.
    """
    loaded = complete_config(config, source or None)
    set_up_logs(loaded.operations.log_format, "WARNING")
    chosen = [one for one in (select_tables(loaded, table) if table else all_tables(loaded)) if one.table.quality]
    if not chosen:
        raise ConfigError("no table here has rules of quality", hint="give one `quality`: see docs/configuration.md")
    Histories(open_catalog(loaded.catalog)).find(chosen[0].target)  # a catalog that is away is told of before Spark
    session = open_session(loaded, brief=True)
    try:
        made = Quality(loaded, session)
        found = [(one, *_look(made, one, write=not dry_run, quiet=json_)) for one in chosen]
    finally:
        session.stop()
    if json_:
        tables = [_table(one, verdicts, error) for one, verdicts, error in found]
        typer.echo(json.dumps({"holds": _hold(found), "tables": tables}, indent=2, ensure_ascii=False))
    if not _hold(found):
        raise typer.Exit(1)


Found = tuple[Selected, Sequence[Verdict], str]


def _look(made: Quality, one: Selected, *, write: bool, quiet: bool) -> tuple[Sequence[Verdict], str]:
    try:
        verdicts = made.look(one.source, one.table, write=write)
    except CdcError as error:
        said = error.said_of(one.table.source)
        if not quiet:
            typer.echo(f"FAILED  {one.target}: {said}")
        return (), said
    if not quiet:
        for verdict in verdicts:
            typer.echo(_line(one, verdict))
    return verdicts, ""


def _line(one: Selected, verdict: Verdict) -> str:
    if verdict.holds:
        return f"holds   {one.target}: rule {verdict.rule.name!r}, of {verdict.rows:,} rows"
    return f"BROKEN  {one.target}: {verdict}, of {verdict.rows:,}"


def _table(one: Selected, verdicts: Sequence[Verdict], error: str) -> dict[str, object]:
    names = {"source": str(one.table.source), "target": str(one.target)}
    return {**names, "rules": [as_dict(verdict) for verdict in verdicts], "error": error}


def _hold(found: Sequence[Found]) -> bool:
    return all(not error and all(verdict.holds for verdict in verdicts) for _, verdicts, error in found)
