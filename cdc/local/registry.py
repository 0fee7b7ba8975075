"""Schema registry of the stack: Apicurio, which speaks Confluent's API too; schemas and ids are kept in a file."""

import httpx

from cdc.local import system
from cdc.local.ports import LOOPBACK
from cdc.local.processes import Launch
from cdc.local.site import Server, Site

_OPTIONS = ("-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")


def _prepare(site: Site) -> None:
    (site.folder / "registry").mkdir(mode=0o700, exist_ok=True)


def _launch(site: Site) -> Launch:
    folder = site.folder / "registry"
    # An id that is in a message must never be given to another schema: written to the file at once.
    database = f"jdbc:h2:file:{folder / 'registry'};WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE;DB_CLOSE_DELAY=-1"
    settings = {
        "quarkus.http.port": str(site.ports["registry"]),
        "quarkus.http.host": LOOPBACK,
        "quarkus.datasource.jdbc.initial-size": "2",
        "quarkus.datasource.jdbc.min-size": "2",
        # Its transaction manager would otherwise open a port merely to be sure of having a unique number.
        "CoreEnvironmentBean.processImplementationClassName": "com.arjuna.ats.internal.arjuna.utils.UuidProcessId",
    }
    (jar,) = site.distributions["registry"].glob("apicurio-registry-app-*-runner.jar")
    command = [system.java(), *_OPTIONS, *(f"-D{name}={value}" for name, value in settings.items()), "-jar", str(jar)]
    return Launch(command, folder, {"REGISTRY_DATASOURCE_URL": database})


def _healthy(site: Site) -> bool:
    try:
        address = f"http://{LOOPBACK}:{site.ports['registry']}/apis/ccompat/v7/subjects"
        return httpx.get(address, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


SERVER = Server(
    name="registry",
    ports={"registry": 8081},
    distributions=("registry",),
    prepare=_prepare,
    launch=_launch,
    healthy=_healthy,
)
