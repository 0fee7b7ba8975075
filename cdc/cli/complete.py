"""The configuration as most commands need it: with what its sources declare."""

from collections.abc import Collection
from pathlib import Path

import typer

from cdc.bootstrap.declared import Completion
from cdc.config.loader import load_config
from cdc.config.models import Config


def complete_config(path: Path, only: Collection[str] | None = None) -> Config:
    """Return the configuration in the file, complete; raises ConfigError, or why a source could not be asked."""
    return Completion().of(load_config(path, only=only)).strict()


def known_config(path: Path, only: Collection[str] | None = None) -> Config:
    """Return the configuration as complete as it can be now; what is not known is said on standard error."""
    completed = Completion().of(load_config(path, only=only))
    for name, error in completed.away.items():
        typer.echo(f"warning: what source {name} declares is not known: {error}", err=True)
    return completed.config
