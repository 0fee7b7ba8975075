"""``cdc config``: check a configuration, and print or write what is generated from its models."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, Json, SourceNames
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.config.reference import render_reference, render_schema
from cdc.config.sources import SourceConfig
from cdc.connect.overrides import refused
from cdc.connect.render import render
from cdc.core.errors import ConfigError

SCHEMA_FILE = Path("config/schema.json")
REFERENCE_FILE = Path("docs/configuration.md")

Write = Annotated[bool, typer.Option("--write", help="Write the file of the repository instead of printing.")]
WithoutSecrets = Annotated[
    bool, typer.Option("--without-secrets", help="Check the references in form only; their values need not be there.")
]

config_app = typer.Typer(no_args_is_help=True, help="Check and document the configuration.")


def register(app: typer.Typer) -> None:
    """Add ``cdc config`` to the root command."""
    app.add_typer(config_app, name="config")


@config_app.command()
def check(
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    without_secrets: WithoutSecrets = False,
    json_: Json = False,
) -> None:
    """Validate the configuration, environment overrides and secrets, and list every problem."""
    try:
        loaded = load_config(config, only=source or None, secrets=not without_secrets)
        _check_connectors(config, loaded)
    except ConfigError as error:
        if not json_:
            raise
        typer.echo(json.dumps({"valid": False, "problems": str(error).splitlines(), "hint": error.hint}))
        raise typer.Exit(1) from None
    typer.echo(json.dumps(_summary(loaded)) if json_ else _sentence(config, loaded))


@config_app.command()
def schema(write: Write = False) -> None:
    """Print the JSON Schema of the configuration file, or write config/schema.json."""
    _emit(render_schema(), SCHEMA_FILE if write else None)


@config_app.command()
def reference(write: Write = False) -> None:
    """Print the reference of all fields, or write docs/configuration.md."""
    _emit(render_reference(), REFERENCE_FILE if write else None)


def _check_connectors(path: Path, config: Config) -> None:
    """Raise ConfigError with every connector setting that is refused."""
    found = [error for source in config.sources for error in refused(source.name, source.connector)]
    if found:
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        lines = [f'configuration "{path}" has {count}:', *map(str, found)]
        raise ConfigError("\n  ".join(lines), hint="; ".join(dict.fromkeys(error.hint for error in found)))
    for source in config.sources:
        render(source, config)


def _emit(text: str, file: Path | None) -> None:
    if file is None:
        typer.echo(text, nl=False)
        return
    if not file.parent.is_dir():
        raise ConfigError(
            f'could not write "{file}": no folder "{file.parent}" here', hint="run it in the repository's root"
        )
    file.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {file}")


def _summary(config: Config) -> dict[str, object]:
    sources = [
        {
            "name": source.name,
            "type": source.type,
            "tables": [str(table.source) for table in source.tables if not table.pattern],
            "patterns": [str(table.source) for table in source.tables if table.pattern],
        }
        for source in config.sources
    ]
    return {"valid": True, "sources": sources}


def _sentence(path: Path, config: Config) -> str:
    parts = [f"{source.name} ({source.type}, {_tables(source)})" for source in config.sources]
    return f"{path} is valid: {', '.join(parts)}"


def _tables(source: SourceConfig) -> str:
    """Return how many tables there are, and what is left to the source, which is not asked here."""
    patterns = [str(table.source) for table in source.tables if table.pattern]
    without = sum(not table.key and not table.pattern for table in source.tables)
    said = [f"{len(source.tables) - len(patterns)} tables"]
    said += [f"what {' and '.join(patterns)} will fit"] if patterns else []
    said += [f"{without} keys left to the source"] if without else []
    return ", ".join(said)
