"""Shows on a terminal how a folder grows, for programs that download into it and say nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TransferSpeedColumn

_INTERVAL = 0.2


@contextmanager
def growth_shown(folder: Path, megabytes: int, console: Console | None = None) -> Iterator[None]:
    """Show a bar while the block runs; it is full when the folder has grown so much. Nothing off a terminal."""
    shown_on = console or Console(stderr=True)
    if not shown_on.is_terminal:
        yield
        return
    ended = threading.Event()
    with Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=shown_on, transient=True) as progress:
        task = progress.add_task("", total=megabytes * 1_000_000)
        watcher = threading.Thread(target=_watch, args=(folder, progress, task, ended), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _watch(folder: Path, progress: Progress, task: TaskID, ended: threading.Event) -> None:
    before = size(folder)
    while not ended.wait(_INTERVAL):
        progress.update(task, completed=size(folder) - before)


def size(folder: Path) -> int:
    """Return the bytes in a folder that others write to meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue  # renamed when it was whole
    return total
