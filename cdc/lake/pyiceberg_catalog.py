"""The configured Iceberg catalog as pyiceberg opens it: a reader that needs no Spark."""

import re
import time
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.catalog.rest import RestCatalog as PyicebergRest
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.table import CommitTableResponse, StaticTable, Table
from pyiceberg.table.metadata import TableMetadata
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from sqlalchemy import URL, Dialect, Engine, bindparam, create_engine, event, make_url, select, update
from sqlalchemy.exc import DisconnectionError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from cdc.config.services import CatalogConfig, GlueCatalog, HadoopCatalog, HiveCatalog, JdbcCatalog, RestCatalog
from cdc.core.errors import CdcError, ConfigError, TerminalError
from cdc.core.names import TableName
from cdc.deadline import Deadline
from cdc.lake.foreign import FILES, Reading, lake_errors
from cdc.lake.metadata_text import SnapshotTexts, write_metadata

_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}

_PATIENCE = {
    "postgresql+psycopg": {"connect_timeout": "5"},
    "mysql+pymysql": {"connect_timeout": "5", "read_timeout": "30"},
}
_HTTP_SECONDS = (10.0, 30.0)
"""How long a catalog may take to be reached, and to answer: one that is silent must not hold a command for ever."""


ANSWER_SECONDS = 30.0
"""So long a catalog's database may take for what is asked of it; each time it is little."""

IDLE_SECONDS = 5.0
"""A connection to a catalog's database that was not used for so long may be broken."""


def open_catalog(config: CatalogConfig) -> Catalog:
    """Return a catalog that reads the same tables as the service's Spark session does.

    Raises ConfigError for one that cannot be opened here, TransientError and PreflightError for one that does not
    answer, as its look-ups do.
    """
    if isinstance(config, HadoopCatalog):
        return HadoopReader(config.name, config.warehouse)
    settings = {"warehouse": config.warehouse, **config.properties, **_connection(config)}
    with lake_errors(f'open catalog "{config.name}" of type {config.type}'):
        return _reader(config.type)(config.name, **settings)


def direct_catalog(config: CatalogConfig) -> Catalog | None:
    """Return the catalog if the service writes to it without Spark; raises as ``open_catalog`` does."""
    return None if by_spark_alone(config) else open_catalog(config)


def by_spark_alone(config: CatalogConfig) -> bool:
    """Return whether the service writes to a catalog with Spark alone.

    That of Hadoop cannot be written to with pyiceberg, and that of Hive has one connection for all threads.
    """
    return isinstance(config, HadoopCatalog | HiveCatalog)


def _connection(config: CatalogConfig) -> dict[str, str]:
    if isinstance(config, JdbcCatalog):
        return {"uri": sql_address(config), "init_catalog_tables": "false"}
    if isinstance(config, RestCatalog):
        secrets = {"credential": config.credential, "token": config.token}
        return {"uri": config.uri, **{n: s.reveal() for n, s in secrets.items() if s}}
    if isinstance(config, GlueCatalog):
        return {"glue.region": config.region} if config.region else {}
    if isinstance(config, HiveCatalog):
        return {"uri": config.uri}
    raise ConfigError(f'catalog type "{config.type}" has no reader', hint="use jdbc, rest, glue or hive")


def _reader(kind: str) -> type[Catalog]:
    """Return the class for a type of catalog; those of glue and hive need packages that may not be there."""
    if kind in _READERS:
        return _READERS[kind]
    found = getattr(import_module(f"pyiceberg.catalog.{kind}"), f"{kind.capitalize()}Catalog")
    return type(f"{kind.capitalize()}Reader", (Reading, found), {})


def sql_address(config: JdbcCatalog) -> str:
    """Return the SQLAlchemy address of a JDBC catalog, password included."""
    plain = make_url(config.uri.removeprefix("jdbc:"))
    driver = _DRIVERS[plain.drivername]
    password = config.password.reveal() if config.password else None
    query = {**_PATIENCE[driver], **plain.query}
    url = URL.create(driver, config.username, password, plain.host, plain.port, plain.database, query)
    return url.render_as_string(hide_password=False)


@cache
def _engine(address: str) -> Engine:
    """Return the connections to a catalog's database, which all catalogs of the process share: a few, and checked."""
    if make_url(address).get_backend_name() == "sqlite":
        return create_engine(address, poolclass=NullPool)
    made = create_engine(address, pool_size=4, max_overflow=-1, pool_recycle=300)
    event.listen(made, "checkin", _returned)
    event.listen(made, "checkout", partial(_asked_again, made.dialect))
    return made


