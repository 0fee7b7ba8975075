"""What is measured: four ways to read a table, each a process of its own that has done nothing before."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyiceberg.exceptions import NoSuchTableError

from cdc.bootstrap.spark import fetch_spark
from cdc.config.loader import load_config
from cdc.config.models import Config, SparkConfig
from cdc.core.errors import CdcError
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.processes import MARK
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from cdc.sources.postgres import publication_sql
from tests.bench.load_meter import Run, Watch
from tests.bench.load_tables import PostgresTables, Tables

TIMEOUT = 7200.0
"""Seconds after which any of the processes counts as stuck."""

SERVICES = ("connect", "kafka", "registry")
"""Servers that work for a snapshot through the stream, and for nothing else here."""


@dataclass(frozen=True)
class Bench:
    """One stack with its configurations, and the processes that are measured on it."""

    stack: LocalStack
    folder: Path
    logs: Path | None = None

    def dump(self, tables: Tables, table: str) -> dict[str, Any]:
        """Measure the plain reading of a table by the database's own client, thrown away."""
        command, variables = tables.dump(table)
        return self._measured(tables, f"{tables.engine}: dump", command, variables, silent=True)[0]

    def jdbc(self, tables: Tables, table: str, target: str) -> dict[str, Any]:
        """Measure Spark's JDBC reader with one partition."""
        task = {**self._spark(), "options": tables.jdbc(table), "target": target}
        return self._measured(tables, f"{tables.engine}: jdbc", *self._spark_command("jdbc", task))[0]

    def load(self, tables: Tables, config: Path, source: str) -> dict[str, Any]:
        """Measure ``cdc load``; its connector runs, the stream does not."""
        self._capture(tables, config)
        command = cdc("load", config, "--json")
        try:
            figures, run = self._measured(tables, f"{tables.engine}: cdc load", command, self._secrets())
        finally:
            self._cdc("connectors", config, "remove", source, "--offsets")
        return {**figures, "phases": phases(run.lines, run.report["began"], run.report["seconds"])}

    def snapshot(self, tables: Tables, config: Path, source: str, rows: int) -> dict[str, Any]:
        """Measure Debezium's snapshot through the stream, from the connector's registration to the last row."""
        self._publish(tables, config)
        servers = self._servers(tables.engine, *SERVICES)
        others = {name: servers[name] for name in SERVICES}
        watch = Watch(servers)
        run = Run(f"{tables.engine}: snapshot", cdc("stream", config), self._secrets(), others=others)
        began = time.monotonic()
        try:
            with self._running(run):
                applied = self._cdc("connectors", config, "apply", source)
                self._await_rows(run, load_config(config, self._secrets()), rows)
                seconds, spent, machine = time.monotonic() - began, watch.spent(), watch.machine()
                run.stop()
        finally:
            self._cdc("connectors", config, "remove", source, "--offsets")
        mine = {"stream": run.report["cpu_seconds"], "apply": applied.report["cpu_seconds"]}
        figures = _figures(run, seconds, {**mine, **{name: spent.pop(name) for name in SERVICES}}, spent, machine)
        return {**figures, "commands": [_shown(applied.command), _shown(run.command)]}

    def fingerprints(self, names: list[str]) -> dict[str, dict[str, int]]:
        """Return what Spark finds in tables of the lake."""
        command, variables = self._spark_command("fingerprints", {**self._spark(), "tables": names})
        run = Run("fingerprints", command, {**variables, **self._mark()})
        with run.running():
            run.finish(TIMEOUT)
        found: dict[str, dict[str, int]] = json.loads(run.lines[-1][1])
        return found

    def configuration(self, source: Mapping[str, object]) -> Path:
        """Write the product's configuration, all of it default that can be, for one source."""
        at, name = self.stack.addresses(), str(source["name"])
        document = {
            "kafka": {"bootstrap_servers": at.kafka},
            "registry": {"url": at.registry},
            "connect": {"url": at.connect},
            "catalog": {
                "type": "jdbc",
                "uri": at.catalog_uri,
                "username": "catalog",
                "password": "${env:CDC_CATALOG_PASSWORD}",
                "warehouse": str(at.warehouse),
            },
            "stream": {"checkpoint": str(at.checkpoint / name)},
            "operations": {"http_port": 0},
            "sources": [dict(source)],
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def _measured(
        self, tables: Tables, name: str, command: list[str], variables: Mapping[str, str], *, silent: bool = False
    ) -> tuple[dict[str, Any], Run]:
        watch = Watch(self._servers(tables.engine))
        run = Run(name, command, {**variables, **self._mark()}, silent)
        with self._running(run):
            run.finish(TIMEOUT)
        spent, machine = watch.spent(), watch.machine()
        return _figures(run, run.report["seconds"], {"client": run.report["cpu_seconds"]}, spent, machine), run

    @contextmanager
    def _running(self, run: Run) -> Iterator[None]:
        """Run it, and keep what it has said if that is wanted, seconds since the machine's start first."""
        try:
            with run.running():
                yield
        finally:
            if self.logs is not None:
                self.logs.mkdir(parents=True, exist_ok=True)
                text = "".join(f"{at:.2f} {line}\n" for at, line in run.lines)
                (self.logs / f"{run.name.replace(': ', '-').replace(' ', '-')}.log").write_text(text)

    def _capture(self, tables: Tables, config: Path) -> None:
        self._publish(tables, config)
        self._cdc("connectors", config, "apply")

    def _publish(self, tables: Tables, config: Path) -> None:
        if isinstance(tables, PostgresTables):
            tables.run(publication_sql(load_config(config, self._secrets()).sources[0]))  # type: ignore[arg-type]

    def _cdc(self, command: str, config: Path, *arguments: str) -> Run:
        """Run a short command of the product to its end."""
        run = Run(f"cdc {command}", cdc(command, config, *arguments), self._secrets())
        with run.running():
            run.finish(180)
        return run

    def _await_rows(self, run: Run, config: Config, rows: int) -> None:
        deadline = time.monotonic() + TIMEOUT
        while _rows(config) < rows:
            run.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{run.name}: {_rows(config)} of {rows} rows\n{run.tail()}")
            time.sleep(0.25)

    def _servers(self, *names: str) -> dict[str, int]:
        processes = read_state(self.stack.folder).processes
        return {name: processes[name].pid for name in names}

    def _spark_command(self, what: str, task: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "tests.bench.load_spark", what], {"LOAD_SPARK": json.dumps(task)}

    def _spark(self) -> dict[str, Any]:
        at = self.stack.addresses()
        catalog = {
            "type": "jdbc",
            "uri": at.catalog_uri,
            "jdbc.user": "catalog",
            "jdbc.password": at.environment()["CDC_CATALOG_PASSWORD"],
            "jdbc.schema-version": "V1",
            "warehouse": str(at.warehouse),
        }
        memory = SparkConfig().driver_memory  # type: ignore[call-arg] - the product's default
        return {"jars": str(fetch_spark()), "memory": memory, "catalog": catalog}

    def _secrets(self) -> dict[str, str]:
        known = self.stack.addresses().environment()
        return {**{n: v for n, v in known.items() if n.endswith("_PASSWORD")}, **self._mark()}

    def _mark(self) -> dict[str, str]:
        """Return what makes a process part of the stack, which ends it if all else fails."""
        return {MARK: f"{self.stack.folder}:bench"}


def cdc(command: str, config: Path, *arguments: str) -> list[str]:
    """Return a command of the product."""
    return [sys.executable, "-m", "cdc", command, *arguments, "--config", str(config)]


def phases(lines: list[tuple[float, str]], began: float, seconds: float) -> dict[str, float]:
    """Return the seconds of each part of a load, from what ``cdc load --json`` has said and when.

    A load that follows closely on a registration waits until no task can run that does not know the table yet.
    """
    told = [(at, json.loads(line)) for at, line in lines if line.startswith("{")]
    first = {state: at for at, line in reversed(told) if (state := line.get("state"))}
    read = max(at for at, line in told if line.get("event") == "ranges committed")
    waiting = first.get("waiting for capture", first["reading"])
    return {
        "start": round(waiting - began, 2),
        "waiting_for_capture": round(first["reading"] - waiting, 2),
        "reading": round(read - first["reading"], 2),
        "catching_up_and_swap": round(first["loaded"] - read, 2),
        "exit": round(began + seconds - first["loaded"], 2),
    }


def _figures(
    run: Run, seconds: float, cpu: Mapping[str, float], servers: Mapping[str, float], machine: Mapping[str, float]
) -> dict[str, Any]:
    mine, theirs = sum(cpu.values()), sum(servers.values())
    return {
        "seconds": round(seconds, 2),
        "client_cpu_seconds": round(mine, 1),
        "client_cpu_seconds_by_process": {name: round(value, 1) for name, value in cpu.items()},
        "server_cpu_seconds": round(theirs, 1),
        "peak_pss_mb": round(run.peak_pss / 1e6),
        "peak_rss_mb": round(run.peak_rss / 1e6),
        "machine": {**machine, "busy_elsewhere_cpu_seconds": round(machine["busy_cpu_seconds"] - mine - theirs, 1)},
        "commands": [_shown(run.command)],
    }


def _shown(command: Any) -> str:
    return " ".join("python" if part == sys.executable else part for part in command)


def _rows(config: Config) -> int:
    source = config.sources[0]
    try:
        table = open_catalog(config.catalog).load_table(tuple(source.target_of(source.tables[0])))
    except (CdcError, NoSuchTableError):
        return 0
    snapshot = table.current_snapshot()
    return 0 if snapshot is None or snapshot.summary is None else int(snapshot.summary["total-records"] or 0)
