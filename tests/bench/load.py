"""``python -m tests.bench.load``: the bulk load of one table beside three other ways to read it, in the same run.

On a stack of its own, with the product's defaults: (a) the database's own client, thrown away; (b) Spark's JDBC reader
with one partition; (c) ``cdc load``; (d) Debezium's snapshot through the stream. Each is a fresh process, timed from
its start to its end, Spark's start included. A fingerprint over all columns of all rows, computed in the database and
by Spark, has to be equal for every table that was made, or no figure is printed and the exit code is 1.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdc.local.places import REPOSITORY
from cdc.local.stack import LocalStack
from tests.bench.load_stages import Bench
from tests.bench.load_tables import Fingerprint, MySqlTables, PostgresTables, Tables

TABLE, SMALL = "loaded", "captured"
COUNTED = {
    "seconds": "from the start of the process to its end; snapshot: from `cdc connectors apply` and the start of "
    "`cdc stream` to the last row in the lake, seen every quarter of a second",
    "client_cpu_seconds": "user and system time of the process and all that came of it (JVM, Python workers), from the "
    "kernel's accounts of ended processes or, where that is more, seen every half second; "
    "snapshot: with Connect, Kafka and the registry",
    "server_cpu_seconds": "the database's processes meanwhile; the catalog is in PostgreSQL and counted there",
    "peak_pss_mb": "largest sum of proportional memory of these processes, seen every half second; RSS counts shared "
    "pages once for each process",
    "reading_rows_per_second": "cdc load without what is before the first statement and after the last commit of rows",
    "busy_elsewhere_cpu_seconds": "what else the machine did: everything that is not in client or server",
}


def main() -> None:
    """Make the stack, measure, compare, print, take everything down."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what stands in finally is done
    stack = LocalStack(f"bench-load-{os.getpid()}")
    try:
        say("starting the stack")
        rows = {"postgres": options.postgres_rows, "mysql": options.mysql_rows}
        stack.up([name for name, count in rows.items() if count], on_step=say)
        with tempfile.TemporaryDirectory() as folder:
            passed = run(Bench(stack, Path(folder), options.logs), rows, options)
    finally:
        stack.down(wipe=True)
    sys.exit(0 if passed else 1)


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="make bench-load", description=__doc__)
    parser.add_argument("--postgres-rows", type=int, default=20_000_000, help="0 leaves PostgreSQL out")
    parser.add_argument("--mysql-rows", type=int, default=5_000_000, help="0 leaves MySQL out")
    parser.add_argument("--debezium-rows", type=int, default=1_000_000, help="rows of each snapshot, 0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the processes say here")
    return parser.parse_args()


def run(bench: Bench, rows: Mapping[str, int], options: argparse.Namespace) -> bool:
    """Measure each database and print one document; returns whether all contents are equal."""
    at = bench.stack.addresses()
    measured, versions = {}, _versions()
    for tables in (PostgresTables(at), MySqlTables(at)):
        if rows[tables.engine]:
            versions[tables.engine] = tables.version()
            measured[tables.engine] = measure(bench, tables, rows[tables.engine], options)
    equal = all(figures.pop("equal") for figures in measured.values())
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {_memory()}, {platform.machine()}, Linux {platform.release()}",
        "versions": versions,
        "seed": options.seed,
        "command": " ".join(["python -m tests.bench.load", *sys.argv[1:]]),
        "contents": "equal" if equal else "DIFFER",
        "counted": COUNTED,
        **{name: one if equal else one["fingerprints"] for name, one in measured.items()},
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    if equal:
        sys.stderr.write("\n".join(table(measured)) + "\n")
    return equal


