"""What fields say together: each may be right alone and none of it can work."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from cdc.config.services import CatalogConfig, HadoopCatalog, KafkaConfig, RegistryConfig
from cdc.config.sources import MySqlSource, PostgresSource, SourceConfig
from cdc.config.targets import pairs_alike, same_target

_Source = TypeVar("_Source", MySqlSource, PostgresSource)

TOPIC_LENGTH = 249
"""The longest name that Kafka gives to a topic."""


class Parts(NamedTuple):
    """What is compared of a configuration."""

    sources: tuple[SourceConfig, ...]
    kafka: KafkaConfig
    registry: RegistryConfig | None
    catalog: CatalogConfig
    metadata_namespace: str


def contradictions(config: Parts) -> Iterator[str]:
    """Yield what sections and sources of a configuration have against each other, one sentence each."""
    names = [source.name for source in config.sources]
    if len(set(names)) != len(names):
        yield "two sources have the same name"
    tables = [(source, table) for source in config.sources for table in source.tables if not table.pattern]
    for (source, first), (other, second) in pairs_alike(tables, lambda one: one[0].target_of(one[1])):
        both = f"{first.source} of {source.name}", f"{second.source} of {other.name}"
        yield same_target(source.target_of(first), *both)
    if config.registry is None and any(source.format == "avro" for source in config.sources):
        yield "registry is missing, and a source uses the avro format"
    yield from _shared(config.sources)
    yield from _misplaced(config)
    yield from _security(config.kafka)
    if isinstance(config.catalog, HadoopCatalog) and "://" in config.catalog.warehouse.removeprefix("file://"):
        yield "catalog.type hadoop cannot be on an object store, which has no atomic rename: use rest, jdbc or glue"


def _shared(sources: Iterable[SourceConfig]) -> Iterator[str]:
    """Two readers of one server need numbers and slots of their own."""
    numbers = (one for one in sources if isinstance(one, MySqlSource))
    yield from _same(numbers, lambda one: one.server_id, "server_id {} on {}: choose a number that no replica has")
    slots = (one for one in sources if isinstance(one, PostgresSource))
    yield from _same(slots, lambda one: one.slot_name, "slot {!r} on {}: leave `slot` out of one, or choose another")


def _same(sources: Iterable[_Source], what: Callable[[_Source], Hashable], sentence: str) -> Iterator[str]:
    found: dict[tuple[Hashable, str], list[str]] = defaultdict(list)
    for source in sources:
        found[what(source), f"{source.host.lower()}:{source.port}"].append(source.name)
    for (value, server), names in found.items():
        if len(names) > 1:
            yield f"sources {' and '.join(map(repr, names))} both have " + sentence.format(value, server)


def _misplaced(config: Parts) -> Iterator[str]:
    for source in config.sources:
        for table in (table for table in source.tables if not table.pattern):
            if source.target_of(table).namespace == config.metadata_namespace:
                namespace = config.metadata_namespace
                yield f"target of {table.source} is in {namespace!r}, the metadata_namespace: choose another namespace"
            if len(source.topic_of(table)) > TOPIC_LENGTH:
                yield f"the topic of {table.source} would be longer than the {TOPIC_LENGTH} characters of Kafka's"


def _security(kafka: KafkaConfig) -> Iterator[str]:
    sasl = kafka.security_protocol.startswith("SASL")
    lacking = [name for name in ("sasl_mechanism", "username", "password") if getattr(kafka, name) is None]
    if sasl and lacking:
        yield f"kafka.security_protocol {kafka.security_protocol} needs {', '.join(lacking)}, too"
    if kafka.sasl_mechanism is not None and not sasl:
        yield "kafka.sasl_mechanism is set, and kafka.security_protocol is not SASL_SSL or SASL_PLAINTEXT"
