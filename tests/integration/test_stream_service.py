"""`cdc stream` on a real stack: two instances, lost state, bad messages, lost topics, dependencies that are away."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from cdc.bootstrap.at_rest import verify_sources
from cdc.core.names import TableName
from cdc.lake.checkpoints import Histories
from cdc.lake.outdated import KEEP, LOT
from cdc.lake.own_tables import FILES
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.quarantine import Quarantine
from cdc.lake.status_reader import read_status
from cdc.local.stack import LocalStack
from cdc.sources.postgres import publication_sql
from tests.e2e.service import Service, await_true

pytestmark = pytest.mark.timeout(480)
SCHEMA, NAME = "svc", "svc"
START = 120.0
"""Seconds within which a service must be up, on a busy machine."""


@dataclass
class Instance:
    """One `cdc stream` process with its JVM, in a process group of its own."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def await_log(self, words: str, seconds: float = START) -> None:
        def seen() -> bool:
            assert words in self.text() or self.process.poll() is None, f"ended before {words!r}:\n{self.text()}"
            return words in self.text()

        await_true(seen, seconds, f"{words!r} in the log")

    def send(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def ended(self, seconds: float) -> int:
        """Return the exit code."""
        return self.process.wait(timeout=seconds)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        self.process.wait(timeout=30)


@dataclass
class Stand:
    """The source, its configuration and every instance that was started on it."""

    service: Service
    stack: LocalStack
    folder: Path
    instances: list[Instance] = field(default_factory=list)

    def start(self, *options: str, **environment: str) -> Instance:
        log, port = self.folder / f"instance-{len(self.instances)}.log", free_port()
        command = [sys.executable, "-m", "cdc", "stream", "--config", str(self.service.path), *options]
        kept = {n: v for n, v in os.environ.items() if not n.startswith("CDC_")}  # noqa: TID251 - of the child
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**kept, **self.service.environment, "CDC_OPERATIONS__HTTP_PORT": str(port), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.instances.append(Instance(process, log, port))
        return self.instances[-1]

    def running(self) -> Instance:
        """Return the instance that writes; starts one if there is none."""
        if not self.instances or self.instances[-1].process.poll() is not None:
            self.start().await_log("query started")
        return self.instances[-1]

    def stop(self) -> None:
        """Make sure that nothing runs."""
        for instance in self.instances:
            instance.kill()

    def sql(self, *statements: str) -> None:
        at = self.stack.addresses()
        password = at.environment()["CDC_POSTGRES_OWNER_PASSWORD"]
        with closing(
            psycopg.connect(
                host=at.postgres_host, port=at.postgres_port, dbname="shop", user="shop_owner", password=password
            )
        ) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def await_equal(self, table: str = "", seconds: float = 90.0) -> None:
        """Wait until every column of every row is equal in source and lake."""
        config = self.service.config

        def equal() -> bool:
            reports = [report for report in verify_sources(config).tables if report.target.endswith(table)]
            found[:] = [report for report in reports if not report.equal]
            return not found

        found: list[Any] = []
        try:
            await_true(equal, seconds, "source and lake equal")
        except AssertionError as error:
            raise AssertionError(f"{found}\n{self.instances[-1].text()[-4000:]}") from error

    def catalog(self) -> Any:
        return open_catalog(self.service.config.catalog)

    def rows(self, namespace: str, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.catalog().load_table((namespace, table)).scan().to_arrow().to_pylist()
        return found

    def tokens(self, table: str) -> list[int]:
        """Return the fencing tokens of the commits in main's history, oldest first."""
        found = self.catalog().load_table((NAME, table))
        tokens, snapshot = [], found.current_snapshot()
        while snapshot is not None:
            token = snapshot.summary.additional_properties.get("cdc.token")
            tokens += [int(token)] if token else []  # maintenance bears none
            parent = snapshot.parent_snapshot_id
            snapshot = None if parent is None else found.snapshot_by_id(parent)
        return tokens[::-1]


@pytest.fixture(scope="module")
def stand(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder, at = tmp_path_factory.mktemp("svc"), stack.addresses()
    source: dict[str, Any] = {
        "name": NAME,
        "type": "postgres",
        "host": at.postgres_host,
        "port": at.postgres_port,
        "database": "shop",
        "password": "${env:CDC_POSTGRES_PASSWORD}",
        "sslmode": "disable",
        "snapshot": "connector",
        "targets": "{source}.{table}",
        "tables": [{"source": f"{SCHEMA}.{table}", "key": ["id"]} for table in ("a", "b")],
    }
    stand = Stand(Service.create(folder, stack, [source]), stack, folder)
    stand.sql(
        f"CREATE SCHEMA {SCHEMA}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO cdc",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT SELECT ON TABLES TO cdc",
        *(f"CREATE TABLE {SCHEMA}.{table} (id bigint PRIMARY KEY, n int, t text)" for table in ("a", "b")),
        *(f"INSERT INTO {SCHEMA}.{table} SELECT i, 0, 't' FROM generate_series(1, 300) i" for table in ("a", "b")),
        publication_sql(stand.service.config.sources[0]),  # type: ignore[arg-type]
    )
    applied = stand.service.run("connectors", "apply", NAME)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    yield stand
    stand.stop()
    stand.service.run("connectors", "remove", NAME)
    stand.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


class Traffic:
    """Small transactions against the source, without an end."""

    def __init__(self, stand: Stand) -> None:
        self._stand, self._ended = stand, threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        number = 0
        while not self._ended.wait(0.2):
            number += 1
            self._stand.sql(
                f"UPDATE {SCHEMA}.a SET n = n + 1 WHERE id % 10 = {number % 10}",
                f"DELETE FROM {SCHEMA}.b WHERE id % 10 = {number % 10}",
                f"INSERT INTO {SCHEMA}.b SELECT i, {number}, 'u' FROM generate_series(1, 300) i "
                f"WHERE i % 10 = {number % 10}",
            )


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_one_writer(stand: Stand) -> None:
    """Promise 4, S22, X12: the second instance is refused by name; a paused one that wakes after a takeover publishes
    nothing.
    """
    first = stand.start()
    first.await_log("query started")
    refused, standby = stand.start(), stand.start("--standby")
    stand.await_equal()
    assert refused.ended(START) != 0
    assert f"the lease is held by process {first.process.pid} on {socket.gethostname()}" in refused.text()
    assert "--standby" in refused.text()
    standby.await_log("asking for the lease")
    assert "lease taken" not in standby.text()
    with Traffic(stand):
        before = len(stand.tokens("a"))
        await_true(lambda: len(stand.tokens("a")) > before + 1, 60, "commits under traffic")
        first.send(signal.SIGSTOP)
        standby.await_log("query started")
        first.send(signal.SIGCONT)
        assert first.ended(60) != 0
    fenced = (
        rf"lease of pipeline '{NAME}' was taken over by process {standby.process.pid}|taken over by a newer instance"
    )
    assert re.search(fenced, first.text())
    stand.await_equal()
    for table in ("a", "b"):
        tokens = stand.tokens(table)
        assert tokens == sorted(tokens)
        assert len(set(tokens)) == 2


def test_takeover_after_a_kill_with_all_state_lost(stand: Stand) -> None:
    """Promise 3, S3, S19: the checkpoint, the status table and the ledger are gone, and nothing is lost or doubled."""
    killed = stand.running()
    standby = stand.start("--standby")
    with Traffic(stand):
        standby.await_log("asking for the lease")
        killed.kill()
        forget(stand, "checkpoint", "status", "commits")
        standby.await_log("query started")
    stand.await_equal()
    await_true(
        lambda: {row.state for row in read_status(stand.catalog(), "cdc")} == {"running"}, 60, "status is told again"
    )


@pytest.mark.parametrize("lost", ["checkpoint", "status"])
def test_restart_with_one_state_lost(stand: Stand, lost: str) -> None:
    """Promise 3, S2, S16: the checkpoint alone, or the status table alone, is gone at a restart; nothing is lost or
    doubled.
    """
    killed = stand.running()
    before = stand.tokens("a")
    with Traffic(stand):
        await_true(lambda: len(stand.tokens("a")) > len(before), 60, "commits under traffic")
        killed.kill()
        forget(stand, lost)
        stand.start().await_log("query started")
    stand.await_equal()
    assert stand.tokens("a")[: len(before)] == before, "nothing was merged anew: history only grows"
    await_true(lambda: "status" in tables(stand), 60, "the status table is there")


def test_tables_are_maintained_while_they_stream(stand: Stand) -> None:
    """S7, S20, S35: by the service in the gaps of its batches, and by the command beside it, under traffic."""
    for instance in stand.instances:
        instance.kill()
    running = stand.start(
        "--standby",
        CDC_MAINTENANCE__INTERVAL="4s",
        CDC_MAINTENANCE__KEEP_SNAPSHOTS_FOR="5s",
        CDC_MAINTENANCE__KEEP_SNAPSHOTS_MIN="2",
        CDC_MAINTENANCE__KEEP_SNAPSHOTS_MAX="5",
    )
    running.await_log("query started")

    def done(table: str, step: str) -> bool:
        lines = [line.split() for line in running.text().splitlines() if "table maintained" in line]
        return any(f"table={table}" in line and f"step={step}" in line for line in lines)

    with Traffic(stand):
        await_true(lambda: done(f"{NAME}.a", "expire"), 120, "snapshots of a target are expired")
        await_true(lambda: done(f"{NAME}.b", "expire"), 120, "and of another one")
        by_hand = stand.service.run("maintain", f"{NAME}.*", "--json")
        assert by_hand.returncode in (0, 1), by_hand.stderr  # 1: lost to a batch, and to be done again
        assert {one["table"] for one in json.loads(by_hand.stdout)} >= {f"{NAME}.a", f"{NAME}.b"}
        before = progress_of_a(stand)
        await_true(lambda: progress_of_a(stand) != before, 60, "batches go on")
    stand.await_equal()
    for table in ("a", "b"):
        await_true(partial(few, stand, table), 60, "no more than what is kept")
    ledger = stand.catalog().load_table(("cdc", "commits"))
    assert len(list(ledger.scan().plan_files())) <= FILES
    assert len(ledger.metadata.snapshots) < KEEP + LOT
    assert "table stopped" not in running.text()
    assert "Traceback" not in running.text()
    assert "maintenance failed" not in running.text()
    metrics = httpx.get(f"http://127.0.0.1:{running.port}/metrics").text
    assert re.search(rf'cdc_maintenance_snapshots_expired_total{{[^}}]*table="{NAME}.a"[^}}]*}} [1-9]', metrics)
    shown = stand.service.run("maintain", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert f"{NAME}.a:" in shown.stdout
    assert "cdc.status:" in shown.stdout
    running.kill()


def progress_of_a(stand: Stand) -> Any:
    """Return what is newest of a table's progress."""
    history = Histories(stand.catalog()).read(TableName(NAME, "a"))
    return history.progress(history.head)


def few(stand: Stand, table: str) -> bool:
    """Return whether a table has few snapshots; what was kept and comes between two looks, and what branches hold."""
    return len(stand.catalog().load_table((NAME, table)).metadata.snapshots) <= 12


def test_a_bad_message_is_quarantined_and_the_stream_goes_on(stand: Stand) -> None:
    running = stand.running()
    producer = Producer({"bootstrap.servers": stand.stack.addresses().kafka})
    producer.produce(f"{NAME}.{SCHEMA}.a", key=b"no key", value=b"garbage", partition=0)
    assert producer.flush(30) == 0
    stand.sql(f"UPDATE {SCHEMA}.a SET t = 'after the garbage'")
    forget(stand, "status")
    stand.await_equal()
    (bad,) = [row for row in stand.rows("cdc", "quarantine") if row["pipeline"] == NAME]
    assert (bad["topic"], bad["partition"], bad["key"], bad["value"]) == (
        f"{NAME}.{SCHEMA}.a",
        0,
        b"no key",
        b"garbage",
    )
    assert bad["reason"]
    await_true(lambda: "status" in tables(stand), 60, "the status table is there again")
    await_true(lambda: sum(row.quarantined for row in read_status(stand.catalog(), "cdc")) == 1, 60, "it is counted")

    metrics = httpx.get(f"http://127.0.0.1:{running.port}/metrics").text
    assert re.search(rf'cdc_quarantined_total{{[^}}]*table="{NAME}.a"[^}}]*}} 1', metrics)
    assert re.search(rf'cdc_lease_held{{pipeline="{NAME}"}} 1', metrics)
    health = httpx.get(f"http://127.0.0.1:{running.port}/health", timeout=30)
    assert health.status_code == 200, health.text
    assert all(f"{name}: ok" in health.text for name in ("source", "kafka", "registry", "connect", "catalog"))


@pytest.mark.campaign
def test_what_waits_in_the_quarantine_is_brought_in_beside_the_service(stand: Stand) -> None:
    """What still cannot be used is named and stays; what only waited comes in, and its key goes on by itself."""
    stand.running()
    topic, table = f"{NAME}.{SCHEMA}.a", f"{NAME}.a"
    before = Quarantine(stand.catalog(), "cdc").places(topic)
    stand.sql(f"UPDATE {SCHEMA}.a SET n = 4711, t = 'to be held up' WHERE id = 5")
    message = newest(stand, topic)
    producer = Producer({"bootstrap.servers": stand.stack.addresses().kafka})
    producer.produce(topic, key=message.key(), value=b"garbage", partition=message.partition())
    assert producer.flush(30) == 0
    stand.sql(f"UPDATE {SCHEMA}.a SET n = 4712, t = 'held up' WHERE id = 5")

    def held() -> list[Any]:
        found = Quarantine(stand.catalog(), "cdc").places(topic)
        return [one for one in found if one.offset > message.offset() and one.partition == message.partition()]

    await_true(lambda: len(held()) == 2, 60, "the garbage is held, and the change behind it")
    plan = json.loads(stand.service.run("quarantine", "retry", table, "--dry-run", "--json").stdout)
    assert plan[0]["held"] == len(before) + 2
    tried = stand.service.run("quarantine", "retry", table, "--json")
    assert tried.returncode == 1, tried.stderr
    assert len(json.loads(tried.stdout)[0]["left"]) == len(before) + 2
    assert "Traceback" not in tried.stderr

    Quarantine(stand.catalog(), "cdc").release(topic, {(one.partition, one.offset) for one in [*before, held()[0]]})
    tried = stand.service.run("quarantine", "retry", f"{SCHEMA}.a", "--json", "--why", "it was only garbage")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    (done,) = json.loads(tried.stdout)
    assert (done["table"], done["done"], done["released"], done["left"]) == (table, True, 1, [])
    assert done["changed"] >= 1
    assert held() == []
    stand.await_equal()
    stand.sql(f"UPDATE {SCHEMA}.a SET n = 4713 WHERE id = 5")
    stand.await_equal()
    assert held() == []


def newest(stand: Stand, topic: str) -> Any:
    """Return the newest message of a topic, as soon as what was changed last is in it."""
    settings = {"bootstrap.servers": stand.stack.addresses().kafka, "group.id": "newest", "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    consumer.subscribe([topic])
    found: list[Any] = []

    def seen() -> bool:
        got = consumer.consume(1000, 0.5)
        found.extend(one for one in got if one.error() is None and b"to be held up" in (one.value() or b""))
        return bool(found)

    try:
        await_true(seen, 60, "the change is in the topic")
    finally:
        consumer.close()
    return found[-1]


def test_stops_in_time(stand: Stand) -> None:
    """X8, T13: SIGTERM ends the service with exit code 0 in under 30 seconds, also under traffic."""
    running = stand.running()
    with Traffic(stand):
        running.process.send_signal(signal.SIGTERM)
        assert running.ended(30) == 0, running.text()[-4000:]
    assert "Traceback" not in running.text()


def test_dependencies_that_are_away_are_named(stand: Stand) -> None:
    """K22: what is away is named, ends no service, and costs no data: the next start goes on where the tables are."""
    stand.stop()
    stand.sql(f"UPDATE {SCHEMA}.a SET n = -2", f"UPDATE {SCHEMA}.b SET n = -2")
    before = {table: stand.tokens(table) for table in ("a", "b")}
    soon = {"CDC_STREAM__RETRY_FOR": "1s"}
    registry = stand.start(CDC_REGISTRY__URL="http://127.0.0.1:1/registry", **soon)
    connect = stand.service
    status = subprocess.run(
        [sys.executable, "-m", "cdc", "connectors", "status", "--config", str(connect.path)],
        env={**os.environ, **connect.environment, "CDC_CONNECT__URL": "http://127.0.0.1:1"},  # noqa: TID251
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert status.returncode != 0
    assert "http://127.0.0.1:1" in status.stderr
    assert "Traceback" not in status.stderr
    registry.await_log("at schema registry http://127.0.0.1:1/registry")
    registry.await_log("table stopped")
    registry.await_log("stopped table tried again")
    assert "Traceback" not in registry.text()
    registry.kill()
    kafka = stand.start(CDC_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1", **soon)
    kafka.await_log("kafka.bootstrap_servers")
    kafka.await_log("starting again")
    assert "Traceback" not in kafka.text()
    kafka.kill()
    assert all(len(stand.tokens(table)) <= len(before[table]) + 2 for table in before), "only fences were committed"


def test_lost_topics_stop_their_tables_alone(stand: Stand) -> None:
    """K3: a topic that was made anew, and one that is missing, stop their tables; the others go on."""
    stand.stop()
    stand.sql(f"CREATE TABLE {SCHEMA}.ghost (id bigint PRIMARY KEY)")
    stand.sql(f"ALTER PUBLICATION {stand.service.config.sources[0].publication_name} ADD TABLE {SCHEMA}.ghost")  # type: ignore[union-attr]
    text = stand.service.path.read_text()
    ghost = text.replace("  tables:\n", f"  tables:\n  - source: {SCHEMA}.ghost\n    key:\n    - id\n", 1)
    assert ghost != text
    stand.service.path.write_text(ghost)
    recreate(stand, f"{NAME}.{SCHEMA}.b")
    stand.sql(f"UPDATE {SCHEMA}.a SET n = -1")
    running = stand.start()
    running.await_log("query started")
    stand.await_equal(f"{NAME}.a")
    assert re.search(rf"topic '{NAME}.{SCHEMA}.b' was created anew: its id is \S+, not \S+", running.text())
    assert f"topic '{NAME}.{SCHEMA}.ghost' does not exist" in running.text()
    assert "cdc connectors apply" in running.text()

    def states() -> dict[str, str]:
        return {row.target: row.state for row in read_status(stand.catalog(), "cdc")}

    expected = {f"{NAME}.a": "running", f"{NAME}.b": "stopped", f"{NAME}.ghost": "stopped"}
    await_true(lambda: states() == expected, 60, "states in the status table")


def recreate(stand: Stand, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": stand.stack.addresses().kafka})
    partitions = len(admin.list_topics(topic, timeout=30).topics[topic].partitions)
    admin.delete_topics([topic])[topic].result(30)

    def made() -> bool:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
        except Exception:  # noqa: BLE001 - the old one is still going away
            return False
        return True

    await_true(made, 60, f"topic {topic} is there anew")


def tables(stand: Stand) -> set[str]:
    return {name for _, name in stand.catalog().list_tables("cdc")}


def forget(stand: Stand, *what: str) -> None:
    for name in what:
        if name == "checkpoint":
            subprocess.run(["rm", "-rf", str(stand.stack.addresses().checkpoint)], check=True)
        elif name in tables(stand):
            stand.catalog().drop_table(("cdc", name))
