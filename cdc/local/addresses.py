"""Where the servers of a stack are, and the variables that make config/local.yaml fit it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cdc.local.ports import LOOPBACK


@dataclass(frozen=True)
class Addresses:
    """Addresses of one stack; those of a database that was not asked for are None."""

    kafka: str
    registry: str
    connect: str
    catalog_uri: str
    warehouse: Path
    checkpoint: Path
    postgres_host: str | None = None
    postgres_port: int | None = None
    mysql_host: str | None = None
    mysql_port: int | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def environment(self) -> dict[str, str]:
        """Return the variables for config/local.yaml, passwords included."""
        return self._services() | self._sources() | self._passwords()

    def _services(self) -> dict[str, str]:
        return {
            "CDC_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "CDC_REGISTRY__URL": self.registry,
            "CDC_CONNECT__URL": self.connect,
            "CDC_CATALOG__URI": self.catalog_uri,
            "CDC_CATALOG__WAREHOUSE": str(self.warehouse),
            "CDC_STREAM__CHECKPOINT": str(self.checkpoint),
        }

    def _sources(self) -> dict[str, str]:
        found = {"shop": (self.postgres_host, self.postgres_port), "store": (self.mysql_host, self.mysql_port)}
        variables: dict[str, str] = {}
        for name, (host, port) in found.items():
            if host is not None:
                variables |= {f"CDC_SOURCES__{name}__HOST": host, f"CDC_SOURCES__{name}__PORT": str(port)}
        return variables

    def _passwords(self) -> dict[str, str]:
        return {f"CDC_{name.upper()}_PASSWORD": value for name, value in self.secrets.items()}


def addresses_of(
    folder: Path, ports: Mapping[str, int], sources: frozenset[str], secrets: Mapping[str, str]
) -> Addresses:
    """Return the addresses of a stack with these ports."""
    postgres, mysql = "postgres" in sources, "mysql" in sources
    return Addresses(
        kafka=f"{LOOPBACK}:{ports['kafka']}",
        registry=f"http://{LOOPBACK}:{ports['registry']}/apis/ccompat/v7",
        connect=f"http://{LOOPBACK}:{ports['connect']}",
        catalog_uri=f"jdbc:postgresql://{LOOPBACK}:{ports['postgres']}/catalog",
        warehouse=folder / "warehouse",
        checkpoint=folder / "checkpoint",
        postgres_host=LOOPBACK if postgres else None,
        postgres_port=ports["postgres"] if postgres else None,
        mysql_host=LOOPBACK if mysql else None,
        mysql_port=ports["mysql"] if mysql else None,
        secrets=secrets,
    )
