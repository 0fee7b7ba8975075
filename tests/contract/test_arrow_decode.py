"""What is decoded at the driver is what Spark decodes, column by column; the rest is left to Spark, by name."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from cdc.bootstrap.writers import Writers
from cdc.config.sources import EventFormat
from cdc.core.batch import Skip
from cdc.core.progress import PartitionProgress, Progress
from cdc.spark.arrow_decode import decode_here
from cdc.spark.batch import SparkTableBatch, TableFormat
from cdc.spark.decode import RowShape
from cdc.spark.envelope import Writer
from cdc.spark.microbatch import MESSAGE_DDL, MicroBatch, messages_of
from cdc.spark.work import Direct
from tests.contract.events import Topic, column
from tests.contract.test_formats import RecordedRegistry
from tests.lake import PLACEHOLDER, LakeTable, Message
from tests.samples import messages, recorded

EPOCHS = dict.fromkeys(range(3), ((0, 3), (7, 4)))
FRESH = Skip(Progress("t", "id"))
NOT_PLAIN = {
    "postgres": {
        *("a_i", "a_t", "a_n", "a_ts", "a_u", "a_b", "a_d", "a_e", "p", "bx", "li"),
        *("bit5", "bit12", "vb", "tsq", "mr", "lsn", "tstz"),
    },
    "mysql": {"g", "p", "b9"},
}
"""Columns of the recordings that Spark decodes: they are lists, structs, bits, text in bytes, or hold an infinity."""


def both(lake: tuple[Any, Any], table: LakeTable, rows: list[Any], writers: Any, shape: RowShape, **more: Any) -> Any:
    """Return what is decoded at the driver, and by Spark."""
    session, _ = lake
    frame = session.createDataFrame(rows, MESSAGE_DDL)
    with gathered(frame, table.spec.topic) as part:
        known = {pair: writers(pair) for pair in part.schemas}
        skip, truncated = more.get("skip", FRESH), more.get("truncated", "")
        here = decode_here(part.gathered, known, shape, skip, EPOCHS, truncated)
        batch = SparkTableBatch(lambda: session, "none", part, table_format(table), None, writers, Direct())  # type: ignore[arg-type]
        return here, batch._events(shape, skip, EPOCHS, truncated).toArrow()  # noqa: SLF001 - the other way


@contextmanager
def gathered(frame: Any, topic: str) -> Iterator[Any]:
    micro = MicroBatch(frame, "none", {topic: "avro"}, frame.count())
    try:
        yield micro.slices()[topic]
    finally:
        micro.close()


def table_format(table: LakeTable) -> TableFormat:
    return TableFormat("shop", table.spec.topic, table.spec.engine, "avro", table.spec.key, PLACEHOLDER)


def sorted_rows(events: pa.Table) -> list[dict[str, Any]]:
    """Return the events in the order of their offsets; which of these columns were left out has no order."""
    columns = {field.name for field in events.schema.field("v").type}
    found = [
        {**row, "unavailable": sorted(columns.intersection(row["unavailable"]))} for row in numbered(events).to_pylist()
    ]
    return sorted(found, key=lambda row: (row["partition"], row["offset"]))


def numbered(events: pa.Table) -> pa.Table:
    """Return the events with times as numbers: some lie outside of Python's years."""

    def number(values: pa.Array) -> pa.Array:
        return values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())

    row = events["v"].combine_chunks()
    names = [field.name for field in row.type]
    parts = [number(part) if pa.types.is_temporal(part.type) else part for part in row.flatten()]
    return events.set_column(
        events.schema.get_field_index("v"), "v", pa.StructArray.from_arrays(parts, names, mask=row.is_null())
    )


def of_columns(events: pa.Table, names: Iterable[str]) -> pa.Table:
    """Return the events with these columns of their rows alone."""
    row = events["v"].combine_chunks()
    parts = dict(zip([field.name for field in row.type], row.flatten(), strict=True))
    fields = [row.type.field(name) for name in names]
    narrow = pa.StructArray.from_arrays([parts[x.name] for x in fields], fields=fields, mask=row.is_null())
    return events.set_column(events.schema.get_field_index("v"), "v", narrow)


