"""The Avro converter on the real registry: who reads what it writes, what it asks, what it says of trouble."""

import base64
import io
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fastavro
import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cdc.config.services import RegistryConfig
from cdc.core.names import TableName
from cdc.core.restarts import lasts, may_pass
from cdc.kafka.registry import SchemaRegistry
from cdc.pipeline.aside import culprits
from tests.jvm import Peer, class_path

pytestmark = pytest.mark.timeout(240)

OWN = "cdc.connect.CompiledAvroConverter"
BEFORE = "cdc.connect.NullKeepingAvroConverter"
"""The converter of connectors that were registered before, whose schemas and ids have to stay."""


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return class_path(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def peer(classes):
    peer = Peer(classes)
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def address(stack):
    return stack.addresses().registry


def settings(address, **more):
    return [f"schema.registry.url={address}", *(f"{name.replace('_', '.')}={value}" for name, value in more.items())]


@pytest.fixture(scope="module")
def own(peer, address):
    peer.ask("open", "own", OWN, "value", *settings(address))
    peer.ask("open", "own_key", OWN, "key", *settings(address))
    return peer


@pytest.fixture(scope="module")
def before(peer, address):
    native = address.replace("/apis/ccompat/v7", "/apis/registry/v2")
    options = {"url": native, "auto-register": "true", "as-confluent": "true", "use-id": "contentId"}
    options |= {"headers.enabled": "false"}
    peer.ask("open", "before", BEFORE, "value", *(f"apicurio.registry.{k}={v}" for k, v in options.items()))
    return peer


def written(peer, converter, topic, sample):
    answer = peer.ask("write", converter, topic, sample)
    assert not answer.startswith("error"), answer
    return base64.b64decode(answer)


def schema_id(message):
    assert message[0] == 0
    return int.from_bytes(message[1:5])


def versions(address, subject):
    return httpx.get(f"{address}/subjects/{subject}/versions").raise_for_status().json()


def decoded(schema, message):
    return fastavro.schemaless_reader(io.BytesIO(message[5:]), fastavro.parse_schema(json.loads(schema)), None)


def test_everybody_reads_what_it_writes(own, before, address):
    """fastavro with the registry's schema, Confluent's deserializer, Apicurio's converter, and the converter itself."""
    topic = "conv.public.read"
    message = written(own, "own", topic, "envelope")
    schema = SchemaRegistry(RegistryConfig(url=address)).schema(schema_id(message))
    value = decoded(schema, message)
    assert value["op"] == "u"
    assert value["after"]["id"] == value["before"]["id"]
    assert len(value["after"]["address"]) == 70
    client = SchemaRegistryClient({"url": address})
    confluent = AvroDeserializer(client)(message, SerializationContext(topic, MessageField.VALUE))
    assert confluent == value
    text = base64.b64encode(message).decode()
    assert before.ask("read", "before", topic, text) == own.ask("read", "own", topic, text)
    assert f"address={value['after']['address']}" in own.ask("read", "own", topic, text)
    key = written(own, "own_key", topic, "envelope_key")
    assert decoded(SchemaRegistry(RegistryConfig(url=address)).schema(schema_id(key)), key) == {
        "id": value["after"]["id"]
    }


@pytest.mark.parametrize("sample", ["row", "nulls", "envelope"])
def test_subjects_and_ids_of_the_converter_before_stay(own, before, address, sample):
    topic = f"conv.public.stay_{sample}"
    old = written(before, "before", topic, sample)
    new = written(own, "own", topic, sample)
    assert new == old
    assert versions(address, f"{topic}-value") == [1]
    other = f"conv.public.back_{sample}"
    assert written(own, "own", other, sample) == written(before, "before", other, sample)
    assert versions(address, f"{other}-value") == [1]


def test_a_column_more_is_a_version_more_and_the_old_schema_keeps_its_id(own, address):
    topic = "conv.public.evolves"
    first = schema_id(written(own, "own", topic, "row"))
    assert schema_id(written(own, "own", topic, "row_again")) == first
    wider = written(own, "own", topic, "row_wider")
    assert schema_id(wider) != first
    assert versions(address, f"{topic}-value") == [1, 2]
    for sample in ("row", "row_equal"):
        assert schema_id(written(own, "own", topic, sample)) == first
    assert versions(address, f"{topic}-value") == [1, 2]
    schema = SchemaRegistry(RegistryConfig(url=address)).schema(schema_id(wider))
    assert decoded(schema, wider) == {"id": 10, "name": "b", "phone": "1"}


def test_two_subjects_may_share_a_schema(own, address):
    """The id has to be the one that names the schema, not the version of a subject."""
    ids = {schema_id(written(own, "own", f"conv.public.shares_{number}", "row")) for number in (1, 2)}
    assert len(ids) == 1
    assert '"shop"' in SchemaRegistry(RegistryConfig(url=address)).schema(ids.pop())


def test_null_stays_null_where_a_column_has_a_default(own, address):
    """P73."""
    message = written(own, "own", "conv.public.nulls", "nulls")
    schema = SchemaRegistry(RegistryConfig(url=address)).schema(schema_id(message))
    assert json.loads(schema)["fields"][0]["default"] == 5
    assert decoded(schema, message) == {"number": None, "text": None}
    assert own.ask("write", "own", "conv.public.nulls", "tombstone") == "null"


def test_a_schema_that_does_not_fit_names_its_subject(own, address):
    topic = "conv.public.broken"
    written(own, "own", topic, "row")
    httpx.put(f"{address}/config/{topic}-value", json={"compatibility": "BACKWARD"}).raise_for_status()
    answer = own.ask("write", "own", topic, "row_broken")
    assert answer.startswith("error DataException")
    assert f"{topic}-value" in answer
    assert culprits(answer, [TableName("public", "broken"), TableName("public", "other")]) == [
        TableName("public", "broken")
    ]
    assert not may_pass(answer)


def test_a_value_that_does_not_fit_names_topic_and_field_and_shows_nothing(own):
    answer = own.ask("write", "own", "conv.public.lacks", "row_lacking")
    why = "field id is NULL, and its schema does not allow that"
    assert answer == f"error DataException a message for topic conv.public.lacks cannot be written as Avro: {why}"


def test_a_message_that_is_too_large_names_its_topic(peer, address):
    """K10, T16."""
    peer.ask("open", "small", OWN, "value", *settings(address, max_message_bytes=100))
    answer = peer.ask("write", "small", "conv.public.large", "envelope")
    assert "a message for topic conv.public.large is too large: it has " in answer
    assert "more than the 100 that are allowed" in answer


def test_a_registry_that_comes_back_is_waited_for(stack, classes, address):
    """While its process is stopped known schemas go on, and a new one is written as soon as it answers."""
    pid = next(one.pid for one in stack.status() if one.name == "registry")
    other = Peer(classes)
    try:
        other.ask("open", "own", OWN, "value", *settings(address))
        known = written(other, "own", "conv.public.goes_on", "row")
        os.kill(pid, signal.SIGSTOP)
        try:
            assert written(other, "own", "conv.public.goes_on", "row") == known
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(written, other, "own", "conv.public.waits", "row")
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=3)
                os.kill(pid, signal.SIGCONT)
                assert schema_id(waiting.result(timeout=60)) > 0
        finally:
            os.kill(pid, signal.SIGCONT)
    finally:
        other.close()


