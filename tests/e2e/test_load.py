"""The bulk load, end to end, on both databases: tables that change all the while, loads that are killed."""

import itertools
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from cdc.local.stack import LocalStack
from cdc.sources.postgres import publication_sql
from tests.e2e.loading import Changes, LoadRun, reconfigure
from tests.e2e.scenario import SEED
from tests.e2e.service import Service

pytestmark = pytest.mark.timeout(900)
ROWS = 30_000
KILLS = 10
NUMBERS = itertools.count(1)


@dataclass
class Database:
    """One table of one database, and what captures it."""

    service: Service
    source: str
    connect: Any
    table: str

    def changes(self, rate: float = 2000) -> Changes:
        return Changes(self.connect, self.table, ROWS, SEED, rate)

    def register(self) -> None:
        applied = self.service.run("connectors", "apply", self.source)
        assert applied.returncode == 0, applied.stdout + applied.stderr

    def remove(self) -> None:
        self.service.kill()
        self.service.run("connectors", "remove", self.source, "--offsets")


def service_of(folder: Path, stack: LocalStack, source: dict[str, object]) -> Service:
    service = Service.create(folder, stack, [source])
    # small ranges: there are dozens of them, and a kill hits in between
    reconfigure(service, lambda c: c.update(load={"range_bytes": "1m", "auto": False}))
    return service


@pytest.fixture
def postgres(stack: LocalStack, tmp_path: Path) -> Iterator[Database]:
    at = stack.addresses()
    name = f"loads{next(NUMBERS)}"
    password = at.environment()["CDC_POSTGRES_OWNER_PASSWORD"]

    def connect() -> Any:
        return psycopg.connect(
            host=at.postgres_host, port=at.postgres_port, dbname="shop", user="shop_owner", password=password
        )

    source = {
        "name": name,
        "type": "postgres",
        "host": at.postgres_host,
        "port": at.postgres_port,
        "database": "shop",
        "password": "${env:CDC_POSTGRES_PASSWORD}",
        "sslmode": "disable",
        "heartbeat": "1s",
        "tables": [{"source": f"{name}.items", "key": ["id"]}],
    }
    service = service_of(tmp_path, stack, source)
    statements = [
        f"CREATE SCHEMA {name}",
        f"GRANT USAGE ON SCHEMA {name} TO cdc",
        f"CREATE TABLE {name}.items (id bigint PRIMARY KEY, name text, payload text, n int, amount numeric(12,2),"
        " at timestamptz DEFAULT now())",
        f"INSERT INTO {name}.items SELECT g, 'name ' || g, CASE WHEN g % 5 = 0 THEN (SELECT string_agg("
        "md5(g::text || x), '') FROM generate_series(1, 90) x) ELSE md5(g::text) END, g % 7, g / 3.0 "
        f"FROM generate_series(1, {ROWS}) g",
        f"GRANT SELECT ON {name}.items TO cdc",
        publication_sql(service.config.sources[0]),  # type: ignore[arg-type]
    ]
    with closing(connect()) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.autocommit = True
        connection.execute(f"ANALYZE {name}.items")
    database = Database(service, name, connect, f"{name}.items")
    yield database
    database.remove()
    with closing(connect()) as connection:
        connection.autocommit = True
        connection.execute(f"DROP PUBLICATION IF EXISTS cdc_{name}")
        connection.execute(f"DROP SCHEMA {name} CASCADE")
    with closing(
        psycopg.connect(
            host=at.postgres_host,
            port=at.postgres_port,
            dbname="shop",
            user="cdc",
            password=at.environment()["CDC_POSTGRES_PASSWORD"],
            autocommit=True,
        )
    ) as role:
        role.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active",
            (f"cdc_{name}",),
        )


@pytest.fixture
def mysql(mysql_stack: LocalStack, tmp_path: Path) -> Iterator[Database]:
    at = mysql_stack.addresses()
    environment = at.environment()
    number = next(NUMBERS)
    name = f"loads{number}"

    def connect(user: str = "shop_owner", database: str | None = name) -> Any:
        secret = "CDC_MYSQL_ROOT_PASSWORD" if user == "root" else "CDC_MYSQL_OWNER_PASSWORD"
        return pymysql.connect(
            host=at.mysql_host,
            port=at.mysql_port or 0,
            user=user,
            password=environment[secret],
            database=database,
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00'",
        )

    with closing(connect("root", None)) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"GRANT ALL ON {name}.* TO 'shop_owner'@'%'")
        cursor.execute(f"GRANT SELECT ON {name}.* TO 'cdc'@'%'")
    source = {
        "name": name,
        "type": "mysql",
        "host": at.mysql_host,
        "port": at.mysql_port,
        "database": name,
        "password": "${env:CDC_MYSQL_PASSWORD}",
        "ssl_mode": "disabled",
        "server_id": 6000 + number,
        "heartbeat": "1s",
        "tables": [{"source": f"{name}.items", "key": ["id"]}],
    }
    service = service_of(tmp_path, mysql_stack, source)
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE items (id bigint PRIMARY KEY, name varchar(40), payload longtext, n int, "
            "amount decimal(12,2), at datetime(6) DEFAULT CURRENT_TIMESTAMP(6))"
        )
        for low in range(0, ROWS, 5000):
            rows = [
                (g, f"name {g}", "ab" * 1400 if g % 5 == 0 else f"{g:032x}", g % 7, g / 4)
                for g in range(low, low + 5000)
            ]
            cursor.executemany("INSERT INTO items (id, name, payload, n, amount) VALUES (%s, %s, %s, %s, %s)", rows)
            connection.commit()
        cursor.execute("ANALYZE TABLE items")
        cursor.fetchall()
    database = Database(service, name, connect, "items")
    yield database
    database.remove()


@pytest.fixture(params=["postgres", "mysql"])
def database(request: pytest.FixtureRequest) -> Database:
    return request.getfixturevalue(request.param)


def test_load_under_changes_with_kills(database: Database) -> None:
    """S13, P29, P34: 2,000 changes a second on the table, SIGKILL at ten random moments; no range is loaded twice."""
    print(f"seed {SEED}")
    moments, run = random.Random(SEED), LoadRun(database.service, ("--rows-per-second", "4000"))
    database.register()
    with database.changes() as changes:
        kills = sum(run.kill_after(moments.uniform(4, 16)) for _ in range(KILLS))
        run.finish()
        print(f"seed {SEED}: {changes.made} changes, {kills} kills")
    database.service.start()
    database.service.await_equal()
    committed = run.committed_ranges()
    assert max(len(ranges) for ranges in committed.values()) > 5, committed
    assert all(times == 1 for ranges in committed.values() for times in ranges.values()), committed
