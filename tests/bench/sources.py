"""``python -m tests.bench.sources``: what a further source costs in a process that has one already.

Sources of some tables each are loaded by one service. Then it is started with one of them, with two, and so on, on the
default configuration: told are the seconds until all their queries run, and processor time and memory of the service
while nothing is changed. Afterwards all tables of all sources are changed and compared in every column.
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cdc.local.stack import LocalStack
from tests.bench.fresh import COLUMNS, cost, default, on_a_stack, settle
from tests.e2e.databases import Database
from tests.e2e.loading import reconfigure
from tests.e2e.service import Service, await_true

START_SECONDS = 180.0


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sources", description=__doc__)
    parser.add_argument("--engine", choices=["postgres", "mysql"], default="postgres")
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--tables", type=int, default=5, help="of each source")
    parser.add_argument("--rows", type=int, default=1000, help="of each table")
    parser.add_argument("--idle", type=float, default=30, help="seconds for which a service is looked at")
    figures = on_a_stack("bench-sources", measure, parser.parse_args())
    sys.exit(0 if figures["contents"] == "equal" else 1)


def measure(stack: LocalStack, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one run."""
    databases = [Database(stack.addresses(), options.engine, f"src{n}", 80 + n) for n in range(options.sources)]
    tables = [f"t{number:03}" for number in range(options.tables)]
    service = Service.create(folder, stack, [database.source(*tables) for database in databases])
    reconfigure(service, lambda document: default(document, None))
    everything = json.loads(json.dumps([database.source(*tables) for database in databases]))
    with ExitStack() as cleaning:
        cleaning.callback(service.kill)
        for database in databases:
            database.make()
            prepare(service, database, tables, options)
        service.start()
        await_true(lambda: loaded(service) == options.sources * options.tables, START_SECONDS * 2, "all are loaded")
        service.stop()
        starts = []
        for count in range(1, options.sources + 1):
            sources = [{k: v for k, v in one.items() if k != "heartbeat"} for one in everything[:count]]
            reconfigure(service, lambda document, sources=sources: document.update(sources=sources))
            starts.append({"sources": count, **started(service, count, options.idle)})
            if count < options.sources:
                service.stop()
        for database in databases:
            database.sql(*(f"UPDATE {{s}}.{table} SET n = n + 1" for table in tables))
        service.await_equal(300)
        return {"starts": starts, "further": further(starts), "contents": "equal"}


def prepare(service: Service, database: Database, tables: list[str], options: argparse.Namespace) -> None:
    """Make the tables of a source with their rows, and register its connector."""
    for table in tables:
        database.sql(f"CREATE TABLE {{s}}.{table} ({COLUMNS[options.engine]})")
        numbers = f"INSERT INTO {{s}}.{table} (id, n) VALUES " + ", ".join(f"({n}, 0)" for n in range(options.rows))
        database.sql(numbers)
    if options.engine == "postgres":
        listed = ", ".join(f"{{s}}.{table}" for table in tables)
        database.sql(f"CREATE PUBLICATION cdc_{database.name} FOR TABLE {listed}")
    done = service.run("connectors", "apply", database.name)
    assert done.returncode == 0, done.stdout + done.stderr


def loaded(service: Service) -> int:
    """Return how many tables are running."""
    service.check_alive()
    rows = json.loads(service.run("status", "--json").stdout)
    return sum(one["state"] == "running" for one in rows if one.get("target"))


def started(service: Service, count: int, idle: float) -> dict[str, Any]:
    """Start the service, and return what it took until all of its sources are read, and what it uses at rest."""
    begins, began = service.log.stat().st_size, time.monotonic()
    service.start()

    def all_read() -> bool:
        service.check_alive()
        return service.log.read_bytes()[begins:].count(b"query started") >= count

    await_true(all_read, START_SECONDS, f"{count} queries run", pause=0.02)
    seconds = time.monotonic() - began
    settle(service)
    rest = cost(service, lambda: time.sleep(idle))
    return {"start_seconds": round(seconds, 1), **rest}


def further(starts: list[dict[str, Any]]) -> dict[str, float]:
    """Return what each source beyond the first adds, on the average."""
    first, last = starts[0], starts[-1]
    more = last["sources"] - first["sources"]
    return {name: round((last[name] - first[name]) / max(more, 1), 2) for name in ("start_seconds", "pss_mb", "cores")}


if __name__ == "__main__":
    main()
