"""The pipeline on a cluster of Spark's own: the driver here, tasks in two executors, each a JVM of its own."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from cdc.bootstrap.spark import fetch_spark
from cdc.config.values import Secret
from cdc.kafka.client import java_settings
from cdc.kafka.topics import KafkaTopics
from cdc.local.ports import LOOPBACK
from cdc.local.stack import LocalStack
from cdc.spark.session import QUICK_START, build_session
from cdc.spark.source import read_range
from tests.e2e.databases import Database
from tests.e2e.loading import Changes, LoadRun
from tests.e2e.scenario import SEED
from tests.e2e.service import await_true, has_line
from tests.e2e.shop import Shop, shop_of
from tests.standalone import Cluster, arguments, family, running_cluster

pytestmark = [pytest.mark.timeout(900), pytest.mark.campaign]
ROWS = 30_000
KAFKA_PASSWORD = "canary-of-kafka-5d0e"
LARGE = 20_000
"""A batch of more messages than that is collapsed and merged by the executors."""


class Onlooker:
    """Reads the arguments of all processes of a service and of its cluster, as any user of the machine could."""

    def __init__(self, cluster: Cluster) -> None:
        self._roots = [process.pid for process in cluster.processes.values()]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.seen: set[str] = set()

    def __enter__(self) -> "Onlooker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def watch(self, pid: int) -> None:
        self._roots.append(pid)

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self.seen |= {arguments(pid) for root in list(self._roots) for pid in family(root)}


class ClusterShop(Shop):
    """A source whose service has its executors in a cluster."""

    cluster: Cluster
    onlooker: Onlooker

    def secrets(self) -> dict[str, str]:
        found = {name: value for name, value in self.service.environment.items() if name.endswith("_PASSWORD")}
        return {**found, "spark.authenticate.secret": self.cluster.secret, "kafka": KAFKA_PASSWORD}

    def batches(self, table: str) -> list[int]:
        """Return how many events each batch of a table had."""
        lines = self.service.log.read_text(errors="replace").splitlines()
        applied = [line for line in lines if "batch applied" in line and f"{self.name}.{table}" in line]
        return [int(found[1]) for line in applied if (found := re.search(r"\bevents=(\d+)", line))]


def properties(cluster: Cluster) -> dict[str, str]:
    return {
        "spark.driver.extraJavaOptions": QUICK_START,
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.executor.memory": "1g",
        "spark.cores.max": "2",
        "spark.ui.enabled": "true",
        "spark.ui.port": str(cluster.ports["driver_web"]),
        "spark.authenticate": "true",
        "spark.authenticate.secret": cluster.secret,
        "spark.network.crypto.enabled": "true",
    }


def settings(document: dict[str, Any]) -> None:
    document["load"] = {"range_bytes": "4m", "auto": False}


@pytest.fixture(scope="module")
def shop(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterShop]:
    folder = tmp_path_factory.mktemp("standalone")
    database = Database(stack.addresses(), "postgres", "standalone", 60)
    with (
        running_cluster(folder / "cluster") as cluster,
        shop_of(ClusterShop, stack, folder, database, ("items", "small"), settings) as made,
        Onlooker(cluster) as onlooker,
    ):
        made.cluster, made.onlooker = cluster, onlooker
        own = {"CDC_SPARK__MASTER": cluster.master, "CDC_SPARK__PROPERTIES": json.dumps(properties(cluster))}
        made.service.environment = {**made.service.environment, **own, "SPARK_LOCAL_IP": LOOPBACK}
        database.create("items", ROWS)
        database.create("small", 300)
        database.publish(made.service)
        made.command("connectors", "apply", made.name)
        yield made


@pytest.mark.parametrize("python", ["/usr/bin/python3", "/nowhere/python"])
def test_a_load_says_that_executors_have_another_python(shop: ClusterShop, python: str) -> None:
    chosen = {**properties(shop.cluster), "spark.pyspark.python": python}
    service = replace(
        shop.service, environment={**shop.service.environment, "CDC_SPARK__PROPERTIES": json.dumps(chosen)}
    )
    done = service.run("load", "--tables", f"{shop.name}.items")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the executors' Python is not that of this environment" in done.stderr
    assert "spark.pyspark.python" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_load_whose_tasks_run_in_executors(shop: ClusterShop) -> None:
    """The tasks in Python read the database and write the files wherever Spark puts them."""
    run = LoadRun(shop.service)
    process = run.start()
    shop.onlooker.watch(process.pid)
    assert process.wait(300) == 0, run.tail()
    (committed,) = [ranges for ranges in run.committed_ranges().values() if len(ranges) > 1]
    assert all(times == 1 for times in committed.values()), committed
    assert any("pyspark.daemon" in line or "pyspark/daemon" in line for line in shop.onlooker.seen)


def test_small_and_large_batches_end_equal(shop: ClusterShop) -> None:
    """Small ones are read and applied at the driver, large ones by the executors."""
    print(f"seed {SEED}")
    shop.service.start()
    shop.onlooker.watch(shop.service.pid)
    shop.service.await_query(120)
    with Changes(shop.database.connect, f"{shop.name}.items", ROWS, SEED, 200):
        for number in range(3):
            shop.sql(
                f"UPDATE {{s}}.small SET n = {number} WHERE id % 5 = {number}", "DELETE FROM {s}.small WHERE id = 7"
            )
            before = len(shop.batches("small"))
            await_true(lambda: len(shop.batches("small")) > before, 90, "another batch of the small table")  # noqa: B023
    shop.service.await_equal()
    shop.service.stop()
    large_change(shop, moved=50)
    shop.service.start()
    shop.onlooker.watch(shop.service.pid)
    shop.service.await_equal()
    assert max(shop.batches("items")) > LARGE, shop.batches("items")
    assert has_line(shop.service.log, "batch applied", f"{shop.name}.small", "way=rewrite")
    assert has_line(shop.service.log, "batch applied", f"{shop.name}.items", "way='merge: a large batch'")
    tasks = shop.cluster.tasks()
    assert len(tasks) == 2, tasks
    assert all(done > 20 for done in tasks.values()), tasks


def test_executors_that_are_killed_cost_no_row(shop: ClusterShop) -> None:
    """S9, S27: what they had cached and checkpointed of a large batch is gone with them: the batch is done again."""
    shop.service.stop()
    large_change(shop, moved=51)
    shop.service.start()
    shop.onlooker.watch(shop.service.pid)
    await_true(lambda: shop.cluster.finished("heckpoint") > 0, 180, "keys of a large batch are folded")
    killed = shop.cluster.executors()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    shop.service.await_equal()
    assert len(killed) == 2
    assert len(shop.cluster.tasks()) >= 4, shop.cluster.tasks()
    assert has_line(shop.service.log, "Spark lost an executor", "items"), shop.service.tail()


def test_a_login_of_kafka_reaches_executors(shop: ClusterShop) -> None:
    """The broker of the tests asks for none: its clients are given one all the same, and do without."""
    shop.service.stop()
    shop.onlooker.watch(os.getpid())
    asked = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": "cdc"}
    secret = Secret("${env:KAFKA}", SecretStr(KAFKA_PASSWORD))
    config = shop.service.config
    options = java_settings(config.kafka.model_copy(update={**asked, "password": secret}))
    assert KAFKA_PASSWORD in "".join(options.values())
    chosen = {**config.spark.properties, "spark.ui.enabled": "false"}  # it would listen on all interfaces here
    spark = config.spark.model_copy(update={"properties": chosen})
    session = build_session(config.model_copy(update={"spark": spark}), fetch_spark(), brief=True)
    try:
        topic = f"{shop.name}.{shop.name}.small"
        ends = KafkaTopics(config.kafka).settled_ends(topic)
        read = read_range(
            session,
            {**options, "kafka.security.protocol": "PLAINTEXT"},
            topic,
            dict.fromkeys(ends, 0),
            ends,
        )
        assert read.count() > 0
    finally:
        session.stop()


def test_nobody_reads_a_secret_in_the_arguments_of_a_process(shop: ClusterShop) -> None:
    seen = shop.onlooker.seen
    kinds = ("cdc stream", "cdc load", "SparkSubmit", "worker.Worker", "master.Master", "CoarseGrainedExecutorBackend")
    assert [kind for kind in kinds if not any(kind in line for line in seen)] == []
    shown = {name for name, secret in shop.secrets().items() for line in seen if secret in line}
    assert shown == set()
    written = shop.cluster.written()
    assert written
    assert {name for name, secret in shop.secrets().items() if secret in written} == set()


def large_change(shop: ClusterShop, moved: int) -> None:
    """Change most rows, values left out, keys that move, deletes; returns when all of it is in the topic."""
    kafka, topic = KafkaTopics(shop.service.config.kafka), f"{shop.name}.{shop.name}.items"
    before = sum(kafka.settled_ends(topic).values())
    shop.sql(
        f"UPDATE {{s}}.items SET n = n + 1 WHERE id <= {ROWS}",
        f"DELETE FROM {{s}}.items WHERE id % 1000 = {moved + 400}",
        f"UPDATE {{s}}.items SET id = id + {10 * ROWS} WHERE id % 100 = {moved} AND id <= {ROWS}",
    )
    await_true(lambda: sum(kafka.settled_ends(topic).values()) > before + LARGE + 2000, 120, "the changes are in Kafka")
