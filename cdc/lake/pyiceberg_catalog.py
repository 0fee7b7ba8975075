"""The configured Iceberg catalog as pyiceberg opens it: a reader that needs no Spark."""

import re
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import StaticTable, Table
from sqlalchemy import URL, make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from cdc.config.services import CatalogConfig, GlueCatalog, HadoopCatalog, HiveCatalog, JdbcCatalog, RestCatalog
from cdc.core.errors import ConfigError, TransientError

_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}


def open_catalog(config: CatalogConfig) -> Catalog:
    """Return a catalog that reads the same tables as the service's Spark session does."""
    if isinstance(config, HadoopCatalog):
        return HadoopReader(config.name, config.warehouse)
    settings = {"warehouse": config.warehouse, **config.properties, **_connection(config)}
    if isinstance(config, JdbcCatalog):
        return SqlReader(config.name, **settings)
    return load_catalog(config.name, **settings)


def _connection(config: CatalogConfig) -> dict[str, str]:
    if isinstance(config, JdbcCatalog):
        return {"uri": sql_address(config), "init_catalog_tables": "false"}
    if isinstance(config, RestCatalog):
        secrets = {"credential": config.credential, "token": config.token}
        return {"type": "rest", "uri": config.uri, **{n: s.reveal() for n, s in secrets.items() if s}}
    if isinstance(config, GlueCatalog):
        return {"type": "glue", **({"glue.region": config.region} if config.region else {})}
    if isinstance(config, HiveCatalog):
        return {"type": "hive", "uri": config.uri}
    raise ConfigError(f'catalog type "{config.type}" has no reader')


def sql_address(config: JdbcCatalog) -> str:
    """Return the SQLAlchemy address of a JDBC catalog, password included; raises ConfigError for another database."""
    if not config.uri.startswith("jdbc:"):
        raise ConfigError("catalog.uri is no JDBC address", hint="write jdbc:postgresql://host:port/database")
    plain = make_url(config.uri.removeprefix("jdbc:"))
    driver = _DRIVERS.get(plain.drivername)
    if driver is None:
        raise ConfigError(f'catalog.uri names database "{plain.drivername}"', hint="postgresql and mysql can be read")
    password = config.password.reveal() if config.password else None
    url = URL.create(driver, config.username, password, plain.host, plain.port, plain.database, plain.query)
    return url.render_as_string(hide_password=False)


class SqlReader(SqlCatalog):
    """The JDBC catalog's tables; one whose database was not used yet has none, instead of failing."""

    def load_table(self, identifier: Any) -> Table:  # noqa: ANN401 - pyiceberg's Identifier or text
        """Return the table; raises NoSuchTableError, and TransientError if the database does not answer."""
        try:
            return super().load_table(identifier)
        except ProgrammingError:
            raise NoSuchTableError(f"Table does not exist: {identifier}") from None
        except OperationalError as error:
            raise TransientError(f'could not read catalog "{self.name}": {error.orig}') from error


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
        except FileNotFoundError:
            raise NoSuchTableError(f"Table does not exist: {'.'.join(parts)}") from None
        table: Table = StaticTable.from_metadata(str(metadata / f"v{version}.metadata.json"))
        return table
