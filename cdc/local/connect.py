"""Kafka Connect of the stack: one worker with Debezium's connectors and the Avro converter."""

from string import Template

import httpx

from cdc.local.kafka import java
from cdc.local.places import REPOSITORY
from cdc.local.ports import LOOPBACK
from cdc.local.processes import Launch
from cdc.local.site import Server, Site

WORKER = REPOSITORY / "debezium" / "worker.properties"
FILES = "files"
"""Folder in the stack from which connectors may read secrets as ``${dir:..}``."""


def _prepare(site: Site) -> None:
    folder = site.folder / "connect"
    for part in (folder, folder / FILES):
        part.mkdir(mode=0o700, exist_ok=True)
    values = {
        "bootstrap_servers": f"{LOOPBACK}:{site.ports['kafka']}",
        "rest_host": LOOPBACK,
        "rest_port": str(site.ports["connect"]),
        "registry_url": f"http://{LOOPBACK}:{site.ports['registry']}/apis/ccompat/v7",
        "plugin_path": f"{site.distributions['converter']},{site.distributions['connectors']}",
        "secrets_folder": str(folder / FILES),
        "replication_factor": "1",
    }
    text = Template(WORKER.read_text(encoding="utf-8")).substitute(values)
    (folder / "worker.properties").write_text(text, encoding="utf-8")


def _launch(site: Site) -> Launch:
    folder = site.folder / "connect"
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    secrets = {f"CDC_{name.upper()}_PASSWORD": site.secrets[name] for name in ("postgres", "mysql")}
    # PostgreSQL's driver asks for texts (ranges, arrays) in the time zone of its own process.
    return Launch(java(site, "768m", main, str(folder / "worker.properties")), folder, secrets | {"TZ": "UTC"})


def _healthy(site: Site) -> bool:
    try:
        address = f"http://{LOOPBACK}:{site.ports['connect']}/health"
        return httpx.get(address, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


SERVER = Server(
    name="connect",
    ports={"connect": 8083},
    distributions=("worker", "converter", "connectors"),
    prepare=_prepare,
    launch=_launch,
    healthy=_healthy,
    start_seconds=120,
)
