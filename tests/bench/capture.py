"""``python -m tests.bench.capture``: from PostgreSQL's log through Debezium into Kafka, by converter.

A stopped connector leaves a backlog of updates of eight columns in the log. What is timed runs from its resumption
to the last message in the topic; afterwards the messages are counted. The variants take turns on one stack.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from confluent_kafka import Consumer

from cdc.bootstrap.connectors import connectors_of
from cdc.config.models import Config
from cdc.connect.client import ConnectClient
from cdc.connect.render import render
from cdc.kafka.topics import KafkaTopics
from cdc.local.addresses import Addresses
from cdc.local.processes import wait
from cdc.local.stack import LocalStack
from cdc.sources.postgres import publication_sql

NAME, TABLE = "capture", "public.captured"
TOPIC = f"{NAME}.{TABLE}"
ROWS = 100_000
TRANSACTION = 10_000
QUIET = 3.0
"""Seconds without a message after which the backlog is through."""

TIMEOUT = 300.0
_TABLE = f"""
CREATE TABLE {TABLE} (id bigint PRIMARY KEY, code text, address text, balance numeric(12, 2), visits int,
  active boolean, changed_at timestamptz, token uuid)"""
_ROWS = f"""
INSERT INTO {TABLE} SELECT id, substr(md5(id::text), 1, 10), repeat(md5(id::text), 2) || substr(md5(id::text), 1, 6),
  id / 100.0, 0, true, now(), gen_random_uuid() FROM generate_series(1, {ROWS}) AS id"""
_CHANGE = f"UPDATE {TABLE} SET visits = visits + 1, changed_at = clock_timestamp() WHERE id BETWEEN %s AND %s"


def main() -> None:
    """Start a stack, measure each variant by turns, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=300_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a further variant's setting")
    options = parser.parse_args()
    stack = LocalStack(f"bench-{os.getpid()}")
    try:
        bench = Capture(stack, stack.up(["postgres"]))
        variants = bench.variants([one.split("=", 1) for one in options.set])
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        bench.run(next(iter(variants.values())), ROWS)  # warms up
        for _ in range(options.repetitions):
            for name, settings in variants.items():
                found[name].append(bench.run(settings, options.changes))
    finally:
        stack.down(wipe=True)
    figures = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "changes": options.changes,
        "runs": found,
        "median_changes_per_second": {
            name: round(statistics.median(options.changes / run["seconds"] for run in runs))
            for name, runs in found.items()
        },
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


class Capture:
    """A connector on a stack, and the table that it captures."""

    def __init__(self, stack: LocalStack, at: Addresses) -> None:
        self._stack, self._at = stack, at
        self._config = _config(at)
        self._cluster, self._topics = ConnectClient(self._config.connect), KafkaTopics(self._config.kafka)
        self._version = 0
        with self._owner() as owner:
            for statement in (_TABLE, _ROWS, publication_sql(self._config.sources[0])):
                owner.execute(statement.encode())
        connectors = connectors_of(self._config)
        assert connectors.apply(connectors.plan(NAME)).running

    def variants(self, further: list[list[str]]) -> dict[str, dict[str, str]]:
        """Return settings by name: the converter before, the present one, and each further setting alone."""
        present = render(self._config.sources[0], self._config)
        before = {key: value for key, value in present.items() if ".converter.schema.registry." not in key}
        native = self._at.registry.replace("/apis/ccompat/v7", "/apis/registry/v2")
        options = {"url": native, "auto-register": "true", "as-confluent": "true", "use-id": "contentId"}
        options |= {"headers.enabled": "false"}
        for part in ("key", "value"):
            before[f"{part}.converter"] = "cdc.connect.NullKeepingAvroConverter"
            before |= {f"{part}.converter.apicurio.registry.{key}": value for key, value in options.items()}
        named = {f"{key}={value}": present | {key: value} for key, value in further}
        return {"apicurio": before, "compiled": present, **named}

    def run(self, settings: Mapping[str, str], changes: int) -> dict[str, float]:
        """Return seconds, and processor seconds of Connect, for a backlog of changes."""
        self._cluster.stop(NAME)
        self._await_state("STOPPED")
        self._cluster.put(NAME, settings)
        with self._owner() as owner:
            for low in range(1, changes + 1, TRANSACTION):
                first = low % ROWS
                owner.execute(_CHANGE, (first, first + TRANSACTION - 1))
        before = self._end()
        spent, began = self._processor_seconds(), time.monotonic()
        self._cluster.resume(NAME)
        ended = self._through(before + changes)
        seconds = ended - began
        used = self._processor_seconds() - spent
        self._version += changes
        assert self._count() == self._version, "the topic lacks messages, or has some twice"
        return {"seconds": round(seconds, 2), "connect_cpu_seconds": round(used, 2)}

    def _through(self, end: int) -> float:
        """Return when the last message came."""
        last, at, deadline = -1, time.monotonic(), time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            now = self._end()
            if now != last:
                last, at = now, time.monotonic()
            elif now >= end and time.monotonic() - at > QUIET:
                return at
            time.sleep(0.05)
        raise TimeoutError(f"{last} of {end}")

    def _end(self) -> int:
        """Return the sum of the ends of the topic's partitions; markers of transactions count too."""
        return sum(partition.high for partition in self._topics.describe([TOPIC])[TOPIC].watermarks.values())

    def _count(self) -> int:
        consumer = Consumer(
            {"bootstrap.servers": self._at.kafka, "group.id": f"count-{self._version}", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([TOPIC])
        count, quiet = 0, 0
        while quiet < 3:
            found = consumer.consume(10_000, 1.0)
            count, quiet = count + len(found), 0 if found or not count else quiet + 1
        consumer.close()
        return count

    def _await_state(self, state: str) -> None:
        def reached() -> bool:
            found = self._cluster.status(NAME) or {"connector": {}, "tasks": ()}
            return found["connector"].get("state") == state and not found["tasks"]

        assert wait(reached, 60), f"the connector is not {state}"

    def _processor_seconds(self) -> float:
        pid = next(one.pid for one in self._stack.status() if one.name == "connect")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _owner(self) -> psycopg.Connection:
        return psycopg.connect(
            host=self._at.postgres_host,
            port=self._at.postgres_port,
            dbname="shop",
            user="shop_owner",
            password=self._at.environment()["CDC_POSTGRES_OWNER_PASSWORD"],
            autocommit=True,
        )


def _config(at: Addresses) -> Config:
    source = {
        "type": "postgres",
        "name": NAME,
        "host": at.postgres_host,
        "port": at.postgres_port,
        "sslmode": "disable",
        "database": "shop",
        "password": "${env:CDC_POSTGRES_PASSWORD}",
        "tables": [{"source": TABLE, "key": ["id"]}],
    }
    document = {
        "kafka": {"bootstrap_servers": at.kafka},
        "registry": {"url": at.registry},
        "connect": {"url": at.connect},
        "catalog": {"type": "jdbc", "uri": at.catalog_uri, "warehouse": str(at.warehouse)},
        "sources": [source],
    }
    return Config.model_validate(document, context={"resolve": lambda _kind, name: at.environment().get(name, "")})


if __name__ == "__main__":
    main()
