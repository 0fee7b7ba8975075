"""Connectors on real servers: real classes, real tasks, real messages."""

import io
import json
import struct
import time
from collections.abc import Callable

import fastavro
import httpx
import psycopg
import pymysql
import pytest
import typer
import yaml
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner

from cdc.cli.connectors import register
from cdc.cli.doctor import register as register_doctor
from cdc.config.models import Config
from cdc.connect.client import ConnectClient
from cdc.connect.render import render
from cdc.core.errors import ConfigError, PreflightError, TerminalError, TransientError
from cdc.core.preflight import check_key
from cdc.kafka.registry import SchemaRegistry, UnknownSchema
from cdc.kafka.topics import KafkaTopics
from cdc.pipeline.preflight import check_source
from cdc.pipeline.register import Connectors
from cdc.sources.mysql import MySqlDatabase
from cdc.sources.postgres import PostgresDatabase, publication_sql
from tests.fakes.configuration import ORACLE

NOT_LISTED = {
    # Read by the connectors, and left out of what they list.
    "binary.handling.mode",
    "driver.allowPublicKeyRetrieval",
    "event.converting.failure.handling.mode",
    "field.name.adjustment.mode",
    "offset.mismatch.strategy",
    "schema.history.internal.kafka.bootstrap.servers",
    "schema.history.internal.kafka.topic",
    "unavailable.value.placeholder",
}
NOT_THE_CLASS = (
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "producer.override.",
    "topic.creation.default.",
    "values.",
    "driver.",
    "transforms.",
)


class Stand:
    """The stack, a configuration for it, and the parts put together as the command line does."""

    def __init__(self, stack):
        self.addresses = stack.addresses()
        self.secrets = self.addresses.environment()
        a = self.addresses
        postgres = {
            "type": "postgres",
            "name": "reg",
            "host": a.postgres_host,
            "port": a.postgres_port,
            "sslmode": "disable",
        }
        postgres |= {"database": "shop", "password": "${env:CDC_POSTGRES_PASSWORD}", "heartbeat": "500ms"}
        mysql = {"type": "mysql", "name": "regm", "host": a.mysql_host, "port": a.mysql_port, "ssl_mode": "disabled"}
        mysql |= {"database": "shop", "password": "${env:CDC_MYSQL_PASSWORD}", "server_id": 5901}
        self.postgres = postgres | {"snapshot": "connector", "tables": [{"source": "public.reg_a", "key": ["id"]}]}
        self.mysql = mysql | {
            "snapshot": "connector",
            "tables": [{"source": "shop.reg_a", "key": ["id"], "target": "regm.a"}],
        }

    def data(self, *sources) -> dict:
        return {
            "kafka": {"bootstrap_servers": self.addresses.kafka, "partitions": 2},
            "registry": {"url": self.addresses.registry},
            "connect": {"url": self.addresses.connect},
            "catalog": {"type": "jdbc", "uri": self.addresses.catalog_uri, "warehouse": "/w"},
            "sources": [*(sources or (self.postgres, self.mysql))],
        }

    def config(self, *sources) -> Config:
        return Config.model_validate(
            self.data(*sources), context={"resolve": lambda _kind, name: self.secrets.get(name, "x")}
        )

    def connectors(self, config: Config) -> Connectors:
        cluster, topics = ConnectClient(config.connect), KafkaTopics(config.kafka)
        return Connectors(config, lambda source: render(source, config), cluster, topics)

    def owner(self):
        a = self.addresses
        password = self.secrets["CDC_POSTGRES_OWNER_PASSWORD"]
        return self._psycopg(a, "shop_owner", password)

    def admin(self):
        return self._psycopg(self.addresses, "postgres", self.secrets["CDC_POSTGRES_ADMIN_PASSWORD"])

    def role(self):
        return self._psycopg(self.addresses, "cdc", self.secrets["CDC_POSTGRES_PASSWORD"])

    @staticmethod
    def _psycopg(a, user, password):
        return psycopg.connect(
            host=a.postgres_host, port=a.postgres_port, dbname="shop", user=user, password=password, autocommit=True
        )

    def mysql_as(self, user, variable):
        a = self.addresses
        password = self.secrets[variable]
        return pymysql.connect(
            host=a.mysql_host, port=a.mysql_port, user=user, password=password, database="shop", autocommit=True
        )

    def execute_mysql(self, *statements, user="shop_owner", variable="CDC_MYSQL_OWNER_PASSWORD"):
        with self.mysql_as(user, variable) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture(scope="module")
