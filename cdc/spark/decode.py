"""Envelopes to change events: position, key, values and what is unavailable, in columns of one shape for all engines.

The result has one row per message: ``partition, offset, problem, operation, snapshot_read, position, source_ts, moved,
old_key, new_key, unavailable, k`` (struct of the key columns) and ``v`` (struct of all columns). ``problem`` says why
a message cannot be used; its key is null then. No filter follows the decoding: Spark would decode twice to apply it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from cdc.core.batch import BEHIND
from cdc.core.ddl import spark_type, struct_ddl
from cdc.core.positions import EPOCH_DIGITS, LAYOUTS, OFFSET_DIGITS
from cdc.core.types import EventField, EventSchema
from cdc.spark import convert
from cdc.spark.envelope import Writer, json_type

Epochs = Mapping[int, tuple[tuple[int, int], ...]]
"""Per partition: (first offset, epoch) pairs, ascending."""

REMEMBERED = 300
"""Kinds of messages whose expressions are kept, those used last; one takes some hundred kilobytes of the JVM."""

OLD_KEY, NEW_KEY = "__debezium.oldkey", "__debezium.newkey"


@dataclass(frozen=True)
class RowShape:
    """What the decoded rows of a table look like: its engine, key columns, all columns with Iceberg types."""

    engine: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    placeholder: str

    @property
    def key_type(self) -> str:
        """Return the Spark type of the key struct."""
        return struct_ddl((name, spark_type(self.columns[name])) for name in self.key)

    @property
    def row_type(self) -> str:
        """Return the Spark type of the struct of all columns."""
        return struct_ddl((name, spark_type(kind)) for name, kind in self.columns.items())


def decode(opened: DataFrame, writer: Writer, shape: RowShape, epochs: Epochs) -> DataFrame:
    """Return the change events of messages whose envelopes were opened with ``writer``.

    The messages have a column ``behind`` that tells which wait behind a quarantined one. Values are converted in one
    projection and judged in the next: in a single one Spark would convert those that may fail twice.
    """
    converted, judged = _projections(writer, _Frozen.of(shape), tuple(sorted(epochs.items())))
    return opened.select(*converted).select(*judged)


class _Frozen(NamedTuple):
    """A shape as a key of what is remembered."""

    engine: str
    key: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    placeholder: str

    @classmethod
    def of(cls, shape: RowShape) -> "_Frozen":
        return cls(shape.engine, shape.key, tuple(shape.columns.items()), shape.placeholder)

    def shape(self) -> RowShape:
        return RowShape(self.engine, self.key, dict(self.columns), self.placeholder)


@lru_cache(REMEMBERED)
def _projections(
    writer: Writer, frozen: _Frozen, steps: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
) -> tuple[list[Column | str], list[Column | str]]:
    """Return the columns of both projections: a question to the JVM for each part, the same ones in every batch."""
    shape, epochs = frozen.shape(), dict(steps)
    after = {x.name: f.col("envelope.after")[x.event_name] for x in writer.row.fields}
    converted: list[Column | str] = [
        "partition",
        "offset",
        "behind",
        "envelope",
        f.col("envelope.op").alias("operation"),
        _snapshot_read().alias("snapshot_read"),
        f.struct(*[part.alias(f"c{n}") for n, part in enumerate(_components(shape.engine))]).alias("place"),
        *_moves(writer, shape),
        _unavailable(writer.row, shape, after).alias("unavailable"),
        _struct(_key_values(writer, shape)).alias("k"),
        _struct(_row_values(writer.row, shape, after)).alias("v"),
    ]
    problem = _problem(writer, shape, after)
    judged: list[Column | str] = [
        "partition",
        "offset",
        problem.alias("problem"),
        "operation",
        "snapshot_read",
        _position(shape.engine, epochs).alias("position"),
        f.timestamp_millis(f.col("envelope.source.ts_ms")).alias("source_ts"),
        "moved",
        "old_key",
        "new_key",
        "unavailable",
        f.when(problem.isNull(), f.col("k")).alias("k"),
        f.when(f.col("envelope.after").isNotNull(), f.col("v")).alias("v"),
    ]
    return converted, judged


def unusable(messages: DataFrame, reason: str, shape: RowShape) -> DataFrame:
    """Return messages that cannot even be opened, in the shape of ``decode``."""
    nothing = f.lit(None)
    return messages.select(
        "partition",
        "offset",
        f.lit(reason).alias("problem"),
        nothing.cast("string").alias("operation"),
        f.lit(False).alias("snapshot_read"),
        nothing.cast("string").alias("position"),
        nothing.cast("timestamp").alias("source_ts"),
        f.lit(False).alias("moved"),
        nothing.cast(shape.key_type).alias("old_key"),
        nothing.cast(shape.key_type).alias("new_key"),
        f.array().cast("array<string>").alias("unavailable"),
        nothing.cast(shape.key_type).alias("k"),
        nothing.cast(shape.row_type).alias("v"),
    )


def _struct(values: Mapping[str, Column]) -> Column:
    return f.struct(*[value.alias(name) for name, value in values.items()])


def _key_values(writer: Writer, shape: RowShape) -> dict[str, Column]:
    fields = key_fields(writer)
    return {
        name: convert.convert(f.col("key_row")[fields[name].event_name], fields[name], shape.columns[name])
        for name in shape.key
    }


def key_fields(writer: Writer) -> dict[str, EventField]:
    """Return the key's fields as the row describes them: the key's schema may lack the source's types."""
    row = {x.event_name: x for x in writer.row.fields}
    return {row.get(x.event_name, x).name: row.get(x.event_name, x) for x in writer.key.fields}


