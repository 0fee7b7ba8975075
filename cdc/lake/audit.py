"""The audit log: who did what to the tables by hand, when and why. Append-only, written without Spark."""

import getpass
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType, TimestamptzType

from cdc.core.audit import Operation
from cdc.core.errors import CommitConflict
from cdc.lake.commits import commit_errors, repeated, writable
from cdc.lake.foreign import lake_errors

TABLE = "operations"

_SCHEMA = Schema(
    NestedField(1, "at", TimestamptzType(), required=False),
    *(
        NestedField(number, name, StringType(), required=False)
        for number, name in enumerate(("who", "command", "target", "what", "why", "outcome"), 2)
    ),
)
_PROPERTIES = {
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
}


class AuditLog:
    """The table of operators' commands in the metadata namespace; made when it is first written to."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def write(self, command: str, target: str, what: str, why: str, outcome: str = "done") -> None:
        """Append a row for this user and this moment; raises ConfigError where pyiceberg cannot write."""
        row = Operation(datetime.now(UTC), operator(), command, target, what, why, outcome)
        append_rows(self._catalog, self._name, _SCHEMA, [vars(row)])

    def read(self, limit: int) -> list[Operation]:
        """Return the newest rows first; none if nothing was ever written."""
        try:
            with lake_errors("read the log of operations"):
                rows = self._catalog.load_table(self._name).scan().to_arrow().to_pylist()
        except NoSuchTableError:
            return []
        found = sorted((Operation(**row) for row in rows), key=lambda one: one.at, reverse=True)
        return found[:limit]


def operator() -> str:
    """Return who runs this process, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def append_rows(
    catalog: Catalog,
    name: tuple[str, str],
    schema: Schema,
    rows: Sequence[Mapping[str, Any]],
    spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
) -> None:
    """Append rows to a table of the metadata namespace in one commit, and make the table if it is missing."""
    writable(catalog)
    for attempt in repeated(CommitConflict):
        with attempt, commit_errors(f"write to {'.'.join(name)}"):
            table = open_table(catalog, name, schema, spec)
            table.append(pa.Table.from_pylist(list(rows), table.schema().as_arrow()))


def open_table(catalog: Catalog, name: tuple[str, str], schema: Schema, spec: PartitionSpec) -> Table:
    """Return the table, made if it is missing; another process may do so at the same time."""
    try:
        return catalog.load_table(name)
    except NoSuchTableError:
        pass
    try:
        if not catalog.namespace_exists(name[0]):
            catalog.create_namespace(name[0])
    except NamespaceAlreadyExistsError:
        pass
    try:
        return catalog.create_table(name, schema, partition_spec=spec, properties=_PROPERTIES)
    except TableAlreadyExistsError:
        return catalog.load_table(name)