def stand(mysql_stack):
    stand = Stand(mysql_stack)
    source = stand.config().sources[0]
    with stand.owner() as owner:
        owner.execute("CREATE TABLE reg_a (id bigint PRIMARY KEY, a int DEFAULT 5, price numeric(10, 2))")
        owner.execute("CREATE TABLE reg_b (id bigint, b real PRIMARY KEY, c int UNIQUE)")
        owner.execute(publication_sql(source).encode())
        owner.execute("INSERT INTO reg_a VALUES (1, NULL, 1.50), (2, 7, 2)")
    stand.execute_mysql("CREATE TABLE reg_a (id bigint unsigned PRIMARY KEY, a int DEFAULT 5)")
    stand.execute_mysql("INSERT INTO reg_a VALUES (1, NULL), (18446744073709551615, 7)")
    yield stand
    connectors = stand.connectors(stand.config())
    for name in ("reg", "regm"):
        connectors.remove(name, offsets=True)
    with stand.owner() as owner:
        owner.execute("DROP PUBLICATION cdc_reg")
        owner.execute("DROP TABLE reg_a, reg_b")
    stand.execute_mysql("DROP TABLE reg_a")
    with stand.admin() as admin:
        eventually(
            lambda: (
                not admin.execute(
                    "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'cdc_reg' AND active"
                ).fetchall()
            )
        )
        admin.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'cdc_reg'"
        )


@pytest.fixture(scope="module")
def registered(stand):
    """Both connectors, running."""
    connectors = stand.connectors(stand.config())
    for name in ("reg", "regm"):
        assert connectors.apply(connectors.plan(name)).running
    return connectors


