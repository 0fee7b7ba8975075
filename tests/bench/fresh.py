"""``python -m tests.bench.fresh``: from the commit in the source to the row in the lake, on a stack of its own.

Many tables change at a rate, in transactions of ten changes: of ten, six update a row, three insert one, one deletes
one. An inserted row is never changed again, and holds the moment before its transaction was committed; when it was
published the ledger of commits tells. So the figures are by rows, over the whole of the run, and the clock is one.
The configuration is the default one. Afterwards every column of every row of all tables is compared.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pyiceberg.catalog import Catalog

from cdc.bootstrap.spark import fetch_spark
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.stack import LocalStack
from tests.bench.load_meter import cpu_seconds, memory
from tests.bench.load_meter import family as processes_of
from tests.e2e.databases import Database
from tests.e2e.service import Service
from tests.e2e.shop import Shop, shop_of

COLUMNS = {
    "postgres": "id bigint PRIMARY KEY, short text, long text, amount numeric(12,2), n int, flag boolean, sent_at "
    "timestamptz, code uuid",
    "mysql": "id bigint PRIMARY KEY, short varchar(20), `long` varchar(100), amount decimal(12,2), n int, "
    "flag tinyint, sent_at datetime(6), code char(36)",
}
SENT = 1_000_000_000
"""Ids from here on are of rows that are inserted while it is measured, and never changed."""
TRANSACTION = 10

Measured = Callable[[LocalStack, Path, argparse.Namespace], dict[str, Any]]


def main() -> None:
    """Run the workload, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fresh", description=__doc__)
    parser.add_argument("--engine", choices=["postgres", "mysql"], default="postgres")
    parser.add_argument("--tables", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1000, help="rows of a table at first")
    parser.add_argument("--rate", type=float, default=200, help="changes a second, over all tables")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=60, help="seconds of the same before it is measured")
    parser.add_argument(
        "--idle", type=float, default=30, help="seconds without changes before it, of which the cost is told"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trigger", help="another trigger than the default, to find out what it should be")
    parser.add_argument("--log", type=Path, help="where the service's log is left")
    figures = on_a_stack("bench-fresh", measure, parser.parse_args())
    sys.exit(0 if figures["contents"] == "equal" else 1)


def on_a_stack(name: str, measured: Measured, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of what is measured on a stack of its own, and print them with the options."""
    fetch_spark()
    stack = LocalStack(name)
    try:
        stack.up(["postgres", "mysql"] if options.engine == "mysql" else ["postgres"])
        with tempfile.TemporaryDirectory() as folder:
            figures = measured(stack, Path(folder), options)
    finally:
        stack.down(wipe=True)
    print(json.dumps({**vars(options), **figures}, indent=2, default=str))
    return figures


def default(document: dict[str, Any], trigger: str | None) -> None:
    """Take away what the tests set, so that everything is as a user has it."""
    document["stream"] = {"checkpoint": document["stream"]["checkpoint"], **({"trigger": trigger} if trigger else {})}
    del document["spark"], document["kafka"]["partitions"]
    for source in document["sources"]:
        del source["heartbeat"]


def measure(stack: LocalStack, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one run."""
    database = Database(stack.addresses(), options.engine, "fresh", 96)
    tables = [f"t{number:03}" for number in range(options.tables)]
    with shop_of(Shop, stack, folder, database, tables, lambda document: default(document, options.trigger)) as shop:
        prepare(shop, tables, options)
        workload = Workload(database, tables, options)
        settle(shop.service)
        idle = cost(shop.service, lambda: time.sleep(options.idle))
        workload.run(options.warm, 0)
        busy = cost(shop.service, lambda: workload.run(options.seconds, SENT))
        began = time.monotonic()
        try:
            shop.service.await_equal(600)
        except AssertionError as error:
            print(str(error)[-4000:], file=sys.stderr)
            return {"contents": "DIFFERENT"}
        equal_after = round(time.monotonic() - began, 1)
        shop.service.stop()  # which writes what the ledger of commits lacks yet
        if options.log:
            options.log.write_bytes(shop.service.log.read_bytes())
        return {
            "idle": idle,
            "busy": {**busy, "changes": workload.changes, "equal_after": equal_after},
            "fresh_seconds": fresh(open_catalog(shop.service.config.catalog), tables),
            "contents": "equal",
        }


def prepare(shop: Shop, tables: list[str], options: argparse.Namespace) -> None:
    """Make the tables, capture them, start the service and wait until all are loaded."""
    for table in tables:
        shop.sql(f"CREATE TABLE {{s}}.{table} ({COLUMNS[options.engine]})")
    with closing(shop.database.connect()) as connection, connection.cursor() as cursor:
        for table in tables:
            rows = [row(number, options.seed) for number in range(options.rows)]
            cursor.executemany(insert(shop.database, table), rows)
        connection.commit()
    shop.database.publish(shop.service)
    shop.command("connectors", "apply", shop.name)
    shop.service.start()
    shop.await_states(dict.fromkeys(tables, "running"), rows=options.rows, seconds=60 + 15 * len(tables))


def insert(database: Database, table: str) -> str:
    """Return the statement that inserts a row."""
    return f"INSERT INTO {database.name}.{table} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"


def row(number: int, seed: int) -> tuple[Any, ...]:
    """Return a row's values; its moment is now."""
    code = f"{seed:08x}-0000-4000-8000-{number:012x}"
    return (
        number,
        f"name {number % 100000}",
        f"{number} " + "x" * 60,
        number % 9999,
        number % 7,
        bool(number % 2),
        now(),
        code,
    )


def now() -> datetime:
    """Return the time in UTC, without a zone for MySQL's sake: sessions are at UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


class Drawn(NamedTuple):
    """Keys of one table that a transaction changes, each once."""

    updated: Sequence[int]
    inserted: Sequence[int]
    deleted: Sequence[int]


class Workload:
    """Changes the tables at a rate."""

    def __init__(self, database: Database, tables: list[str], options: argparse.Namespace) -> None:
        self._database, self._tables, self._options = database, tables, options
        self._random = random.Random(options.seed)
        self._next = dict.fromkeys(tables, options.rows)
        self._first = self.changes = 0

    def run(self, seconds: float, first: int) -> None:
        """Change rows for so long; those inserted have ids from ``first`` on."""
        self._first, self.changes, began = first, 0, time.monotonic()
        with closing(self._database.connect()) as connection, connection.cursor() as cursor:
            if self._options.engine == "postgres":
                cursor.execute("SET timezone = 'UTC'")
            while (passed := time.monotonic() - began) < seconds:
                if self.changes > passed * self._options.rate:
                    time.sleep(0.002)
                    continue
                chosen = self._chosen()
                for table in dict.fromkeys(chosen):
                    self._change(cursor, table, self._drawn(table, chosen.count(table)))
                connection.commit()
                self.changes += TRANSACTION

    def _chosen(self) -> list[str]:
        """Return the table of each change of a transaction."""
        return [self._random.choice(self._tables) for _ in range(TRANSACTION)]

    def _drawn(self, table: str, changes: int) -> Drawn:
        updated, inserted = self._split(changes, 0.6, 0.9)
        keys = self._random.sample(range(self._options.rows), changes - inserted)
        begin = self._first + self._next[table] + 1
        self._next[table] += inserted
        return Drawn(keys[:updated], range(begin, begin + inserted), keys[updated:])

    def _split(self, changes: int, updates: float, inserts: float) -> tuple[int, int]:
        """Return how many of the changes are updates and how many are inserts; the bounds are shares of all."""
        dice = [self._random.random() for _ in range(changes)]
        return sum(one < updates for one in dice), sum(updates <= one < inserts for one in dice)

    def _change(self, cursor: Any, table: str, drawn: Drawn) -> None:
        """Change the rows in up to three statements, so that this process takes little of the machine."""
        target = f"{self._database.name}.{table}"
        if drawn.updated:
            statement = f"UPDATE {target} SET n = n + 1, short = %s WHERE id IN ({marks(drawn.updated)})"
            cursor.execute(statement, (f"new {self._random.random():.6f}", *drawn.updated))
        if drawn.inserted:
            new = [value for key in drawn.inserted for value in row(key, self._options.seed)]
            more = ", (%s, %s, %s, %s, %s, %s, %s, %s)" * (len(drawn.inserted) - 1)
            cursor.execute(f"{insert(self._database, table)}{more}", new)
        if drawn.deleted:
            cursor.execute(f"DELETE FROM {target} WHERE id IN ({marks(drawn.deleted)})", drawn.deleted)


def marks(values: Sequence[Any]) -> str:
    """Return a mark for each parameter."""
    return ", ".join(["%s"] * len(values))


def cost(service: Service, work: Any) -> dict[str, float]:
    """Return processor seconds of the service, cores that it kept busy, and the memory that it has at the end."""
    root = service.pid
    before, began = cpu_seconds(root), time.monotonic()
    work()
    seconds, spent = time.monotonic() - began, cpu_seconds(root) - before
    pss, _ = memory(processes_of({root}))
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
        "cores": round(spent / seconds, 3),
        "pss_mb": pss >> 20,
    }


def settle(service: Service, seconds: float = 90, cores: float = 0.15) -> None:
    """Wait until the service has done what its loads have left behind, or for so long."""
    deadline = time.monotonic() + seconds
    while cost(service, lambda: time.sleep(5))["cores"] > cores and time.monotonic() < deadline:
        pass


def fresh(catalog: Catalog, tables: list[str]) -> dict[str, float]:
    """Return quantiles of the seconds from a row's commit in the source to its publication in the lake."""
    commits = defaultdict(list)
    for line in catalog.load_table(("cdc", "commits")).scan().to_arrow().to_pylist():
        commits[line["target"]].append(line["committed_at"])
    found = []
    for table in tables:
        published = sorted(commits[f"fresh.{table}"])
        rows = catalog.load_table(("fresh", table)).scan(f"id >= {SENT}").to_arrow()
        for sent, staged in zip(rows["sent_at"].to_pylist(), rows["_cdc_committed_at"].to_pylist(), strict=True):
            at = published[bisect_left(published, staged)]
            found.append((at - sent.replace(tzinfo=UTC)).total_seconds())
    found.sort()
    quantiles = {
        f"p{percent}": round(found[min(len(found) - 1, len(found) * percent // 100)], 2) for percent in (50, 95, 99)
    }
    return {"rows": len(found), **quantiles, "max": round(found[-1], 2)}


if __name__ == "__main__":
    main()
