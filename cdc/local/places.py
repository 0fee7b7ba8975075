"""Where the embedded stack keeps things: downloads, distributions, and one folder per stack."""

import os
import re
from pathlib import Path

from cdc.config.environment import Environment
from cdc.core.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout: poms, hashes, worker settings and SQL are read from here."""

SHARED = Path("/var/lib/cdc")


def as_root() -> bool:
    """Return whether this process runs as root; databases then run as another user."""
    return os.geteuid() == 0


def cache() -> Path:
    """Return the folder of downloads, private to the caller."""
    return Environment().cache / "cdc"


def distributions() -> Path:
    """Return the folder of unpacked database servers; root's home is closed to the user they run as."""
    return SHARED / "dist" if as_root() else cache() / "dist"


def stacks() -> Path:
    """Return the folder that holds the folders of stacks."""
    return SHARED / "stacks" if as_root() else Environment().data / "cdc" / "stacks"


def stack_folder(name: str) -> Path:
    """Return the default folder of the stack ``name``; raises ConfigError if that is no plain name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", name):
        raise ConfigError(
            f"{name!r} cannot be a stack's name", hint="use lower-case letters, digits, - and _, 41 characters at most"
        )
    return stacks() / name
