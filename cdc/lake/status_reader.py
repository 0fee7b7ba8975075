"""Reading the status table without Spark: works with the service down."""

from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from cdc.core.names import TableName
from cdc.core.status import StatusRow
from cdc.lake.foreign import lake_errors

STATUS = "status"
"""The status table in the metadata namespace."""


def read_status(catalog: Catalog, namespace: str) -> list[StatusRow]:
    """Return the status rows of all pipelines, empty before the first start."""
    return [StatusRow(**row) for row in _rows(catalog, namespace, STATUS)]


def has_status(catalog: Catalog, namespace: str) -> bool:
    """Return whether a service has ever started here; raises what the catalog raises when it does not answer."""
    try:
        catalog.load_table((namespace, STATUS))
    except NoSuchTableError:
        return False
    return True


def read_row_count(catalog: Catalog, target: TableName) -> int | None:
    """Return the number of rows that a table's newest snapshot tells, None if there is none or it does not tell."""
    try:
        snapshot = catalog.load_table(target).current_snapshot()
    except NoSuchTableError:
        return None
    summary = snapshot.summary if snapshot else None
    total = summary.get("total-records") if summary else None
    return None if not summary or total is None else int(total) - int(summary.get("total-position-deletes") or 0)


def _rows(catalog: Catalog, namespace: str, table: str) -> list[dict[str, Any]]:
    try:
        found = catalog.load_table((namespace, table))
    except NoSuchTableError:
        return []
    with lake_errors(f"read table {namespace}.{table}"):
        rows: list[dict[str, Any]] = found.scan().to_arrow().to_pylist()
    return sorted(rows, key=lambda row: (row["pipeline"], row["target"]))
