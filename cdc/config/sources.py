"""Configuration of the source databases and their tables."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from cdc.config.addresses import host_name
from cdc.config.quality import RuleConfig
from cdc.config.services import Section
from cdc.config.table_properties import problem_of
from cdc.config.targets import check_template, default_target, from_template, pairs_alike, same_target
from cdc.config.values import Duration, QualifiedName, Secret, Settings, some_time
from cdc.core.evolution import is_reserved
from cdc.core.names import TableName, topic_part
from cdc.core.partitioning import parse_term


class Mode(StrEnum):
    """What a target table holds."""

    MIRROR = "mirror"
    APPEND = "append"
    HISTORY = "history"


class Snapshot(StrEnum):
    """Where the first rows of a table come from."""

    LOAD = "load"
    CONNECTOR = "connector"


class EventFormat(StrEnum):
    """How change events are written to Kafka."""

    AVRO = "avro"
    JSON = "json"
    JSON_SCHEMA = "json_schema"


class TableConfig(Section):
    """One table of a source and the Iceberg table that it is merged into, or all tables that a pattern fits."""

    source: QualifiedName = Field(
        description='Table in the source, namespace.table; odd names quoted: public."Order. Items". With * for any '
        "text it is a pattern: all tables that it fits, now and later, but for those with an entry of their own."
    )
    exclude: tuple[QualifiedName, ...] = Field((), description="Tables, or patterns, that a pattern leaves out.")
    target: QualifiedName | None = Field(
        None, description="Iceberg table, namespace.table; by default as `targets` of the source says."
    )
    key: tuple[str, ...] = Field(
        (),
        min_length=1,
        description="Columns of the key, in order; unique and never null in the source. By default its primary key, or "
        "the index of its replica identity, or its only unique index over columns that are never null.",
    )
    mode: Mode = Field(
        Mode.MIRROR, description="mirror: the target equals the source. append and history are reserved."
    )
    snapshot: Snapshot | None = Field(None, description="Who reads the first rows; by default as the source says.")
    freshness: Duration | None = Field(
        None,
        description="How late the table may be; by default as the source says. Those with less come first in each "
        "micro-batch.",
    )
    load_priority: int = Field(
        0,
        description="Tables with a higher one are loaded first; then the largest.",
        json_schema_extra={"unit": "none"},
    )
    partition_by: tuple[str, ...] = Field(
        (),
        description="Iceberg partition terms, e.g. bucket(16, id) or day(created_at); "
        "a table that has rows is partitioned by new ones when it is reset.",
    )
    text: tuple[str, ...] = Field(
        (),
        description="Array columns of PostgreSQL that are carried as the text that the server prints, such as "
        "{{1,2},{3,4}}. Those that are declared with several dimensions are by themselves: name here those that hold "
        "such values all the same.",
    )
    properties: Settings = Field(default_factory=dict, description="Iceberg table properties set at creation.")
    quality: tuple[RuleConfig, ...] = Field(
        (), description="Rules that its rows have to hold; of a pattern those of every table that it fits."
    )

    @field_validator("mode")
    @classmethod
    def _only_mirror(cls, mode: Mode) -> Mode:
        if mode is not Mode.MIRROR:
            raise ValueError(f"mode {mode.value} is reserved and not implemented; use mirror")
        return mode

    @field_validator("quality")
    @classmethod
    def _distinct_rules(cls, rules: tuple[RuleConfig, ...]) -> tuple[RuleConfig, ...]:
        for rule, _ in pairs_alike(rules, lambda rule: rule.name):
            raise ValueError(f"two rules are called {rule.name!r}")
        return rules

    @field_validator("partition_by")
    @classmethod
    def _partition_terms(cls, terms: tuple[str, ...]) -> tuple[str, ...]:
        parsed = [parse_term(term) for term in terms]
        if len({str(term) for term in parsed}) != len(parsed):
            raise ValueError("a partition term is given twice")
        return terms

    @property
    def pattern(self) -> bool:
        """Return whether it stands for all tables that it fits."""
        return "*" in "".join(self.source)

    @model_validator(mode="after")
    def _of_patterns(self) -> Self:
        if self.pattern and self.target:
            raise ValueError(f"pattern {self.source} has a target: name the targets by the source's `targets`")
        if self.pattern and self.text:
            raise ValueError(
                f"pattern {self.source} has `text`: give the table of {self.text[0]!r} an entry of its own"
            )
        if self.exclude and not self.pattern:
            raise ValueError(f"{self.source} is no pattern, so it has nothing to `exclude`")
        return self

    @field_validator("key")
    @classmethod
    def _distinct(cls, key: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(key)) != len(key):
            raise ValueError("a key column is named twice")
        if not all(key):
            raise ValueError("a key column has no name")
        for name in key:
            if is_reserved(name):
                raise ValueError(f"column {name!r} is reserved: a table that has it cannot be captured")
        return key

    @field_validator("properties")
    @classmethod
    def _known_values(cls, properties: dict[str, str]) -> dict[str, str]:
        for name, value in properties.items():
            if problem := problem_of(name, value):
                raise ValueError(problem)
        return properties


def _identifier(name: str) -> str:
    if not name.strip() or "\0" in name:
        raise ValueError("must be a name")
    return name


class SourceSection(Section):
    """What every kind of source has; no name in its database is longer than ``longest``."""

    longest: ClassVar[int]
    arrays: ClassVar[bool] = False
    """Whether a column may be an array."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="Name of the pipeline: connector, topic prefix, slot and lease bear it.",
    )
    host: str = Field(description="Host of the database.")
    database: str = Field(description="Database to connect to.")
    user: str = Field("cdc", description="Role with the least privileges, see sql/sources.")
    password: Secret = Field(description="Password of the role, by reference.")
    format: EventFormat = Field(EventFormat.AVRO, description="Format of the change events in Kafka.")
    placeholder: str = Field(
        "__debezium_unavailable_value",
        min_length=8,
        description="Text that stands for an unchanged large value; choose one that no row holds.",
    )
    heartbeat: Duration = Field(
        "2s", validate_default=True, description="Interval of connector heartbeats; keeps an idle log position moving."
    )
    snapshot: Snapshot = Field(
        Snapshot.LOAD,
        description="Who reads first rows. load: this service; connector: Debezium's snapshot, which Oracle needs.",
    )
    freshness: Duration = Field(
        "5m", validate_default=True, description="How late tables may be before they are named `late`."
    )
    load_host: str | None = Field(None, description="Host of a replica that loads read from; by default host.")
    connector: Settings = Field(default_factory=dict, description="Further Debezium settings; unsafe ones are refused.")
    targets: str | None = Field(
        None,
        description="Template of the targets' names, of {source}, {schema} and {table}; by default {source}.{table} in "
        "the ordinary schema (PostgreSQL's public, MySQL's own database), {source}.{schema}_{table} in others.",
    )
    tables: tuple[TableConfig, ...] = Field(min_length=1, description="Tables to capture.")

    _hosts = field_validator("host", "load_host")(host_name)
    _some_time = field_validator("heartbeat")(some_time)

    @field_validator("database", "user")
    @classmethod
    def _named(cls, name: str) -> str:
        return _identifier(name)

    @field_validator("targets")
    @classmethod
    def _template(cls, template: str | None) -> str | None:
        if template is not None:
            check_template(template)
        return template

    @model_validator(mode="after")
    def _distinct_tables(self) -> Self:
        for first, _ in pairs_alike(self.tables, lambda table: str(table.source)):
            raise ValueError(f"table {first.source} is listed twice, at first with target {self.target_of(first)}")
        for table in self.tables:
            if table.pattern and self.snapshot_of(table) is Snapshot.CONNECTOR:
                raise ValueError(
                    f"pattern {table.source} needs `snapshot: load`: nobody snapshots a table that comes later"
                )
        tables = [table for table in self.tables if not table.pattern]
        for first, second in pairs_alike(tables, lambda table: str(self.target_of(table))):
            raise ValueError(same_target(self.target_of(first), str(first.source), str(second.source)))
        for first, second in pairs_alike(tables, self.topic_of):
            raise ValueError(
                f"tables {first.source} and {second.source} have the same topic {self.topic_of(first)!r}, where Kafka "
                "allows letters, digits, . _ and - only: capture one of them with another source"
            )
        for table in tables:
            for name in (*table.source, *table.key):
                if self.length(_identifier(name)) > self.longest:
                    where = f"of table {str(table.source)[:60]} is longer than the {self.longest} that a name can be"
                    raise ValueError(f"'{name[:20]}..' {where}")
        return self

    @model_validator(mode="after")
    def _text_of_arrays(self) -> Self:
        named = [table for table in self.tables if table.text]
        if named and not self.arrays:
            raise ValueError(f"`text` of {named[0].source} names {named[0].text[0]!r}: only PostgreSQL has arrays")
        return self

    @property
    def ordinary_schema(self) -> str:
        """Return the schema that targets are not called by; empty if there is none."""
        return ""

    @staticmethod
    def length(name: str) -> int:
        """Return how long the database finds a name: in bytes."""
        return len(name.encode())

    def target_of(self, table: TableConfig) -> TableName:
        """Return the Iceberg table of a captured table."""
        if table.target:
            return table.target
        if self.targets:
            return from_template(self.targets, self.name, table.source)
        return default_target(self.name, table.source, self.ordinary_schema)

    @property
    def excluded_columns(self) -> str:
        """Return the patterns of the columns that the connector leaves out, as it is told of them."""
        return self.connector.get("column.exclude.list", "")

    @property
    def captured(self) -> tuple[TableConfig, ...]:
        """Return the tables that have a key; of the others it is not known (yet), or there is none."""
        return tuple(table for table in self.tables if table.key and not table.pattern)

    def snapshot_of(self, table: TableConfig) -> Snapshot:
        """Return where the first rows of a captured table come from."""
        return table.snapshot or self.snapshot

    def freshness_of(self, table: TableConfig) -> float:
        """Return how many seconds a captured table may be late."""
        return (self.freshness if table.freshness is None else table.freshness).total_seconds()

    def topic_of(self, table: TableConfig) -> str:
        """Return the Kafka topic that Debezium writes the table's events to."""
        return ".".join([self.name, *(topic_part(part) for part in table.source)])


