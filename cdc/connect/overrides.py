"""Settings that a user may not change, each with the reason; everything else of Debezium is theirs."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from cdc.core.errors import ConfigError


class Refusal(NamedTuple):
    """Why the values of one setting that do not pass ``allowed`` are refused."""

    allowed: Callable[[str], bool]
    reason: str


def _only(*values: str) -> Callable[[str], bool]:
    return lambda value: value.strip().lower() in values


def _at_least(number: int) -> Callable[[str], bool]:
    return lambda value: value.strip().isdigit() and int(value) >= number


def _never(_value: str) -> bool:
    return False


_FAIL = Refusal(_only("fail"), "changes that cannot be processed would be skipped silently")
_DERIVED = Refusal(_never, "it is derived from the rest of the configuration")
_ALL_DDL = Refusal(_only("false"), "a table that is captured later needs the definitions of its past")
_NULLS = Refusal(_only("false"), "NULL would become the column's default")
_MEMORY = Refusal(_only("0"), "long transactions would be abandoned silently")
_UNWRAP = Refusal(
    _never, "a transformation can drop the position, the old row or the operation, and order needs them all"
)
_ADJUST = Refusal(_only("avro"), "column names would depend on the format of the messages")

_DERIVED_KEYS = (
    "name",
    "connector.class",
    "topic.prefix",
    "table.include.list",
    "table.exclude.list",
    "message.key.columns",
    "snapshot.include.collection.list",
    "database.hostname",
    "database.port",
    "database.user",
    "database.password",
    "database.dbname",
    "database.include.list",
    "database.server.id",
    "slot.name",
    "publication.name",
    "unavailable.value.placeholder",
    "values.text",
    "key.converter",
    "value.converter",
    "schema.history.internal.kafka.topic",
    "schema.history.internal.kafka.bootstrap.servers",
)

REFUSALS: Mapping[str, Refusal] = {
    # Changes lost or skipped.
    "errors.tolerance": Refusal(_only("none"), "messages that cannot be converted would be skipped silently"),
    "event.processing.failure.handling.mode": _FAIL,
    "event.converting.failure.handling.mode": _FAIL,
    "event.deserialization.failure.handling.mode": _FAIL,
    "inconsistent.schema.handling.mode": _FAIL,
    "skipped.operations": Refusal(_only("none"), "the target would keep what the operations changed or removed"),
    "snapshot.mode": Refusal(
        _only("recovery"), "it follows from `snapshot` of the source and its tables, and others lose or repeat rows"
    ),
    "slot.drop.on.stop": Refusal(_only("false"), "the changes made while the connector is stopped would be lost"),
    "offset.mismatch.strategy": Refusal(
        _only("trust_offset"), "after the slot was made anew the connector would go on silently behind the gap"
    ),
    "slot.seek.to.known.offset.on.start": Refusal(_only("true"), "it is the old name of offset.mismatch.strategy"),
    "include.unknown.datatypes": Refusal(_only("true"), "columns of other types would be left out silently"),
    "schema.history.internal.store.only.captured.tables.ddl": _ALL_DDL,
    "schema.history.internal.store.only.captured.databases.ddl": _ALL_DDL,
    "log.mining.transaction.retention.ms": _MEMORY,
    "log.mining.buffer.transaction.events.threshold": _MEMORY,
    "log.mining.strategy": Refusal(
        _only("hybrid", "redo_log_catalog"),
        "rows older than a change of the table would be decoded with the new definition",
    ),
    "heartbeat.interval.ms": Refusal(_at_least(1), "the source could never discard its log while the tables are idle"),
    "skip.messages.without.change": Refusal(_only("false"), "the position of such an update would be lost"),
    # Values falsified.
    "key.converter.replace.null.with.default": _NULLS,
    "value.converter.replace.null.with.default": _NULLS,
    "bigint.unsigned.handling.mode": Refusal(_only("precise"), "numbers beyond 2^63 would turn negative"),
    "decimal.handling.mode": Refusal(_only("string"), "double loses digits, and precise fails on NaN and long numbers"),
    "time.precision.mode": Refusal(_only("microseconds", "isostring"), "the sink reads microseconds or text"),
    "interval.handling.mode": Refusal(_only("string"), "numeric approximates months and years"),
    "binary.handling.mode": Refusal(_only("bytes"), "the sink would store the encoding instead of the bytes"),
    "enable.time.adjuster": Refusal(_only("false"), "years below 100 would be moved to 1970 to 2069"),
    "converters": Refusal(_only("values"), "the service's own makes the values that Debezium falsifies or fails on"),
    "hstore.handling.mode": Refusal(_only("json"), "the sink reads hstore as JSON"),
    "column.propagate.source.type": Refusal(_only(".*"), "the sink casts by the source's types"),
    "schema.name.adjustment.mode": _ADJUST,
    "field.name.adjustment.mode": _ADJUST,
    # Order and delivery broken.
    "producer.override.acks": Refusal(_only("all", "-1"), "acknowledged messages could be lost with one broker"),
    "producer.override.enable.idempotence": Refusal(_only("true"), "retries could reorder or repeat messages"),
    "producer.override.partitioner.class": Refusal(_never, "one key must always go to one partition"),
    "database.connection.adapter": Refusal(
        _only("logminer"), "the order of Oracle's changes is read from what LogMiner says of them"
    ),
    "exactly.once.support": Refusal(_only("required", "requested"), "it is one of required and requested"),
    "transaction.boundary": Refusal(_only("poll"), "the positions of a poll must be committed with its messages"),
    "tasks.max": Refusal(_only("1"), "one log has one reader"),
    "transforms": _UNWRAP._replace(allowed=_only("logged")),
    "log.mining.include.redo.sql": Refusal(_only("true"), "columns that are not logged would be written as NULL"),
    "post.processors": _UNWRAP,
    "topic.naming.strategy": Refusal(_never, "the stream finds a table by the default name of its topic"),
    "sourceinfo.struct.maker": Refusal(_never, "the order of changes is read from Debezium's own source block"),
    "topic.delimiter": Refusal(_only("."), "the stream finds a table by the default name of its topic"),
    "publication.autocreate.mode": Refusal(_only("disabled"), "the connector's role must not own publications"),
    "header.converter": Refusal(_never, "key changes are recognised by headers in JSON"),
    "header.converter.schemas.enable": Refusal(_only("false"), "key changes are recognised by headers in JSON"),
    **dict.fromkeys(_DERIVED_KEYS, _DERIVED),
}

_SECRET = re.compile(r"(password|secret|token|credential|sasl\.jaas\.config|connection\.?string)", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{(env|dir|file):[^}]+\}")
_PREFIXES = {
    "transforms.": _UNWRAP,
    "predicates.": _UNWRAP,
    "key.converter.": _DERIVED,
    "value.converter.": _DERIVED,
}


def check_overrides(source: str, overrides: Mapping[str, str]) -> None:
    """Raise ConfigError for the first override that could lose, falsify or reveal something."""
    for error in refused(source, overrides):
        raise error


def refused(source: str, overrides: Mapping[str, str]) -> Iterator[ConfigError]:
    """Yield an error for each override that could lose, falsify or reveal something."""
    for key, value in overrides.items():
        refusal = REFUSALS.get(key) or next((r for prefix, r in _PREFIXES.items() if key.startswith(prefix)), None)
        if refusal is not None and not refusal.allowed(value):
            shown = key if _SECRET.search(key) else f"{key}={value}"
            yield ConfigError(
                f"source {source!r}: connector setting {shown} is refused: {refusal.reason}", hint=_hint(key)
            )
        elif _SECRET.search(key) and not _REFERENCE.search(value):
            yield ConfigError(
                f"source {source!r}: connector setting {key} holds a secret in plain text",
                hint=f"put it into the worker's environment and write {key}: ${{env:CDC_..}}",
            )


def _hint(key: str) -> str:
    return f"remove {key} from the source's connector settings"
