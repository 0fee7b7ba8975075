"""A cluster of Spark's own on this machine: a master and workers, as processes that end with the test."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyspark

from cdc.local.ports import LOOPBACK, choose
from tests.e2e.service import await_true

HOME = Path(pyspark.__file__).parent
PORTS = {"master": 17077, "master_web": 18080, "worker_1_web": 18081, "worker_2_web": 18082, "driver_web": 14040}


@dataclass
class Cluster:
    """A master and two workers of one core and 1 GB each; whoever talks to them needs ``secret``."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: choose(PORTS, {}))
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def master(self) -> str:
        return f"spark://{LOOPBACK}:{self.ports['master']}"

    def start(self) -> None:
        conf = self.folder / "conf"
        conf.mkdir(parents=True)
        settings = {"spark.authenticate": "true", "spark.authenticate.secret": self.secret}
        (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        web, port = str(self.ports["master_web"]), str(self.ports["master"])
        self._run("master", "master.Master", "--host", LOOPBACK, "--port", port, "--webui-port", web)
        for name in ("worker_1", "worker_2"):
            web, work = str(self.ports[f"{name}_web"]), str(self.folder / name)
            place = ("--host", LOOPBACK, "--webui-port", web, "--work-dir", work)
            self._run(name, "worker.Worker", *place, "--cores", "1", "--memory", "1g", self.master)
        await_true(lambda: self._alive() == 2, 60, "both workers are known to the master")

    def _run(self, name: str, kind: str, *arguments: str) -> None:
        own = {"SPARK_HOME": str(HOME), "SPARK_CONF_DIR": str(self.folder / "conf"), "SPARK_LOCAL_IP": LOOPBACK}
        own |= {"SPARK_LOCAL_DIRS": str(self.folder / "scratch"), "SPARK_DAEMON_MEMORY": "256m"}
        kept = {n: v for n, v in os.environ.items() if not n.startswith("CDC_")}  # noqa: TID251 - of the child
        with (self.folder / f"{name}.log").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", *arguments],
                env={**kept, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _alive(self) -> int:
        for name, process in self.processes.items():
            assert process.poll() is None, (self.folder / f"{name}.log").read_text(errors="replace")
        with suppress(httpx.HTTPError):
            found = httpx.get(f"http://{LOOPBACK}:{self.ports['master_web']}/json/", timeout=5).json()
            return int(found["aliveworkers"])
        return 0

    def executors(self) -> list[int]:
        """Return the processes of the executors that run now."""
        workers = [process.pid for name, process in self.processes.items() if name != "master"]
        return [pid for worker in workers for pid in children(worker)]

    def tasks(self) -> dict[str, int]:
        """Return how many tasks each executor of the driver has finished, those of dead ones too."""
        found = self._asked("allexecutors")
        return {one["id"]: one["completedTasks"] for one in found if one["id"] != "driver"}

    def finished(self, job: str) -> int:
        """Return how many jobs with this word in their name the driver has finished; none while it has yet to start."""
        with suppress(httpx.HTTPError, ValueError):  # its page answers before there is an application
            return sum(job in one["name"] and one["status"] == "SUCCEEDED" for one in self._asked("jobs"))
        return 0

    def _asked(self, what: str) -> list[dict[str, Any]]:
        at = f"http://{LOOPBACK}:{self.ports['driver_web']}/api/v1/applications"
        (application,) = httpx.get(at, timeout=10).json()
        found: list[dict[str, Any]] = httpx.get(f"{at}/{application['id']}/{what}", timeout=10).json()
        return found

    def written(self) -> str:
        """Return what master, workers and executors wrote into files of theirs."""
        logs = [*self.folder.glob("*.log"), *self.folder.glob("worker_*/*/*/std*")]
        return "\n".join(path.read_text(errors="replace") for path in logs)

    def stop(self) -> None:
        """End the workers, which end their executors, and then the master."""
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a cluster while the block runs."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def children(pid: int) -> list[int]:
    """Return the children of a process; none of one that has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def arguments(pid: int) -> str:
    """Return the arguments of a process as everybody on the machine can read them; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
