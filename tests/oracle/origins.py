"""Where an end-to-end test's changes come from: a log that Debezium's classes mine here, or a real Oracle database.

Both are given the same log: a real database runs its statements, since LogMiner writes what Oracle can read.
"""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from cdc.local.places import REPOSITORY
from cdc.local.stack import LocalStack
from tests.oracle import Connector, Record, settings
from tests.oracle.log import CODE, CODES, SQL, Log, Transaction
from tests.oracle.tables import Declared, statement

URL = "CDC_TEST_ORACLE_URL"
"""``oracle://OWNER:PASSWORD@HOST:PORT/SERVICE?database=CDB&pdb=PDB&user=C%23%23CDC&password=..``; see
docs/connectors.md."""
PARTITIONS = 4
_SESSION = {
    "NLS_DATE_FORMAT": "YYYY-MM-DD HH24:MI:SS",
    "NLS_TIMESTAMP_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF9",
    "NLS_TIMESTAMP_TZ_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM",
    "NLS_NUMERIC_CHARACTERS": ".,",
}


class Origin(Protocol):
    """A source of changes of one table, ``TABLE`` of ``owner``."""

    name: str
    owner: str
    environment: Mapping[str, str]
    """What processes of the service need beside secrets of the stack."""

    def source(self) -> dict[str, Any]:
        """Return the source of cdc's configuration."""

    def make(self, columns: Mapping[str, Declared]) -> None:
        """Make the table, empty."""

    def run(self, log: Log) -> None:
        """Carry out the transactions of a log."""

    def again(self, log: Log) -> None:
        """Deliver a log again that was carried out before, as after a crash; a database may leave it out."""

    def close(self) -> None: ...


TABLE = "ORDERS"


class Mined:
    """Rows of LogMiner, mined by Debezium's classes, and sent as the connector's worker sends them."""

    owner = "SALES"
    environment = {  # noqa: RUF012 - of all
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY / "tests" / "fakes" / "driver", REPOSITORY))),
        "CDC_ORACLE_PASSWORD": "none",
    }

    def __init__(self, stack: LocalStack, connector: Connector, name: str) -> None:
        self.name = name
        self._at, self._connector = stack.addresses(), connector
        kafka = {"bootstrap.servers": self._at.kafka}
        self._producer = Producer({**kafka, "partitioner": "murmur2_random", "enable.idempotence": True})
        self._topic = f"{name}.{self.owner}.{TABLE}"
        admin = AdminClient(kafka)
        admin.create_topics([NewTopic(self._topic, PARTITIONS, 1, config={"retention.ms": "604800000"})])[
            self._topic
        ].result(30)

    def source(self) -> dict[str, Any]:
        common = {"type": "oracle", "name": self.name, "host": "127.0.0.1", "database": "ORCLCDB", "pdb": "ORCLPDB1"}
        return {**common, "password": "${env:CDC_ORACLE_PASSWORD}", "user": "C##CDC"}

    def make(self, columns: Mapping[str, Declared]) -> None:
        tables = [{"source": f"{self.owner}.{TABLE}", "key": ["ID"]}]
        self._connector.open(settings(self._at.registry, tables, self.name))
        self._connector.mine(Transaction("0100010001000000", 10).ddl(statement(TABLE, columns, self.owner)).commit(20))

    def run(self, log: Log) -> None:
        self._send(self._connector.mine(log))

    def again(self, log: Log) -> None:
        self._connector.start_from(1)
        self.run(log)

    def _send(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.topic == self._topic:
                self._producer.produce(record.topic, record.value, record.key, headers=record.headers)
                self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def close(self) -> None:
        self._producer.flush(10)


class Real:
    """An Oracle database whose owner may create a table; its connector is registered and removed by the test."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        parts, more = urlsplit(url), parse_qs(urlsplit(url).query)
        self.owner = unquote(parts.username or "").upper()
        self._user, self._password = more["user"][0], more["password"][0]
        self._where = {"host": parts.hostname, "port": parts.port or 1521}
        self._names = {"database": more["database"][0], **({"pdb": more["pdb"][0]} if "pdb" in more else {})}
        self.environment = {"CDC_ORACLE_PASSWORD": self._password}
        self._connection = import_module("oracledb").connect(
            user=self.owner, password=unquote(parts.password or ""), service_name=parts.path.strip("/"), **self._where
        )
        for parameter, setting in _SESSION.items():
            self._execute(f"ALTER SESSION SET {parameter} = '{setting}'")

    def source(self) -> dict[str, Any]:
        common = {"type": "oracle", "name": self.name, "user": self._user, "password": "${env:CDC_ORACLE_PASSWORD}"}
        return {**common, **self._where, **self._names}

    def make(self, columns: Mapping[str, Declared]) -> None:
        self._execute(statement(TABLE, columns, self.owner).rstrip(";"))
        script = (REPOSITORY / "sql" / "sources" / "oracle" / "tables.sql").read_text(encoding="utf-8")
        filled = script.replace("${table}", f'"{self.owner}"."{TABLE}"').replace("${role}", self._user)
        for line in filled.splitlines():
            if line and not line.startswith("--"):
                self._execute(line.rstrip(";"))

    def run(self, log: Log) -> None:
        for row in log:
            if row[CODE] == CODES["COMMIT"]:
                self._connection.commit()
            elif row[CODE] == CODES["ROLLBACK"]:
                self._connection.rollback()
            elif row[SQL]:
                self._execute(row[SQL].rstrip(";"))

    def again(self, log: Log) -> None:
        """Leave it out: what a connector delivers again is up to it."""

    def close(self) -> None:
        self._execute(f'DROP TABLE "{self.owner}"."{TABLE}" PURGE')
        self._connection.close()

    def _execute(self, statement_: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement_)


def real(name: str) -> Real:
    """Return the Oracle database that the environment names; skips the test if it names none."""
    url = os.environ.get(URL)  # noqa: TID251 - of the test run
    if not url:
        pytest.skip(
            f"{URL} names no Oracle database (docs/connectors.md, Oracle): what Debezium mines there was not seen"
        )
    return Real(url, name)
