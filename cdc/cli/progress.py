"""How far loads are, on a terminal as bars, elsewhere as lines, and for machines as JSON."""

import json
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cdc.core.load import LoadProgress, LoadState
from cdc.core.names import TableName

LINE_SECONDS = 5.0
"""Where there is no terminal, a line for a table at most this often, and for every change of state or detail."""


class LoadBars:
    """Shows each table's progress on standard error; as JSON one object a line on standard output."""

    def __init__(self, *, as_json: bool) -> None:
        console = Console(stderr=True)
        self._json = as_json
        self._bars = None if as_json or not console.is_terminal else _bars(console)
        self._tasks: dict[TableName, TaskID] = {}
        self._told: dict[TableName, tuple[tuple[LoadState, str], float]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, progress: LoadProgress) -> None:
        """Show how far one table is; called from the threads of loads."""
        with self._lock:
            if self._bars:
                self._bar(self._bars, progress)
            elif self._due(progress):
                line = json.dumps(progress_json(progress)) if self._json else _line(progress)
                (sys.stdout if self._json else sys.stderr).write(line + "\n")
                (sys.stdout if self._json else sys.stderr).flush()

    def _due(self, progress: LoadProgress) -> bool:
        now = progress.state, progress.detail
        before, at = self._told.get(progress.target, (None, 0.0))
        if before == now and time.monotonic() - at < LINE_SECONDS:
            return False
        self._told[progress.target] = (now, time.monotonic())
        return True

    def _bar(self, bars: Progress, progress: LoadProgress) -> None:
        task = self._tasks.get(progress.target)
        if task is None:
            task = self._tasks[progress.target] = bars.add_task(str(progress.target), total=None)
        total = max(progress.rows_estimate, progress.rows) or None
        done = progress.state is LoadState.LOADED
        bars.update(task, completed=total if done else progress.rows, total=total or 1 if done else total)
        bars.update(task, description=f"{progress.target}", status=status_text(progress))


def progress_json(progress: LoadProgress) -> dict[str, Any]:
    """Return a load's progress for machines."""
    return {
        "table": str(progress.target),
        "state": str(progress.state),
        "ranges": progress.ranges,
        "ranges_done": progress.ranges_done,
        "rows": progress.rows,
        "rows_estimate": progress.rows_estimate,
        "bytes": progress.bytes,
        "rows_per_second": round(progress.rows_per_second),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left, 1),
        "detail": progress.detail,
    }


def _bars(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"), console=console)


def _line(progress: LoadProgress) -> str:
    return f"{progress.target}: {status_text(progress)}"


def status_text(progress: LoadProgress) -> str:
    """Return in one line how far a load is."""
    parts = [str(progress.state)]
    if progress.rows:
        parts.append(f"{progress.rows:,} rows, {progress.rows_per_second:,.0f}/s, {progress.bytes / 1e6:,.0f} MB")
    if progress.state is LoadState.READING and progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    if progress.detail:
        parts.append(progress.detail)
    return "; ".join(parts)