def test_a_registry_that_stays_away_may_come_back_later(peer):
    """Nothing listens there: the connector fails, and is restarted."""
    peer.ask("open", "nowhere", OWN, "value", *settings("http://127.0.0.1:1", schema_registry_retry_ms=1000))
    answer = peer.ask("write", "nowhere", "conv.public.away", "row")
    assert answer.startswith("error ConnectException schema registry http://127.0.0.1:1 did not answer")
    assert may_pass(answer)
    assert culprits(answer, [TableName("public", "away")]) == []


class _Answers(BaseHTTPRequestHandler):
    """A registry that says what the test wants."""

    status = 401
    seen: list[str | None] = []  # noqa: RUF012 - of the class on purpose

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers["Authorization"])
        body = json.dumps({"error_code": self.status, "message": "no"}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def answers():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    _Answers.seen.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_refused_login_fails_at_once_without_a_secret_and_takes_no_table_out(peer, answers):
    login = {"schema_registry_username": "cdc", "schema_registry_password": "canary", "schema_registry_retry_ms": 60000}
    peer.ask("open", "login", OWN, "value", *settings(answers, **login))
    answer = peer.ask("write", "login", "conv.public.login", "row")
    assert "access denied (401)" in answer
    assert "canary" not in answer
    assert _Answers.seen == ["Basic " + base64.b64encode(b"cdc:canary").decode()]
    assert lasts(answer)
    assert culprits(answer, [TableName("public", "login")]) == []


def test_a_registry_that_is_not_well_may_be_well_later(peer, answers, monkeypatch):
    monkeypatch.setattr(_Answers, "status", 503)
    peer.ask("open", "sick", OWN, "value", *settings(answers, schema_registry_retry_ms=1500))
    answer = peer.ask("write", "sick", "conv.public.sick", "row")
    assert "at last: status 503" in answer
    assert may_pass(answer)
    assert len(_Answers.seen) > 2


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://registry:8081/apis/registry/v2", "http://registry:8081/apis/ccompat/v7"),
        ("http://cdc:canary@registry:8081", "schema.registry.password"),
        ("registry:8081", "http://registry:8081"),
    ],
)
def test_a_wrong_address_is_a_configuration_error(peer, address, told):
    answer = peer.ask("open", "wrong", OWN, "value", *settings(address))
    assert answer.startswith("error ConfigException")
    assert told in answer
    assert "canary" not in answer
