"""The row schema of events in JSON without schemas: from the source's declarations to what Debezium makes of them.

It repeats Debezium's mappings (documentation, "Data type mappings") under the handling modes of connectors/*.yaml, and
those of connectors/values. A type of PostgreSQL that neither knows comes as its text; another of MySQL is refused.
``domain T`` is a domain over T, ``enum`` any enumeration, ``T[][]`` an array that is declared with two dimensions.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from cdc.core.errors import IncompatibleSchema
from cdc.core.preflight import SourceColumn, is_text
from cdc.core.types import ARRAY_TEXT, DECIMAL, SOURCE, EventField, EventSchema

_TIME, _DATA = "io.debezium.time.", "io.debezium.data."
_POSTGRES: dict[str, tuple[str, str | None]] = {
    "boolean": ("boolean", None),
    **dict.fromkeys(("smallint", "integer"), ("int", None)),
    **dict.fromkeys(("bigint", "oid"), ("long", None)),
    "real": ("float", None),
    "double precision": ("double", None),
    **dict.fromkeys(("numeric", "money", "character", "character varying", "text", "citext", "name"), ("string", None)),
    **dict.fromkeys(("inet", "cidr", "macaddr", "macaddr8"), ("string", None)),
    **dict.fromkeys(("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"), ("string", None)),
    "bytea": ("bytes", None),
    "date": ("int", _TIME + "Date"),
    "time without time zone": ("long", _TIME + "MicroTime"),
    "time with time zone": ("string", _TIME + "ZonedTime"),
    "timestamp without time zone": ("long", _TIME + "MicroTimestamp"),
    "timestamp with time zone": ("string", _TIME + "ZonedTimestamp"),
    "interval": ("string", _TIME + "Interval"),
    "uuid": ("string", _DATA + "Uuid"),
    **dict.fromkeys(("json", "jsonb", "hstore"), ("string", _DATA + "Json")),
    "xml": ("string", _DATA + "Xml"),
    "ltree": ("string", _DATA + "Ltree"),
    "tsvector": ("string", _DATA + "Tsvector"),
    "enum": ("string", _DATA + "Enum"),
}
_MYSQL: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int"), ("int", None)),
    "bigint": ("long", None),
    "float": ("float", None),
    "double": ("double", None),
    "decimal": ("string", None),
    "year": ("int", _TIME + "Year"),
    "date": ("int", _TIME + "Date"),
    "time": ("long", _TIME + "MicroTime"),
    "datetime": ("long", _TIME + "MicroTimestamp"),
    "timestamp": ("string", _TIME + "ZonedTimestamp"),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), ("string", None)),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), ("bytes", None)),
    "enum": ("string", _DATA + "Enum"),
    "set": ("string", _DATA + "EnumSet"),
    "json": ("string", _DATA + "Json"),
}
_EXTENSION_TYPES = ("geometry", "geography", "vector", "halfvec", "sparsevec", "isbn")
"""Types that Debezium has a form for, which is not repeated here."""
_TEXT_ELEMENTS = ("bit", "interval", "money", "enum", "xml", "circle")
"""What comes as text in an array, and otherwise not, or not plainly."""
_WKB = (EventField("wkb", "wkb", "bytes"), EventField("srid", "srid", "int"))
_XY = (EventField("x", "x", "double"), EventField("y", "y", "double"))
_ABC = tuple(EventField(name, name, "double") for name in "abc")
_EXTENSIONS = EventField("extensions", "extensions", "map")
_GEOMETRIES = ("geometry", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection")


def event_row(
    engine: str, columns: Iterable[SourceColumn], excluded: Sequence[str] = (), text: Collection[str] = ()
) -> EventSchema:
    """Return the row schema of a table's events; ``excluded`` names columns that the connector leaves out.

    ``text`` names arrays that are carried as text, as those of several dimensions are by themselves.
    Raises IncompatibleSchema for a type whose form in events is not known.
    """
    describe = {"postgres": _postgres, "mysql": _mysql}.get(engine)
    if describe is None:
        raise IncompatibleSchema(f"events in JSON without schemas are not supported for {engine}", hint=_HINT)
    kept = [c for c in columns if c.name not in excluded and not (engine == "postgres" and c.generated)]
    arrays = {column.name for column in kept if is_text(column, text)}
    return EventSchema(tuple(_array_text(c) if c.name in arrays else describe(c.name, c.type) for c in kept))


def event_key(row: EventSchema, key: Sequence[str]) -> EventSchema:
    """Return the schema of the messages' keys."""
    fields = {field.name: field for field in row.fields}
    return EventSchema(tuple(fields[name] for name in key if name in fields))


def event_name(column: str) -> str:
    """Return a column's name in events (``field.name.adjustment.mode=avro``)."""
    return re.sub(r"^[^A-Za-z_]|[^A-Za-z0-9_]", "_", column)