def _row_values(row: EventSchema, shape: RowShape, after: Mapping[str, Column]) -> dict[str, Column]:
    fields = {x.name: x for x in row.fields}
    values: dict[str, Column] = {}
    for name, column_type in shape.columns.items():
        if name not in fields:
            values[name] = f.lit(None).cast(spark_type(column_type))
            continue
        raw = after[name]
        stand_in = convert.placeholder(raw, fields[name], shape.placeholder)
        known = raw if stand_in is None else f.when(~stand_in, raw)
        values[name] = convert.convert(known, fields[name], column_type)
    return values


def _unavailable(row: EventSchema, shape: RowShape, after: Mapping[str, Column]) -> Column:
    """Return the names of columns whose value the event does not carry: placeholders, and columns it does not know."""
    present = {x.name: x for x in row.fields}
    missing = [name for name in shape.columns if name not in present]
    flags = [
        f.when(stand_in, f.lit(name))
        for name, field in present.items()
        if name not in shape.key
        and (stand_in := convert.placeholder(after[name], field, shape.placeholder)) is not None
    ]
    empty = f.array().cast("array<string>")
    absent = f.array(*[f.lit(name) for name in missing]) if missing else empty
    # array_compact allocates for every row; most rows of most tables have nothing to report.
    any_flag = f.coalesce(*flags).isNotNull() if flags else f.lit(False)
    listed = f.array_compact(f.array(*flags, *[f.lit(name) for name in missing])) if flags else absent
    return f.when(f.col("envelope.after").isNull(), empty).when(any_flag, listed).otherwise(absent)


def _moves(writer: Writer, shape: RowShape) -> list[Column]:
    """Return ``moved`` and the keys that a key change names; only engines with deferred keys need them."""
    key_type = shape.key_type
    if not LAYOUTS[shape.engine].deferred_keys:
        none = f.lit(None).cast(key_type)
        return [f.lit(False).alias("moved"), none.alias("old_key"), none.alias("new_key")]
    headers = f.col("headers")
    old, new = _header(headers, OLD_KEY), _header(headers, NEW_KEY)
    moved = f.exists(headers, lambda h: h["key"].isin(OLD_KEY, NEW_KEY))
    return [
        f.coalesce(moved, f.lit(False)).alias("moved"),
        _header_key(old, writer, shape).alias("old_key"),
        _header_key(new, writer, shape).alias("new_key"),
    ]


def _header(headers: Column, name: str) -> Column:
    return f.try_element_at(f.filter(headers, lambda h: h["key"] == name), f.lit(1))["value"]


