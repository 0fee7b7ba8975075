"""The schemas behind messages: from the registry, from the messages themselves, or from the source."""

import json
from collections.abc import Callable
from typing import Any

from cdc.bootstrap.databases import source_database
from cdc.config.sources import EventFormat, OracleSource, SourceConfig, TableConfig
from cdc.core.errors import ConfigError, PoisonEvent
from cdc.core.preflight import SourceTable, excluded_columns
from cdc.core.source_types import event_key, event_row
from cdc.core.types import EventSchema, parse_avro_key, parse_avro_row, parse_connect_row, parse_connect_struct
from cdc.kafka.registry import SchemaRegistry
from cdc.spark.batch import Resolve
from cdc.spark.envelope import Writer, fixed_decimals
from cdc.spark.microbatch import MicroBatch, SchemaPair

ColumnsOf = Callable[[str], tuple[EventSchema, EventSchema]]
"""Return the columns of key and row in the events of a topic, as the source declares its table now."""


def no_columns(topic: str) -> tuple[EventSchema, EventSchema]:
    """Refuse to read events in JSON without schemas; raises ConfigError."""
    raise ConfigError(
        f"events of {topic!r} are JSON without schemas, and their source is not known",
        hint="use the format avro or json_schema",
    )


def source_columns(source: SourceConfig) -> ColumnsOf:
    """Return the function that asks the source's database for the columns of a topic's table."""
    tables = {source.topic_of(table): table for table in source.tables}

    def columns_of(topic: str) -> tuple[EventSchema, EventSchema]:
        table = tables[topic]
        declared = _declared(source, table)
        excluded = excluded_columns(declared, source.excluded_columns)
        row = event_row(source.type, declared.columns, excluded, table.text)
        return event_key(row, table.key), row

    return columns_of


def _declared(source: SourceConfig, table: TableConfig) -> SourceTable:
    if isinstance(source, OracleSource):
        raise ConfigError(f"source {source.name!r}: format json is not supported for {source.type}", hint="use avro")
    return source_database(source).table(*table.source)


class Writers:
    """The schemas behind messages, per event format; those of registry and messages are kept.

    Events in JSON without schemas say nothing of their columns: ``columns_of`` is asked for every batch.
    """

    def __init__(
        self, registry: SchemaRegistry | None, event_format: EventFormat, columns_of: ColumnsOf = no_columns
    ) -> None:
        self._registry = registry
        self._format = event_format
        self._columns_of = columns_of
        self._known: dict[tuple[str, SchemaPair], Writer] = {}

    def resolver(self, topic: str, batch: MicroBatch) -> Resolve:
        """Return the function that finds the writer of a pair of schema ids in one topic."""

        def resolve(pair: SchemaPair) -> Writer | str:
            if self._format is EventFormat.JSON:
                return Writer(0, 0, *self._columns_of(topic))
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
        key, value = batch.sample(topic, pair.sample)
        row = parse_connect_row(_block(value))
        return Writer(0, 0, parse_connect_struct(_block(key)) if key else row, row)

    def _read_avro(self, pair: SchemaPair) -> Writer:
        if not pair.value_id:
            raise ValueError("the message is not in the registry's wire format")
        if self._registry is None:
            raise ConfigError("registry is missing", hint="write registry.url into the configuration")
        value = fixed_decimals(self._registry.schema(pair.value_id))
        row = parse_avro_row(json.loads(value))
        if not pair.key_id:  # a truncate; other messages are found to have no key
            return Writer(0, pair.value_id, row, row, "", value)
        key = fixed_decimals(self._registry.schema(pair.key_id))
        return Writer(pair.key_id, pair.value_id, parse_avro_key(json.loads(key)), row, key, value)


def _block(message: bytes) -> dict[str, Any]:
    """Return the schema block of a JSON message; raises ValueError if there is none."""
    document = json.loads(message)
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, dict):
        raise ValueError("no schema block")  # noqa: TRY004 - the text is wrong, not the program
    return schema
