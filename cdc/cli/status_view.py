"""How ``cdc status`` looks: 80 columns are enough for all that is to be acted on; ``--wide`` shows the rest."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cdc.cli.progress import status_text
from cdc.core.load import LoadProgress
from cdc.core.status import StatusRow
from cdc.core.trouble import Trouble

COLOURS = {
    "running": "green",
    "waiting": "yellow",
    "loading": "blue",
    "paused": "magenta",
    "stopped": "red",
    "down": "red",
}


class Proved(Protocol):
    """The newest proof of a table."""

    @property
    def at(self) -> datetime:
        """Return when it came to its end (UTC)."""
        ...

    @property
    def equal(self) -> bool:
        """Return whether nothing differed."""
        ...

    @property
    def differences(self) -> int:
        """Return how many rows differed."""
        ...


class Source(Protocol):
    """A source as it was seen."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def up(self) -> bool:
        """Return whether its service is at work."""
        ...

    @property
    def troubles(self) -> Sequence[Trouble]:
        """Return what is wrong."""
        ...


def shown(
    rows: Sequence[StatusRow],
    loads: Sequence[LoadProgress],
    sources: Sequence[Source],
    *,
    proofs: Mapping[str, Proved] | None = None,
    wide: bool = False,
    why: bool = False,
) -> Group:
    """Return tables, loads and sources as they are told to people, each with what helps; ``proofs`` by target."""
    table = _table(rows, proofs or {}, wide=wide)
    lines = [*_of_tables(rows), *(_of_ways(rows) if why else ()), *_of_loads(loads), *_of_sources(sources)]
    return Group(table, *(Text.from_markup(line, overflow="fold") for line in lines))


def wide_enough(console: Console, view: Group, *, wide: bool) -> Console:
    """Return a console in which nothing of a wide view is cut, whatever the terminal shows; else the console."""
    if not wide:
        return console
    options = console.options.update(width=1000, max_width=1000)
    table = next(one for one in view.renderables if isinstance(one, Table))
    return Console(width=max(console.width, Measurement.get(console, options, table).maximum))


def ago(at: datetime | None) -> str:
    """Return how long ago a moment was, nothing for none."""
    if at is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - at).total_seconds())
    unit, name = next(((u, n) for u, n in _UNITS if seconds >= 2 * u), (1, "s"))
    return f"{seconds // unit:.0f} {name} ago"


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def _table(rows: Sequence[StatusRow], proofs: Mapping[str, Proved], *, wide: bool) -> Table:
    table = Table(caption="" if rows else "nothing yet: has `cdc stream` run?")
    if wide:
        table.add_column("pipeline", no_wrap=True)
    table.add_column("table", overflow="fold", no_wrap=wide)
    for title in ("state", "events", "lag s", "last commit", "proved"):
        table.add_column(title, no_wrap=True)
    for title in ("ins/upd/del", "quarantined", "position") if wide else ():
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, proofs.get(row.target), wide=wide))
    return table


def _cells(row: StatusRow, proof: Proved | None, *, wide: bool) -> Iterator[str]:
    if wide:
        yield escape(row.pipeline)
    yield escape(row.target)
    yield f"[{COLOURS.get(row.state, 'white')}]{row.state}[/]"
    yield f"{row.events:,}"
    yield "" if row.lag_seconds is None else f"{row.lag_seconds:,.1f}"
    yield ago(row.committed_at)
    yield "" if proof is None else ago(proof.at) if proof.equal else f"[red]{proof.differences:,} differ[/]"
    if wide:
        yield f"{row.inserted:,}/{row.updated:,}/{row.deleted:,}"
        yield f"{row.quarantined:,}"
        yield escape(row.position.rpartition("-")[0])


def _of_tables(rows: Sequence[StatusRow]) -> Iterator[str]:
    for row in rows:
        if row.last_error:
            yield f"[{COLOURS.get(row.state, 'white')}]{escape(f'{row.target}: {row.last_error}')}[/]"
        if row.state == "paused":
            yield _hint(f"cdc tables resume {row.target}")
    held = [row.target for row in rows if row.quarantined]
    if held:
        more = f" and {len(held) - 1} more" if held[1:] else ""
        yield escape(f"{held[0]}{more}: messages were quarantined")
        yield _hint("`cdc quarantine list` shows what is held still")


WAYS = {
    "rewrite": "the table is small, and was written anew without Spark",
    "delta": "new rows and deletes by position, without Spark; the key index knew where the rows are",
    "merge": "Spark merged",
}


def _of_ways(rows: Sequence[StatusRow]) -> Iterator[str]:
    """Yield how each table's last batch was applied."""
    for row in rows:
        way, _, beside = (row.way or "").partition(";")
        kind, _, reason = way.partition(":")
        parts = (WAYS.get(kind, "no batch with changes yet") + (f":{reason}" if reason else ""), beside.strip())
        took = "" if row.seconds is None else f" ({row.seconds:,.2f} s)"
        yield escape(f"{row.target}: {'; '.join(filter(None, parts))}{took}")


def _of_loads(loads: Sequence[LoadProgress]) -> Iterator[str]:
    for progress in loads:
        yield escape(f"load of {progress.target}: {status_text(progress)}")


def _of_sources(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        yield f"[{'green' if source.up else 'red'}]{escape(str(source))}[/]"
        if not source.up:
            yield _hint(f"`cdc stream --source {source.name}` runs it")
        for trouble in source.troubles:
            of = f"{trouble.finding.table}: " if trouble.finding.table else ""
            what = f"{source.name}: {trouble.finding.name}: {of}{trouble.finding.what}"
            yield f"[red]{escape(f'{what} (since {trouble.since:%Y-%m-%d %H:%M:%SZ})')}[/]"
            if trouble.finding.hint:
                yield _hint(trouble.finding.hint)


def _hint(text: str) -> str:
    return escape(f"  hint: {text}")
