"""The schemas behind messages: from the registry, from the messages themselves, or from the source."""

import json

from cdc.config.sources import EventFormat
from cdc.core.errors import ConfigError, PoisonEvent
from cdc.core.types import parse_avro_key, parse_avro_row, parse_connect_row, parse_connect_struct
from cdc.kafka.registry import SchemaRegistry
from cdc.spark.batch import Resolve
from cdc.spark.envelope import Writer, fixed_decimals
from cdc.spark.microbatch import MicroBatch, SchemaPair


class Writers:
    """The schemas behind messages, per event format; those of the registry are kept."""

    def __init__(self, registry: SchemaRegistry | None, event_format: EventFormat) -> None:
        self._registry = registry
        self._format = event_format
        self._known: dict[tuple[str, SchemaPair], Writer] = {}

    def resolver(self, topic: str, batch: MicroBatch) -> Resolve:
        """Return the function that finds the writer of a pair of schema ids in one topic."""

        def resolve(pair: SchemaPair) -> Writer | str:
            if (topic, pair) not in self._known:
                try:
                    self._known[topic, pair] = self._read(topic, pair, batch)
                except (PoisonEvent, ValueError, KeyError) as error:
                    return f"schema not usable: {error}"
            return self._known[topic, pair]

        return resolve

    def _read(self, topic: str, pair: SchemaPair, batch: MicroBatch) -> Writer:
        if self._format is EventFormat.AVRO:
            return self._read_avro(pair)
        if self._format is EventFormat.JSON_SCHEMA:
            key, value = (json.loads(text)["schema"] for text in batch.sample(topic, pair.sample))
            return Writer(pair.key_id, pair.value_id, parse_connect_struct(key), parse_connect_row(value))
        raise ConfigError("events in JSON without schemas need the columns of the source")

    def _read_avro(self, pair: SchemaPair) -> Writer:
        if not pair.key_id or not pair.value_id:
            raise ValueError("the message is not in the registry's wire format")
        if self._registry is None:
            raise ConfigError("registry is missing")
        key, value = (fixed_decimals(self._registry.schema(i)) for i in (pair.key_id, pair.value_id))
        return Writer(
            pair.key_id,
            pair.value_id,
            parse_avro_key(json.loads(key)),
            parse_avro_row(json.loads(value)),
            key,
            value,
        )
