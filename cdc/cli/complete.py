"""The configuration as most commands need it: with what its sources declare."""

from collections.abc import Collection
from pathlib import Path

import typer

from cdc.bootstrap.declared import Completed, Completion
from cdc.config.loader import load_config
from cdc.config.models import Config


def completed(path: Path, only: Collection[str] | None = None) -> Completed:
    """Return the configuration in the file, as complete as it can be now; raises ConfigError."""
    return Completion().of(load_config(path, only=only or None))


def complete_config(path: Path, only: Collection[str] | None = None) -> Config:
    """Return the configuration in the file, complete; raises ConfigError, or why a source could not be asked."""
    return completed(path, only).strict()


def known_config(path: Path, only: Collection[str] | None = None) -> Config:
    """Return the configuration as complete as it can be now; what is not known is said on standard error."""
    found = completed(path, only)
    for name, error in found.away.items():
        typer.echo(f"warning: what source {name} declares is not known: {error}", err=True)
    return found.config
