"""One measurement of throughput: prepare the backlog, drain it, look at what is in the lake, compare."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from cdc.bootstrap.at_rest import line, verify_sources
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from tests.bench.backlog import Backlog
from tests.bench.drain import DRAINED, Drain, Told, applied, batches, published, scanned
from tests.bench.flink_sql import TABLE as FLINK
from tests.bench.flink_sql import FlinkSql
from tests.bench.fresh import default
from tests.bench.load import say
from tests.bench.load_meter import Run
from tests.bench.shapes import Shape
from tests.e2e.databases import Database
from tests.e2e.shop import Shop, shop_of

TIMEOUT = 3600.0
"""Seconds after which any of the processes counts as stuck."""

SERVERS = ("postgres", "connect", "kafka", "registry")
PLAIN = ("plain", "t00")
"""The table of plain PySpark."""


def measure(stack: LocalStack, folder: Path, shape: Shape, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one run."""
    database = Database(stack.addresses(), "postgres", "bench", 97)
    with shop_of(Shop, stack, folder, database, shape.names, as_it_comes) as shop:
        bench = Bench(stack, shop, shape, options)
        say(f"loading {shape.tables} tables of {shape.rows:,} rows, {len(shape.columns) + 1} columns")
        bench.backlog.prepare(options.seed)
        before = bench.snapshot()
        flink = bench.reserved() if options.beside == "flink" else None
        count = bench.change()
        until = flink.end_of_log() if flink else ""
        found = {"cdc": bench.cdc(count), "contents": bench.contents()}
        if flink:
            found["flink sql"] = bench.flink(flink, count, before, until)
            if found["flink sql"]["differing"]:
                found["contents"] = "DIFFERENT from Flink SQL"
        if options.beside == "merge":
            found["plain merge"] = bench.plain(count, before)
            if differing := bench.differing():
                found["contents"] = f"DIFFERENT from plain merge in {', '.join(differing)}"
        sizes = {"path": options.path, "keys": options.keys, "tables": shape.tables, "rows": shape.rows}
        columns = len(shape.columns) + 1
        return {**sizes, "columns": columns, "changes": count, "topic_bytes": bench.backlog.bytes(), **found}


def as_it_comes(document: dict[str, Any]) -> None:
    """Take away what the tests set; only the port of metrics stays closed, since it is others' too."""
    default(document, None)
    document["operations"] = {"http_port": 0}