def assert_equal(here: pa.Table | str, spark: pa.Table) -> None:
    assert not isinstance(here, str), here
    assert here.schema.names == spark.schema.names
    for name in ("k", "v", "old_key", "new_key"):
        assert here.schema.field(name).type == spark.schema.field(name).type, name
    assert repr(sorted_rows(here)) == repr(sorted_rows(spark)), "by their texts: NaN is equal to itself"


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_recorded_messages_are_decoded_alike_column_by_column(lake: tuple[Any, Any], engine: str) -> None:
    """Every message of real connectors: snapshot, updates, a key change, deletes, values left out."""
    table = LakeTable(*lake, [], name=f"decoded_{engine}", engine=engine)
    registry = Writers(RecordedRegistry(engine), EventFormat.AVRO)  # type: ignore[arg-type]
    resolve = registry.resolver(table.spec.topic, None)  # type: ignore[arg-type]
    samples = [s for s in messages(engine, "avro") if s.value is not None]
    rows = [(table.spec.topic, 0, s.offset, None, s.key, s.value, s.headers or None) for s in samples]
    writers = [resolve(pair) for pair in pairs(lake, table, rows)]
    columns: dict[str, str] = {}
    for writer in writers:
        assert isinstance(writer, Writer)
        columns |= writer.row.columns()
    left = set[str]()
    _, spark = both(lake, table, rows, resolve, RowShape(engine, ("id",), columns, PLACEHOLDER))
    with gathered(lake[0].createDataFrame(rows, MESSAGE_DDL), table.spec.topic) as part:
        known = {pair: resolve(pair) for pair in part.schemas}
        for name, kind in columns.items():
            shape = RowShape(engine, ("id",), {"id": columns["id"], name: kind}, PLACEHOLDER)
            here = decode_here(part.gathered, known, shape, FRESH, EPOCHS, "")
            if isinstance(here, str):
                left.add(name)
            else:
                assert_equal(here, of_columns(spark, shape.columns))
    assert left == NOT_PLAIN[engine], sorted(left)
    assert set(columns) == {c.name for c in recorded(engine).columns}


def pairs(lake: tuple[Any, Any], table: LakeTable, rows: list[Any]) -> Any:
    with gathered(lake[0].createDataFrame(rows, MESSAGE_DDL), table.spec.topic) as part:
        return part.schemas


def kinds() -> list[dict[str, Any]]:
    """Return a column of each plain type, as connectors declare them."""

    def semantic(name: str, physical: str, **more: Any) -> Any:
        return ["null", {"type": physical, "connect.name": name, **more}]

    def source(kind: str, physical: str, **parameters: str) -> Any:
        told = {"type": kind, **parameters}
        return [
            "null",
            {"type": physical, "connect.parameters": {f"__debezium.source.column.{n}": v for n, v in told.items()}},
        ]

    exact = {
        "logicalType": "decimal",
        "precision": 12,
        "scale": 2,
        "connect.parameters": {"connect.decimal.precision": "12"},
    }
    return [
        column("id", "long"),
        column("t", ["null", "string"]),
        column("i", ["null", "int"]),
        column("f", ["null", "float"]),
        column("d", ["null", "double"]),
        column("b", ["null", "boolean"]),
        column("raw", ["null", "bytes"]),
        column("day", semantic("io.debezium.time.Date", "int")),
        column("ms", semantic("io.debezium.time.Timestamp", "long")),
        column("us", semantic("io.debezium.time.MicroTimestamp", "long")),
        column("tz", semantic("io.debezium.time.ZonedTimestamp", "string")),
        column("tod", semantic("io.debezium.time.Time", "int")),
        column("tou", semantic("io.debezium.time.MicroTime", "long")),
        column("code", semantic("io.debezium.data.Uuid", "string")),
        column("num", source("NUMERIC", "string", length="12", scale="2")),
        column("big", source("NUMERIC", "string", length="0", scale="0")),
        column("neg", source("NUMERIC", "string", length="5", scale="2046")),
        column("bool", source("BOOLEAN", "boolean")),
        column("dec", semantic("org.apache.kafka.connect.data.Decimal", "bytes", **exact)),
    ]


