"""The embedded stack with real servers: health, isolation, durability, and that nothing survives `down`."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pymysql
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from cdc.core.errors import ConfigError, PreflightError
from cdc.local.places import as_root
from cdc.local.ports import answers
from cdc.local.processes import marked, wait
from cdc.local.stack import LocalStack
from cdc.local.state import read_state

pytestmark = pytest.mark.timeout(240)

SCHEMA = '{"type": "record", "name": "r", "fields": [{"name": "f%d", "type": "long"}]}'
START = """
import signal, sys
from cdc.local.stack import LocalStack
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
LocalStack(sys.argv[1]).up(['postgres'])
"""


def shop(stack: LocalStack, user: str = "shop_owner", secret: str = "POSTGRES_OWNER") -> psycopg.Connection:
    where = stack.addresses()
    password = where.environment()[f"CDC_{secret}_PASSWORD"]
    return psycopg.connect(
        host=where.postgres_host,
        port=where.postgres_port,
        dbname="shop",
        user=user,
        password=password,
        autocommit=True,
    )


def register_schema(stack: LocalStack, number: int) -> int:
    address = f"{stack.addresses().registry}/subjects/survives-{number}-value/versions"
    answer = httpx.post(address, json={"schema": SCHEMA % number})
    return answer.raise_for_status().json()["id"]


def schema_of(stack: LocalStack, number: int) -> str:
    return httpx.get(f"{stack.addresses().registry}/schemas/ids/{number}").raise_for_status().json()["schema"]


def pids(stack: LocalStack) -> dict[str, int]:
    return {one.name: one.pid for one in stack.status()}


def nothing_runs(stack: LocalStack) -> bool:
    state = read_state(stack.folder)
    return not any(map(answers, state.ports.values())) and not list(marked(f"{stack.folder}:"))


def test_every_server_is_healthy(mysql_stack):
    status = mysql_stack.status()
    assert {one.name for one in status} == {"postgres", "mysql", "kafka", "registry", "connect"}
    assert {one.state for one in status} == {"healthy"}


def test_the_worker_has_all_connectors_and_the_converter(stack):
    address = f"{stack.addresses().connect}/connector-plugins?connectorsOnly=false"
    plugins = {one["class"].rpartition(".")[2] for one in httpx.get(address).json()}
    assert {"PostgresConnector", "MySqlConnector", "OracleConnector", "CompiledAvroConverter"} <= plugins


def test_up_on_a_running_stack_changes_nothing(stack):
    before = pids(stack)
    stack.up(["postgres"])
    assert pids(stack) == before


def test_a_killed_registry_is_restarted_and_still_knows_its_schemas(stack):
    """K13: the id in a message must mean the same schema for ever, even after kill -9."""
    number = register_schema(stack, 1)
    before = pids(stack)
    subprocess.run(["kill", "-9", str(before["registry"])], check=True)
    stack.up(["postgres"])
    assert "f1" in schema_of(stack, number)
    assert register_schema(stack, 2) > number
    after = pids(stack)
    assert after.pop("registry") != before.pop("registry")
    assert after == before


@pytest.mark.skipif(not as_root(), reason="only root has another user to run them as")
def test_databases_do_not_run_as_root(mysql_stack):
    for name in ("postgres", "mysql"):
        assert Path(f"/proc/{pids(mysql_stack)[name]}").stat().st_uid != 0


def test_servers_listen_on_the_loopback_interface_only(mysql_stack):
    ports = set(read_state(mysql_stack.folder).ports.values())
    seen = listening()
    assert ports <= {port for _, port in seen}
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    assert {address for address, port in seen if port in ports} <= loopback


def test_servers_have_no_further_ports(mysql_stack):
    """JMX above all: every listening socket of a server's process is one of the stack's ports."""
    ports = set(read_state(mysql_stack.folder).ports.values())
    for pid in pids(mysql_stack).values():
        assert {port for _, port in listening(pid)} <= ports


def test_no_password_is_in_arguments_or_readable_files(mysql_stack):
    secrets = [value for name, value in mysql_stack.addresses().environment().items() if name.endswith("_PASSWORD")]
    for pid in pids(mysql_stack).values():
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [one for one in secrets if one in arguments]
    for path in mysql_stack.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0 or path.name == "lock"


def test_logs_hold_no_password(mysql_stack):
    secrets = [value for name, value in mysql_stack.addresses().environment().items() if name.endswith("_PASSWORD")]
    for log in (mysql_stack.folder / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not [one for one in secrets if one in text], log.name


def test_the_capturing_role_may_read_and_not_write(stack):
    with shop(stack) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS granted (id int PRIMARY KEY)")
    with shop(stack, "cdc", "POSTGRES") as reader:
        assert reader.execute("SELECT count(*) FROM granted").fetchone() == (0,)
        with pytest.raises(psycopg.Error):
            reader.execute("SET default_transaction_read_only = off; INSERT INTO granted VALUES (1)")


def test_mysql_logs_whole_rows_with_gtids(mysql_stack):
    """M1."""
    where = mysql_stack.addresses()
    password = where.environment()["CDC_MYSQL_PASSWORD"]
    reader = pymysql.connect(host=where.mysql_host, port=where.mysql_port, user="cdc", password=password)
    with reader, reader.cursor() as cursor:
        cursor.execute("SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@gtid_mode")
        assert cursor.fetchone() == (1, "ROW", "FULL", "ON")


def test_a_connector_reads_only_allowed_variables(stack):
    """T12: a reference to any other variable of the worker resolves to nothing."""
    plugin = "io.debezium.connector.postgresql.PostgresConnector"
    settings = {"connector.class": plugin, "name": "probe", "topic.prefix": "${env:PATH}"}
    answer = httpx.put(f"{stack.addresses().connect}/connector-plugins/{plugin}/config/validate", json=settings)
    assert "/usr/bin" not in answer.text


def test_an_unknown_source_is_named(stack):
    with pytest.raises(ConfigError, match="db2"):
        stack.up(["db2"])


def test_data_survive_beside_another_stack_until_they_are_wiped(stack, second_stack):
    second_stack.up(["postgres"])
    mine, theirs = second_stack.addresses(), stack.addresses()
    assert mine.kafka != theirs.kafka
    with shop(second_stack) as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (7)")
    number = register_schema(second_stack, 3)
    admin = AdminClient({"bootstrap.servers": mine.kafka})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result(30)

    second_stack.down()
    assert nothing_runs(second_stack)
    assert {one.state for one in stack.status()} == {"healthy"}

    assert second_stack.up(["postgres"]) == mine
    with shop(second_stack) as connection:
        assert connection.execute("SELECT id FROM kept").fetchone() == (7,)
    assert "f3" in schema_of(second_stack, number)
    assert "kept" in AdminClient({"bootstrap.servers": mine.kafka}).list_topics(timeout=30).topics

    second_stack.down(wipe=True)
    assert not second_stack.folder.exists()
    assert not list(marked(f"{second_stack.folder}:"))


@pytest.mark.parametrize("server", ["postgres", "connect"])
def test_down_stops_what_a_killed_starter_left(second_stack, server):
    starter = subprocess.Popen([sys.executable, "-c", START, second_stack.name])
    assert wait(lambda: server in read_state(second_stack.folder).processes, 60)
    starter.kill()
    starter.wait()
    assert list(marked(f"{second_stack.folder}:"))
    second_stack.down()
    assert nothing_runs(second_stack)


def test_an_interrupted_start_leaves_nothing_running(second_stack):
    starter = subprocess.Popen([sys.executable, "-c", START, second_stack.name], stderr=subprocess.DEVNULL)
    assert wait(lambda: "connect" in read_state(second_stack.folder).processes, 60)
    starter.send_signal(signal.SIGINT)
    assert starter.wait(60) != 0
    assert nothing_runs(second_stack)


def test_a_server_that_cannot_start_is_named_with_the_end_of_its_log(second_stack):
    second_stack.up(["postgres"])
    second_stack.down()
    (second_stack.folder / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(PreflightError, match=r"(?s)postgres ended while starting.*incompatible"):
        second_stack.up(["postgres"])
    assert nothing_runs(second_stack)


def listening(pid: int | None = None) -> set[tuple[str, int]]:
    """Return address and port of listening sockets, of one process or of all."""
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()} if pid else set()
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            if fields[3] == "0A" and (pid is None or f"socket:[{fields[9]}]" in inodes):
                found.add((address, int(port, 16)))
    return found
