"""The topic of the measurement: changes as Debezium's PostgreSQL connector writes them, in Avro with the registry."""

import io
import json
import random
from typing import Any

import fastavro
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from cdc.config.services import KafkaConfig
from cdc.kafka.topics import KafkaTopics
from cdc.local.addresses import Addresses

TOPIC = "bench.public.accounts"
TARGET = ("bench", "accounts")
Contents = dict[int, tuple[str, str, int, int]]
"""Key -> owner, balance, visits, changed_at in microseconds."""

_START = 1_700_000_000_000_000


def _column(name: str, avro: str, source: str, **more: Any) -> dict[str, Any]:
    parameters = {"__debezium.source.column.type": source, "__debezium.source.column.name": name}
    for what in ("length", "scale"):
        if what in more:
            parameters[f"__debezium.source.column.{what}"] = str(more.pop(what))
    return {"name": name, "type": ["null", {"type": avro, "connect.parameters": parameters, **more}], "default": None}


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    zoned = {"connect.version": 1, "connect.name": "io.debezium.time.ZonedTimestamp"}
    columns = [
        {"name": "id", "type": {"type": "long", "connect.parameters": {"__debezium.source.column.type": "INT8"}}},
        _column("owner", "string", "TEXT", length=2147483647, scale=0),
        _column("balance", "string", "NUMERIC", length=12, scale=2),
        _column("visits", "int", "INT4", length=10, scale=0),
        _column("changed_at", "string", "TIMESTAMPTZ", length=35, scale=6, **zoned),
    ]
    text, number = {"type": "string"}, ["null", "long"]
    source = [{"name": name, **text} for name in ("version", "connector", "name")]
    source += [{"name": "ts_ms", "type": "long"}, {"name": "snapshot", "type": ["string", "null"], "default": "false"}]
    source += [{"name": "db", **text}, {"name": "sequence", "type": ["null", "string"], "default": None}]
    source += [{"name": name, "type": number, "default": None} for name in ("ts_us", "ts_ns")]
    source += [{"name": "schema", **text}, {"name": "table", **text}]
    source += [{"name": name, "type": number, "default": None} for name in ("txId", "lsn", "xmin")]
    row = {"type": "record", "name": "Value", "fields": columns}
    envelope = {
        "type": "record",
        "name": "Envelope",
        "namespace": TOPIC,
        "fields": [
            {"name": "before", "type": ["null", row], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {
                "name": "source",
                "type": {"type": "record", "name": "Source", "namespace": "io.debezium", "fields": source},
            },
            {"name": "op", **text},
            *({"name": name, "type": number, "default": None} for name in ("ts_ms", "ts_us", "ts_ns")),
        ],
    }
    key = {"type": "record", "name": "Key", "namespace": TOPIC, "fields": [{"name": "id", "type": "long"}]}
    return key, envelope


def fill(addresses: Addresses, changes: int, keys: int, seed: int, partitions: int = 4) -> Contents:
    """Write the changes and return what they make of the keys."""
    kafka = KafkaConfig(bootstrap_servers=addresses.kafka)
    KafkaTopics(kafka).create(TOPIC, partitions=partitions, replication_factor=1, settings={})
    registry = SchemaRegistryClient({"url": addresses.registry})
    encoders = [_Encoder(registry, part, schema) for part, schema in zip(("key", "value"), _schemas(), strict=True)]
    producer = Producer(
        {
            "bootstrap.servers": addresses.kafka,
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.size": 262144,
            "queue.buffering.max.messages": 200_000,
        }
    )
    randomness = random.Random(seed)
    contents: Contents = {}
    for number in range(changes):
        key = randomness.randrange(keys)
        operation = randomness.choices("cud", (10, 80, 10))[0]
        row = _row(key, number, randomness) if operation != "d" else None
        raw_key = encoders[0].encode({"id": key})
        _send(producer, raw_key, encoders[1].encode(_event(operation, number, row)), key % partitions)
        if row is None:
            _send(producer, raw_key, None, key % partitions)
            contents.pop(key, None)
        else:
            contents[key] = (row["owner"], row["balance"], row["visits"], _START + number)
    producer.flush()
    return contents


def _row(key: int, number: int, randomness: random.Random) -> dict[str, Any]:
    micros = number % 1_000_000
    minutes, seconds = divmod(number // 1_000_000, 60)
    # _START is 2023-11-14T22:13:20Z
    at = f"2023-11-14T22:{13 + minutes:02d}:{20 + seconds:02d}.{micros:06d}Z"
    cents = randomness.randrange(10_000_000)
    balance = f"{cents // 100}.{cents % 100:02d}"
    return {"id": key, "owner": f"owner {key}", "balance": balance, "visits": number, "changed_at": at}


def _event(operation: str, number: int, row: dict[str, Any] | None) -> dict[str, Any]:
    lsn = 1_000_000 + number * 100
    milliseconds = (_START + number) // 1000
    source = {
        "version": "3.7.0.Final",
        "connector": "postgresql",
        "name": "bench",
        "ts_ms": milliseconds,
        "snapshot": "false",
        "db": "bench",
        "sequence": f'["{lsn - 50}","{lsn}"]',
        "ts_us": _START + number,
        "ts_ns": (_START + number) * 1000,
        "schema": "public",
        "table": "accounts",
        "txId": 1000 + number,
        "lsn": lsn,
        "xmin": None,
    }
    return {"before": None, "after": row, "source": source, "op": operation, "ts_ms": milliseconds}


def _send(producer: Producer, key: bytes, value: bytes | None, partition: int) -> None:
    while True:
        try:
            producer.produce(TOPIC, key=key, value=value, partition=partition)
        except BufferError:
            producer.poll(0.1)
        else:
            return


class _Encoder:
    """Encodes records in the registry's wire format."""

    def __init__(self, registry: SchemaRegistryClient, part: str, schema: dict[str, Any]) -> None:
        number = registry.register_schema(f"{TOPIC}-{part}", Schema(json.dumps(schema), "AVRO"))
        self._header = b"\0" + number.to_bytes(4, "big")
        self._schema = fastavro.parse_schema(schema)

    def encode(self, record: dict[str, Any]) -> bytes:
        """Return the framed bytes."""
        out = io.BytesIO()
        out.write(self._header)
        fastavro.schemaless_writer(out, self._schema, record)
        return out.getvalue()
