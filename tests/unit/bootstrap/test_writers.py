import json
from typing import Any

import pytest

from cdc.bootstrap.writers import Writers
from cdc.config.sources import EventFormat
from cdc.core.errors import ConfigError, PoisonEvent, TransientError
from cdc.core.types import EventField, EventSchema
from cdc.spark.envelope import Writer
from cdc.spark.microbatch import SchemaPair

KEY = {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "int"}]}
AFTER = {"name": "after", "type": ["null", {**KEY, "name": "Value"}]}
ENVELOPE = {"type": "record", "name": "Envelope", "fields": [AFTER]}
PAIR = SchemaPair(b"\0\0\0\0\1", b"\0\0\0\0\2")


class Registry:
    """Two schemas, and what it raises instead."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked = 0

    def schema(self, number: int) -> str:
        self.asked += 1
        if self.failure:
            raise self.failure
        return json.dumps({1: KEY, 2: ENVELOPE}[number])


class OneMessage:
    """A micro-batch whose sample is this message."""

    def __init__(self, key: bytes, value: bytes) -> None:
        self._message = key, value

    def sample(self, topic: str, place: tuple[int, int]) -> tuple[bytes, bytes]:  # noqa: ARG002 - as the real one
        return self._message


def resolve(writers: Writers, pair: SchemaPair = PAIR, batch: Any = None) -> Writer | str:
    return writers.resolver("shop.public.t", batch)(pair)


def avro(registry: Registry) -> Writers:
    return Writers(registry, EventFormat.AVRO)  # type: ignore[arg-type]


def test_schemas_of_the_registry_are_asked_for_once() -> None:
    registry = Registry()
    writers = avro(registry)
    for _ in range(2):
        writer = resolve(writers)
        assert isinstance(writer, Writer)
        assert writer.key.columns() == writer.row.columns() == {"id": "int"}
    assert registry.asked == 2


def test_messages_outside_the_wire_format_are_told_why() -> None:
    reason = resolve(avro(Registry()), SchemaPair(PAIR.key_mark, b""))
    assert reason == "schema not usable: the message is not in the registry's wire format"


def test_a_truncate_has_no_key() -> None:
    """P14: its key is null in every format."""
    writer = resolve(avro(Registry()), SchemaPair(b"", PAIR.value_mark))
    assert isinstance(writer, Writer)
    assert (writer.key_schema, writer.key) == ("", writer.row)
    fields = [{"type": "int64", "field": "id"}]
    block = {"type": "struct", "fields": [{"type": "struct", "field": "after", "fields": fields}]}
    batch = OneMessage(b"", json.dumps({"schema": block, "payload": {}}).encode())
    writer = resolve(Writers(None, EventFormat.JSON_SCHEMA), batch=batch)
    assert isinstance(writer, Writer)
    assert writer.key == writer.row


def test_an_unknown_schema_is_poison_and_a_registry_away_is_not() -> None:
    """K12."""
    assert "schema 2 is unknown" in str(resolve(avro(Registry(PoisonEvent("schema 2 is unknown")))))
    with pytest.raises(TransientError):
        resolve(avro(Registry(TransientError("registry away"))))


def test_schemas_in_messages_are_read_from_a_sample() -> None:
    fields = [{"type": "int64", "field": "id"}]
    block = {"type": "struct", "fields": [{"type": "struct", "field": "after", "fields": fields}]}
    key, value = ({"schema": s, "payload": {}} for s in ({"type": "struct", "fields": fields}, block))
    batch = OneMessage(json.dumps(key).encode(), json.dumps(value).encode())
    writer = resolve(Writers(None, EventFormat.JSON_SCHEMA), batch=batch)
    assert isinstance(writer, Writer)
    assert writer.row.columns() == {"id": "long"}


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"payload":1}', b"\xff\xfe", b"null", b'{"schema":null}'])
def test_a_sample_that_is_no_envelope_is_told_why(value: bytes) -> None:
    reason = resolve(Writers(None, EventFormat.JSON_SCHEMA), batch=OneMessage(b'{"schema":{}}', value))
    assert str(reason).startswith("schema not usable: ")


def test_json_without_schemas_asks_the_source_for_every_batch() -> None:
    """A column that was added meanwhile must not be overlooked."""
    answers = [EventSchema((EventField("id", "id", "int"),)), EventSchema((EventField("id", "id", "long"),))]
    writers = Writers(None, EventFormat.JSON, lambda _topic: (answers[0], answers.pop(0)))
    found = [resolve(writers), resolve(writers)]
    assert [w.row.columns() for w in found if isinstance(w, Writer)] == [{"id": "int"}, {"id": "long"}]


def test_json_without_schemas_and_without_a_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'shop\.public\.t'"):
        resolve(Writers(None, EventFormat.JSON))
