"""The sections around a source in a first configuration: servers of one's own, by their addresses."""

from pathlib import Path

from cdc.core.errors import ConfigError

Sections = dict[str, dict[str, object]]


def own_services(kafka: str, registry: str, connect: str, catalog: str, warehouse: str, folder: Path) -> Sections:
    """Return the sections for these addresses; what is scratch goes into the folder of the configuration.

    The kind of the catalog follows from its address: http(s) is rest, jdbc, thrift is hive, ``glue`` is glue.
    Raises ConfigError for another.
    """
    return {
        "kafka": {"bootstrap_servers": kafka},
        "registry": {"url": registry},
        "connect": {"url": connect},
        "catalog": {**_catalog(catalog), "warehouse": warehouse},
        "stream": {"checkpoint": str(folder / "checkpoint")},
    }


def _catalog(address: str) -> dict[str, object]:
    scheme = address.partition(":")[0]
    if scheme in ("http", "https"):
        return {"type": "rest", "uri": address}
    if scheme == "thrift":
        return {"type": "hive", "uri": address}
    if scheme == "jdbc":
        login: dict[str, object] = {"username": "catalog", "password": "${env:CDC_CATALOG_PASSWORD}"}
        return {"type": "jdbc", "uri": address, **login}
    if address == "glue":
        return {"type": "glue"}
    hint = "http://.. (rest), jdbc:postgresql://.., thrift://.. (hive) or glue"
    raise ConfigError(f"no kind of Iceberg catalog has the address {scheme}:..", hint=hint)
