"""``cdc doctor``: all that a configuration needs, looked at before anything runs; every finding with its mend."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from cdc.bootstrap.doctor import Examined, examine
from cdc.cli.complete import completed
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, Json, SourceNames
from cdc.core.preflight import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(config: ConfigPath = DEFAULT_CONFIG, source: SourceNames = None, *, as_json: Json = False) -> None:
    """Look at Java, jars, catalog, warehouse, Kafka, registry, Connect, and each source table by table.

    A file is written to the warehouse and to the checkpoint's folder, which is made if it is missing, and removed;
    nothing else is changed. Exit code 1 if something would not work.
    """
    console, fit = Console(soft_wrap=True, highlight=False), True
    documents = []
    found = completed(config, source)
    for examined in examine(found.config, found.left_out):
        fit = fit and examined.fit
        documents.append(_document(examined))
        if not as_json:
            for line in _lines(examined):
                console.print(line)
    if as_json:
        typer.echo(json.dumps({"fit": fit, "examined": documents}, indent=2))
    elif fit:
        console.print("everything is fit")
    if not fit:
        raise typer.Exit(1)


def _document(examined: Examined) -> dict[str, Any]:
    return {
        "what": examined.what,
        "detail": examined.detail,
        "fit": examined.fit,
        "findings": [_finding(finding) for finding in examined.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    table = None if finding.table is None else str(finding.table)
    return {**finding._asdict(), "table": table}


def _lines(examined: Examined) -> list[str]:
    state = "[green]ok   [/]" if examined.fit else "[red]wrong[/]"
    lines = [f"{state} [bold]{escape(examined.what)}[/] {escape(examined.detail)}".rstrip()]
    for finding in examined.findings:
        colour = "red" if finding.fatal else "yellow"
        lines.append(f"      [{colour}]{finding.name}[/]: {escape(finding.what)}")
        if finding.hint:
            lines.append(f"        {escape(finding.hint)}")
    return lines
