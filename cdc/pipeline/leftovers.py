"""Leftovers: what outlives a connector, told from its settings alone, so of one that left the configuration too."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from cdc.config.models import Config
from cdc.core.names import heartbeat_topic, quote, topic_part


class Leftover(NamedTuple):
    """Something that outlives its connector, and how it is removed."""

    what: str
    name: str
    removal: str


def topics_of(settings: Mapping[str, str]) -> list[str]:
    """Return the topics that a connector with these settings writes to."""
    prefix = settings["topic.prefix"]
    tables = [_plain(one) for one in settings.get("table.include.list", "").split(",") if one]
    topics = [f"{prefix}.{topic_part(table)}" for table in tables]
    if history := settings.get("schema.history.internal.kafka.topic"):
        topics += [history, prefix]
    return [*topics, heartbeat_topic(prefix)]


def leftovers(
    name: str, settings: Mapping[str, str], present: Collection[str], config: Config, *, offsets: bool
) -> tuple[Leftover, ...]:
    """Return what stays behind a connector; ``present`` are those of its topics that exist, ``offsets`` go with it."""
    gone = {heartbeat_topic(name)} if offsets else set()
    topics = sorted(set(present) - gone)
    found = [*_in_database(settings)]
    if not offsets:
        found.append(Leftover("offsets", name, f"cdc connectors remove {name} --offsets, before it is removed"))
    delete = f"kafka-topics.sh --bootstrap-server {config.kafka.bootstrap_servers} --delete --topic"
    found += [Leftover("topic", topic, f"{delete} '{topic}'") for topic in topics]
    if config.registry and "Avro" in settings.get("value.converter", ""):
        subjects = [f"{topic}-{part}" for topic in topics for part in ("key", "value")]
        command = f"curl -X DELETE {config.registry.url.rstrip('/')}/subjects"
        found += [Leftover("subject", subject, f"{command}/{subject}") for subject in subjects]
    return (*found, *_in_lake(name, config))


def _in_database(settings: Mapping[str, str]) -> list[Leftover]:
    user = settings.get("database.user", "")
    if slot := settings.get("slot.name"):
        publication = settings.get("publication.name", "")
        kept = f"SELECT pg_drop_replication_slot('{slot}');  -- it keeps the log until then"
        return [
            Leftover("replication slot", slot, kept),
            Leftover("publication", publication, f"DROP PUBLICATION {quote(publication)};"),
            Leftover("role", user, "revoke what sql/sources/postgres/setup.sql granted"),
        ]
    engine = "oracle" if "oracle" in settings["connector.class"].lower() else "mysql"
    return [Leftover("user", user, f"revoke what sql/sources/{engine}/setup.sql granted")]


def _in_lake(name: str, config: Config) -> list[Leftover]:
    """Return the targets, as far as the configuration knows them, and the pipeline's lease."""
    source = next((one for one in config.sources if one.name == name), None)
    targets = [str(source.target_of(table)) for table in source.tables] if source else []
    lease = f'{config.metadata_namespace}."lease_{name}"'
    names = [*(("target", target) for target in targets), ("lease", lease)]
    return [Leftover(what, table, f"DROP TABLE {table}") for what, table in names]


def _plain(pattern: str) -> str:
    """Return the name that a pattern of ``cdc.connect.render`` fits."""
    return re.sub(r"\\x\{([0-9a-f]+)\}", lambda match: chr(int(match[1], 16)), pattern).replace(r"\.", ".")