def _header_key(header: Column, writer: Writer, shape: RowShape) -> Column:
    fields = key_fields(writer)
    ddl = struct_ddl((x.event_name, json_type(x)) for x in fields.values())
    parsed = f.from_json(header.cast("string"), ddl)
    values = {n: convert.convert(parsed[fields[n].event_name], fields[n], shape.columns[n]) for n in shape.key}
    return f.when(header.isNotNull(), _struct(values))


def _snapshot_read() -> Column:
    marker = f.col("envelope.source.snapshot")
    return f.coalesce((f.col("envelope.op") == "r") & (marker != "incremental"), f.lit(False))


def _problem(writer: Writer, shape: RowShape, after: Mapping[str, Column]) -> Column:
    """Return why a message cannot be used, or null; texts name columns, never values."""
    operation = f.col("envelope.op")
    keyed = operation.isin("c", "r", "u", "d")
    checks = f.when(f.col("behind"), BEHIND).when(operation.isNull(), "undecodable value")
    checks = checks.when(~operation.isin("c", "r", "u", "d", "t"), "unknown operation")
    checks = checks.when(_place_missing(shape.engine), "no position")
    checks = checks.when((operation != "d") & keyed & f.col("envelope.after").isNull(), "no row after the change")
    for name in shape.key:
        checks = checks.when(keyed & f.col("k")[name].isNull(), f"key column {name} is null or undecodable")
    for field in (field for field in writer.row.fields if field.name in shape.columns):
        raw = after[field.name]
        if (unfit := convert.unfit(raw, field, shape.placeholder)) is not None:
            checks = checks.when(unfit, _misfit(field))
        if convert.can_fail(field):
            stand_in = convert.placeholder(raw, field, shape.placeholder)
            misfit = raw.isNotNull() & f.col("v")[field.name].isNull()
            checks = checks.when(
                misfit if stand_in is None else misfit & ~stand_in, f"column {field.name} does not fit"
            )
    return checks


def _misfit(field: EventField) -> str:
    what = f"column {field.name} does not fit"
    return (
        f"{what} a list: `text: [{field.name}]` of its table carries any array" if field.physical == "array" else what
    )


def _place_missing(engine: str) -> Column:
    return reduce(lambda a, b: a | b, [f.col("place")[f"c{n}"].isNull() for n in range(len(LAYOUTS[engine].digits))])


def _components(engine: str) -> list[Column]:
    source = f.col("envelope.source")
    change = f.when(f.col("envelope.op") == "r", f.lit(0)).otherwise(f.lit(1))
    if engine == "postgres":
        parts = f.translate(source["sequence"], '[]" ', "")
        first = f.coalesce(f.substring_index(parts, ",", 1).try_cast("bigint"), f.lit(0))
        return [first, change, f.substring_index(parts, ",", -1).try_cast("bigint")]
    if engine == "mysql":
        number = f.substring_index(source["file"], ".", -1).try_cast("bigint")
        return [number, source["pos"], change]
    scn = f.coalesce(source["commit_scn"], source["scn"]).try_cast("bigint")
    return [scn, change, f.coalesce(source["txSeq"], f.lit(0))]


def _position(engine: str, epochs: Epochs) -> Column:
    digits = (EPOCH_DIGITS, *LAYOUTS[engine].digits, OFFSET_DIGITS)
    components = [f.col("place")[f"c{n}"] for n in range(len(LAYOUTS[engine].digits))]
    parts = (_epoch(epochs), *components, f.col("offset"))
    return f.lower(f.concat_ws("-", *[_hexadecimal(part, n) for part, n in zip(parts, digits, strict=True)]))


def _hexadecimal(number: Column, digits: int) -> Column:
    return f.hex(number) if digits == 1 else f.lpad(f.hex(number), digits, "0")


def _epoch(epochs: Epochs) -> Column:
    known = {pairs for pairs in epochs.values() if pairs}
    if len(known) == 1 and len(pairs := next(iter(known))) == 1:
        return f.lit(pairs[0][1])
    expression = f.lit(0)
    for partition, pairs in epochs.items():
        for offset, epoch in pairs:
            here = (f.col("partition") == partition) & (f.col("offset") >= offset)
            expression = f.when(here, f.lit(epoch)).otherwise(expression)
    return expression
