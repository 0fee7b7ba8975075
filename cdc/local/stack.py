"""The embedded stack: start it, stop it, look at it; every call may be repeated."""

import shutil
import signal
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cdc.core.errors import ConfigError, PreflightError
from cdc.local import artifacts, connect, kafka, mysql, postgres, registry, system
from cdc.local.addresses import Addresses, addresses_of
from cdc.local.launching import bring_up
from cdc.local.places import as_root, stack_folder, stacks
from cdc.local.ports import answers, choose, still_taken
from cdc.local.processes import PREPARING, ProcessId, alive, marked, stop, wait
from cdc.local.site import Server, Site
from cdc.local.state import State, locked, read_secrets, read_state, write_state

DATABASES = ("postgres", "mysql")
SERVERS = {one.SERVER.name: one.SERVER for one in (postgres, mysql, kafka, registry, connect)}
SECRETS = ("postgres", "postgres_owner", "postgres_admin", "mysql", "mysql_owner", "mysql_root", "catalog")

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class ServerStatus:
    """One server as it is now; ``state`` is healthy, unhealthy or stopped."""

    name: str
    state: str
    port: int | None
    pid: int | None
    log: Path


class LocalStack:
    """A stack of the given name, in its own folder; stacks of different names run side by side."""

    def __init__(self, name: str = "default", folder: Path | None = None) -> None:
        self.name = name
        self.folder = (folder or stack_folder(name)).absolute()

    def up(self, sources: Collection[str] = ("postgres",), *, on_step: OnStep | None = None) -> Addresses:
        """Start what is not running, and return when all of it is healthy; interrupted, it stops what it started.

        Raises PreflightError naming the server that did not start, with the last lines of its log.
        """
        tell = on_step or (lambda _: None)
        servers = _servers_for(sources)
        if "mysql" in sources:
            system.ensure_mysql_libraries(tell)
        distributions = artifacts.fetch({name for one in servers for name in one.distributions}, tell)
        self._make_folders()
        with locked(self.folder / "lock", f'stack "{self.name}"'):
            self._stop_strays({*SERVERS, PREPARING})
            state = self._with_ports(servers, sources, tell)
            site = self._site(state, distributions)
            bring_up(servers, site, state, tell)
        return self.addresses()

    def down(self, *, wipe: bool = False) -> None:
        """Stop every process of the stack, whoever started it, and see its ports closed; ``wipe`` deletes its data."""
        if not self.folder.exists():
            return
        with locked(self.folder / "lock", f'stack "{self.name}"'):
            state = read_state(self.folder)
            self._stop(state)
            if not wait(lambda: not any(map(answers, state.ports.values())), 10):
                raise PreflightError(f'a port of stack "{self.name}" is still open', hint="see `cdc local status`")
            if wipe:
                shutil.rmtree(self.folder)

    def status(self) -> list[ServerStatus]:
        """Return every server that was asked for, asked for its health now."""
        state = read_state(self.folder)
        if not state.processes:
            return []
        site = self._site(state, {})
        asked = [one for one in SERVERS.values() if one.name in state.processes]
        return [self._status_of(one, state.processes.get(one.name), site) for one in asked]

    def addresses(self) -> Addresses:
        """Return where the servers are; raises PreflightError if the stack was never up."""
        state = read_state(self.folder)
        if not state.ports:
            raise PreflightError(f'stack "{self.name}" was never up', hint="`cdc local up`")
        secrets = read_secrets(self.folder, SECRETS)
        return addresses_of(self.folder, state.ports, frozenset(state.sources), secrets)

    def log(self, server: str) -> Path:
        """Return the log file of a server; raises ConfigError for an unknown name."""
        if server not in SERVERS:
            raise ConfigError(f'there is no server "{server}"', hint=f"one of {', '.join(SERVERS)}")
        return self.folder / "logs" / f"{server}.log"

    def _status_of(self, server: Server, process: ProcessId | None, site: Site) -> ServerStatus:
        running = process is not None and alive(process)
        state = "stopped" if not running else "healthy" if server.healthy(site) else "unhealthy"
        pid = process.pid if process is not None and running else None
        return ServerStatus(server.name, state, site.ports.get(server.name), pid, site.log(server.name))

    def _site(self, state: State, distributions: dict[str, Path]) -> Site:
        return Site(self.folder, state.ports, read_secrets(self.folder, SECRETS), distributions)

    def _make_folders(self) -> None:
        """Make the stack's folder; the user that databases run as may pass through it, not look into it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711 if as_root() else 0o700)
        for name in ("logs", "warehouse", "checkpoint"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)

    def _with_ports(self, servers: Collection[Server], sources: Collection[str], tell: OnStep) -> State:
        """Return the stack's state with a port for each server, written down before anything starts."""
        stacks().mkdir(parents=True, exist_ok=True)
        with locked(stacks() / "ports.lock", "the choice of ports", patient=True):
            state = read_state(self.folder)
            running = [name for name, process in state.processes.items() if alive(process)]
            lost = self._lost_ports(state, running)
            for name in lost:
                tell(f"another program has port {state.ports.pop(name)}: choosing another one for {name}")
            usual = {name: port for one in servers for name, port in one.ports.items()}
            state.ports |= choose(usual, state.ports, _ports_of_others(self.folder))
            state.sources = sorted({*sources, *(state.sources if running else ())})
            write_state(self.folder, state)
        return state

    def _lost_ports(self, state: State, running: Collection[str]) -> list[str]:
        """Return the names of kept ports that somebody else took; raises PreflightError if running servers use them."""
        owned = {name for one in running for name in SERVERS[one].ports}
        lost = still_taken({name: port for name, port in state.ports.items() if name not in owned})
        if lost and running:
            raise PreflightError(
                f"port {state.ports[lost[0]]} of {lost[0]} was taken by another program",
                hint="stop that program, or the whole stack (`cdc local down`), which lets it choose other ports",
            )
        return lost

    def _stop(self, state: State) -> None:
        """Stop what is written down, what is not, and Connect and Kafka in the order in which they need each other."""
        self._stop_strays()
        for names in (("connect",), ("kafka", "registry", "postgres", "mysql")):
            _stop_together({name: state.processes[name] for name in names if name in state.processes})
        state.processes.clear()
        write_state(self.folder, state)

    def _stop_strays(self, names: Collection[str] | None = None) -> None:
        """Kill what carries the stack's mark but is not written down: by default all of it, else only these names.

        Its starter was killed in between; or it is a client that belongs to the stack, such as the demo's service.
        """
        known = read_state(self.folder).processes.values()
        found = [one for name, one in marked(f"{self.folder}:") if names is None or name in names]
        strays = [process for process in found if process not in known]
        stop(strays, signal.SIGKILL, 1)


def _servers_for(sources: Collection[str]) -> list[Server]:
    """Return the servers to start; PostgreSQL always, since it holds the lake's catalog."""
    for name in sources:
        if name not in DATABASES:
            raise ConfigError(f'the stack has no source "{name}"', hint=f"one or more of {', '.join(DATABASES)}")
    return [one for one in SERVERS.values() if one.name != "mysql" or "mysql" in sources]


def _stop_together(processes: dict[str, ProcessId]) -> None:
    """Stop several servers at the same time, each in the way that it stops cleanly."""
    if not processes:
        return
    with ThreadPoolExecutor(len(processes)) as pool:
        for name, process in processes.items():
            pool.submit(stop, [process], SERVERS[name].stop, SERVERS[name].stop_seconds)


def _ports_of_others(folder: Path) -> set[int]:
    others = (one.folder for one in all_stacks() if one.folder != folder)
    return {port for other in others for port in read_state(other).ports.values()}


def all_stacks() -> list[LocalStack]:
    """Return every stack in the default place."""
    return [LocalStack(folder.parent.name) for folder in sorted(stacks().glob("*/state.json"))]