_HINT = "use the format avro or json_schema, or exclude the column with column.exclude.list"


def _array_text(column: SourceColumn) -> EventField:
    return EventField(event_name(column.name), column.name, "string", ARRAY_TEXT)


def _postgres(name: str, declared: str) -> EventField:
    if declared.endswith("[]"):
        element = _postgres("element", declared[:-2])
        as_text = element.physical == "record" or declared[:-2].startswith(_TEXT_ELEMENTS)
        item = EventField(
            "element", "element", *(("string", None) if as_text else (element.physical, element.semantic))
        )
        return EventField(
            event_name(name), name, "array", parameters=_parameters(f"_{element.source_type}", ()), item=item
        )
    base, arguments = _split(declared.removeprefix("domain "))
    if base == "bit":
        return _bits(name, "BIT", arguments)
    if (shape := _postgres_geometry(base)) is not None:
        return EventField(event_name(name), name, "record", *shape)
    if base.rpartition(".")[2] in _EXTENSION_TYPES or base == "circle":
        raise _unknown(name, declared)
    # Debezium calls a domain by its own name, so its numbers are not told from texts there either.
    source_type = "DOMAIN" if declared.startswith("domain ") else base.upper()
    sizes = ("1",) if base == "boolean" else arguments
    known = _POSTGRES.get(base, ("string", None))
    return EventField(event_name(name), name, *known, _parameters(source_type, sizes))


def _postgres_geometry(base: str) -> tuple[str, dict[str, str], None, tuple[EventField, ...]] | None:
    if base == "point":
        return _DATA + "geometry.Point", {}, None, (*_XY, *_WKB)
    if base == "line":
        return _DATA + "geometry.Line", {}, None, _ABC
    if base in ("box", "lseg", "path", "polygon"):
        return _DATA + "geometry.Geometry", {}, None, (*_WKB, _EXTENSIONS)
    return None


def _mysql(name: str, declared: str) -> EventField:
    base, arguments = _split(declared)
    unsigned = " unsigned" in declared
    kind = f"{base} unsigned".upper() if unsigned else base.upper()
    if base == "bit":
        return _bits(name, "BIT", arguments)
    if base == "bigint" and unsigned:
        decimal = {"scale": "0", "connect.decimal.precision": "20"} | _parameters(kind, ())
        return EventField(event_name(name), name, "bytes", DECIMAL, decimal)
    if base == "point":
        return EventField(event_name(name), name, "record", _DATA + "geometry.Point", children=(*_XY, *_WKB))
    if base in _GEOMETRIES:
        return EventField(event_name(name), name, "record", _DATA + "geometry.Geometry", children=_WKB)
    if base not in _MYSQL:
        raise _unknown(name, declared)
    physical, semantic = _MYSQL[base]
    if declared == "tinyint(1)":  # BOOLEAN: true and false if it was added while streaming, else 1 and 0
        physical, kind, arguments = "string", "BOOLEAN", ()
    elif base == "int" and unsigned:
        physical = "long"
    elif base == "float" and len(arguments) == 2:
        physical = "double"
    return EventField(
        event_name(name), name, physical, semantic, _parameters(kind, arguments if base == "decimal" else ())
    )


def _bits(name: str, kind: str, arguments: Sequence[str]) -> EventField:
    length = arguments[0] if arguments else "1" if kind == "BIT" else str(2**31 - 1)
    if length == "1" and kind == "BIT":
        return EventField(event_name(name), name, "boolean", parameters=_parameters(kind, ("1",)))
    parameters = {"length": length} | _parameters(kind, (length,))
    return EventField(event_name(name), name, "bytes", _DATA + "Bits", parameters)


def _split(declared: str) -> tuple[str, tuple[str, ...]]:
    """Return name and arguments: ``timestamp(3) with time zone`` has a name around its argument."""
    match = re.fullmatch(r"([^(]+?) ?(?:\((.*)\))?((?: with(?:out)? time zone)?)(?: unsigned)?(?: zerofill)?", declared)
    if match is None:
        return declared, ()
    numbers = re.fullmatch(r"-?\d+(?:,-?\d+)?", match[2] or "")
    return match[1] + match[3], tuple(match[2].split(",")) if numbers else ()


def _parameters(source_type: str, arguments: Sequence[str]) -> dict[str, str]:
    sizes = {"length": arguments[0]} if arguments else {}
    if source_type in ("NUMERIC", "DECIMAL", "DECIMAL UNSIGNED") and arguments:
        sizes["scale"] = arguments[1] if len(arguments) > 1 else "0"
    return {SOURCE + name: value for name, value in {"type": source_type, **sizes}.items()}


def _unknown(name: str, declared: str) -> IncompatibleSchema:
    what = f"column {name!r} has type {declared}, whose form in JSON events is not known"
    return IncompatibleSchema(what, hint=_HINT)
