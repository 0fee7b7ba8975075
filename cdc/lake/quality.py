"""The table of results in the metadata namespace: what looks at whole tables have found of their rules of quality."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, LongType, NestedField, StringType, TimestamptzType

from cdc.core.names import TableName
from cdc.core.quality import Verdict
from cdc.lake.audit import append_rows, operator

TABLE = "quality"

_KINDS: Mapping[str, type[IcebergType]] = {
    "at": TimestamptzType,
    "who": StringType,
    "target": StringType,
    "rule": StringType,
    "kind": StringType,
    "action": StringType,
    "rows": LongType,
    "broken": LongType,
    "error": StringType,
}
_SCHEMA = Schema(*(NestedField(n, name, kind(), required=False) for n, (name, kind) in enumerate(_KINDS.items(), 1)))


class QualityResults:
    """Results as they were found, never changed; the table is made with the first of them."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def write(self, target: TableName, verdicts: Sequence[Verdict]) -> None:
        """Append what a look has found; raises ConfigError where pyiceberg cannot write."""
        at, who = datetime.now(UTC), operator()
        rows = [{"at": at, "who": who, "target": str(target), **as_dict(verdict)} for verdict in verdicts]
        append_rows(self._catalog, self._name, _SCHEMA, rows)


def as_dict(verdict: Verdict) -> dict[str, str | int]:
    """Return a verdict as the table, and JSON, have it."""
    rule = verdict.rule
    told = {"rule": rule.name, "kind": rule.kind, "action": rule.action.value}
    return {**told, "rows": verdict.rows, "broken": verdict.broken, "error": verdict.error}
