"""Kafka of the stack: one broker that is its own controller, on the loopback interface only."""

import base64
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cdc.core.errors import PreflightError
from cdc.local import system
from cdc.local.places import REPOSITORY
from cdc.local.ports import LOOPBACK, answers
from cdc.local.processes import Launch, run
from cdc.local.site import Server, Site

LOGGING = REPOSITORY / "debezium" / "log4j2.yaml"
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=5
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
log.index.size.max.bytes=262144
"""
# Two indexes of 10 MiB for each partition are laid out in full when they are first written to: 16 GiB of 200 tables.


def java(site: Site, memory: str, main: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return the command of a Java program out of Kafka's jars, without JMX."""
    jars = site.distributions["worker"] / "*"
    flags = [f"-Xmx{memory}", f"-Dlog4j2.configurationFile={LOGGING}", "-XX:+ExitOnOutOfMemoryError", *options]
    return [system.java(), *flags, "-cp", str(jars), main, *arguments]


def new_cluster_id() -> str:
    """Return a random cluster id in Kafka's form: 16 bytes in URL-safe base64.

    Kafka's tool would take an id that begins with a dash for an option, so the first bit stays clear.
    """
    random = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([random[0] & 0x7F]) + random[1:]).decode().rstrip("=")


def _prepare(site: Site) -> None:
    folder, data = site.folder / "kafka", site.folder / "kafka" / "data"
    folder.mkdir(mode=0o700, exist_ok=True)
    ports = {"port": site.ports["kafka"], "controller": site.ports["kafka_controller"]}
    settings = folder / "server.properties"
    settings.write_text(_SETTINGS.format(data=data, **ports), encoding="utf-8")
    if not (data / "meta.properties").exists():
        _format(site, folder, settings)


def _format(site: Site, folder: Path, settings: Path) -> None:
    cluster = new_cluster_id()
    arguments = ["format", "-t", cluster, "-c", str(settings)]
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    code = run(
        Launch(java(site, "256m", "kafka.tools.StorageTool", *arguments, options=quick), folder), site.log("kafka")
    )
    if code:
        raise PreflightError(f"could not format Kafka's storage, code {code}", hint=f"see {site.log('kafka')}")


def _launch(site: Site) -> Launch:
    folder = site.folder / "kafka"
    return Launch(java(site, "512m", "kafka.Kafka", str(folder / "server.properties")), folder)


def _healthy(site: Site) -> bool:
    port = site.ports["kafka"]
    if not answers(port):
        return False
    try:
        client = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}", "log_level": 0})
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


SERVER = Server(
    name="kafka",
    ports={"kafka": 9092, "kafka_controller": 9093},
    distributions=("worker",),
    prepare=_prepare,
    launch=_launch,
    healthy=_healthy,
)
