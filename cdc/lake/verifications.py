"""The table of proofs in the metadata namespace: what was found equal, up to where, when and by whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
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
    """What the newest proof of a table said, and when it came to its end (UTC)."""

    at: datetime
    equal: bool
    position: str
    differences: int
    unsettled: int


class Verifications:
    """Proofs as they were made, never changed; the table is made with the first of them."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def write(self, proof: TableProof) -> None:
        """Append a proof; raises ConfigError where pyiceberg cannot write."""
        told = {"at": datetime.now(UTC), "who": operator(), "by_value": ", ".join(proof.by_value)}
        append_rows(self._catalog, self._name, _SCHEMA, [proof.figures() | told])

    def newest(self) -> dict[str, Proved]:
        """Return the newest proof of each table by its target: those that failed, or were of two tables, are none.

        Raises TransientError.
        """
        try:
            with lake_errors("read the table of proofs"):
                table = self._catalog.load_table(self._name)
                told = [name for name in _TOLD if name in table.schema().column_names]
                rows = table.scan(selected_fields=tuple(told)).to_arrow()
        except NoSuchTableError:
            return {}
        of_source = pc.and_(pc.equal(rows["error"], ""), pc.invert(pc.starts_with(rows["source"], LAKE)))
        return {row["target"]: _proved(row) for row in rows.filter(of_source).sort_by("at").to_pylist()}


_TOLD = ("source", "target", "at", "equal", "position", "unsettled", "error", *map(str, Kind))


def _proved(row: Mapping[str, Any]) -> Proved:
    differences = sum(row.get(str(kind)) or 0 for kind in Kind)
    return Proved(row["at"], row["equal"], row["position"], differences, row["unsettled"])