class PostgresSource(SourceSection):
    """A PostgreSQL database, read by logical decoding (pgoutput)."""

    longest: ClassVar[int] = 63
    arrays: ClassVar[bool] = True

    type: Literal["postgres"] = Field("postgres", description="Kind of source.")
    port: int = Field(5432, ge=1, le=65535, description="Port of the database.")
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        "verify-full", description="TLS to the database; disable only on loopback."
    )
    slot: str | None = Field(None, pattern=r"^[a-z0-9_]{1,63}$", description="Replication slot; by default cdc_<name>.")
    publication: str | None = Field(
        None, min_length=1, max_length=63, description="Publication; by default cdc_<name>."
    )

    @property
    def ordinary_schema(self) -> str:
        """Return the schema that every database has."""
        return "public"

    @property
    def slot_name(self) -> str:
        """Return the replication slot's name."""
        return self.slot or f"cdc_{self.name}"

    @property
    def publication_name(self) -> str:
        """Return the publication's name."""
        return self.publication or f"cdc_{self.name}"


class MySqlSource(SourceSection):
    """A MySQL server, read from its binary log: all databases that the tables name."""

    longest: ClassVar[int] = 64

    type: Literal["mysql"] = Field("mysql", description="Kind of source.")
    port: int = Field(3306, ge=1, le=65535, description="Port of the database.")
    database: str = Field(
        "", description="Database that targets are not called by; tables may be of any. By default there is none."
    )
    server_id: int = Field(
        ge=1, le=2**32 - 1, description="Replication server id, unique among all replicas of the server."
    )
    ssl_mode: Literal["disabled", "required", "verify_ca", "verify_identity"] = Field(
        "verify_identity", description="TLS to the database; disabled only on loopback."
    )

    @property
    def ordinary_schema(self) -> str:
        """Return the source's own database."""
        return self.database

    @staticmethod
    def length(name: str) -> int:
        """Return how long the database finds a name: in characters."""
        return len(name)


