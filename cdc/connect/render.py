"""From the configuration to a connector's settings: pure, and the only place where they are put together."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from cdc.config.models import Config
from cdc.config.services import KafkaConfig, RegistryConfig
from cdc.config.sources import EventFormat, MySqlSource, OracleSource, PostgresSource, Snapshot, SourceConfig
from cdc.config.values import Secret
from cdc.connect.overrides import check_overrides
from cdc.connect.templates import filled
from cdc.core.errors import ConfigError
from cdc.core.types import unfit_text

AVRO_CONVERTER = "cdc.connect.CompiledAvroConverter"
"""The converter class; its settings stand in connectors/avro.yaml."""

_PRODUCER_BUFFER = 32 * 1024 * 1024
"""Bytes of Kafka's default."""

_BESIDE_VALUE = 64 * 1024
"""Bytes of a message that are left for its key and what Kafka adds."""


def render(source: SourceConfig, config: Config) -> dict[str, str]:
    """Return the settings of the source's connector, secrets as references; raises ConfigError for unsafe overrides."""
    check_overrides(source.name, source.connector)
    if not source.captured:  # an empty list would be all tables of the database
        raise ConfigError(
            f"source {source.name!r} has no table with a key yet", hint="`cdc doctor` tells of each table"
        )
    values = _values(source, config)
    settings = filled("common", values) | filled(source.type, values) | _format_settings(source, config, values)
    settings |= _history_security(source, config.kafka) | _particular(source) | _snapshot_tables(source)
    left_out = _left_out(source)
    return {key: value for key, value in (settings | source.connector).items() if key not in left_out}


def _left_out(source: SourceConfig) -> set[str]:
    """Return the settings that do not go with others: statements are not to be had together with large objects."""
    if not isinstance(source, OracleSource):
        return set()
    statements = {
        "log.mining.include.redo.sql",
        "transforms",
        "transforms.logged.type",
        "transforms.logged.placeholder",
    }
    return ({"database.pdb.name"} if source.pdb is None else set()) | (statements if source.large_objects else set())


def history_topic(source: SourceConfig) -> str | None:
    """Return the topic of the source's past table definitions; None where the log itself describes the rows."""
    return None if isinstance(source, PostgresSource) else f"{source.name}.schema-history"


def reference(secret: Secret) -> str:
    """Return the secret as Connect's configuration providers name it."""
    if secret.kind == "env":
        return f"${{env:{secret.name}}}"
    folder, _, file = secret.name.rpartition("/")
    return f"${{dir:{folder}:{file}}}"


def pattern(text: str) -> str:
    """Return a Java pattern that fits the text alone, and that no list of Debezium's cuts in two."""
    return re.sub(r"[^A-Za-z0-9_]", _escape, text)


def _escape(match: re.Match[str]) -> str:
    return r"\." if match[0] == "." else rf"\x{{{ord(match[0]):x}}}"


def _values(source: SourceConfig, config: Config) -> Mapping[str, str]:
    common = {
        "name": source.name,
        "host": source.host,
        "port": str(source.port),
        "database": source.database,
        "user": source.user,
        "password": reference(source.password),
        "placeholder": source.placeholder,
        "unfit": unfit_text(source.placeholder),
        "tables": ",".join(table_pattern(t.source) for t in source.captured),
        "keys": ";".join(f"{table_pattern(t.source)}:{_columns(t.key)}" for t in source.captured),
        "snapshot_mode": "initial" if _by_connector(source) else "no_data",
        "heartbeat_ms": _milliseconds(source.heartbeat),
        "partitions": str(config.kafka.partitions),
        "replication_factor": str(config.kafka.replication_factor),
        "retention_ms": _milliseconds(config.kafka.retention),
        "max_message_bytes": str(config.kafka.max_message),
        "max_value_bytes": str(config.kafka.max_message - _BESIDE_VALUE),
        "producer_buffer_bytes": str(max(_PRODUCER_BUFFER, 2 * config.kafka.max_message)),
        "bootstrap_servers": config.kafka.bootstrap_servers,
        "history_topic": history_topic(source) or "",
        "avro_converter": AVRO_CONVERTER,
        "registry_url": config.registry.worker_url if config.registry else "",
        "with_schema": str(source.format is EventFormat.JSON_SCHEMA).lower(),
    }
    return common | _engine_values(source)