def row(number: int, chosen: random.Random) -> dict[str, Any]:
    """Return a row of plain values, their extremes among them."""
    values: dict[str, Any] = {
        "t": chosen.choice(["", " trailing ", "ü\u0000\U0001f600", PLACEHOLDER]),
        "i": chosen.choice([0, -(2**31), 2**31 - 1]),
        "f": chosen.choice([0.1, -0.0, float("inf"), float("nan")]),
        "d": chosen.choice([0.1, -0.0, 5e-324, float("-inf"), float("nan")]),
        "b": chosen.random() < 0.5,
        "raw": chosen.choice([b"", b"\x00\xff", PLACEHOLDER.encode()]),
        "day": chosen.choice([-719162, 0, 2932896]),
        "ms": chosen.choice([-62135596800000, 0, 253402300799999]),
        "us": chosen.choice([-62135596800000000, 1, 253402300799999999]),
        "tz": chosen.choice(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00.5Z", "9999-12-31T23:59:59.999999Z"]),
        "tod": chosen.choice([0, 86_399_999]),
        "tou": chosen.choice([0, 86_399_999_999]),
        "code": "5f1b6f2e-0000-4000-8000-000000000001",
        "num": chosen.choice(["0", "-1.5", "9999999999.99", PLACEHOLDER]),
        "big": chosen.choice(["NAN", "POSITIVE_INFINITY", "1.50", "1" * 60]),
        "neg": chosen.choice(["1200.00", "0.", "-300"]),
        "bool": chosen.random() < 0.5,
        "dec": chosen.choice([Decimal("0.00"), Decimal("-9999999999.99"), Decimal("1.50")]),
    }
    return {"id": number, **{name: None if chosen.random() < 0.2 else value for name, value in values.items()}}


@pytest.mark.parametrize("engine", ["postgres", "mysql", "oracle"])
def test_plain_values_are_decoded_alike(lake: tuple[Any, Any], engine: str) -> None:
    """P2, P48, P55: nulls, extremes, values left out, columns that a writer does not know, epochs, what is skipped."""
    chosen = random.Random(f"plain {engine}")
    columns = kinds()
    table = LakeTable(*lake, columns, name=f"plain_{engine}", engine=engine)
    topic, old = Topic(engine), [c for c in columns if c["name"] not in ("t", "day")]
    writers = {1: table.writer(old, 1), 2: table.writer(columns, 2)}
    told = [(n % 3 != 0, change(topic, row(n, chosen), n, chosen)) for n in range(120)]
    rows = [table._row(stripped(m, old) if not new else m, writers[new + 1], new + 1) for new, m in told]  # noqa: SLF001
    rows = [r for r in rows if r[5] is not None]
    shape = RowShape(engine, ("id",), writers[2].row.columns(), PLACEHOLDER)
    skip = Skip(Progress("t", "id", {0: PartitionProgress(5)}), {b"other": (0, 1)}, {1: 30})
    for number, more in enumerate([{}, {"skip": skip}, {"truncated": place(engine)}]):
        here, spark = both(lake, table, rows, table.resolver(None, writers), shape, **more)  # type: ignore[arg-type]
        assert_equal(here, spark)
        assert (here.num_rows < len(rows)) == bool(number)


def change(topic: Topic, values: dict[str, Any], n: int, chosen: random.Random) -> Message:
    at: tuple[Any, ...] = {
        "postgres": (None if n % 7 == 0 else 100 + n, 1000 + n),
        "mysql": (f"binlog.{n // 50:06}", 4 + n),
        "oracle": (str(n), None if n % 5 else str(n + 2**53), None if n % 2 else n),
    }[topic.engine]
    headers = (
        {chosen.choice(["__debezium.oldkey", "__debezium.newkey", "other"]): {"id": n + 1}} if n % 4 == 0 else None
    )
    snapshot = chosen.choice(["true", "incremental", "false", None])
    operation = chosen.choice("crud")
    return topic.change(operation, values, at, partition=n % 3, snapshot=snapshot, headers=headers)  # type: ignore[arg-type]


def stripped(message: Message, columns: list[dict[str, Any]]) -> Message:
    """Return the message as a writer that knows these columns only has written it."""
    after = (message.value or {})["after"]
    known = None if after is None else {c["name"]: after[c["name"]] for c in columns}
    return Message(
        message.partition, message.offset, message.key, {**(message.value or {}), "after": known}, message.headers
    )


def place(engine: str) -> str:
    """Return a place in the middle of the changes."""
    return {
        "postgres": "00000003-0000000000000090-0-0000000000000000",
        "mysql": "00000003-00000001-0000000000000000-0",
        "oracle": "00000003-0000000000000030-0-0000000000000000",
    }[engine]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"num": "1E+3"}, "a number in another form"),
        ({"num": "99999999999.99"}, "ArrowInvalid"),
        ({"num": "1.555"}, "ArrowInvalid"),
        ({"tz": "infinity"}, "ArrowInvalid"),
        ({"us": 2**63 - 1}, None),
        ({"ms": 2**63 - 1}, "ArrowInvalid"),
    ],
)
def test_what_is_not_in_the_usual_form_is_left_to_spark(lake: tuple[Any, Any], values: Any, why: str | None) -> None:
    chosen = random.Random(1)
    table = LakeTable(*lake, kinds(), name="unusual")
    writer = table.writer(kinds(), 1)
    message = Topic().change("c", {**row(1, chosen), **values}, (10, 11))
    shape = RowShape("postgres", ("id",), writer.row.columns(), PLACEHOLDER)
    frame = lake[0].createDataFrame([table._row(message, writer, 1)], MESSAGE_DDL)  # noqa: SLF001
    with gathered(frame, table.spec.topic) as part:
        found = decode_here(part.gathered, dict.fromkeys(part.schemas, writer), shape, FRESH, EPOCHS, "")
    assert found == why if why else not isinstance(found, str)