def eventually(reached: Callable[[], object], seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while True:
        if answer := reached():
            return answer
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def messages(stand, topic, at_least):
    """Return the messages of a topic, in the order of their partitions."""
    consumer = Consumer({"bootstrap.servers": stand.addresses.kafka, "group.id": "t", "auto.offset.reset": "earliest"})
    partitions = [TopicPartition(topic, p, 0) for p in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign(partitions)
    found = []

    def read():
        message = consumer.poll(1)
        if message is not None and not message.error():
            found.append(message)
        return message is None and len(found) >= at_least

    eventually(read)
    consumer.close()
    return found


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
@pytest.mark.parametrize("form", ["avro", "json", "json_schema"])
def test_the_real_classes_accept_what_is_rendered(stand, engine, form):
    source = getattr(stand, engine) | {"format": form}
    config = stand.config(source)
    assert ConnectClient(config.connect).validate(render(config.sources[0], config)) == []


def test_the_real_oracle_class_complains_of_nothing_but_the_missing_database(stand):
    config = stand.config(ORACLE | {"host": "127.0.0.1", "port": 1})
    complaints = ConnectClient(config.connect).validate(render(config.sources[0], config))
    assert [key for key, _ in complaints] == ["database.hostname"]
    assert "Unable to connect" in complaints[0][1]


@pytest.mark.parametrize("engine", ["postgres", "mysql", "oracle"])
def test_every_setting_is_one_that_the_class_knows(stand, engine):
    config = stand.config({"postgres": stand.postgres, "mysql": stand.mysql, "oracle": ORACLE}[engine])
    settings = render(config.sources[0], config)
    path = f"{config.connect.url}/connector-plugins/{settings['connector.class']}/config"
    known = {definition["name"] for definition in httpx.get(path, timeout=30).json()}
    unknown = {key for key in settings if key not in known and not key.startswith(NOT_THE_CLASS)}
    assert unknown <= NOT_LISTED


def test_a_broken_setting_is_named_and_nothing_is_registered(stand):
    config = stand.config(stand.postgres | {"name": "broken", "connector": {"max.batch.size": "many"}})
    connectors = stand.connectors(config)
    with pytest.raises(ConfigError, match=r"max\.batch\.size: .*integer"):
        connectors.apply(connectors.plan("broken"))
    assert connectors.status("broken").state == "MISSING"
    assert not KafkaTopics(config.kafka).existing(["broken.public.reg_a"])


def test_a_task_that_fails_shows_why(stand):
    config = stand.config(stand.postgres | {"name": "failing", "publication": "nobody_made_it"})
    connectors = stand.connectors(config)
    try:
        with pytest.raises(TerminalError, match=r"connector 'failing' failed: .*Publication autocreation is disabled"):
            connectors.apply(connectors.plan("failing"), settle=20)
        with pytest.raises(TerminalError, match="Publication autocreation is disabled"):
            connectors.restart("failing", attempts=2, settle=20)
    finally:
        connectors.remove("failing", offsets=True)
        with stand.admin() as admin:
            slot = "FROM pg_replication_slots WHERE slot_name = 'cdc_failing'"
            eventually(lambda: not admin.execute(f"SELECT 1 {slot} AND active").fetchall())
            admin.execute(f"SELECT pg_drop_replication_slot(slot_name) {slot}")


def test_apply_is_idempotent_and_makes_the_topics(registered, stand):
    """K2, M14."""
    for name in ("reg", "regm"):
        plan = registered.plan(name)
        assert plan.empty
        assert registered.apply(plan).running
    names = ["reg.public.reg_a", "regm.schema-history", "no_such_topic"]
    topics = KafkaTopics(stand.config().kafka).describe(names)
    settings = KafkaTopics(stand.config().kafka).settings(names[:2])
    assert sorted(topics) == ["reg.public.reg_a", "regm.schema-history"]
    assert topics["reg.public.reg_a"].partitions == 2
    assert settings["reg.public.reg_a"]["cleanup.policy"] == "delete"
    history = topics["regm.schema-history"]
    assert (history.partitions, settings["regm.schema-history"]["retention.ms"]) == (1, "-1")
    assert len(history.id) > 20


def test_a_changed_topic_is_put_right(registered, stand):
    admin = KafkaTopics(stand.config().kafka)
    admin.configure("reg.public.reg_a", {"retention.ms": "1000000"})
    assert [topic.action for topic in registered.plan("reg").topics] == ["configure", "unchanged"]
    registered.apply(registered.plan("reg"))
    assert registered.plan("reg").empty


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("reg.public.reg_a", {1: None, 2: 7}),
        ("regm.shop.reg_a", {1: None, 18446744073709551615: 7}),
    ],
)
@pytest.mark.usefixtures("registered")
def test_null_stays_null_and_schemas_are_found_by_their_id(stand, topic, expected):
    """P73: a column with a default; M22: keys beyond 2^63; and the wire format of the registry."""
    registry = SchemaRegistry(stand.config().registry)
    rows = {}
    for message in messages(stand, topic, 2):
        magic, schema_id = struct.unpack(">bI", message.value()[:5])
        assert magic == 0
        schema = json.loads(registry.schema(schema_id))
        assert "__debezium.source.column.type" in registry.schema(schema_id)
        event = fastavro.schemaless_reader(io.BytesIO(message.value()[5:]), fastavro.parse_schema(schema), None)
        if event["op"] == "r":
            rows[int(event["after"]["id"])] = event["after"]["a"]
    assert rows == expected


def test_an_unknown_schema_is_poison_and_a_registry_away_is_transient(stand):
    """K12."""
    registry = stand.config().registry
    with pytest.raises(UnknownSchema, match="could not read schema 999999"):
        SchemaRegistry(registry).schema(999999)
    with pytest.raises(TransientError, match=r"schema registry http://127\.0\.0\.1:1"):
        SchemaRegistry(registry.model_copy(update={"url": "http://127.0.0.1:1"})).schema(1)


def test_pause_resume_and_restart(registered):
    assert registered.pause("reg").state == "PAUSED"
    assert registered.apply(registered.plan("reg")).state == "PAUSED"
    assert registered.resume("reg").running
    assert registered.restart("reg").running


@pytest.mark.usefixtures("registered")
def test_no_secret_leaves_the_worker(stand):
    """Security checklist 1 and 2: not in a reply, not in the topic of configurations."""
    secrets = [value for key, value in stand.secrets.items() if key.endswith("PASSWORD")]
    paths = [
        "/connectors?expand=info&expand=status",
        "/connectors/reg/config",
        "/connectors/reg/tasks",
        "/connectors/regm/tasks",
    ]
    replies = [httpx.get(stand.addresses.connect + path, timeout=30).text for path in paths]
    stored = [bytes(message.value() or b"").decode() for message in messages(stand, "_connect_configs", 4)]
    assert any("cdc_reg" in text for text in stored)
    assert not [secret for secret in secrets for text in [*replies, *stored] if secret in text]


