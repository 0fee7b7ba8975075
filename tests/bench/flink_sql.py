"""Flink SQL beside cdc: its PostgreSQL source on a slot of its own in the same log, Iceberg's upserts as its sink.

It begins with a copy of the table as it was, and stands for what a team would write down that has Flink: one INSERT,
checkpoints every ten seconds. It needs REPLICA IDENTITY FULL, which the table has in this measurement for both.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import psycopg
from pyiceberg.catalog import Catalog

from cdc.config.sources import PostgresSource
from cdc.core.names import quote
from cdc.local import unpack
from cdc.local.artifacts import Distribution, bring
from cdc.local.places import cache
from cdc.spark.session import catalog_properties
from tests.bench.load import say
from tests.bench.load_meter import Run
from tests.bench.shapes import Column
from tests.e2e.service import Service

HERE = Path(__file__).with_name("flink")
JARS = Distribution(
    "flink", cache() / "flink", unpack.copy_jars, HERE / "pom.xml", HERE / "artifacts.sha256", megabytes=230
)
TABLE = ("flink", "t00")
SLOT = "bench_flink"
SETTINGS = {"execution.checkpointing.interval": "10 s", "parallelism.default": "2"}
TYPES = {"text": "STRING", "uuid": "STRING", "numeric(12,2)": "DECIMAL(12, 2)", "timestamptz": "TIMESTAMP_LTZ(6)"}
AS_JDBC = {"catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog"}
"""The stack's catalog, of which Flink has no shorter name."""
_OPEN = ("lang", "lang.reflect", "net", "io", "nio", "text", "time", "util", "util.concurrent")
OPENED = [f"--add-opens=java.base/java.{one}=ALL-UNNAMED" for one in _OPEN]


class FlinkSql:
    """The peer: it keeps the log from before the changes, then drains it."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service, self._folder = service, folder
        (source,) = service.config.sources
        assert isinstance(source, PostgresSource)
        self._source = source
        self._jars = bring(JARS, say)

    def reserve(self) -> None:
        """Keep the log from here on."""
        self._ask(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")

    def give_back(self) -> None:
        """Let the log go."""
        self._ask(f"SELECT pg_drop_replication_slot('{SLOT}')")

    def end_of_log(self) -> str:
        """Return the place that it has to come to."""
        return self._ask("SELECT pg_current_wal_lsn()::text")

    def ready(self, catalog: Catalog) -> None:
        """Make the copied table one that upserts can be written to."""
        table = catalog.load_table(TABLE)
        with table.update_schema(allow_incompatible_changes=True) as schema:
            schema.update_column("id", required=True)
            schema.set_identifier_fields("id")
        with table.transaction() as transaction:
            transaction.set_properties({"write.upsert.enabled": "true"})

    def run(self, table: str, columns: tuple[Column, ...], until: str) -> Run:
        """Return the job, not started."""
        statements = self._written("flink.sql", ";\n".join(self._statements(table, columns)))
        given = self._written("flink.properties", "".join(f"{name}={value}\n" for name, value in self._given(until)))
        java = ["java", "-Xmx2g", *OPENED, "-cp", f"{self._jars}/*", str(HERE / "FlinkDrain.java")]
        return Run("flink sql", [*java, str(statements), str(given)], self._service.environment)

    def _written(self, name: str, text: str) -> Path:
        """Write a file that holds passwords."""
        file = self._folder / name
        file.touch(0o600)
        file.write_text(text)
        return file

    def _statements(self, table: str, columns: tuple[Column, ...]) -> Iterator[str]:
        defined = ", ".join(f"{_name(one.name)} {TYPES.get(one.type, one.type.upper())}" for one in columns)
        yield (
            f"CREATE TABLE source (`id` BIGINT NOT NULL, {defined}, PRIMARY KEY (`id`) NOT ENFORCED)"
            f" WITH ({_options(self._connector(table))})"
        )
        catalog = self._service.config.catalog
        properties = {**catalog_properties(catalog), **AS_JDBC, "type": "iceberg", "default-database": TABLE[0]}
        yield f"CREATE CATALOG {_name(catalog.name)} WITH ({_options(properties)})"
        names = ", ".join(_name(name) for name in ("id", *(one.name for one in columns)))
        target = ".".join(map(_name, (catalog.name, *TABLE)))
        yield f"INSERT INTO {target} ({names}) SELECT {names} FROM source"

    def _connector(self, table: str) -> dict[str, str]:
        source = self._source
        schema, _, name = table.partition(".")
        return {
            "connector": "postgres-cdc",
            "hostname": source.host,
            "port": str(source.port),
            "database-name": source.database,
            "schema-name": schema,
            "table-name": name,
            "username": source.user,
            "password": source.password.reveal(),
            "slot.name": SLOT,
            "decoding.plugin.name": "pgoutput",
            "scan.incremental.snapshot.enabled": "true",
            "scan.startup.mode": "committed-offset",
            "scan.lsn-commit.checkpoints-num-delay": "0",
            "debezium.publication.name": source.publication_name,
            "debezium.publication.autocreate.mode": "disabled",
        }

    def _given(self, until: str) -> Iterator[tuple[str, str]]:
        catalog, source = self._service.config.catalog, self._source
        yield from {"name": catalog.name, "table": ".".join(TABLE), "until": until, "slot": SLOT}.items()
        yield "url", f"jdbc:postgresql://{source.host}:{source.port}/{source.database}?sslmode=disable"
        yield from {"user": source.user, "password": source.password.reveal()}.items()
        yield from ((f"catalog.{name}", value) for name, value in catalog_properties(catalog).items())
        yield from ((f"flink.{name}", value) for name, value in SETTINGS.items())

    def _ask(self, statement: str) -> str:
        source = self._source
        connection = psycopg.connect(
            host=source.host,
            port=source.port,
            dbname=source.database,
            user=source.user,
            password=source.password.reveal(),
            autocommit=True,
        )
        with closing(connection), connection.cursor() as cursor:
            return str((cursor.execute(statement.encode()).fetchone() or ("",))[0])


def _name(name: str) -> str:
    return quote(name, "`")


def _options(options: Mapping[str, str]) -> str:
    return ", ".join(f"'{name}' = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in options.items())
