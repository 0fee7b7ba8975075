"""Every column of every row of an Iceberg table as canonical text, read with pyiceberg and without Spark."""

from collections.abc import Callable, Iterator

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from cdc.core.canonical import Column, double_text, list_text
from cdc.core.errors import PreflightError
from cdc.core.names import TableName
from cdc.lake.checkpoints import history_of
from cdc.lake.foreign import lake_errors

OWN_COLUMNS = "_cdc_"
"""Columns whose names begin so are the pipeline's and no copy of the source's."""

Texts = list[str | None]


class LakeRows:
    """Reads the present snapshot of ``main``; ``loaded_where`` is the part that was loaded.

    Raises PreflightError if the table is not there.
    """

    def __init__(self, catalog: Catalog, table: TableName) -> None:
        try:
            self._table = catalog.load_table(tuple(table))
        except NoSuchTableError as error:
            raise PreflightError(
                f"table {table} is not in the lake", hint="has the stream run? see `cdc status`"
            ) from error
        names = [field.name for field in self._table.schema().fields]
        self.loaded_where = history_of(table, self._table).loaded_where()
        self.columns = tuple(Column(name) for name in names if not name.startswith(OWN_COLUMNS))

    def rows(self) -> Iterator[tuple[str | None, ...]]:
        """Yield every row, in no order."""
        names = [column.name for column in self.columns]
        with lake_errors("read the table's files"):
            for batch in self._table.scan(selected_fields=tuple(names)).to_arrow_batch_reader():
                yield from zip(*(texts(batch.column(name)) for name in names), strict=True)


def texts(array: pa.Array) -> Texts:
    """Return the canonical texts of an Arrow array; raises TypeError for a type that no target has."""
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        # as integers: Python's calendar ends where the sentinels for infinity begin
        storage = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        factor = {"s": 1_000_000, "ms": 1000, "us": 1}[kind.unit] if storage == pa.int64() else 1
        return _each(array.cast(storage), lambda value: str(value * factor))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(array)
    if pa.types.is_struct(kind):
        return _structs(array)
    for fits, convert in _CONVERSIONS:
        if fits(kind):
            return _each(array, convert)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values: Texts = array.to_pylist()
        return values
    raise TypeError(f"no canonical text for Arrow type {kind}")


def _each(array: pa.Array, convert: Callable[..., str]) -> Texts:
    return [None if value is None else convert(value) for value in array.to_pylist()]


def _lists(array: pa.Array) -> Texts:
    nested = pa.types.is_list(array.type.value_type) or pa.types.is_large_list(array.type.value_type)
    if nested:
        raise TypeError("no canonical text for lists of lists")
    elements = iter(texts(array.flatten()))
    lengths = array.value_lengths().to_pylist()
    return [None if n is None else list_text([next(elements) for _ in range(n)]) for n in lengths]


def _structs(array: pa.StructArray) -> Texts:
    children = zip(*(texts(child) for child in array.flatten()), strict=True)
    return [
        list_text(each) if there else None for each, there in zip(children, array.is_valid().to_pylist(), strict=True)
    ]


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[..., str]], ...] = (
    (pa.types.is_boolean, lambda value: "true" if value else "false"),
    (pa.types.is_integer, str),
    (pa.types.is_floating, double_text),
    (pa.types.is_decimal, lambda value: format(value, "f")),
    (lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind), bytes.hex),
)