def test_the_slot_moves_while_the_captured_tables_are_idle(registered, stand):
    """P21: what others write does not make the source keep its log for us."""
    with stand.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS reg_busy AS SELECT 1 AS x")
        (written,) = admin.execute("SELECT pg_current_wal_lsn()").fetchone()
        moved = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'cdc_reg' AND confirmed_flush_lsn >= %s::pg_lsn"
        eventually(lambda: admin.execute(moved, [written]).fetchall(), seconds=90)
        admin.execute("DROP TABLE reg_busy")
    assert registered.status("reg").running


def test_the_command_line(registered, stand, tmp_path, monkeypatch):
    """Plan, apply, status and a wrong key, as typed."""
    for key, value in stand.secrets.items():
        if key.endswith("PASSWORD"):
            monkeypatch.setenv(key, value)
    path = tmp_path / "cdc.yaml"
    path.write_text(yaml.safe_dump(stand.data(stand.postgres, stand.mysql)))
    app = typer.Typer()
    register(app)

    def cdc(*words):
        return CliRunner().invoke(app, ["connectors", *words, "-c", str(path)])

    assert registered.plan("reg").empty
    planned = cdc("plan", "--json")
    assert planned.exit_code == 0
    assert [(one["name"], one["action"]) for one in json.loads(planned.stdout)] == [
        ("reg", "unchanged"),
        ("regm", "unchanged"),
    ]
    assert cdc("apply", "reg").exit_code == 0
    states = json.loads(cdc("status", "--json").stdout)
    assert [(one["name"], one["state"]) for one in states] == [("reg", "RUNNING"), ("regm", "RUNNING")]
    left = json.loads(cdc("remove", "reg", "--dry-run", "--json").stdout)[0]["left"]
    assert ("replication slot", "cdc_reg") in [(item["what"], item["name"]) for item in left]
    assert registered.status("reg").running

    wrong_key = stand.postgres | {"tables": [{"source": "public.reg_a", "key": ["nope"]}]}
    path.write_text(yaml.safe_dump(stand.data(wrong_key)))
    wrong = cdc("apply", "reg")
    assert isinstance(wrong.exception, PreflightError)
    assert "key column 'nope' of public.reg_a does not exist" in str(wrong.exception)
    assert "id, a, price" in wrong.exception.hint


