"""The scenarios: tables made and filled, connector registered, service running."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from cdc.local.stack import LocalStack
from cdc.sources.postgres import publication_sql
from tests.e2e.scenario import SEED, Scenario
from tests.e2e.service import Service
from tests.e2e.tables import BEFORE_POSTGRES, MYSQL, POSTGRES, TestTable
from tests.e2e.workload import MYSQL_DIALECT, POSTGRES_DIALECT, RandomWorkload, create_table

SCHEMA = "e2e"
SECOND = "e2e_archive"
"""Another database of the MySQL server, with a table of a name that the first has too."""
DECLARED = {"by_connector": "connector", "by_load": "load"}
"""Tables of PostgreSQL of which nothing is configured but who reads their first rows."""
_SECOND_ACCOUNTS = f"""
CREATE TABLE {SECOND}.accounts (id bigint PRIMARY KEY, name varchar(40), price decimal(10, 2), number int,
  shouted varchar(40) AS (UPPER(name)) STORED, total decimal(20, 2) AS (price * number) VIRTUAL)
"""


@pytest.fixture(scope="module")
def postgres(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    yield from running(postgres_scenario(stack, tmp_path_factory.mktemp("postgres")), "e2e_pg")


@pytest.fixture(scope="module")
def mysql(mysql_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    yield from running(mysql_scenario(mysql_stack, tmp_path_factory.mktemp("mysql")), "e2e_my")


def postgres_scenario(stack: LocalStack, folder: Path) -> Scenario:
    at = stack.addresses()
    password = at.environment()["CDC_POSTGRES_OWNER_PASSWORD"]

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            host=at.postgres_host,
            port=at.postgres_port,
            dbname="shop",
            user="shop_owner",
            password=password,
            options=f"-c TimeZone=UTC -c search_path={SCHEMA},public",
        )

    source = {
        "name": "e2e_pg",
        "type": "postgres",
        "host": at.postgres_host,
        "port": at.postgres_port,
        "database": "shop",
        "password": "${env:CDC_POSTGRES_PASSWORD}",
        "sslmode": "disable",
        "heartbeat": "1s",
        # Both ways beside each other; the other source loads all of its tables.
        "tables": [*_tables(POSTGRES, connector=("accounts", "documents", "readings")), *_declared_tables()],
    }
    service = Service.create(folder, stack, [source])
    workload = RandomWorkload(POSTGRES, POSTGRES_DIALECT, SEED)
    before = [
        f"CREATE SCHEMA {SCHEMA}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO cdc",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT SELECT ON TABLES TO cdc",
        *BEFORE_POSTGRES,
        *(statement for name in DECLARED for statement in _declared(name)),
    ]
    created = [statement for table in POSTGRES for statement in create_table(table, POSTGRES_DIALECT)]
    with closing(connect()) as connection:
        _fill(connection, [*before, *created], workload)
        connection.execute(publication_sql(service.config.sources[0]).encode())  # type: ignore[arg-type]
        connection.commit()
    return Scenario(service, connect, workload)


def mysql_scenario(stack: LocalStack, folder: Path) -> Scenario:
    at = stack.addresses()
    environment = at.environment()

    def connect(user: str = "shop_owner", database: str | None = SCHEMA) -> Any:
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
        for database in (SCHEMA, SECOND):
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
            cursor.execute(f"GRANT ALL ON {database}.* TO 'shop_owner'@'%'")
            cursor.execute(f"GRANT SELECT ON {database}.* TO 'cdc'@'%'")
        cursor.execute(_SECOND_ACCOUNTS)
        cursor.execute(
            f"INSERT INTO {SECOND}.accounts (id, name, price, number) VALUES (1, 'a', 1.5, 2), (2, 'b', 2.5, 3)"
        )
        cursor.execute("SET SESSION sql_generate_invisible_primary_key = ON")
        cursor.execute(f"CREATE TABLE {SECOND}.hidden (name varchar(20), secret int INVISIBLE)")
        cursor.execute(f"INSERT INTO {SECOND}.hidden (name, secret) VALUES ('a', 1), ('b', 2), ('c', 3)")
        admin.commit()
    source = {
        "name": "e2e_my",
        "type": "mysql",
        "host": at.mysql_host,
        "port": at.mysql_port,
        "database": SCHEMA,
        "password": "${env:CDC_MYSQL_PASSWORD}",
        "ssl_mode": "disabled",
        "server_id": 5801,
        "heartbeat": "1s",
        "tables": [*_tables(MYSQL), {"source": f"{SECOND}.accounts"}, {"source": f"{SECOND}.hidden"}],
    }
    service = Service.create(folder, stack, [source])
    workload = RandomWorkload(MYSQL, MYSQL_DIALECT, SEED)
    with closing(connect()) as connection:
        _fill(connection, [s for table in MYSQL for s in create_table(table, MYSQL_DIALECT)], workload)
    return Scenario(service, connect, workload)


def _declared(name: str) -> Iterator[str]:
    """Yield what makes a table without a primary key, whose unique index identifies its rows in the log."""
    yield f"""CREATE TABLE {SCHEMA}.{name} (note text, code text NOT NULL, price numeric(10, 2),
      doubled numeric(12, 2) GENERATED ALWAYS AS (price * 2) STORED)"""
    yield f"CREATE UNIQUE INDEX {name}_code ON {SCHEMA}.{name} (code)"
    yield f"ALTER TABLE {SCHEMA}.{name} REPLICA IDENTITY USING INDEX {name}_code"
    yield f"INSERT INTO {SCHEMA}.{name} (code, price) SELECT 'c' || i, i FROM generate_series(1, 50) i"


def _declared_tables() -> list[dict[str, object]]:
    return [{"source": f"{SCHEMA}.{name}", "snapshot": how} for name, how in DECLARED.items()]


def _tables(tables: tuple[TestTable, ...], connector: tuple[str, ...] = ()) -> list[dict[str, object]]:
    return [
        {
            "source": f'{SCHEMA}."{table.name}"',
            "key": list(table.key),
            "snapshot": "connector" if table.name in connector else "load",
        }
        for table in tables
    ]


def _fill(connection: Any, statements: list[str], workload: RandomWorkload) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.commit()
    workload.fill(connection)


def running(scenario: Scenario, name: str) -> Iterator[Scenario]:
    """Register the connector and start the service; afterwards nothing of them is left."""
    print(f"seed {SEED}")
    try:
        applied = scenario.service.run("connectors", "apply", name)
        assert applied.returncode == 0, applied.stdout + applied.stderr
        scenario.service.start()
        yield scenario
    finally:
        scenario.service.kill()
        scenario.service.run("connectors", "remove", name)
        Path(scenario.service.log).write_text("")
