"""Which Iceberg type a column of a change event gets; names are those of the Iceberg specification.

The type follows the column's *source* type (``column.propagate.source.type``), so that a snapshot read and a streamed
change of one column always agree. The table of semantic types is Debezium's (documentation, "Data type mappings").
"""

import re
from dataclasses import dataclass, field
from typing import Any

from cdc.core.errors import IncompatibleSchema

_PHYSICAL = {
    "boolean": "boolean",
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "bytes": "binary",
}
_SEMANTIC = {
    "io.debezium.time.Date": "date",
    "org.apache.kafka.connect.data.Date": "date",
    "io.debezium.time.Time": "long",
    "io.debezium.time.MicroTime": "long",
    "org.apache.kafka.connect.data.Time": "long",
    "io.debezium.time.Timestamp": "timestamp",
    "io.debezium.time.MicroTimestamp": "timestamp",
    "org.apache.kafka.connect.data.Timestamp": "timestamp",
    "io.debezium.time.ZonedTimestamp": "timestamptz",
    "io.debezium.data.Bits": "string",
}
DECIMAL = "org.apache.kafka.connect.data.Decimal"
ARRAY_TEXT = "cdc.data.Array"
"""Of an array that is carried as its database prints it: by connectors/values."""
SOURCE = "__debezium.source.column."
_TEXT_IN_BYTES = re.compile(
    r"TSQUERY|PG_LSN|PG_SNAPSHOT|TXID_SNAPSHOT|JSONPATH|XID8|(INT4|INT8|NUM|TS|TSTZ|DATE)MULTIRANGE"
)
"""PostgreSQL types that Debezium has no mapping for: in events that our converter has not made, bytes of their text."""
_DECIMAL_SOURCES = ("NUMERIC", "DECIMAL", "NUMBER", "DEC", "FIXED")
_LOCAL_TEXT = "io.debezium.time.IsoTimestamp"
"""Oracle's DATE and TIMESTAMP: a local time as text, whose Z means nothing."""
_MICROSECONDS = 6
"""Digits of a second's fraction that a timestamp of Iceberg holds, and that Debezium reads of an interval."""


def unfit_text(placeholder: str) -> str:
    """Return what stands for a value that events cannot carry, given what stands for an unchanged large one."""
    return f"{placeholder}/unfit"


@dataclass(frozen=True)
class EventField:
    """One column as the event schema describes it.

    ``event_name`` is its name in the event, ``name`` its name in the source; ``physical`` is an Avro type name,
    ``array``, ``map`` or ``record``; ``semantic`` is Connect's schema name; ``item`` describes an array's elements.
    ``filled`` says that a row from before the column was there holds something in it: a default, or it is never null.
    """

    event_name: str
    name: str
    physical: str
    semantic: str | None = None
    parameters: dict[str, str] = field(default_factory=dict, hash=False)
    item: "EventField | None" = None
    children: tuple["EventField", ...] = ()
    filled: bool = False

    @property
    def source_type(self) -> str:
        """Return the column's type in the source, upper case, or an empty text."""
        return self.parameters.get(SOURCE + "type", "").upper()

    @property
    def column_type(self) -> str:
        """Return the Iceberg type; raises IncompatibleSchema for what would lose data."""
        if self.physical == "array" and self.item:
            return f"list<{self.item.column_type}>"
        if self.physical == "record" and self.semantic not in (None, "io.debezium.data.VariableScaleDecimal"):
            return "struct<" + ", ".join(f"{c.event_name}: {c.column_type}" for c in self.children) + ">"
        if self.semantic == DECIMAL:
            return self._exact(self._precision(), int(self.parameters.get("scale", "0")))
        if self.physical == "string" and self.decimal_source:
            return self._exact(self._length("length"), self._scale())
        if self._mysql_boolean():
            return "int"
        if self.physical == "bytes" and _TEXT_IN_BYTES.fullmatch(self.source_type):
            return "string"
        if self.physical == "map":
            return "map<string, string>"
        known = self._oracle_time() or _SEMANTIC.get(self.semantic or "") or _PHYSICAL.get(self.physical)
        if known is None:
            raise IncompatibleSchema(
                f"column {self.name!r} has type {self.semantic or self.physical}, which has no exact Iceberg type",
                hint="exclude the column, or set the connector's handling mode for its type to string",
            )
        return known

    @property
    def decimal_source(self) -> bool:
        """Return whether the source's type is an exact number of any size."""
        return re.split(r"[ (]", self.source_type)[0] in _DECIMAL_SOURCES

    @property
    def negative_scale(self) -> bool:
        """Return whether it is PostgreSQL's ``numeric(p, -s)``, whose scale arrives modulo 2048."""
        scale = self._length("scale") or 0
        return scale < 0 or scale > 1000

    def _mysql_boolean(self) -> bool:
        # MySQL's BOOLEAN is tinyint(1), and arrives as a boolean only if it was added while streaming. PostgreSQL's
        # comes with a length.
        return self.source_type in ("BOOLEAN", "BOOL") and self._length("length") is None

    def _precision(self) -> int:
        # Connect's decimals of unknown precision claim 64 digits in Avro; an unsigned BIGINT needs 20.
        if "BIGINT UNSIGNED" in self.source_type or self.source_type == "SERIAL":
            return 20
        return int(self.parameters.get("connect.decimal.precision", "0"))

    def _oracle_time(self) -> str | None:
        """Return the type of one of Oracle's times whose digits decide it; None for all others."""
        if self.semantic == _LOCAL_TEXT:
            return "timestamp" if self._fraction("length") <= _MICROSECONDS else "string"
        if self.source_type.startswith("INTERVAL DAY") and self._fraction("scale") > _MICROSECONDS:
            raise IncompatibleSchema(
                f"column {self.name!r} is an interval with more than {_MICROSECONDS} digits of a second, which "
                "Debezium reads as other seconds",
                hint="exclude the column with column.exclude.list, or declare it as .. TO SECOND(6)",
            )
        return None

    def _scale(self) -> int:
        # Oracle's NUMBER without one has any; Debezium's parser of definitions makes its length 38, its driver 0.
        known = self._length("scale")
        return -1 if known is None and self.source_type == "NUMBER" else known or 0

    def _fraction(self, parameter: str) -> int:
        """Return how many digits of a second's fraction an Oracle type has; a DATE has none."""
        declared = re.search(r"(?:TIMESTAMP|SECOND) ?\((\d)\)", self.source_type)
        return int(declared[1]) if declared else max(self._length(parameter) or 0, 0)

    def _length(self, what: str) -> int | None:
        value = self.parameters.get(SOURCE + what, "")
        return int(value) if re.fullmatch(r"-?\d+", value) else None

    @staticmethod
    def _exact(precision: int | None, scale: int) -> str:
        if precision and 0 < precision <= 38 and 0 <= scale <= precision:
            return f"decimal({precision}, {scale})"
        return "string"


