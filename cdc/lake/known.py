"""What depends on a table's columns and settings alone, made once and not for every file."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.io.pyarrow import (
    StatisticsCollector,
    _get_parquet_writer_kwargs,
    compute_statistics_plan,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.schema import Schema, sanitize_column_names
from pyiceberg.table import Table, TableProperties
from pyiceberg.utils.properties import property_as_int

TABLES = 1000
"""Tables of which it is kept."""


@dataclass(frozen=True)
class _Columns:
    """The columns of a table; they are never changed under the same number."""

    table: str
    number: int
    schema: Schema = field(compare=False, repr=False)

    @classmethod
    def of(cls, table: Table) -> "_Columns":
        return cls(str(table.metadata.table_uuid), table.metadata.current_schema_id, table.schema())


@dataclass(frozen=True)
class ParquetForm:
    """How data files of a table are written: their columns, with Iceberg's numbers, and what is told of them."""

    columns: pa.Schema
    options: dict[str, Any]
    row_group: int
    statistics: dict[int, StatisticsCollector]
    numbers: dict[str, int]


def arrow_schema(table: Table) -> pa.Schema:
    """Return the columns of a table as Arrow has them."""
    return _arrow(_Columns.of(table))


def parquet_form(table: Table) -> ParquetForm:
    """Return how data files of a table are written; its properties may ask for what pyiceberg does not know."""
    return _parquet(_Columns.of(table), tuple(sorted(item for item in table.properties.items() if _matters(item[0]))))


@lru_cache(TABLES)
def _arrow(columns: _Columns) -> pa.Schema:
    return schema_to_pyarrow(columns.schema, include_field_ids=False)


@lru_cache(TABLES)
def _parquet(columns: _Columns, settings: tuple[tuple[str, str], ...]) -> ParquetForm:
    schema, properties = sanitize_column_names(columns.schema), dict(settings)
    names = TableProperties
    rows = property_as_int(properties, names.PARQUET_ROW_GROUP_LIMIT, names.PARQUET_ROW_GROUP_LIMIT_DEFAULT)
    return ParquetForm(
        schema_to_pyarrow(schema, include_field_ids=True),
        _get_parquet_writer_kwargs(properties),
        rows or names.PARQUET_ROW_GROUP_LIMIT_DEFAULT,
        compute_statistics_plan(schema, properties),
        parquet_path_to_id_mapping(schema),
    )


def _matters(name: str) -> bool:
    return name.startswith(("write.parquet.", "write.metadata.metrics."))
