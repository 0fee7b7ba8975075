"""A small table in both its shapes: as the reader gives it from a database, and as typed values in an Iceberg table."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from tests.campaign.comparing.differences import Comparison, compare
from tests.campaign.comparing.lake import read_lake
from tests.campaign.comparing.source import SourceColumn, SourceTable
from tests.sql_catalog import sql_catalog

KEY = ("id", "code")
Values = dict[str, Any]

COLUMNS: dict[str, tuple[str, Any]] = {
    "id": ("integer", LongType()),
    "code": ("text", StringType()),
    "name": ("text", StringType()),
    "padded": ("text", StringType()),
    "total": ("decimal", DecimalType(12, 2)),
    "free": ("text", StringType()),
    "ratio": ("double", DoubleType()),
    "single": ("single", FloatType()),
    "n": ("integer", IntegerType()),
    "large": ("integer", LongType()),
    "active": ("boolean", BooleanType()),
    "day": ("date", DateType()),
    "clock": ("time", LongType()),
    "moment": ("moment", TimestampType()),
    "instant": ("instant", TimestamptzType()),
    "ref": ("text", StringType()),
    "data": ("json", StringType()),
    "picture": ("binary", BinaryType()),
}
"""Each column's form at the source, and its type in the lake."""

PRINTED: tuple[dict[str, str | None], ...] = (
    {
        "id": "1",
        "code": "a",
        "name": "Zoe\u0308 🦊",
        "padded": "ab   ",
        "total": "10.50",
        "free": "1.50",
        "ratio": "0.30000000000000004",
        "single": "0.1",
        "n": "-7",
        "large": "9007199254740993",
        "active": "true",
        "day": "2024-02-29",
        "clock": "23:59:59.000001",
        "moment": "2024-03-31 02:30:00.000009",
        "instant": "2024-03-31 01:30:00.5+00",
        "ref": "00000000-0000-4000-8000-00000000000a",
        "data": '{"b": [1.0, null, "x"], "a": {"c": 12345678901234567890}}',
        "picture": "00ff10",
    },
    {
        "id": "1",
        "code": "b",
        "name": "",
        "padded": "",
        "total": "-0.01",
        "free": "NaN",
        "ratio": "-0",
        "single": "NaN",
        "n": "0",
        "large": "-9223372036854775808",
        "active": "false",
        "day": "0001-01-01",
        "clock": "00:00:00",
        "moment": "1969-12-31 23:59:59.999999",
        "instant": "9999-12-31 23:59:59.999999+00",
        "ref": "",
        "data": "[]",
        "picture": "",
    },
    {"id": "2", "code": "b", **dict.fromkeys(list(COLUMNS)[2:])},
)
"""The rows as PostgreSQL prints them; of the third one all is null but its key."""

STORED: tuple[Values, ...] = (
    {
        "id": 1,
        "code": "a",
        "name": "Zoe\u0308 🦊",
        "padded": "ab   ",
        "total": Decimal("10.50"),
        "free": "1.50",
        "ratio": 0.1 + 0.2,
        "single": 0.1,
        "n": -7,
        "large": 2**53 + 1,
        "active": True,
        "day": date(2024, 2, 29),
        "clock": 86_399_000_001,
        "moment": datetime.fromisoformat("2024-03-31 02:30:00.000009"),
        "instant": datetime(2024, 3, 31, 1, 30, 0, 500_000, UTC),
        "ref": str(uuid.UUID("00000000-0000-4000-8000-00000000000a")),
        "data": '{"a":{"c":12345678901234567890},"b":[1,null,"x"]}',
        "picture": b"\x00\xff\x10",
    },
    {
        "id": 1,
        "code": "b",
        "name": "",
        "padded": "",
        "total": Decimal("-0.01"),
        "free": "NaN",
        "ratio": -0.0,
        "single": float("nan"),
        "n": 0,
        "large": -(2**63),
        "active": False,
        "day": date(1, 1, 1),
        "clock": 0,
        "moment": datetime.fromisoformat("1969-12-31 23:59:59.999999"),
        "instant": datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
        "ref": "",
        "data": "[]",
        "picture": b"",
    },
    {"id": 2, "code": "b", **dict.fromkeys(list(COLUMNS)[2:])},
)
"""The same rows as the lake has them."""

SCHEMA = Schema(
    *(NestedField(i, name, kind, required=False) for i, (name, (_, kind)) in enumerate(COLUMNS.items(), 1)),
    NestedField(99, "_cdc_position", StringType(), required=False),
)


def source_table(rows: tuple[dict[str, str | None], ...] = PRINTED) -> SourceTable:
    """Return rows as a reader returns them."""
    columns = tuple(SourceColumn(name, form) for name, (form, _) in COLUMNS.items())
    return SourceTable(columns, [tuple(row[name] for name in COLUMNS) for row in rows])


class Planted:
    """An Iceberg table on disk that holds the rows, until somebody plants something."""

    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = sql_catalog(folder)
        self.catalog.create_namespace("shop")
        self.table = self.catalog.create_table("shop.t", SCHEMA)
        self.append(*STORED)

    def append(self, *rows: Values) -> None:
        """Commit further rows."""
        named = [{**row, "_cdc_position": "0"} for row in rows]
        self.table.append(pa.Table.from_pylist(named, schema=self.table.schema().as_arrow()))

    def delete(self, condition: str = "id = 1 and code = 'a'") -> None:
        """Commit the deletion of rows, by default of the first."""
        self.table.delete(condition)

    def replace(self, **values: Any) -> None:
        """Write the first row again with other values."""
        self.delete()
        self.append(STORED[0] | values)

    def compared(self, source: SourceTable | None = None) -> Comparison:
        """Return how the table compares."""
        return compare("t", source or source_table(), read_lake(self.catalog, "shop", "t"), KEY)