def test_what_spark_has_to_judge_is_left_to_it(lake: tuple[Any, Any]) -> None:
    """K12: broken bytes, no key, a truncate, a message behind a quarantined one, an unknown schema."""
    table = LakeTable(*lake, kinds()[:3], name="judged")
    writer, topic = table.writer(kinds()[:3], 1), Topic()
    good = topic.change("c", {"id": 1, "t": "x", "i": 1}, (10, 11))
    raw = table._row(good, writer, 1)  # noqa: SLF001
    shape = RowShape("postgres", ("id",), writer.row.columns(), PLACEHOLDER)

    def found(row: Any, known: Any = writer, skip: Skip = FRESH) -> Any:
        with gathered(lake[0].createDataFrame([row], MESSAGE_DDL), table.spec.topic) as part:
            return decode_here(part.gathered, dict.fromkeys(part.schemas, known), shape, skip, EPOCHS, "")

    assert not isinstance(found(raw), str)
    assert isinstance(found((*raw[:5], raw[5][:9], None)), str)
    assert found((*raw[:4], None, *raw[5:])) == "a message without a key"
    assert found(table._row(topic.truncate((20, 21)), writer, 1)) != ""  # noqa: SLF001
    assert found(raw, "unknown schema") == "messages without a schema"
    assert found(raw, skip=Skip(Progress("t", "id"), {raw[4]: (0, 0)})).startswith("a message that may wait")


def test_a_share_with_headers_cut_out_of_a_batch_stopped_its_table(lake: tuple[Any, Any]) -> None:
    """PySpark does not take slices of lists among which are nulls: Arrow has not implemented that."""
    headers = [None, [("h", b"1")], None, [("h", b"2")], None]
    rows = [("t" if n < 2 else "u", 0, n, None, b"k", b"v", one) for n, one in enumerate(headers)]
    frame = lake[0].createDataFrame(rows, MESSAGE_DDL).coalesce(1)
    micro = MicroBatch(frame, "cut_out", {"t": "avro", "u": "avro"}, len(rows))
    part = micro.slices()["u"]
    found = messages_of(lake[0], "cut_out", "u", part.gathered).orderBy("offset").collect()
    assert [(one.offset, one.headers and one.headers[0].value) for one in found] == [(2, None), (3, b"2"), (4, None)]
    micro.close()


def test_messages_too_large_to_be_gathered_are_read_by_spark(
    lake: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S41: and those of other topics are gathered all the same."""
    monkeypatch.setattr("cdc.spark.microbatch.GATHERED_BYTES", 3000)
    rows = [
        ("small", 0, 0, None, b"k", b"\0\0\0\0\1v", None),
        ("large", 0, 5, None, b"k", b"\0\0\0\0\2" + b"v" * 5000, None),
    ]
    rows += [("small", 1, 3, None, b"k", None, None)]
    micro = MicroBatch(lake[0].createDataFrame(rows, MESSAGE_DDL), "too_large", {"small": "avro", "large": "avro"}, 3)
    slices = micro.slices()
    small, large = slices["small"], slices["large"]
    assert small.gathered is not None
    assert large.gathered is None
    assert (small.messages, small.first_offsets, {p.value_id for p in small.schemas}) == (2, {0: 0, 1: 3}, {1})
    assert (large.messages, large.bytes, {p.value_id for p in large.schemas}) == (1, 5005, {2})
    assert micro.sample("large", (0, 5))[1].endswith(b"v")
    assert micro.sample("small", (0, 0)) == (b"k", b"\0\0\0\0\1v")
    micro.close(drop_view=True)