class OracleSource(SourceSection):
    """An Oracle database, read with LogMiner."""

    longest: ClassVar[int] = 128

    type: Literal["oracle"] = Field("oracle", description="Kind of source.")
    port: int = Field(1521, ge=1, le=65535, description="Port of the listener.")
    pdb: str | None = Field(None, description="Pluggable database that holds the tables.")
    snapshot: Snapshot = Field(
        Snapshot.CONNECTOR,
        validate_default=True,
        description="Who reads a table's first rows: the connector; load is not implemented for Oracle.",
    )

    @property
    def large_objects(self) -> bool:
        """Return whether the connector captures large objects."""
        return self.connector.get("lob.enabled", "").strip().lower() == "true"

    @model_validator(mode="after")
    def _known_tables(self) -> Self:
        if any(table.pattern for table in self.tables):
            raise ValueError("patterns are not implemented for Oracle: name its tables one by one")
        without = [table.source for table in self.tables if not table.key]
        if without:
            raise ValueError(f"table {without[0]} has no `key`, and Oracle is not asked for keys")
        return self

    @model_validator(mode="after")
    def _connector_reads(self) -> Self:
        if any(self.snapshot_of(table) is Snapshot.LOAD for table in self.tables):
            raise ValueError("snapshot load is not implemented for Oracle, whose types it does not know: use connector")
        return self


SourceConfig = Annotated[PostgresSource | MySqlSource | OracleSource, Field(discriminator="type")]
