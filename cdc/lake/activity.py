"""What happens in the target tables, read from their snapshots: rows, events, last commit and its delay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from cdc.core.names import TableName


@dataclass(frozen=True)
class TableActivity:
    """One target as it is now; ``lag`` is the seconds from the newest change to the commit that brought it."""

    name: TableName
    rows: int = 0
    events: int = 0
    commits: int = 0
    committed_at: datetime | None = None
    lag: float | None = None


class Activity:
    """Looks at tables again and again, and reads only the snapshots that are new; tables may not be there yet."""

    def __init__(self, catalog: Catalog, tables: Sequence[TableName]) -> None:
        self._catalog = catalog
        self._seen: dict[TableName, int | None] = dict.fromkeys(tables)
        self._last = {table: TableActivity(table) for table in tables}

    def look(self) -> list[TableActivity]:
        """Return what each table looks like now."""
        for name in self._last:
            try:
                table = self._catalog.load_table(tuple(name))
            except NoSuchTableError:
                continue
            self._take(name, table)
        return list(self._last.values())

    def _take(self, name: TableName, table: Table) -> None:
        current, before = table.current_snapshot(), self._last[name]
        if current is None or current.snapshot_id == self._seen[name]:
            return
        new: list[Snapshot] = []
        for snapshot in ancestors_of(current, table.metadata):
            if snapshot.snapshot_id == self._seen[name]:
                break
            new.append(snapshot)
        self._seen[name] = current.snapshot_id
        commits = [snapshot for snapshot in new if _number(snapshot, "cdc.events")]
        latest = commits[0] if commits else None
        self._last[name] = TableActivity(
            name,
            _number(current, "total-records") - _number(current, "total-position-deletes"),
            before.events + sum(_number(snapshot, "cdc.events") for snapshot in commits),
            before.commits + len(commits),
            datetime.fromtimestamp(latest.timestamp_ms / 1000, UTC) if latest else before.committed_at,
            _lag(latest) if latest else before.lag,
        )


def _number(snapshot: Snapshot, name: str) -> int:
    return int((snapshot.summary.get(name) if snapshot.summary else None) or "0")


def _lag(snapshot: Snapshot) -> float | None:
    newest = _number(snapshot, "cdc.source_ts_ms")
    return max(0.0, (snapshot.timestamp_ms - newest) / 1000) if newest else None
