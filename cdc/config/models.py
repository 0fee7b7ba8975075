"""The configuration as a whole: one file, several sources."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cdc.config.addresses import host_name
from cdc.config.consistency import Parts, contradictions
from cdc.config.services import CatalogConfig, ConnectConfig, KafkaConfig, RegistryConfig, Section
from cdc.config.sources import SourceConfig
from cdc.config.values import Duration, Settings, Size, some_time

INDEX_FOLDER = Path("/var/lib/cdc/index")


class StreamConfig(Section):
    """How the streaming service runs."""

    trigger: Duration = Field(
        "1s", validate_default=True, description="Shortest time between the starts of two micro-batches."
    )
    max_offsets_per_batch: int = Field(
        500_000,
        ge=1,
        description="Upper bound of messages in one micro-batch; bounds memory after an outage.",
        json_schema_extra={"unit": "messages"},
    )
    driver_messages: int = Field(
        200_000,
        ge=0,
        le=200_000,
        description="Messages that are decoded and collapsed at once at the driver, without Spark; pieces of so many "
        "of a larger batch. 0 leaves all to Spark.",
        json_schema_extra={"unit": "messages"},
    )
    checkpoint: str = Field(
        "/var/lib/cdc/checkpoint",
        description="Directory of Spark's checkpoints; scratch, progress lives in the tables.",
    )
    index: str | None = Field(
        None,
        description="Directory of key indexes on a disk of this machine; scratch, made again from tables. By default "
        "beside the checkpoint, or /var/lib/cdc/index if that is elsewhere; empty for none: large tables are merged.",
    )
    parallel_tables: int = Field(
        8,
        ge=1,
        le=64,
        description="Tables applied side by side in one micro-batch at most, half of them by Spark. One after another "
        "where that keeps this process busy; more where they wait, for Spark or a store that is far away.",
        json_schema_extra={"unit": "tables"},
    )
    lease_ttl: Duration = Field(
        "15s", validate_default=True, description="Silence after which a standby may take over the lease."
    )
    retry_for: Duration = Field(
        "60s",
        validate_default=True,
        description="How long a transient failure of a table is retried before the table rests for a while.",
    )
    blocked_keys: int = Field(
        1000,
        ge=0,
        description="Quarantined messages of one table after which the whole table stops.",
        json_schema_extra={"unit": "messages"},
    )
    status_interval: Duration = Field(
        "5s", validate_default=True, description="Interval of writes to the status table and the ledger."
    )
    reload_interval: Duration = Field(
        "30s",
        validate_default=True,
        description="Interval at which the running service looks for other tables in this file; SIGHUP is at once.",
    )

    _some_time = field_validator("lease_ttl", "status_interval", "reload_interval")(some_time)

    @property
    def index_folder(self) -> Path | None:
        """Return where key indexes are, None for nowhere."""
        if self.index is not None:
            return Path(self.index) if self.index else None
        return INDEX_FOLDER if "://" in self.checkpoint else Path(self.checkpoint).with_name("index")


class LoadConfig(Section):
    """How the first rows of tables with ``snapshot: load`` are read."""

    auto: bool = Field(default=True, description="Whether the running service loads tables that are not loaded yet.")
    parallel: int = Field(
        2,
        ge=1,
        le=64,
        description="Connections that read a source at the same time.",
        json_schema_extra={"unit": "connections"},
    )
    parallel_tables: int = Field(
        4,
        ge=1,
        le=64,
        description="Tables of a source that are loaded at the same time; they share the connections.",
        json_schema_extra={"unit": "tables"},
    )
    range_bytes: Size = Field(
        "128m",
        validate_default=True,
        ge=1024,
        description="Bytes of the source that one task reads in one statement, estimated.",
        json_schema_extra={"unit": "bytes, or with k, m or g"},
    )
    rows_per_second: int = Field(
        0,
        ge=0,
        description="Upper bound of the rows that are read from a source each second; 0 is no limit.",
        json_schema_extra={"unit": "rows per second"},
    )
    statement_timeout: Duration = Field(
        "1h", validate_default=True, description="How long a statement that reads a part of a table may take."
    )

    _some_time = field_validator("statement_timeout")(some_time)


VALUES_REST_ON = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}
"""Spark settings that decide what a value becomes: with others numbers turn null, and instants are moved."""


class SparkConfig(Section):
    """The Spark session of the service."""

    master: str = Field("local[*]", description="Spark master; local[*] uses the cores of this machine.")
    driver_memory: str = Field(
        "2g",
        pattern=r"^[1-9]\d*[kmgtKMGT]$",
        description="Memory of the driver (all of it with a local master).",
        json_schema_extra={"unit": "bytes with k, m or g"},
    )
    jars: str | None = Field(
        None,
        description="Directory of the jars of deploy/spark/pom.xml; by default the user's cache. Spark starts from an"
        " archive of their classes if it is there: python -m cdc.spark.class_archive DIRECTORY makes it.",
    )
    properties: Settings = Field(default_factory=dict, description="Further Spark settings, as they are.")

    @field_validator("properties")
    @classmethod
    def _keep_values(cls, properties: dict[str, str]) -> dict[str, str]:
        for name, value in VALUES_REST_ON.items():
            if properties.get(name, value).lower() != value.lower():
                raise ValueError(f"must leave {name} at {value}: values would be falsified")
        return properties


class MaintenanceConfig(Section):
    """How tables are kept small: files put together, old snapshots expired, what nobody needs removed."""

    enabled: bool = Field(default=True, description="Whether the running service maintains its tables by itself.")
    interval: Duration = Field(
        "5m",
        validate_default=True,
        description="Interval at which each table is looked at; one that has had 20 batches meanwhile at once, 8 after "
        "a compaction.",
    )
    budget: Duration = Field(
        "10s",
        validate_default=True,
        description="How long one look at a table may take before the rest is left for the next; a batch that waits"
        " longer ends the step at hand.",
    )
    step_bytes: Size = Field(
        "256m",
        validate_default=True,
        ge=1024 * 1024,
        description="Bytes of data files that are rewritten at once, at most; a larger file only alone.",
        json_schema_extra={"unit": "bytes, or with k, m or g"},
    )
    keep_snapshots_for: Duration = Field(
        "1d", validate_default=True, description="How long snapshots stay: how far back a table can be rewound."
    )
    keep_snapshots_min: int = Field(
        20,
        ge=1,
        description="Newest snapshots of a table that stay however old they are.",
        json_schema_extra={"unit": "snapshots"},
    )
    keep_snapshots_max: int = Field(
        300,
        ge=1,
        description="Newest snapshots of a table that stay at most; each makes every commit a little more costly.",
        json_schema_extra={"unit": "snapshots"},
    )
    orphan_age: Duration = Field(
        "3d",
        validate_default=True,
        description="Age of files that no snapshot knows after which they are removed; a day at least.",
    )
    keep_tombstones: Duration = Field(
        "14d",
        validate_default=True,
        description="How long keys of deleted rows are remembered; kafka.retention and a week, where that is longer.",
    )
    keep_ledger: Duration = Field(
        "30d",
        validate_default=True,
        description="How long commits stay in the ledger, the table of commits, and proofs in theirs.",
    )

    _some_time = field_validator("interval", "budget", "keep_tombstones", "keep_ledger")(some_time)

    @field_validator("orphan_age")
    @classmethod
    def _older_than_any_commit(cls, age: timedelta) -> timedelta:
        if age < timedelta(days=1):
            raise ValueError("must be a day at least: files of a commit that is under way are in no snapshot yet")
        return age

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.keep_snapshots_min > self.keep_snapshots_max:
            raise ValueError("keep_snapshots_min is more than keep_snapshots_max")
        return self


class VerifyConfig(Section):
    """How the running service proves that its tables are equal to their sources."""

    every: Duration = Field(
        "1d",
        validate_default=True,
        description="How long after a proof of a table the next one is due; 0s: `cdc verify` alone proves them.",
    )
    rows_per_second: int = Field(
        2_000,
        ge=1,
        description="Upper bound of the rows that proofs of the service read in a second, of all sources together.",
        json_schema_extra={"unit": "rows per second"},
    )


class OperationsConfig(Section):
    """Logs, metrics and health of the service."""

    log_format: Literal["json", "console"] = Field("json", description="Format of the log lines on standard error.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    http_host: str = Field("127.0.0.1", description="Address that /metrics and /health listen on.")
    http_port: int = Field(9108, ge=0, le=65535, description="Port of /metrics and /health; 0 turns them off.")

    _host = field_validator("http_host")(host_name)


class Config(Section):
    """The configuration file."""

    version: Literal[1] = Field(1, description="Version of this format.")
    metadata_namespace: str = Field(
        "cdc",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Iceberg namespace of the status, ledger, lease, tombstone and quarantine tables.",
    )
    kafka: KafkaConfig = Field(description="The Kafka cluster.")
    registry: RegistryConfig | None = Field(None, description="The schema registry; needed for Avro.")
    connect: ConnectConfig = Field(description="The Kafka Connect cluster.")
    catalog: CatalogConfig = Field(description="The Iceberg catalog.")
    stream: StreamConfig = Field(default_factory=StreamConfig, description="The streaming service.")
    load: LoadConfig = Field(default_factory=LoadConfig, description="The first rows of tables.")
    maintenance: MaintenanceConfig = Field(
        default_factory=MaintenanceConfig, description="The maintenance of the tables."
    )
    verify: VerifyConfig = Field(
        default_factory=VerifyConfig, description="The proofs that tables are equal to their sources."
    )
    spark: SparkConfig = Field(default_factory=SparkConfig, description="The Spark session.")
    operations: OperationsConfig = Field(default_factory=OperationsConfig, description="Logs, metrics and health.")
    sources: tuple[SourceConfig, ...] = Field(
        min_length=1, description="The source databases; each is a pipeline of its own."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        parts = Parts(self.sources, self.kafka, self.registry, self.catalog, self.metadata_namespace)
        if found := list(contradictions(parts)):
            raise ValueError("\n".join(found))
        return self
