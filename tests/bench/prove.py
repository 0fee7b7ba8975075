"""``make bench-verify``: rows that are wrong in the lake are planted, named and mended in a table that changes.

A table of eight columns is loaded by the service with the default configuration, and changed at a rate. First
``cdc verify`` has to find nothing, ``--runs`` times; then 200 rows are made wrong behind the service's back, 25 in each
of eight ways; all of them have to be named as what they are, and nothing else, and ``--repair`` has to mend them. In
the end the changes stop, and the whole table has to be found equal.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from cdc.core.proof import Kind
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.stack import LocalStack
from tests.bench.fresh import COLUMNS, SENT, Workload, default, on_a_stack
from tests.bench.load_meter import Run
from tests.e2e.databases import Database
from tests.e2e.shop import Shop, shop_of

EACH = 25
"""Rows that are made wrong in each way."""
CLUSTER = 100
"""Ids from which they are taken, one cluster for each way, all over the table."""
TABLE = "items"
ROWS = {
    "postgres": "INSERT INTO {t} SELECT g, 'name ' || g % 100000, g || ' ' || repeat('x', 60), g % 9999, g % 7, "
    "g % 2 = 1, now(), ('0000000{seed}-0000-4000-8000-' || lpad(to_hex(g), 12, '0'))::uuid "
    "FROM generate_series({first}, {last}) g",
    "mysql": "INSERT INTO {t} WITH RECURSIVE s(g) AS (SELECT {first} UNION ALL SELECT g + 1 FROM s WHERE g < {last}) "
    "SELECT g, concat('name ', g % 100000), concat(g, ' ', repeat('x', 60)), g % 9999, g % 7, g % 2, now(6), "
    "concat('0000000{seed}-0000-4000-8000-', lpad(hex(g), 12, '0')) FROM s",
}
CHUNK = 500_000


def main() -> None:
    """Plant, prove, repair, print."""
    parser = argparse.ArgumentParser(prog="make bench-verify", description=__doc__)
    parser.add_argument("--engine", choices=["postgres", "mysql"], default="postgres")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=200, help="changes a second")
    parser.add_argument("--runs", type=int, default=1, help="proofs that have to find nothing, before rows are planted")
    parser.add_argument("--seed", type=int, default=1, choices=range(1, 10))
    figures = on_a_stack("bench-verify", measure, parser.parse_args())
    sys.exit(0 if figures["contents"] == "equal" else 1)


def measure(stack: LocalStack, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    database = Database(stack.addresses(), options.engine, "proved", 96)
    with shop_of(Shop, stack, folder, database, [TABLE], lambda document: default(document, None)) as shop:
        fill(shop, options)
        with changing(shop, options):
            before = [proved(shop) for _ in range(options.runs)]
        shop.service.await_log("batch applied", 60)
        verdict = proved(shop)  # nothing is under way when rows are planted
        planted = plant(shop, options.rows)
        with changing(shop, options):
            found = proved(shop)
            repaired = proved(shop, "--repair", "--why", "bench-verify")
            after = proved(shop)
        last = proved(shop)
        wrong = [run for run in (*before, verdict, after, last) if run["differences"] or run["error"]]
        named = {one["key"][0]: (one["kind"], sorted(one["columns"])) for one in found["differences"]}
        equal = not wrong and named == planted and repaired["repaired"] == len(planted)
        return {
            "contents": "equal" if equal else "DIFFERENT",
            "planted": len(planted),
            "named": sum(named.get(key) == kind for key, kind in planted.items()),
            "named_wrongly": sorted(named.keys() - planted.keys()),
            "found_where_nothing_was": len(wrong),
            "runs_that_found_nothing": figures(before),
            "the_run_that_found_them": figures([found]),
            "the_repair": figures([repaired]) | {"repaired": repaired["repaired"]},
            "at_rest": figures([last]),
        }


def fill(shop: Shop, options: argparse.Namespace) -> None:
    """Make the table with its rows, and have it loaded."""
    shop.sql(f"CREATE TABLE {{s}}.{TABLE} ({COLUMNS[options.engine]})")
    for first in range(0, options.rows, CHUNK):
        bounds = {"first": first, "last": min(first + CHUNK, options.rows) - 1, "seed": options.seed}
        with closing(shop.database.connect()) as connection, connection.cursor() as cursor:
            if options.engine == "mysql":
                cursor.execute(f"SET cte_max_recursion_depth = {CHUNK + 1}")
            cursor.execute(ROWS[options.engine].format(t=f"{shop.name}.{TABLE}", **bounds))
            connection.commit()
    shop.database.publish(shop.service)
    shop.database.analyze(TABLE)
    shop.command("connectors", "apply", shop.name)
    shop.service.start()
    shop.await_states({TABLE: "running"}, rows=options.rows, seconds=1800)


@contextmanager
def changing(shop: Shop, options: argparse.Namespace) -> Iterator[None]:
    """Change rows all the time, but for the lower half of each cluster."""
    stop = threading.Event()
    workload = _Sparing(shop.database, [TABLE], options)

    def change() -> None:
        first = SENT + time.monotonic_ns() % SENT * 10
        while not stop.is_set():
            workload.run(1.0, first)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


class _Sparing(Workload):
    """The workload of the freshness benchmark, which leaves the planted rows alone."""

    def _drawn(self, table: str, changes: int) -> Any:
        drawn = super()._drawn(table, changes)
        taken = planted_ids(self._options.rows)
        return drawn._replace(
            updated=[key for key in drawn.updated if key not in taken],
            deleted=[key for key in drawn.deleted if key not in taken],
        )


def planted_ids(rows: int) -> frozenset[int]:
    """Return the ids that are made wrong, and those beside them."""
    return frozenset(key for one in range(8) for key in range(cluster(rows, one), cluster(rows, one) + CLUSTER))


def cluster(rows: int, number: int) -> int:
    """Return the first id of a cluster."""
    return rows // 8 * number + rows // 16


def plant(shop: Shop, rows: int) -> dict[str, tuple[str, list[str]]]:
    """Make rows of the lake wrong, 25 in each of eight ways; returns how each key differs then."""
    planted: dict[str, tuple[str, list[str]]] = {}
    table = open_catalog(shop.service.config.catalog).load_table((shop.name, TABLE))
    ids, wrong = [], []
    for number in range(8):
        first = cluster(rows, number)
        for row in table.scan(f"id >= {first} and id < {first + EACH}").to_arrow().to_pylist():
            ids.append(row["id"])
            changed = spoilt(row, number)
            wrong += [row | change for change in changed]
            key, kind = (row["id"], Kind.DIFFERENT) if changed else (row["id"], Kind.MISSING)
            if len(changed) > 1:
                key, kind = changed[1]["id"], Kind.EXTRA
            planted[str(key)] = str(kind), sorted(changed[0]) if kind is Kind.DIFFERENT else []
    with table.transaction() as transaction:
        transaction.delete(f"id in ({', '.join(map(str, ids))})")
        transaction.append(pa.Table.from_pylist(wrong, schema=table.schema().as_arrow()))
    return planted


def spoilt(row: dict[str, Any], way: int) -> list[dict[str, Any]]:
    """Return the changes with which the row is in the lake: none if it is missing, two if there is one too many."""
    ways: list[list[dict[str, Any]]] = [
        [],
        [{}, {"id": row["id"] + 10 * SENT}],
        [{"n": row["n"] - 1}],  # stale
        [{"short": row["short"] + " "}],
        [{"long": None}],
        [{"sent_at": row["sent_at"] + timedelta(microseconds=1)}],
        [{"amount": row["amount"] + Decimal("0.01")}],
        [{"code": row["code"][:-1] + ("0" if row["code"][-1] != "0" else "1")}],
    ]
    return ways[way]


def proved(shop: Shop, *options: str) -> dict[str, Any]:
    """Prove the table by the command, and return what it said and used."""
    command = shop.service.command("verify", "--json", "--show-values", *options)
    run = Run("verify", command, shop.service.variables())
    with run.running():
        run.wait(3600)
    text = "\n".join(line for _, line in run.lines)
    (table,) = json.loads(text[text.index("{\n") :])["tables"]
    used = {"peak_pss_mb": round(run.peak_pss / 1e6), "cpu_seconds": round(run.report["cpu_seconds"], 1)}
    print(f"{table['seconds']} s, {len(table['differences'])} differences, {used} {table['error']}", file=sys.stderr)
    return dict(table) | used


def figures(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians of what proofs used, and the most memory."""
    if not runs:
        return {}
    return {
        "runs": len(runs),
        "seconds": statistics.median(run["seconds"] for run in runs),
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "rows": runs[0]["rows"],
        "rows_read_by_rows": round(max(run["rows_read"] / max(run["rows"], 1) for run in runs), 3),
        "peak_pss_mb": max(run["peak_pss_mb"] for run in runs),
        "unsettled": max(run["unsettled"] for run in runs),
    }


if __name__ == "__main__":
    main()
