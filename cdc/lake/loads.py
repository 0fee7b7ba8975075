"""How far loads are, read from the shadows that they fill: works whoever runs them, and when nobody does."""

from collections.abc import Collection, Sequence

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from cdc.core.history import PROGRESS
from cdc.core.load import BYTES, FAILURE, PLAN, RANGES, ROWS, LoadPlan, LoadProgress, LoadState
from cdc.core.names import TableName, shadow_of


def read_loads(catalog: Catalog, namespace: str, targets: Collection[TableName]) -> list[LoadProgress]:
    """Return the loads of these targets that have begun and are not yet swapped in."""
    try:
        present = {tuple(name)[-1] for name in catalog.list_tables(namespace)}
    except (NoSuchNamespaceError, NotImplementedError):
        return []
    found = []
    for target in targets:
        shadow = shadow_of(namespace, target)
        if shadow.table in present:
            try:
                found.append(_progress(target, catalog.load_table(tuple(shadow))))
            except NoSuchTableError:
                continue  # swapped in this very moment
    return [progress for progress in found if progress is not None]


def _progress(target: TableName, shadow: Table) -> LoadProgress | None:
    if PLAN not in shadow.properties:
        return None  # of another kind: a replay's
    plan = LoadPlan.from_json(shadow.properties[PLAN])
    summaries = [{} if s.summary is None else s.summary.additional_properties for s in shadow.metadata.snapshots]
    done = sum(len(summary[RANGES].split(",")) for summary in summaries if RANGES in summary)
    rows = sum(int(summary.get(ROWS, "0")) for summary in summaries)
    seconds = _seconds(shadow)
    left = seconds * max(0, plan.size.rows - rows) / rows if rows and seconds else None
    return LoadProgress(
        target,
        _state(shadow, summaries),
        len(plan.ranges),
        done,
        rows,
        plan.size.rows,
        0,
        sum(int(summary.get(BYTES, "0")) for summary in summaries),
        seconds,
        left,
        shadow.properties.get(FAILURE, ""),
    )


def _state(shadow: Table, summaries: Sequence[dict[str, str]]) -> LoadState:
    if shadow.properties.get(FAILURE):
        return LoadState.FAILED
    sealed = any(PROGRESS in summary for summary in summaries)
    return LoadState.CATCHING_UP if sealed else LoadState.READING


def _seconds(shadow: Table) -> float:
    times = [snapshot.timestamp_ms for snapshot in shadow.metadata.snapshots]
    return (max(times) - min(times)) / 1000 if times else 0.0
