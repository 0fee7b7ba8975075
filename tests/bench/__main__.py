"""``python -m tests.bench``: the sink alone, from a pre-filled topic of narrow Avro changes.

A million changes (10 % inserts, 80 % updates, 10 % deletes) over 200 thousand keys stand in the topic before the
pipeline starts. What is timed runs from the start of the query, in a JVM that has done nothing before, to the
publish of the last commit. Afterwards every column of every row is compared with what the changes make of the keys.
"""

import argparse
import json
import os
import platform
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdc.bootstrap.service import build_pipeline
from cdc.config.models import Config
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.addresses import Addresses
from cdc.local.artifacts import spark_jars
from cdc.local.stack import LocalStack
from cdc.ops.logs import set_up_logs
from cdc.ops.metrics import Metrics
from cdc.pipeline.report import Report
from cdc.spark.session import QUICK_START, build_session
from tests.bench.topic import TARGET, TOPIC, Contents, fill

QUICK = f"spark.driver.extraJavaOptions={QUICK_START} -XX:+UseParallelGC"
"""Less compiling and collecting beside the work: what pays in a process that has done nothing before."""


def main() -> None:
    """Fill the topic, drain it, compare, print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spark", action="append", default=[QUICK], metavar="NAME=VALUE", help="Spark settings")
    parser.add_argument("--batch", type=int, default=1_200_000, help="stream.max_offsets_per_batch")
    options = parser.parse_args()
    stack = LocalStack(f"bench-{os.getpid()}")
    try:
        addresses = stack.up(["postgres"], on_step=_say)
        _say(f"filling topic {TOPIC} with {options.changes:,} changes of {options.keys:,} keys, seed {options.seed}")
        expected = fill(addresses, options.changes, options.keys, options.seed)
        passed = measure(
            config_of(addresses, options.batch, dict(one.split("=", 1) for one in options.spark)),
            expected,
            options.changes,
        )
    finally:
        stack.down(wipe=True)
    sys.exit(0 if passed else 1)


def config_of(addresses: Addresses, batch: int, spark: dict[str, str]) -> Config:
    """Return the configuration of the measured pipeline."""
    return Config.model_validate(
        {
            "kafka": {"bootstrap_servers": addresses.kafka},
            "registry": {"url": addresses.registry},
            "connect": {"url": addresses.connect},
            "catalog": {
                "type": "jdbc",
                "uri": addresses.catalog_uri,
                "username": "catalog",
                "password": "${env:CDC_CATALOG_PASSWORD}",
                "warehouse": str(addresses.warehouse),
            },
            "stream": {
                "trigger": "100ms",
                "checkpoint": str(addresses.checkpoint),
                "max_offsets_per_batch": batch,
                "status_interval": "1h",
            },
            "spark": {"master": "local[2]", "driver_memory": "3g", "properties": spark},
            "sources": [
                {
                    "type": "postgres",
                    "name": "bench",
                    "host": "127.0.0.1",
                    "database": "none",
                    "password": "${env:NONE}",
                    "snapshot": "connector",
                    "tables": [{"source": "public.accounts", "target": ".".join(TARGET), "key": ["id"]}],
                }
            ],
        },
        context={"resolve": lambda _kind, name: addresses.environment().get(name, "")},
    )


def measure(config: Config, expected: Contents, changes: int) -> bool:
    """Drain the topic and print the figures; returns whether the contents are right."""
    set_up_logs("console", "WARNING")
    session = build_session(config, spark_jars())
    pipeline = build_pipeline(config, config.sources[0], session, Metrics())
    stop = threading.Event()
    began: list[float] = []
    pipeline.report = TimedReport(pipeline.report, began)
    cpu = _cpu_seconds()
    runner = threading.Thread(target=pipeline.run, args=(stop,))
    runner.start()
    deadline = time.monotonic() + 900
    while runner.is_alive() and time.monotonic() < deadline and pipeline.report.events < changes:
        time.sleep(0.02)
    ended = pipeline.report.last_at
    spent = _cpu_seconds() - cpu
    stop.set()
    runner.join()
    session.stop()
    seconds = ended - began[0]
    passed = compare(config, expected)
    stages = {name: round(value, 2) for name, value in pipeline.report.stages.items()}
    figures = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "changes": changes,
        "max_offsets_per_batch": config.stream.max_offsets_per_batch,
        "spark": dict(config.spark.properties),
        "seconds": round(seconds, 2),
        "events_per_second": round(changes / seconds),
        "batches": pipeline.report.batches,
        "seconds_per_stage": stages,
        "cpu_seconds": round(spent, 1),
        "contents": "equal" if passed else "DIFFER",
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return passed


class TimedReport(Report):
    """The pipeline's report, with what the measurement needs."""

    def __init__(self, report: Report, began: list[float]) -> None:
        super().__init__(report.pipeline, report.store, report.metrics, report.interval)
        self.began = began
        self.events = self.batches = 0
        self.last_at = 0.0
        self.stages: Counter[str] = Counter()

    def started(self) -> None:
        """Note the start of the query."""
        self.began.append(time.monotonic())
        super().started()

    def applied(self, spec: Any, token: int, result: Any) -> None:
        """Note a commit."""
        self.last_at = time.monotonic()
        self.events += result.collapsed.events
        self.batches += 1
        self.stages.update(result.seconds)
        super().applied(spec, token, result)


def compare(config: Config, expected: Contents) -> bool:
    """Return whether the table holds exactly the expected rows, every column."""
    table = open_catalog(config.catalog).load_table(TARGET)
    columns = ("id", "owner", "balance", "visits", "changed_at")
    found = table.scan(selected_fields=columns).to_arrow().to_pydict()
    rows = {
        key: (owner, str(balance), visits, int(changed_at.timestamp() * 1_000_000))
        for key, owner, balance, visits, changed_at in zip(*(found[name] for name in columns), strict=True)
    }
    return len(found["id"]) == len(rows) and rows == expected


def _cpu_seconds() -> float:
    """Return processor seconds of this process and its JVM; databases and Kafka are not counted."""
    own = os.times()
    jvm = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            jvm += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own.user + own.system + jvm


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    main()
