"""Iceberg's own REST catalog server, on this machine alone, for the time of some tests."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cdc.local import unpack
from cdc.local.artifacts import Distribution, bring
from cdc.local.places import cache
from cdc.local.ports import choose
from tests.e2e.service import await_true

HERE = Path(__file__).with_name("rest") / "server"
JARS = Distribution(
    "rest", cache() / "rest", unpack.copy_jars, HERE / "pom.xml", HERE / "artifacts.sha256", megabytes=80
)
START_SECONDS = 60.0


class RestCatalog:
    """The server with its tables in a folder; it may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._jars = folder, bring(JARS, print)
        self.port = choose({"rest": 18181}, {})["rest"]
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._server.pid

    def start(self) -> None:
        """Start it, and return when it answers."""
        java = ["java", "-Xmx256m", "-cp", f"{self._jars}/*", str(HERE / "RestCatalog.java")]
        places = [str(self._folder / "catalog.db"), str(self._folder / "warehouse")]
        with (self._folder / "rest.log").open("ab") as log:
            self._server = subprocess.Popen([*java, str(self.port), *places], stdout=log, stderr=log)
        await_true(self._answers, START_SECONDS, "the REST catalog answers")

    def stop(self) -> None:
        """End it at once, as a machine does that fails."""
        self._server.kill()
        self._server.wait(30)

    def _answers(self) -> bool:
        assert self._server.poll() is None, "it has ended: see rest.log"
        try:
            return httpx.get(f"{self.address}/v1/config", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def rest_catalog(folder: Path) -> Iterator[RestCatalog]:
    """Run the server while the block does."""
    server = RestCatalog(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
