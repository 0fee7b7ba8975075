"""The ledger of definitions: what has changed of the sources' tables, when, and what each is now; without Spark."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import EqualTo
from pyiceberg.schema import Schema
from pyiceberg.types import BooleanType, NestedField, StringType, TimestamptzType

from cdc.core.definitions import Definition, DefinitionRow
from cdc.lake.audit import append_rows
from cdc.lake.foreign import lake_errors

TABLE = "schema_changes"

_SCHEMA = Schema(
    NestedField(1, "at", TimestamptzType(), required=False),
    *(
        NestedField(number, name, StringType(), required=False)
        for number, name in enumerate(("source", "table_name", "target", "changes", "definition"), 2)
    ),
    NestedField(7, "silent", BooleanType(), required=False),
)


class DefinitionLedger:
    """The table of changed definitions in the metadata namespace; made when it is first written to."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def known(self, source: str) -> dict[str, Definition]:
        """Return the newest definition of each target of a source; raises what a catalog raises."""
        fields = ("at", "target", "definition")
        try:
            with lake_errors("read the ledger of definitions"):
                table = self._catalog.load_table(self._name)
                rows = table.scan(EqualTo(term="source", value=source), selected_fields=fields).to_arrow().to_pylist()
        except NoSuchTableError:
            return {}
        found: dict[str, Definition] = {}
        for row in sorted(rows, key=_at):
            with suppress(ValueError, TypeError):  # written by a version that noted something else
                found[row["target"]] = Definition.from_json(row["definition"])
        return found

    def append(self, rows: Sequence[DefinitionRow]) -> None:
        """Append rows in one commit; raises ConfigError where pyiceberg cannot write, or what a catalog raises."""
        append_rows(self._catalog, self._name, _SCHEMA, [row._asdict() for row in rows])


def _at(row: dict[str, datetime]) -> datetime:
    return row["at"]
