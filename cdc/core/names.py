"""Names of tables and columns: parsing, quoting and deriving, in one place each."""

import re
from typing import NamedTuple

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


class TableName(NamedTuple):
    """A table in a namespace (a schema in PostgreSQL and Oracle, a database in MySQL)."""

    namespace: str
    table: str

    def __str__(self) -> str:
        """Return the name in the notation of the configuration, quoted only where it must be."""
        return ".".join(part if re.fullmatch(r"[^\s\".]+", part) else quote(part) for part in self)


def heartbeat_topic(source: str) -> str:
    """Return the topic of a connector's heartbeats.

    It goes when the connector's offsets go, so its id names one stretch of the log that is captured without a gap.
    """
    return f"__debezium-heartbeat.{source}"


def parse_table_name(text: str) -> TableName:
    """Parse ``namespace.table``; parts with dots, quotes or spaces stand in double quotes.

    Raises ValueError if the text is not exactly two parts.
    """
    parts: list[str] = []
    rest = text
    while rest:
        match = _PART.match(rest)
        if match is None:
            raise ValueError(f"cannot parse table name {text!r}")
        parts.append(match[1].replace('""', '"') if match[1] else match[2])
        rest = rest[match.end() :]
        if rest:
            if not rest.startswith(".") or rest == ".":
                raise ValueError(f"cannot parse table name {text!r}")
            rest = rest[1:]
    if len(parts) != 2:
        what = "expected namespace.table" + ("; another database is another source" if len(parts) > 2 else "")
        raise ValueError(f'{what} (quote parts with dots: public."a.b"), got {text!r}')
    return TableName(*parts)


def quote(identifier: str, mark: str = '"') -> str:
    """Return the identifier quoted with ``mark``, marks inside doubled; refuses NUL and emptiness."""
    if not identifier or "\0" in identifier:
        raise ValueError(f"not an identifier: {identifier!r}")
    return mark + identifier.replace(mark, mark * 2) + mark


def quote_table(name: tuple[str, ...], mark: str = '"') -> str:
    """Return the dotted, quoted form of a qualified name."""
    return ".".join(quote(part, mark) for part in name)


def shadow_of(namespace: str, target: TableName) -> TableName:
    """Return the name of a target's shadow."""
    return TableName(namespace, f"shadow_{target.namespace}__{target.table}")


def tombstones_of(namespace: str, target: TableName) -> TableName:
    """Return the table that keeps the positions of a target's deleted keys."""
    return TableName(namespace, f"tombstones_{target.namespace}__{target.table}")


def topic_part(name: str) -> str:
    """Return the name as Debezium puts it into a topic: what Kafka does not allow becomes ``_``.

    Source: io.debezium.schema.AbstractTopicNamingStrategy (letters, digits, ``.``, ``_`` and ``-`` stay).
    """
    return re.sub(r"[^A-Za-z0-9._\-]", "_", name)


def lake_part(name: str) -> str:
    """Return a name for the lake: lower case, anything but letters, digits and ``_`` becomes ``_``."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())
