"""``make bench``: how fast a backlog of changes gets into the lake, on the default configuration.

Tables are made in a PostgreSQL of their own and loaded by the service; then they are changed in transactions of a
hundred (80 % updates, 10 % inserts, 10 % deletes). With ``--path sink`` the changes are in the topics, written there by
Debezium, before the service starts; with ``--path full`` they are in the database's log, and connector and service go
on at once. What is timed ends with the last publication; then every column of every row is compared.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cdc.bootstrap.spark import fetch_spark
from cdc.local.stack import LocalStack
from tests.bench.load import say
from tests.bench.shapes import SHAPES, Shape
from tests.bench.throughput import measure


def main() -> None:
    """Make the stack, measure, print, take everything down; the exit code is 1 if contents differ."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what stands in finally is done
    fetch_spark()
    stack = LocalStack(f"bench-{os.getpid()}")
    try:
        say("starting the stack")
        stack.up(["postgres"])
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(stack, Path(folder), shape_of(options), options)
    finally:
        stack.down(wipe=True)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
        "seed": options.seed,
    }
    print(json.dumps({**about, **figures}, indent=2))
    sys.exit(0 if figures["contents"] == "equal" else 1)


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--path", choices=["sink", "full"], default="sink")
    parser.add_argument("--shape", choices=SHAPES, default="table")
    parser.add_argument("--rows", type=int, help="rows of each table before; with the first shape 1,000,000")
    parser.add_argument("--changes", type=int, help="changes, of all tables together; with the first shape 1,000,000")
    parser.add_argument("--keys", choices=["zipf", "uniform"], default="zipf", help="which rows are updated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beside", choices=["merge", "flink"], help="afterwards plain PySpark, or Flink SQL")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep here what the measured processes say")
    options = parser.parse_args()
    path = {"merge": "sink", "flink": "full"}.get(options.beside, options.path)
    if options.beside and (options.path, options.shape) != (path, "table"):
        parser.error(f"--beside {options.beside} goes with --path {path} and --shape table")
    return options


def shape_of(options: argparse.Namespace) -> Shape:
    """Return the shape in the sizes that were asked for."""
    usual = SHAPES[options.shape]
    return replace(usual, rows=options.rows or usual.rows, changes=options.changes or usual.changes)


if __name__ == "__main__":
    main()
