"""Capture on real servers: when it has begun for a table, and when the connector has passed a position."""

import io
import json
import re

import fastavro
import pytest

from cdc.bootstrap.connectors import capture_of
from cdc.bootstrap.databases import source_database
from cdc.core.names import TableName
from cdc.kafka.registry import SchemaRegistry
from cdc.sources.postgres import publication_sql
from tests.integration.test_connectors import Stand, eventually, messages

# With its default MySQL tells an idle connector where the log ends every 48 s only.
OFTEN = {"connect.keep.alive.interval.ms": "5000"}


class Engine:
    """One database of the stack: its source with one table or with two, and statements as the tables' owner."""

    def __init__(self, stand, name):
        self.stand, self.name = stand, name
        self.pipeline = f"cap_{name}"
        namespace = {"postgres": "public", "mysql": "shop"}[name]
        self.first, self.second = TableName(namespace, "cap_a"), TableName(namespace, "cap_b")
        self.topic = f"{self.pipeline}.{namespace}.cap_b"

    def config(self, *tables):
        listed = [{"source": str(t), "key": ["id"], "target": f"{self.pipeline}.{t.table}"} for t in tables]
        own = {"name": self.pipeline, "snapshot": "load", "tables": listed}
        own |= {"server_id": 5931, "connector": OFTEN} if self.name == "mysql" else {}
        return self.stand.config(getattr(self.stand, self.name) | own)

    def execute(self, *statements):
        if self.name == "mysql":
            self.stand.execute_mysql(*statements)
            return
        with self.stand.owner() as owner:
            for statement in statements:
                owner.execute(statement.encode())

    def apply(self, *tables):
        config = self.config(*tables)
        connectors = self.stand.connectors(config)
        assert connectors.apply(connectors.plan(self.pipeline)).running
        return config.sources[0]


@pytest.fixture(params=["postgres", "mysql"])
def engine(request, mysql_stack):
    """Two tables with a row each; PostgreSQL publishes the first."""
    engine = Engine(Stand(mysql_stack), request.param)
    for table in ("cap_a", "cap_b"):
        engine.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY)", f"INSERT INTO {table} VALUES (1)")
    if engine.name == "postgres":
        engine.execute(publication_sql(engine.config(engine.first).sources[0]))
    yield engine
    engine.stand.connectors(engine.config(engine.first)).remove(engine.pipeline, offsets=True)
    engine.execute("DROP TABLE cap_a", "DROP TABLE cap_b")
    if engine.name == "postgres":
        engine.execute(f"DROP PUBLICATION cdc_{engine.pipeline}")
        slot = f"FROM pg_replication_slots WHERE slot_name = 'cdc_{engine.pipeline}'"
        with engine.stand.admin() as admin:
            eventually(lambda: not admin.execute(f"SELECT 1 {slot} AND active".encode()).fetchall())
            admin.execute(f"SELECT pg_drop_replication_slot(slot_name) {slot}".encode())


def rows(engine):
    """Return operation and key of the messages in the second table's topic."""
    registry = SchemaRegistry(engine.stand.config().registry)

    def event(value):
        schema = json.loads(registry.schema(int.from_bytes(value[1:5])))
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(schema), None)

    found = [event(message.value()) for message in messages(engine.stand, engine.topic, 1) if message.value()]
    return [(one["op"], int((one["after"] or one["before"])["id"])) for one in found]


def test_capture_begins_and_passes(engine):
    """S13: from nothing to a second table, whose changes are all in its topic from when nothing is lacking."""
    first, second = engine.first, engine.second
    source, capture = engine.config(first).sources[0], capture_of(engine.config(first))

    def lacking(*tables):
        return capture.lacking(source, tables)

    assert "is not registered: cdc connectors apply" in lacking(first)[first]
    assert "is not registered" in capture.trouble(source)
    assert not capture.passed(source, source_database(source).position())

    engine.apply(first)
    assert set(lacking(first, second)) >= {second}
    assert capture.trouble(source) == ""
    eventually(lambda: not lacking(first), seconds=30)
    assert "leaves" in lacking(second)[second]

    engine.execute("INSERT INTO cap_a VALUES (2)")
    await_passed(source, capture)
    await_passed(source, capture)  # idle meanwhile

    source = engine.apply(first, second)
    if engine.name == "postgres":
        _publish_late(engine, lambda: lacking(second).get(second, ""))
    eventually(lambda: not lacking(first, second), seconds=30)
    engine.execute("INSERT INTO cap_b VALUES (100)")
    await_passed(source, capture)
    assert rows(engine)[-1] == ("c", 100)
    assert "r" not in {operation for operation, _ in rows(engine)}
    connectors = engine.stand.connectors(engine.config(first, second))
    connectors.pause(engine.pipeline)
    assert capture.trouble(source).endswith(f"is paused: cdc connectors resume {engine.pipeline}")


def await_passed(source, capture):
    """Wait until the connector has passed the end of the log as it is now."""
    high = source_database(source).position()
    eventually(lambda: capture.passed(source, high), seconds=20)


def _publish_late(engine, reason):
    """Publish the second table while a transaction is open that wrote to it: what it wrote before is not sent."""
    eventually(lambda: "is not in publication" in reason(), seconds=30)
    with engine.stand.owner() as writer:
        writer.autocommit = False
        writer.execute("INSERT INTO cap_b VALUES (50)")
        engine.execute(f"ALTER PUBLICATION cdc_{engine.pipeline} ADD TABLE cap_b")
        assert re.search(r"transactions open since before .* have written to it: 1", reason())
        writer.commit()


def test_what_keeps_changes_is_measured_against_the_time_of_a_load(engine):
    source = engine.apply(engine.first)
    capture = capture_of(engine.config(engine.first))
    assert not [one for one in capture.retention(source, 1.0) if one.fatal]
    names = " ".join(one.what for one in capture.retention(source, 1e12))
    assert f"topic '{engine.pipeline}." in names
    assert {"postgres": "replication slot", "mysql": "the binary log"}[engine.name] in names
