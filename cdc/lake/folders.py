"""Folders of this machine that hold what tables hold."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter, and so each missing one above it; raises OSError."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
