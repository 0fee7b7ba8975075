"""Many Avro messages at once: what fastavro makes of each, and no message is taken for another."""

import io
import json
import random
from typing import Any

import fastavro
import polars as pl
import pyarrow as pa
import pytest

from cdc.spark.arrow_values import Refused
from cdc.spark.avro_batch import container, read_all

FRAME = b"\0\0\0\0\7"
VALUES: dict[str, list[Any]] = {
    "boolean": [False, True],
    "int": [0, -1, 2**31 - 1, -(2**31)],
    "long": [0, 63, -64, 64, 2**63 - 1, -(2**63)],
    "float": [0.0, -0.5, 1.5],
    "double": [0.0, -0.5, 1e300],
    "bytes": [b"", b"\0\xff", b"x" * 200],
    "string": ["", "ü\0\U0001f600", "y" * 100],
}
SEED = random.SystemRandom().randrange(10**6)


def encoded(schema: Any, value: Any) -> bytes:
    out = io.BytesIO(FRAME)
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def record(name: str, *fields: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields], **more}


def drawn(rng: random.Random, depth: int, names: list[int]) -> Any:
    """Draw a schema of a field."""
    kind = rng.choice([*VALUES, "union", "record", "array", "map"][: None if depth < 2 else len(VALUES)])
    if kind == "union":
        other = drawn(rng, depth + 1, names)
        return rng.choice([["null", other], [other, "null"]]) if not isinstance(other, list) else other
    if kind == "record":
        names.append(number := len(names))
        fields = [(f"f{n}", drawn(rng, depth + 1, names)) for n in range(rng.randrange(1, 4))]
        return record(f"R{number}", *fields, namespace="some.space")
    if kind == "array":
        return {"type": "array", "items": drawn(rng, depth + 1, names)}
    if kind == "map":
        return {"type": "map", "values": drawn(rng, depth + 1, names)}
    return {"type": kind, "connect.name": "io.some.Type"} if rng.random() < 0.3 else kind


def value(rng: random.Random, schema: Any) -> Any:
    """Draw a value of a schema."""
    if isinstance(schema, list):
        return None if rng.random() < 0.4 else value(rng, next(part for part in schema if part != "null"))
    kind = schema["type"] if isinstance(schema, dict) else schema
    match kind:
        case "record":
            return {field["name"]: value(rng, field["type"]) for field in schema["fields"]}
        case "array":
            return [value(rng, schema["items"]) for _ in range(rng.randrange(3))]
        case "map":
            return {f"k{n}": value(rng, schema["values"]) for n in range(rng.randrange(3))}
    return rng.choice(VALUES[kind])


def entries(schema: Any, found: Any) -> Any:
    """Return a value with its maps as lists of entries."""
    if found is None:
        return None
    if isinstance(schema, list):
        return entries(next(part for part in schema if part != "null"), found)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        return {field["name"]: entries(field["type"], found[field["name"]]) for field in schema["fields"]}
    if kind == "array":
        return [entries(schema["items"], one) for one in found]
    if kind == "map":
        return [{"key": key, "value": entries(schema["values"], one)} for key, one in found.items()]
    return found


def test_any_schema_is_read_as_fastavro_reads_it() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(150):
        names: list[int] = []
        schema = record("Top", *((f"c{n}", drawn(rng, 0, names)) for n in range(rng.randrange(1, 6))))
        values = [value(rng, schema) for _ in range(rng.randrange(1, 20))]
        parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
        messages = pa.array([b"none", *(encoded(parsed, one) for one in values)], pa.binary()).slice(1)
        found = read_all(pa.chunked_array([messages]), container(json.dumps(schema)))
        rows = pa.table(found).to_pylist()
        assert rows == [entries(schema, one) for one in values], schema


def test_a_record_that_is_named_twice_is_read_twice() -> None:
    """Debezium writes out the row's type once, for before, and names it for after."""
    row = record("Value", ("id", "long"), ("t", ["null", "string"]))
    schema = record("Envelope", ("before", ["null", row]), ("after", ["null", "Value"]), namespace="shop.public.t")
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    told = [{"before": None, "after": {"id": 1, "t": "x"}}, {"before": {"id": 1, "t": None}, "after": None}]
    messages = pa.chunked_array([pa.array([encoded(parsed, one) for one in told], pa.binary())])
    assert pa.table(read_all(messages, container(json.dumps(schema)))).to_pylist() == told


NUMBERED = record("N", ("id", "long"), ("t", "string"))


@pytest.mark.parametrize("broken", [b"\0", b"", b"\xff\xff", FRAME], ids=repr)
def test_no_message_is_read_from_where_it_does_not_begin(broken: bytes) -> None:
    """K12: of a message that is too long or too short, all of a batch is left to Spark, which says which one it is."""
    good = encoded(fastavro.parse_schema(NUMBERED), {"id": 5, "t": "abc"})
    bad = good + broken if broken else good[:-1]
    messages = pa.chunked_array([pa.array([bad, good, good], pa.binary())])
    with pytest.raises((Refused, OSError, pl.exceptions.PolarsError)):
        read_all(messages, container(json.dumps(NUMBERED)))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (["null", "int", "string"], "a union of several types"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "Avro's enum"),
        ({"type": "fixed", "name": "F", "size": 3}, "Avro's fixed"),
    ],
)
def test_what_is_not_read_exactly_is_refused_by_its_schema(kind: Any, why: str) -> None:
    with pytest.raises(Refused, match=why):
        container(json.dumps(record("R", ("c", kind))))


def test_a_message_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="without a key"):
        read_all(pa.chunked_array([pa.array([None], pa.binary())]), container(json.dumps(NUMBERED)))
