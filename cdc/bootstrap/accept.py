"""Accepting tables with its real parts: catalog and databases."""

from cdc.bootstrap.databases import source_database
from cdc.config.models import Config
from cdc.core.names import TableName
from cdc.lake.audit import AuditLog
from cdc.lake.control import Control
from cdc.lake.epochs import Epochs
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.pipeline.accept import Accepting


def accepting(config: Config) -> Accepting:
    """Return what accepts tables of a configuration."""
    catalog, namespace = open_catalog(config.catalog), config.metadata_namespace
    places = {source.target_of(table): (source, table.source) for source in config.sources for table in source.tables}

    def identity(target: TableName) -> str:
        source, name = places[target]
        return source_database(source).table(*name).id

    return Accepting(Control(catalog, namespace), lambda: Epochs(catalog), identity, AuditLog(catalog, namespace))