def measure(bench: Bench, tables: Tables, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one database, and whether the contents are equal."""
    plain, loaded, captured = (f"lake.{tables.engine}_{name}" for name in ("plain.t", f"load.{TABLE}", f"snap.{SMALL}"))
    expected = dict.fromkeys((plain, loaded), _fill(tables, TABLE, rows, options.seed))
    found = {"dump": {"rows": rows, **_told(tables, "dump", bench.dump, TABLE)}}
    found["jdbc"] = _told(tables, "jdbc", bench.jdbc, TABLE, plain)
    source = tables.source(f"{tables.engine}_load", TABLE, "load")
    found["cdc load"] = _told(tables, "cdc load", bench.load, bench.configuration(source), source["name"])
    if options.debezium_rows:
        expected[captured] = _fill(tables, SMALL, options.debezium_rows, options.seed + 1)
        source = tables.source(f"{tables.engine}_snap", SMALL, "connector")
        what = (bench.configuration(source), source["name"], options.debezium_rows)
        found["snapshot"] = _told(tables, "snapshot", bench.snapshot, *what)
    say(f"{tables.engine}: comparing contents")
    lake = bench.fingerprints(list(expected))
    for way, name in {"jdbc": plain, "cdc load": loaded, "snapshot": captured}.items():
        if way in found:
            found[way] |= {key: lake[name][key] for key in ("rows", "files", "bytes")}
    return {
        "equal": all(Fingerprint(lake[t]["rows"], lake[t]["total"]) == one for t, one in expected.items()),
        "table_bytes": tables.bytes(TABLE),
        "fingerprints": {t: {"source": one._asdict(), "lake": lake[t]} for t, one in expected.items()},
        **{way: _rates(one) for way, one in found.items()},
    }


def _fill(tables: Tables, table: str, rows: int, seed: int) -> Fingerprint:
    say(f"{tables.engine}: filling {table} with {rows:,} rows, seed {seed}")
    tables.fill(table, rows, seed)
    return tables.fingerprint(table)


def _told(tables: Tables, what: str, measure: Any, *task: Any) -> dict[str, Any]:
    say(f"{tables.engine}: {what} ..")
    found: dict[str, Any] = measure(tables, *task)
    say(f"{tables.engine}: {what}: {found['seconds']} s, {found['client_cpu_seconds']} CPU-s {found.get('phases', '')}")
    return found


def _rates(one: Mapping[str, Any]) -> dict[str, Any]:
    rows, millions = one["rows"], one["rows"] / 1e6
    rates = {
        "rows": rows,
        "rows_per_second": round(rows / one["seconds"]),
        "client_cpu_seconds_per_million_rows": round(one["client_cpu_seconds"] / millions, 2),
        "server_cpu_seconds_per_million_rows": round(one["server_cpu_seconds"] / millions, 2),
    }
    if "phases" in one:
        rates["reading_rows_per_second"] = round(rows / one["phases"]["reading"])
    return {**rates, **one}


def table(measured: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a short table."""
    heads = ("rows", "s", "rows/s", "client CPU-s", "per M rows", "server CPU-s", "peak PSS MB", "files", "MB")
    yield f"{'':20}" + "".join(f"{head:>14}" for head in heads)
    for name, ways in measured.items():
        for way in ("dump", "jdbc", "cdc load", "snapshot"):
            if way in ways:
                yield f"{name + ': ' + way:20}" + "".join(f"{value:>14}" for value in _cells(ways[way]))
        seconds, rate = ways["cdc load"]["phases"], ways["cdc load"]["reading_rows_per_second"]
        yield f"{name}: cdc load reads {rate:,} rows/s; seconds {seconds}"


def _cells(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"{one['rows']:,}"
    yield f"{one['seconds']:.1f}"
    yield f"{one['rows_per_second']:,}"
    yield f"{one['client_cpu_seconds']:.1f}"
    yield f"{one['client_cpu_seconds_per_million_rows']:.2f}"
    yield f"{one['server_cpu_seconds']:.1f}"
    yield f"{one['peak_pss_mb']:,}"
    yield str(one.get("files", "-"))
    yield f"{one['bytes'] / 1e6:,.0f}" if "bytes" in one else "-"


def _versions() -> dict[str, str]:
    packages = ("pyspark", "pyarrow", "pyiceberg", "adbc-driver-postgresql", "pymysql")
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return {
        "cdc": _git("describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "java": java[0] if java else "",
        **{name: importlib.metadata.version(name) for name in packages},
    }


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def say(text: str) -> None:
    sys.stderr.write(f"bench: {time.strftime('%H:%M:%S')} {text}\n")


if __name__ == "__main__":
    main()
