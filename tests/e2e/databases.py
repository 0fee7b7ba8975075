"""A schema of its own in either database of the stack: the same tables in both, made and dropped by its owner."""

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pymysql

from cdc.local.addresses import Addresses
from cdc.sources.postgres import publication_sql
from tests.e2e.service import Service

SERVER_IDS = 6000
"""Replication server ids of the tests' MySQL connectors begin here."""


@dataclass(frozen=True)
class Database:
    """One schema (PostgreSQL) or database (MySQL); ``name`` is also the name of the source."""

    at: Addresses
    engine: str
    name: str
    number: int

    def source(self, *tables: str) -> dict[str, object]:
        """Return a source of cdc's configuration."""
        common = {
            "name": self.name,
            "type": self.engine,
            "host": "127.0.0.1",
            "heartbeat": "1s",
            "targets": "{source}.{table}",
            "tables": [self.table(table) for table in tables],
        }
        if self.engine == "mysql":
            own: Mapping[str, object] = {
                "port": self.at.mysql_port,
                "database": self.name,
                "password": "${env:CDC_MYSQL_PASSWORD}",
                "ssl_mode": "disabled",
                "server_id": SERVER_IDS + self.number,
            }
        else:
            own = {
                "port": self.at.postgres_port,
                "database": "shop",
                "password": "${env:CDC_POSTGRES_PASSWORD}",
                "sslmode": "disable",
            }
        return {**common, **own}

    def table(self, name: str) -> dict[str, object]:
        return {"source": f"{self.name}.{name}", "key": ["id"]}

    def connect(self, role: str = "owner") -> Any:
        """Connect as the owner, as ``cdc``, or (MySQL) as ``root``."""
        secrets = self.at.environment()
        if self.engine == "mysql":
            kind = {"owner": "_OWNER", "root": "_ROOT", "cdc": ""}[role]
            return pymysql.connect(
                host="127.0.0.1",
                port=self.at.mysql_port or 0,
                user={"owner": "shop_owner"}.get(role, role),
                password=secrets[f"CDC_MYSQL{kind}_PASSWORD"],
                database=None if role == "root" else self.name,
                charset="utf8mb4",
                init_command="SET time_zone = '+00:00'",
            )
        return psycopg.connect(
            host="127.0.0.1",
            port=self.at.postgres_port,
            dbname="shop",
            user={"owner": "shop_owner"}.get(role, role),
            password=secrets[f"CDC_POSTGRES{'_OWNER' if role == 'owner' else ''}_PASSWORD"],
        )

    def sql(self, *statements: str, role: str = "owner") -> None:
        """Run statements in one transaction; ``{s}.`` before a table stands for the schema."""
        with closing(self.connect(role)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.replace("{s}.", f"{self.name}."))
            connection.commit()

    def xa(self, xid: str, *statements: str, end: str) -> None:
        """Carry out an XA transaction of MySQL on a connection of its own, up to ``end``: its prepare, or its end."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in (f"XA START '{xid}'", *statements, f"XA END '{xid}'", f"XA {end}"):
                cursor.execute(statement.replace("{s}.", f"{self.name}."))

    def make(self) -> None:
        if self.engine == "mysql":
            self.sql(
                f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4",
                f"GRANT ALL ON {self.name}.* TO 'shop_owner'@'%'",
                f"GRANT SELECT ON {self.name}.* TO 'cdc'@'%'",
                role="root",
            )
        else:
            grants = "GRANT SELECT ON TABLES TO cdc"
            self.sql(
                f"CREATE SCHEMA {self.name}",
                f"GRANT USAGE ON SCHEMA {self.name} TO cdc",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {self.name} {grants}",
            )

    def create(self, table: str, rows: int) -> None:
        """Make a table with rows, every fifth with a value that PostgreSQL keeps out of line (P1)."""
        columns = _MYSQL_COLUMNS if self.engine == "mysql" else _POSTGRES_COLUMNS
        filled = _MYSQL_ROWS if self.engine == "mysql" else _POSTGRES_ROWS
        self.sql(f"CREATE TABLE {{s}}.{table} {columns}", filled.format(table=f"{self.name}.{table}", rows=rows))
        self.analyze(table)

    def analyze(self, table: str) -> None:
        self.sql(f"ANALYZE {'TABLE ' if self.engine == 'mysql' else ''}{{s}}.{table}")

    def publish(self, service: Service) -> None:
        """Make the publication of the source's tables; MySQL has none."""
        if self.engine == "postgres":
            (source,) = service.config.sources
            self.sql(publication_sql(source))  # type: ignore[arg-type]

    def publish_also(self, table: str) -> None:
        """Add a table to the publication."""
        if self.engine == "postgres":
            self.sql(f"ALTER PUBLICATION cdc_{self.name} ADD TABLE {{s}}.{table}")

    def drop(self) -> None:
        """Drop all of it, the slot too; nothing reads from it any more."""
        if self.engine == "mysql":
            self.sql(f"DROP DATABASE {self.name}", role="root")
            return
        self.sql(f"DROP PUBLICATION IF EXISTS cdc_{self.name}", f"DROP SCHEMA {self.name} CASCADE")
        self.drop_slot()

    def drop_slot(self) -> None:
        """Drop the replication slot, which must not be in use."""
        gone = (
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{}' AND NOT active"
        )
        self.sql(gone.format(f"cdc_{self.name}"), role="cdc")

    def slots(self) -> list[Any]:
        """Return the replication slot of the source, if there is one."""
        with closing(self.connect("cdc")) as connection:
            wanted = (f"cdc_{self.name}",)
            return connection.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", wanted).fetchall()

    def clean(self, service: Service) -> None:
        """End the service, remove the connector with its offsets, and drop everything."""
        service.kill()
        service.run("connectors", "remove", self.name, "--offsets")
        with suppress(psycopg.errors.ObjectInUse):
            self.drop()


_POSTGRES_COLUMNS = (
    "(id bigint PRIMARY KEY, name text, payload text, n int, amount numeric(12,2), at timestamptz DEFAULT now())"
)
_POSTGRES_ROWS = (
    "INSERT INTO {table} (id, name, payload, n, amount) SELECT g, 'name ' || g, CASE WHEN g % 5 = 0 THEN "
    "(SELECT string_agg(md5(g::text || x), '') FROM generate_series(1, 90) x) ELSE md5(g::text) END, g % 7, g / 3.0 "
    "FROM generate_series(1, {rows}) g"
)
_MYSQL_COLUMNS = (
    "(id bigint PRIMARY KEY, name varchar(40), payload longtext, n int, amount decimal(12,2), "
    "at datetime(6) DEFAULT CURRENT_TIMESTAMP(6))"
)
_MYSQL_ROWS = (
    "INSERT INTO {table} (id, name, payload, n, amount) WITH RECURSIVE k AS (SELECT 0 AS v UNION ALL SELECT v + 1 "
    "FROM k WHERE v < 999), s AS (SELECT 1 + x.v * 1000 + y.v AS g FROM k AS x CROSS JOIN k AS y WHERE x.v * 1000 < "
    "{rows}) SELECT g, CONCAT('name ', g), IF(g % 5 = 0, REPEAT(MD5(g), 90), MD5(g)), g % 7, g / 3 FROM s "
    "WHERE g <= {rows}"
)
