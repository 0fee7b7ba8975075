"""Configuration of the services around a pipeline: Kafka, registry, Connect and the Iceberg catalog."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdc.config.addresses import brokers, confluent_address, jdbc_address, thrift_address, web_address
from cdc.config.values import Duration, Secret, Settings, Size, some_time


class Section(BaseModel):
    """A part of the configuration; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaConfig(Section):
    """The Kafka cluster that carries the change events."""

    bootstrap_servers: str = Field(description="Brokers to start from, host:port, comma separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How clients talk to the brokers; SASL_SSL or SSL outside a machine of your own."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="SASL mechanism, with a SASL protocol."
    )
    username: str | None = Field(None, description="SASL user name.")
    password: Secret | None = Field(None, description="SASL password, by reference.")
    ca_file: str | None = Field(None, description="PEM file of the authority that signed the brokers' certificates.")
    partitions: int = Field(
        1,
        ge=1,
        description="Partitions of a change topic when it is created. One keeps all changes of a table in their order, "
        "and takes thousands of changes a second; of hundreds of tables several each keep brokers and connectors busy.",
        json_schema_extra={"unit": "partitions"},
    )
    replication_factor: int = Field(
        1,
        ge=1,
        description="Replicas of a change topic when it is created; 3 in production.",
        json_schema_extra={"unit": "replicas"},
    )
    retention: Duration = Field(
        "7d", validate_default=True, description="How long change topics keep events; also the replay window."
    )
    max_message: Size = Field(
        "16m",
        validate_default=True,
        ge=1024 * 1024,
        le=1024 * 1024 * 1024,
        description="Largest change event, uncompressed: an update has the old and the new row. Brokers must allow it.",
        json_schema_extra={"unit": "bytes, or with k, m or g"},
    )

    _brokers = field_validator("bootstrap_servers")(brokers)
    _some_time = field_validator("retention")(some_time)


class RegistryConfig(Section):
    """The schema registry, spoken to in Confluent's API."""

    url: str = Field(description="Base address of the Confluent-compatible API.")
    converter_url: str | None = Field(
        None, description="Address of the same API as the Connect worker reaches it, where that differs from url."
    )
    username: str | None = Field(None, description="Basic authentication user.")
    password: Secret | None = Field(None, description="Basic authentication password, by reference.")

    _address = field_validator("url")(web_address)
    _converter_address = field_validator("converter_url")(confluent_address)

    @property
    def worker_url(self) -> str:
        """Return the address that the converter in the Connect worker uses."""
        return self.converter_url or self.url


class ConnectConfig(Section):
    """The Kafka Connect cluster that runs the Debezium connectors."""

    url: str = Field(description="Address of the Connect REST API.")
    username: str | None = Field(None, description="Basic authentication user.")
    password: Secret | None = Field(None, description="Basic authentication password, by reference.")

    _address = field_validator("url")(web_address)


class CatalogSection(Section):
    """What every kind of Iceberg catalog has."""

    name: str = Field(
        "lake", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the catalog in Spark and for readers."
    )
    warehouse: str = Field(
        min_length=1, description="Root of the tables: a path, an object-store address or the catalog's warehouse name."
    )
    properties: Settings = Field(default_factory=dict, description="Further Iceberg catalog properties, as they are.")


class JdbcCatalog(CatalogSection):
    """Iceberg's JDBC catalog in a PostgreSQL or MySQL database."""

    type: Literal["jdbc"] = Field("jdbc", description="Kind of catalog.")
    uri: str = Field(description="JDBC address, e.g. jdbc:postgresql://host:5432/catalog.")
    username: str | None = Field(None, description="Database user of the catalog.")
    password: Secret | None = Field(None, description="Its password, by reference.")

    _address = field_validator("uri")(jdbc_address)


class RestCatalog(CatalogSection):
    """An Iceberg REST catalog (Polaris, Nessie, Lakekeeper, Unity ..)."""

    type: Literal["rest"] = Field("rest", description="Kind of catalog.")
    uri: str = Field(description="Address of the REST catalog.")
    credential: Secret | None = Field(None, description="OAuth2 client credential id:secret, by reference.")
    token: Secret | None = Field(None, description="Bearer token, by reference.")

    _address = field_validator("uri")(web_address)


class GlueCatalog(CatalogSection):
    """The AWS Glue Data Catalog."""

    type: Literal["glue"] = Field("glue", description="Kind of catalog.")
    region: str | None = Field(None, description="AWS region.")


class HiveCatalog(CatalogSection):
    """A Hive Metastore."""

    type: Literal["hive"] = Field("hive", description="Kind of catalog.")
    uri: str = Field(description="Thrift address of the metastore.")

    _address = field_validator("uri")(thrift_address)


class HadoopCatalog(CatalogSection):
    """Tables found by path; only on file systems with an atomic rename, never on object stores."""

    type: Literal["hadoop"] = Field("hadoop", description="Kind of catalog.")


CatalogConfig = Annotated[
    JdbcCatalog | RestCatalog | GlueCatalog | HiveCatalog | HadoopCatalog, Field(discriminator="type")
]
