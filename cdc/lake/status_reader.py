"""Reading the status table without Spark: works with the service down."""

from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from cdc.core.status import StatusRow


def read_status(catalog: Catalog, namespace: str) -> list[StatusRow]:
    """Return the status rows of all pipelines, empty before the first start."""
    return [StatusRow(**row) for row in _rows(catalog, namespace, "status")]


def _rows(catalog: Catalog, namespace: str, table: str) -> list[dict[str, Any]]:
    try:
        found = catalog.load_table((namespace, table))
    except NoSuchTableError:
        return []
    rows: list[dict[str, Any]] = found.scan().to_arrow().to_pylist()
    return sorted(rows, key=lambda row: (row["pipeline"], row["target"]))