@dataclass(frozen=True)
class EventSchema:
    """The columns of a table's rows as one version of the event schema describes them."""

    fields: tuple[EventField, ...]

    def columns(self) -> dict[str, str]:
        """Return name -> Iceberg type in the source's column order."""
        return {f.name: f.column_type for f in self.fields}


def parse_avro_row(envelope: dict[str, Any]) -> EventSchema:
    """Return the row schema inside a Debezium envelope's Avro schema; raises ValueError if it is no envelope."""
    named: dict[str, dict[str, Any]] = {}
    _collect_named(envelope, named)
    rows = [f["type"] for f in envelope.get("fields", ()) if f["name"] in ("after", "before")]
    record = next((r for r in (_resolve(row, named) for row in reversed(rows)) if isinstance(r, dict)), None)
    if record is None or record.get("type") != "record":
        raise ValueError("not a Debezium envelope: no record under after")
    return EventSchema(tuple(_avro_field(f["name"], f["type"], named) for f in record["fields"]))


def parse_avro_key(schema: dict[str, Any]) -> EventSchema:
    """Return the columns of a key's Avro schema; raises ValueError if it is no record."""
    if schema.get("type") != "record":
        raise ValueError("not a Debezium key: not a record")
    named: dict[str, dict[str, Any]] = {}
    _collect_named(schema, named)
    return EventSchema(tuple(_avro_field(f["name"], f["type"], named) for f in schema["fields"]))


def parse_connect_row(envelope: dict[str, Any]) -> EventSchema:
    """Return the row schema inside the ``schema`` block of a JSON message; raises ValueError if it is no envelope."""
    row = next((f for f in envelope.get("fields", ()) if f.get("field") == "after"), None)
    if row is None or row.get("type") != "struct":
        raise ValueError("not a Debezium envelope: no struct under after")
    return parse_connect_struct(row)


def parse_connect_struct(schema: dict[str, Any]) -> EventSchema:
    """Return the columns of a Connect struct schema, e.g. a key's."""
    return EventSchema(tuple(_connect_field(f["field"], f) for f in schema.get("fields", ())))


def _collect_named(node: Any, named: dict[str, dict[str, Any]]) -> None:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        if node.get("type") in ("record", "enum", "fixed") and "name" in node:
            named[node["name"]] = node
            if "namespace" in node:
                named[f"{node['namespace']}.{node['name']}"] = node
        for child in node.values():
            _collect_named(child, named)
    elif isinstance(node, list):
        for child in node:
            _collect_named(child, named)


def _resolve(schema: Any, named: dict[str, dict[str, Any]]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(schema, list):
        return _resolve(next(s for s in schema if s != "null"), named)
    if isinstance(schema, dict) and isinstance(schema.get("type"), (list, dict)):
        return _resolve(schema["type"], named)
    return named.get(schema, schema) if isinstance(schema, str) else schema


def _avro_field(name: str, schema: Any, named: dict[str, dict[str, Any]]) -> EventField:  # noqa: ANN401 - JSON
    resolved = _resolve(schema, named)
    required = not (isinstance(schema, list) and "null" in schema)
    if isinstance(resolved, str):
        return EventField(name, name, resolved, filled=required)
    parameters = {k: str(v) for k, v in resolved.get("connect.parameters", {}).items()}
    if resolved.get("logicalType") == "decimal":
        parameters.setdefault("connect.decimal.precision", str(resolved.get("precision", 0)))
        parameters["scale"] = str(resolved.get("scale", 0))
    return EventField(
        name,
        parameters.get(SOURCE + "name", name),
        resolved["type"],
        resolved.get("connect.name"),
        parameters,
        _avro_field("element", resolved["items"], named) if resolved["type"] == "array" else None,
        tuple(_avro_field(f["name"], f["type"], named) for f in resolved.get("fields", ())),
        required or "connect.default" in resolved,
    )


_CONNECT_PHYSICAL = {"int8": "int", "int16": "int", "int32": "int", "int64": "long", "struct": "record"}


def _connect_field(name: str, schema: dict[str, Any]) -> EventField:
    parameters = {k: str(v) for k, v in schema.get("parameters", {}).items()}
    kind = schema["type"]
    return EventField(
        name,
        parameters.get(SOURCE + "name", name),
        _CONNECT_PHYSICAL.get(kind, kind),
        schema.get("name"),
        parameters,
        _connect_field("element", schema["items"]) if kind == "array" else None,
        tuple(_connect_field(f["field"], f) for f in schema.get("fields", ())),
        not schema.get("optional", False) or schema.get("default") is not None,
    )
