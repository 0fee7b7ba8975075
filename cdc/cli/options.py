"""Options that several commands share, so that they are called and behave the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[
    Path, typer.Option("--config", "-c", envvar="CDC_CONFIG", help="Configuration file.", show_default=True)
]
"""Path of the configuration; give it the default ``DEFAULT_CONFIG``."""

SourceNames = Annotated[
    list[str] | None, typer.Option("--source", "-s", help="Only this source; may be given again. All by default.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")]
Why = Annotated[str, typer.Option("--why", help="Reason, for colleagues and the log of operations.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]

DEFAULT_CONFIG = Path("cdc.yaml")
