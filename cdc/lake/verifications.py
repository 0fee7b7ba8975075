"""The table of proofs in the metadata namespace: what was found equal, up to where, when and by whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import EqualTo
from pyiceberg.schema import Schema
from pyiceberg.types import BooleanType, DoubleType, IcebergType, LongType, NestedField, StringType, TimestamptzType

from cdc.core.proof import LAKE, Kind, TableProof
from cdc.lake.audit import append_rows, operator
from cdc.lake.foreign import lake_errors

TABLE = "verifications"

_KINDS: Mapping[str, type[IcebergType]] = {
    "at": TimestamptzType,
    "who": StringType,
    "source": StringType,
    "target": StringType,
    "equal": BooleanType,
    "position": StringType,
    "rows": LongType,
    "rows_read": LongType,
    "suspects": LongType,
    **{str(kind): LongType for kind in Kind},
    "repaired": LongType,
    "unsettled": LongType,
    "by_value": StringType,
    "seconds": DoubleType,
    "error": StringType,
}
_SCHEMA = Schema(*(NestedField(n, name, kind(), required=False) for n, (name, kind) in enumerate(_KINDS.items(), 1)))


@dataclass(frozen=True)
class Proved:
    """Up to which position a table was found equal last, and when (UTC)."""

    position: str
    at: datetime


class Verifications:
    """Proofs as they were made, never changed; the table is made with the first of them."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def write(self, proof: TableProof) -> None:
        """Append a proof; raises ConfigError where pyiceberg cannot write."""
        told = {"at": datetime.now(UTC), "who": operator(), "by_value": ", ".join(proof.by_value)}
        append_rows(self._catalog, self._name, _SCHEMA, [proof.figures() | told])

    def last(self, target: str) -> Proved | None:
        """Return the newest proof of a table that found it equal to its source, None if there is none."""
        try:
            with lake_errors("read the table of proofs"):
                table = self._catalog.load_table(self._name)
                rows = table.scan(
                    EqualTo(term="target", value=target), selected_fields=("source", "position", "at", "equal")
                ).to_arrow()
        except NoSuchTableError:
            return None
        of_source = [row for row in rows.to_pylist() if not row["source"].startswith(LAKE)]
        found = [Proved(row["position"], row["at"]) for row in of_source if row["equal"]]
        return max(found, key=lambda one: one.at, default=None)