def test_preflight_of_real_sources(stand):
    config = stand.config()
    postgres, mysql = PostgresDatabase(config.sources[0]), MySqlDatabase(config.sources[1])
    assert all(not finding.fatal for finding in check_source(config.sources[0], postgres))
    assert all(not finding.fatal for finding in check_source(config.sources[1], mysql))
    before = postgres.position(), mysql.position()
    with stand.owner() as owner:
        owner.execute("UPDATE reg_a SET a = 8 WHERE id = 2")
    stand.execute_mysql("UPDATE reg_a SET a = 8 WHERE id > 1")
    after = postgres.position(), mysql.position()
    assert all(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_table_that_is_not_there_is_a_finding_of_its_own(stand, engine):
    """It refused the start of all tables."""
    good = getattr(stand, engine)
    namespace = good["tables"][0]["source"].partition(".")[0]
    source = stand.config(good | {"tables": [*good["tables"], {"source": f"{namespace}.gone", "key": ["id"]}]}).sources[
        0
    ]
    database = {"postgres": PostgresDatabase, "mysql": MySqlDatabase}[engine](source)
    fatal = [finding for finding in check_source(source, database) if finding.fatal]
    assert {(finding.name, str(finding.table)) for finding in fatal} <= {
        ("table_missing", f"{namespace}.gone"),
        ("not_published", f"{namespace}.gone"),
    }
    assert any(finding.name == "table_missing" for finding in fatal)


def test_the_doctor_finds_all_fit_or_names_what_is_not(stand, tmp_path, monkeypatch):
    """T12."""
    for key, value in stand.secrets.items():
        if key.endswith("PASSWORD"):
            monkeypatch.setenv(key, value)
    path = tmp_path / "cdc.yaml"
    app = typer.Typer()
    register_doctor(app)

    def examined(*sources, **changed):
        data = stand.data(*sources) | {"stream": {"checkpoint": str(tmp_path / "checkpoint")}} | changed
        data["catalog"] |= {
            "username": "catalog",
            "password": "${env:CDC_CATALOG_PASSWORD}",
            "warehouse": str(tmp_path),
        }
        path.write_text(yaml.safe_dump(data))
        result = CliRunner().invoke(app, ["--json", "-c", str(path)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        document = json.loads(result.stdout)
        assert (result.exit_code == 0) == document["fit"]
        found = {
            one["what"]: list(dict.fromkeys(f["name"] for f in one["findings"] if f["fatal"]))
            for one in document["examined"]
        }
        assert all(one["detail"] for one in document["examined"] if one["fit"])
        return {what: names for what, names in found.items() if names}

    assert examined() == {}
    assert list(tmp_path.glob(".cdc-doctor-*")) == []
    wrong_key = stand.postgres | {"tables": [{"source": "public.reg_a", "key": ["nope"]}]}
    assert examined(wrong_key) == {"source reg": ["key_missing"]}
    away = stand.mysql | {"port": 1}
    found = examined(away, kafka={"bootstrap_servers": "127.0.0.1:1"}, connect={"url": "http://127.0.0.1:1"})
    assert found == {
        "kafka": ["kafka_away"],
        "connect": ["connect_away"],
        "source regm": ["connect_away", "source_away", "kafka_away"],
        "connector regm, by its worker": ["connector_refused"],
    }
    unheard = stand.postgres | {"password": "${env:CDC_MYSQL_PASSWORD}"}
    assert examined(unheard) == {
        "source reg": ["source_refused"],
        "connector reg, by its worker": ["connector_refused"],
    }


def test_keys_are_judged_by_what_the_source_declares(stand):
    """P7, P9, S10, S11."""
    declared = PostgresDatabase(stand.config().sources[0]).table("public", "reg_b")
    assert {key: [f.name for f in check_key(declared, [key])] for key in ("id", "b", "c", "d")} == {
        "id": ["key_nullable", "key_not_unique", "key_not_in_identity"],
        "b": ["key_float"],
        "c": ["key_nullable", "key_not_in_identity"],
        "d": ["key_missing"],
    }
    declared = MySqlDatabase(stand.config().sources[1]).table("shop", "reg_a")
    assert check_key(declared, ["id"]) == []
    assert [f.name for f in check_key(declared, ["a"])] == ["key_nullable", "key_not_unique"]


def test_what_is_missing_or_forbidden_is_named(stand):
    config = stand.config()
    postgres, mysql = PostgresDatabase(config.sources[0]), MySqlDatabase(config.sources[1])
    with pytest.raises(PreflightError, match=r"table public\.nope does not exist"):
        postgres.table("public", "nope")
    with pytest.raises(PreflightError, match=r"table shop\.nope does not exist, or user 'cdc' may not read it"):
        mysql.table("shop", "nope")
    with stand.owner() as owner:
        owner.execute("CREATE TABLE reg_secret (id int PRIMARY KEY)")
        owner.execute("REVOKE ALL ON reg_secret FROM cdc")
        try:
            with pytest.raises(PreflightError, match=r"role 'cdc' may not read table public\.reg_secret") as caught:
                postgres.table("public", "reg_secret")
            assert 'GRANT SELECT ON "public"."reg_secret" TO "cdc"' in caught.value.hint
        finally:
            owner.execute("DROP TABLE reg_secret")
    unpublished = stand.config(stand.postgres | {"tables": [{"source": "public.reg_b", "key": ["b"]}]}).sources[0]
    names = [finding.name for finding in PostgresDatabase(unpublished).findings()]
    assert "not_published" in names


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_wrong_password_and_a_database_away_are_told_apart(stand, engine):
    kind = {"postgres": PostgresDatabase, "mysql": MySqlDatabase}[engine]
    good = getattr(stand, engine)
    wrong = stand.config(good | {"password": "${env:WRONG}"}).sources[0]
    with pytest.raises(PreflightError, match=f"source '{good['name']}'") as caught:
        kind(wrong).position()
    assert "check user, password" in caught.value.hint
    away = stand.config(good | {"port": 1}).sources[0]
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1"):
        kind(away).position()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO reg_a VALUES (9)",
        "UPDATE reg_a SET a = 1",
        "DELETE FROM reg_a",
        "TRUNCATE reg_a",
        "DROP TABLE reg_a",
        "CREATE TABLE reg_mine (id int)",
        "DROP PUBLICATION cdc_reg",
    ],
)
def test_the_role_may_write_nothing(stand, statement):
    """Security checklist 7."""
    with stand.role() as role:
        role.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            role.execute(statement.encode())
    if "PUBLICATION" not in statement:
        with pytest.raises(pymysql.MySQLError, match="denied"):
            stand.execute_mysql(statement, user="cdc", variable="CDC_MYSQL_PASSWORD")