def _engine_values(source: SourceConfig) -> dict[str, str]:
    match source:
        case PostgresSource():
            return {
                "sslmode": source.sslmode,
                "slot": source.slot_name,
                "publication": source.publication_name,
                "text": _text(source),
            }
        case MySqlSource():
            named = dict.fromkeys(table.source.namespace for table in source.captured)
            databases = ",".join(pattern(name) for name in named)
            return {"ssl_mode": source.ssl_mode, "server_id": str(source.server_id), "databases": databases}
        case OracleSource():
            return {"pdb": source.pdb or ""}


def _particular(source: SourceConfig) -> dict[str, str]:
    """Return what only some configurations need: without TLS, MySQL hands out the key that protects the password."""
    plain = isinstance(source, MySqlSource) and source.ssl_mode == "disabled"
    return {"driver.allowPublicKeyRetrieval": "true"} if plain else {}


def _by_connector(source: SourceConfig) -> list[str]:
    """Return the patterns of the tables whose first rows the connector reads."""
    chosen = [table for table in source.captured if source.snapshot_of(table) is Snapshot.CONNECTOR]
    return [table_pattern(table.source) for table in chosen]


def _snapshot_tables(source: SourceConfig) -> dict[str, str]:
    """Return the list of tables to snapshot, where some are and some are not: Oracle's needs other names."""
    listed = _by_connector(source)
    return {"snapshot.include.collection.list": ",".join(listed)} if 0 < len(listed) < len(source.captured) else {}


def _format_settings(source: SourceConfig, config: Config, values: Mapping[str, str]) -> dict[str, str]:
    if source.format is not EventFormat.AVRO:
        return filled("json", values)
    if config.registry is None:
        raise ConfigError(
            f"source {source.name!r} uses the avro format, and registry is missing",
            hint="write registry.url into the configuration",
        )
    return filled("avro", values) | _registry_login(config.registry)


def _registry_login(registry: RegistryConfig) -> dict[str, str]:
    """Return the login of both converters, the password as a reference."""
    if not registry.username:
        return {}
    login = {"username": registry.username}
    login |= {"password": reference(registry.password)} if registry.password else {}
    return {f"{part}.converter.schema.registry.{key}": v for part in ("key", "value") for key, v in login.items()}


def table_pattern(name: Iterable[str]) -> str:
    """Return the pattern of a table as it stands in ``table.include.list``."""
    return r"\.".join(pattern(part) for part in name)


def _text(source: PostgresSource) -> str:
    """Return the patterns of the arrays that are carried as text."""
    return ",".join(table_pattern((*table.source, column)) for table in source.captured for column in table.text)


def _columns(key: Iterable[str]) -> str:
    return ",".join(pattern(column) for column in key)


def _milliseconds(duration: timedelta) -> str:
    return str(int(duration / timedelta(milliseconds=1)))


def _history_security(source: SourceConfig, kafka: KafkaConfig) -> dict[str, str]:
    if history_topic(source) is None:
        return {}
    settings = client_security(kafka)
    return {
        f"schema.history.internal.{role}.{key}": v for role in ("producer", "consumer") for key, v in settings.items()
    }


def client_security(kafka: KafkaConfig) -> dict[str, str]:
    """Return the security settings of a Kafka client in Connect, the password as a reference."""
    if kafka.security_protocol == "PLAINTEXT":
        return {}
    settings: dict[str, str] = {"security.protocol": kafka.security_protocol}
    if kafka.ca_file:
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": kafka.ca_file}
    if kafka.sasl_mechanism:
        settings |= {"sasl.mechanism": kafka.sasl_mechanism, "sasl.jaas.config": _jaas(kafka)}
    return settings


def _jaas(kafka: KafkaConfig) -> str:
    module = "plain.PlainLoginModule" if kafka.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
    password = reference(kafka.password) if kafka.password else ""
    return f'org.apache.kafka.common.security.{module} required username="{kafka.username}" password="{password}";'