class Bench:
    """A shop with a backlog, and those who drain it."""

    def __init__(self, stack: LocalStack, shop: Shop, shape: Shape, options: argparse.Namespace) -> None:
        self._stack, self._shop, self._shape, self._options = stack, shop, shape, options
        self.backlog = Backlog(shop, shape, stack.folder / "kafka" / "data")
        self._names = [(shop.name, name) for name in shape.names]

    def change(self) -> int:
        """Make the changes, and let them get to where the path begins; returns how many."""
        if self._options.path == "full":
            self.backlog.hold()
        say(f"changing rows: {self._shape.changes:,} changes, {self._options.keys}, seed {self._options.seed}")
        count = self.backlog.change(self._options.keys, self._options.seed)
        if self._options.path == "sink":
            say("waiting for the topics")
            self.backlog.await_topics(count)
        return count

    def cdc(self, count: int) -> dict[str, Any]:
        """Drain the backlog by the service."""
        run = Run("cdc stream", self._shop.service.command("stream"), self._shop.service.environment)
        release = self.backlog.release if self._options.path == "full" else None
        figures = self._drained(run, count, lambda told: applied(told) >= count, release)
        said, spent = batches(run), figures["cpu_seconds"]
        limit = {"process": max(spent, key=spent.get), "stage": next(iter(said["seconds_by_stage"]))}
        return {**figures, "limit": limit, **said, **scanned(self._catalog(), self._names)}

    def plain(self, count: int, snapshot: int) -> dict[str, Any]:
        """Drain the same topic by plain PySpark into a copy of the table as it was."""
        (source,) = self._shop.service.config.sources
        self._copy(PLAIN, snapshot)
        run = self._plain(PLAIN, "drain", "--topic", source.topic_of(source.tables[0]))
        figures = self._drained(run, count, _drained)
        return {**figures, "batches": len(published(run)), **scanned(self._catalog(), [PLAIN])}

    def reserved(self) -> FlinkSql:
        """Have Flink's slot keep the log from here on, with whole rows, as its source needs them."""
        self._shop.sql(*(f"ALTER TABLE {{s}}.{name} REPLICA IDENTITY FULL" for name in self._shape.names))
        flink = FlinkSql(self._shop.service, self._shop.service.path.parent)
        flink.reserve()
        return flink

    def flink(self, flink: FlinkSql, count: int, snapshot: int, until: str) -> dict[str, Any]:
        """Drain the same log by Flink SQL into a copy of the table as it was."""
        self._copy(FLINK, snapshot)
        flink.ready(self._catalog())
        self._shop.sql(f"UPDATE {{s}}.{self._shape.names[0]} SET n = n WHERE id = 1")  # what is behind the place
        run = flink.run(".".join(self._names[0]), self._shape.columns, until)
        figures = self._drained(run, count, _drained)
        flink.give_back()
        compare = self._plain(FLINK, "compare", "--source", ".".join(self._names[0]))
        with compare.running():
            compare.finish(TIMEOUT)
        (said,) = [json.loads(text) for _, text in compare.lines if text.startswith('{"event": "compared"')]
        del said["event"]
        return {**figures, "commits": len(published(run)), **said}

    def contents(self) -> str:
        """Compare every column of every row with the database."""
        say("comparing contents")
        report = verify_sources(self._shop.service.config)
        if report.equal:
            return "equal"
        sys.stderr.write("\n".join(map(line, report.tables)) + "\n")
        return "DIFFERENT"

    def differing(self) -> list[str]:
        """Return the columns in which plain PySpark's table is not what the service's is."""
        columns = ("id", *(column.name for column in self._shape.columns))
        one, other = (_sorted(self._catalog(), name, columns) for name in (self._names[0], PLAIN))
        return [name for name in columns if one[name].to_pylist() != other[name].to_pylist()]

    def snapshot(self) -> int:
        """Return the current snapshot of the first table."""
        found = self._catalog().load_table(self._names[0]).current_snapshot()
        assert found is not None
        return found.snapshot_id

    def _drained(self, run: Run, count: int, finished: Any, release: Any = None) -> dict[str, Any]:
        say(f"{run.name}: draining {count:,} changes, path {self._options.path}")
        processes = read_state(self._stack.folder).processes
        servers = {name: processes[name].pid for name in SERVERS}
        drain = Drain(run, servers, self._stack.addresses().warehouse, TIMEOUT)
        try:
            figures = drain.measure(finished, release or (lambda: None))
        finally:
            self._keep(run)
        rates = {
            "changes_per_second": round(count / figures["seconds"]),
            "changes_per_second_from_query": round(count / figures["seconds_from_query"]),
            "cpu_seconds_per_million": {n: round(s / count * 1e6, 1) for n, s in figures["cpu_seconds"].items()},
            "written_per_topic_byte": round(figures["written_bytes"] / self.backlog.bytes(), 3),
        }
        say(f"{run.name}: {figures['seconds']} s")
        return {**rates, **figures}

    def _copy(self, table: tuple[str, str], snapshot: int) -> None:
        """Copy the first table as it was."""
        say(f"copying the table as it was to {'.'.join(table)}")
        copy = self._plain(table, "copy", "--source", ".".join(self._names[0]), "--snapshot", str(snapshot))
        with copy.running():
            copy.finish(TIMEOUT)

    def _plain(self, table: tuple[str, str], verb: str, *arguments: str) -> Run:
        service = self._shop.service
        command = ["-m", "tests.bench.plain_merge", str(service.path), verb, "--table", ".".join(table), *arguments]
        return Run(f"plain {verb}", [sys.executable, *command], service.environment)

    def _keep(self, run: Run) -> None:
        if folder := self._options.logs:
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(f"{at:.2f} {line}\n" for at, line in run.lines)
            (folder / f"{run.name.replace(' ', '-')}.log").write_text(text)

    def _catalog(self) -> Catalog:
        return open_catalog(self._shop.service.config.catalog)


def _drained(told: list[Told]) -> bool:
    return any(line["event"] == DRAINED for _, line in told)


def _sorted(catalog: Catalog, name: tuple[str, str], columns: tuple[str, ...]) -> pa.Table:
    return catalog.load_table(name).scan(selected_fields=columns).to_arrow().select(columns).sort_by("id")