def _returned(_connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's
    record.info["returned"] = time.monotonic()
    if bound := record.info.pop("deadline", None):
        bound.cancel()


def _asked_again(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401
    """Ask a connection that was not used for a while whether it lives; of others a failure is an error like any.

    From now on until it is returned it has a deadline where its driver knows none.
    """
    bound = Deadline(connection.fileno(), ANSWER_SECONDS) if hasattr(connection, "fileno") else None  # psycopg's
    if time.monotonic() - record.info.get("returned", time.monotonic()) > IDLE_SECONDS:
        try:
            dialect.do_ping(connection)
        except Exception as error:
            if bound:
                bound.cancel()
            raise DisconnectionError from error
    record.info["deadline"] = bound


_ROW = (
    IcebergTables.catalog_name == bindparam("catalog"),
    IcebergTables.table_namespace == bindparam("namespace"),
    IcebergTables.table_name == bindparam("table"),
)
_LOCATION = select(IcebergTables.metadata_location).where(*_ROW)
_SWAP = (
    update(IcebergTables)
    .where(*_ROW, IcebergTables.metadata_location == bindparam("known"))
    .values(metadata_location=bindparam("made"), previous_metadata_location=bindparam("known"))
    .execution_options(synchronize_session=False)
)


class SqlReader(Reading, SqlCatalog):
    """The JDBC catalog's tables; one whose database was not used yet has none, instead of failing."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self.engine.dispose()
        self.engine = _engine(self.engine.url.render_as_string(hide_password=False))
        self._at_once = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        """Connections on which each statement is a transaction: one round trip, and not three."""

    def load_table(self, identifier: Any) -> Table:  # noqa: ANN401 - pyiceberg's Identifier or text
        """Return the table; raises NoSuchTableError, and what ``lake_errors`` does."""
        try:
            with lake_errors(f'read catalog "{self.name}"'):
                return SqlCatalog.load_table(self, identifier)
        except CdcError as error:
            if isinstance(error.__cause__, ProgrammingError):
                raise NoSuchTableError(f"Table does not exist: {identifier}") from None
            raise

    def location_of(self, name: TableName) -> str | None:
        """Return the location of a table's metadata, None if there is no such table; raises as ``load_table`` does."""
        with lake_errors(f'read catalog "{self.name}"'), self._at_once.connect() as connection:
            found = connection.execute(_LOCATION, self._row(name)).scalar()
            return None if found is None else str(found)

    def commit_at(self, table: Table, changed: TableMetadata, texts: SnapshotTexts) -> CommitTableResponse:
        """Make the metadata the table's; raises CommitFailedException if it is no longer as it was loaded."""
        before = table.metadata_location
        version = self._parse_metadata_version(before) + 1
        location = table.location_provider().new_table_metadata_file_location(version)
        write_metadata(changed, table.io, location, texts)
        row = self._row(TableName(*table.name()[-2:]))
        with self._at_once.connect() as connection:
            if connection.execute(_SWAP, {**row, "known": before, "made": location}).rowcount < 1:
                with suppress(Exception):  # nobody knows it
                    table.io.delete(location)
                raise CommitFailedException(f"another writer has moved {'.'.join(table.name())}")
        return CommitTableResponse(metadata=changed, metadata_location=location)

    def _row(self, name: TableName) -> dict[str, str]:
        """Return what tells a table's row from all others."""
        return {"catalog": self.name, "namespace": name.namespace, "table": name.table}


class RestReader(Reading, PyicebergRest):
    """A REST catalog's tables."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Impatient())
        return session


class _Impatient(HTTPAdapter):
    """Requests that do not wait for ever, which they would by default."""

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:  # noqa: ANN401 - as requests has it
        if options.get("timeout") is None:
            options["timeout"] = _HTTP_SECONDS
        return super().send(request, *args, **options)


_READERS: dict[str, type[Catalog]] = {"jdbc": SqlReader, "rest": RestReader}


class HadoopReader(NoopCatalog):
    """Reads tables found by path, through ``metadata/version-hint.text``; nothing can be written."""

    def __init__(self, name: str, warehouse: str) -> None:
        super().__init__(name)
        self._warehouse = Path(re.sub(r"^file:(//)?", "", warehouse))

    def load_table(self, identifier: Any) -> Table:  # noqa: ANN401 - pyiceberg's Identifier or text
        """Return the newest version of the table; raises NoSuchTableError."""
        parts = self.identifier_to_tuple(identifier)
        metadata = self._warehouse.joinpath(*parts, "metadata")
        try:
            version = (metadata / "version-hint.text").read_text(encoding="ascii").strip()
            with lake_errors(f"read table {'.'.join(parts)}"):
                table: Table = StaticTable.from_metadata(str(metadata / f"v{version}.metadata.json"))
        except FileNotFoundError:
            raise NoSuchTableError(f"Table does not exist: {'.'.join(parts)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise TerminalError(f"could not read table {'.'.join(parts)}: {error}", hint=FILES) from error
        return table
