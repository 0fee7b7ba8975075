"""What is read of an Oracle column for its target's type; never run, see the package.

What Debezium makes of Oracle's types is told by the events (connectors/oracle.yaml), not here.
"""

from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.arrow import PLAIN, plain_type
from cdc.core.errors import IncompatibleSchema, TerminalError
from cdc.core.names import quote

TEXTS = ("CHAR", "VARCHAR2", "NCHAR", "NVARCHAR2")
MOMENTS = ("DATE", "TIMESTAMP")
_TARGETS = PLAIN.keys() - {"date"}
"""What a number is read for: Oracle's DATE has a time of day."""

HINT = "let the connector read the table (snapshot: connector), or exclude the column"


@dataclass(frozen=True)
class Column:
    """A column: ``kind`` is Oracle's type without arguments."""

    name: str
    kind: str
    scale: int | None
    nullable: bool

    @property
    def quoted(self) -> str:
        """Return the name as SQL."""
        return quote(self.name)


@dataclass(frozen=True)
class OracleRead:
    """A column to read for a target type (an Iceberg type name)."""

    column: Column
    target: str

    @property
    def expression(self) -> str:
        """Return the SQL that reads the value without loss; raises IncompatibleSchema where that is not known."""
        name, kind = self.column.quoted, self.column.kind
        if kind in ("NUMBER", "FLOAT") and (self.target in _TARGETS or self.target.startswith("decimal(")):
            return f"TO_CHAR({name}, 'TM9')"
        if kind in ("BINARY_FLOAT", "BINARY_DOUBLE") and self.target in ("float", "double"):
            return name
        if self.target in ("timestamp", "timestamptz", "string") and kind.startswith(MOMENTS):
            return self._moment()
        if self.target == "string" and kind in (*TEXTS, "CLOB", "NCLOB"):
            return name
        if self.target == "binary" and kind in ("RAW", "BLOB"):
            return name
        what = f"column {self.column.name!r} of type {kind} cannot be read in bulk as {self.target}"
        raise IncompatibleSchema(what, hint=HINT)

    def _moment(self) -> str:
        name, kind = self.column.quoted, self.column.kind
        value = f"SYS_EXTRACT_UTC({name})" if "TIME ZONE" in kind else f"CAST({name} AS TIMESTAMP(9))"
        if self.target == "string":  # as Debezium writes it with time.precision.mode isostring
            text = f"TO_CHAR({value}, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9')"
            return f"NVL2({name}, RTRIM(RTRIM({text}, '0'), '.') || 'Z', NULL)"
        return f"TO_CHAR({value}, 'YYYY-MM-DD HH24:MI:SS.FF6')"

    def convert(self, values: pa.Array) -> pa.Array:
        """Return the values as the target's type; raises TerminalError if one does not fit."""
        try:
            if self.column.kind in ("NUMBER", "FLOAT"):
                values = plain_numbers(values.cast(pa.string()))
            return self._cast(values)
        except (pa.ArrowInvalid, OverflowError):
            what = f"a value of column {self.column.name!r} ({self.column.kind}) does not fit {self.target}"
            raise TerminalError(what, hint="has the source's column changed its type?") from None

    def _cast(self, values: pa.Array) -> pa.Array:
        if self.target == "timestamptz":
            return values.cast(pa.string()).cast(pa.timestamp("us")).cast(plain_type(self.target))
        return values.cast(plain_type(self.target))


def plain_numbers(texts: pa.Array) -> pa.Array:
    """Return numbers as ``TM9`` prints them with the zero before the point, and without exponents."""
    whole = pc.replace_substring_regex(texts, r"^(-?)\.", r"\10.")
    if pc.any(pc.match_substring(whole, "E")).as_py():
        plain = [format(Decimal(text), "f") if text and "E" in text else text for text in whole.to_pylist()]
        return pa.array(plain, pa.string())
    return whole
