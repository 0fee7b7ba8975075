"""What the demo shows while it runs: a live table in a terminal, now and then a line elsewhere."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

WINDOW = 10.0
"""Seconds over which the rate is averaged."""

PLAIN_INTERVAL = 5.0
"""Seconds between lines where there is no terminal."""


@dataclass(frozen=True)
class Line:
    """One target table: rows, events since the start, the last commit and its lag in seconds."""

    name: str
    rows: int
    events: int
    committed_at: datetime | None
    lag: float | None


@dataclass
class View:
    """Shows lines again and again; ``close`` leaves the last table on the screen."""

    console: Console
    _samples: deque[tuple[float, int]] = field(default_factory=deque)
    _live: Live | None = None
    _told_at: float = 0.0

    def show(self, lines: Sequence[Line], changes: int) -> None:
        """Show the tables, and how many changes the sources have made so far."""
        rate = self._rate(sum(line.events for line in lines))
        if self.console.is_terminal:
            self._show_live(_table(lines, rate, changes))
        elif time.monotonic() - self._told_at >= PLAIN_INTERVAL:
            self._told_at = time.monotonic()
            self.console.print(_plain(lines, rate, changes))

    def close(self) -> None:
        """Stop the live display."""
        if self._live:
            self._live.stop()

    def _show_live(self, table: RenderableType) -> None:
        if self._live is None:
            self._live = Live(table, console=self.console, auto_refresh=False)
            self._live.start()
        self._live.update(table, refresh=True)

    def _rate(self, events: int) -> float:
        now = time.monotonic()
        self._samples.append((now, events))
        while now - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        began, first = self._samples[0]
        return (events - first) / (now - began) if now > began else 0.0


def _table(lines: Sequence[Line], rate: float, changes: int) -> Table:
    title = f"{rate:,.0f} events/s   lag {_seconds(_lag(lines))}   {changes:,} changes made"
    table = Table("table", title=title, caption="Ctrl-C ends the workload and verifies every row")
    for heading in ("rows", "events", "lag", "last commit"):
        table.add_column(heading, justify="right")
    for line in lines:
        at = f"{line.committed_at:%H:%M:%S}" if line.committed_at else "-"
        table.add_row(line.name, f"{line.rows:,}", f"{line.events:,}", _seconds(line.lag), at)
    return table


def _plain(lines: Sequence[Line], rate: float, changes: int) -> str:
    rows = ", ".join(f"{line.name} {line.rows}" for line in lines)
    times = [line.committed_at for line in lines if line.committed_at]
    at = f"{max(times):%H:%M:%S}" if times else "-"
    lag = _seconds(_lag(lines))
    return f"{rate:.0f} events/s, lag {lag}, last commit {at}, {changes} changes made; rows: {rows}"


def _lag(lines: Sequence[Line]) -> float | None:
    newest = [line for line in lines if line.committed_at and line.lag is not None]
    return max(newest, key=lambda line: line.committed_at or datetime.min).lag if newest else None  # noqa: DTZ901


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
