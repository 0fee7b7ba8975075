"""The table of the measurement in both databases: the same rows from the same seed, made inside the database."""

import sys
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
import pymysql

from cdc.local.addresses import Addresses
from cdc.local.artifacts import distribution

CHUNK = 1_000_000
"""Rows of one INSERT."""


class Fingerprint(NamedTuple):
    """Rows, and the sum of 60 bits of the MD5 of each row's text; the order of rows does not matter."""

    rows: int
    total: int


@dataclass(frozen=True)
class PostgresTables:
    """Tables in the stack's PostgreSQL."""

    at: Addresses
    engine = "postgres"
    namespace = "public"

    def version(self) -> str:
        return self._one("SHOW server_version")[0]

    def fill(self, table: str, rows: int, seed: int) -> None:
        """Make the table and its rows; the index comes last, statistics and visibility are up to date."""
        with self._connect() as connection:
            connection.execute(_POSTGRES_TABLE.format(table=table))
            for low in range(1, rows + 1, CHUNK):
                high = min(low + CHUNK - 1, rows)
                connection.execute(_POSTGRES_ROWS.format(table=table, low=low, high=high, seed=seed))
            connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
            connection.execute(f"VACUUM (ANALYZE) {table}")

    def fingerprint(self, table: str) -> Fingerprint:
        """Return the fingerprint, computed by the database."""
        text = _POSTGRES_TEXT
        prefix = f"('x' || substr(md5({text}), 1, 15))::bit(60)::bigint"
        rows, total = self._one(f"SELECT count(*), sum({prefix}) FROM {table}")
        return Fingerprint(rows, int(total or 0))

    def bytes(self, table: str) -> int:
        """Return the bytes on disk without indexes."""
        return int(self._one(f"SELECT pg_table_size('{table}')")[0])

    def dump(self, table: str) -> tuple[list[str], dict[str, str]]:
        """Return a command that reads the whole table, and its environment: psql where there is one, it costs less."""
        at, statement = self.at, f"COPY (TABLE {table}) TO STDOUT"
        variables = {
            "PGHOST": str(at.postgres_host),
            "PGPORT": str(at.postgres_port),
            "PGDATABASE": "shop",
            "PGUSER": "shop_owner",
            "PGPASSWORD": at.environment()["CDC_POSTGRES_OWNER_PASSWORD"],
        }
        return ["sh", "-c", _COPY, "copy", sys.executable, statement], variables

    def jdbc(self, table: str) -> dict[str, str]:
        """Return the options of Spark's reader, all of them plain."""
        return {
            "driver": "org.postgresql.Driver",
            "url": f"jdbc:postgresql://{self.at.postgres_host}:{self.at.postgres_port}/shop",
            "dbtable": table,
            "user": "shop_owner",
            "password": self.at.environment()["CDC_POSTGRES_OWNER_PASSWORD"],
            "fetchsize": "10000",
        }

    def source(self, name: str, table: str, snapshot: str) -> dict[str, object]:
        """Return a source of cdc's configuration."""
        return {
            "name": name,
            "type": "postgres",
            "host": self.at.postgres_host,
            "port": self.at.postgres_port,
            "database": "shop",
            "password": "${env:CDC_POSTGRES_PASSWORD}",
            "sslmode": "disable",
            "snapshot": snapshot,
            "tables": [{"source": f"{self.namespace}.{table}", "key": ["id"]}],
        }

    def run(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _one(self, statement: str) -> Any:
        with self._connect() as connection:
            return connection.execute(statement).fetchone()

    def _connect(self) -> Any:
        return psycopg.connect(
            host=self.at.postgres_host,
            port=self.at.postgres_port,
            dbname="shop",
            user="shop_owner",
            password=self.at.environment()["CDC_POSTGRES_OWNER_PASSWORD"],
            options="-c TimeZone=UTC",
            autocommit=True,
        )


@dataclass(frozen=True)
class MySqlTables:
    """Tables in the stack's MySQL."""

    at: Addresses
    engine = "mysql"
    namespace = "shop"

    def version(self) -> str:
        return self._one("SELECT VERSION()")[0]

    def fill(self, table: str, rows: int, seed: int) -> None:
        """Make the table and its rows, which the binary log does not hold."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(_MYSQL_TABLE.format(table=table))
            cursor.execute("SET SESSION sql_log_bin = 0")
            for low in range(1, rows + 1, CHUNK):
                high = min(low + CHUNK - 1, rows)
                cursor.execute(_MYSQL_ROWS.format(table=table, low=low, high=high, seed=seed))
            cursor.execute(f"ANALYZE TABLE {table}")
            cursor.fetchall()

    def fingerprint(self, table: str) -> Fingerprint:
        """Return the fingerprint, computed by the database."""
        prefix = f"CAST(CONV(SUBSTR(MD5({_MYSQL_TEXT}), 1, 15), 16, 10) AS UNSIGNED)"
        rows, total = self._one(f"SELECT COUNT(*), SUM({prefix}) FROM {table}")
        return Fingerprint(rows, int(total or 0))

    def bytes(self, table: str) -> int:
        """Return the bytes on disk without secondary indexes, as the statistics say."""
        return int(
            self._one(
                "SELECT data_length FROM information_schema.tables "
                f"WHERE table_schema = 'shop' AND table_name = '{table}'"
            )[0]
        )

    def dump(self, table: str) -> tuple[list[str], dict[str, str]]:
        """Return a command that reads the whole table, and its environment."""
        base = distribution("mysql").folder
        where = [f"--host={self.at.mysql_host}", f"--port={self.at.mysql_port}", "--user=shop_owner", "--protocol=tcp"]
        variables = {
            "MYSQL_PWD": self.at.environment()["CDC_MYSQL_OWNER_PASSWORD"],
            "LD_LIBRARY_PATH": str(base / "lib" / "private"),
        }
        client = [
            str(base / "bin" / "mysql"),
            "--no-defaults",
            *where,
            "--ssl-mode=DISABLED",
            "--get-server-public-key",
        ]
        return [*client, "--quick", "--batch", f"--execute=SELECT * FROM {table}", "shop"], variables

    def jdbc(self, table: str) -> dict[str, str]:
        """Return the options of Spark's reader; without a cursor the driver would hold all rows in memory."""
        more = "useCursorFetch=true&connectionTimeZone=UTC&sslMode=DISABLED&allowPublicKeyRetrieval=true"
        return {
            "driver": "com.mysql.cj.jdbc.Driver",
            "url": f"jdbc:mysql://{self.at.mysql_host}:{self.at.mysql_port}/shop?{more}",
            "dbtable": table,
            "user": "shop_owner",
            "password": self.at.environment()["CDC_MYSQL_OWNER_PASSWORD"],
            "fetchsize": "10000",
        }

    def source(self, name: str, table: str, snapshot: str) -> dict[str, object]:
        """Return a source of cdc's configuration."""
        return {
            "name": name,
            "type": "mysql",
            "host": self.at.mysql_host,
            "port": self.at.mysql_port,
            "database": "shop",
            "password": "${env:CDC_MYSQL_PASSWORD}",
            "ssl_mode": "disabled",
            "server_id": 6100 if snapshot == "load" else 6101,
            "snapshot": snapshot,
            "tables": [{"source": f"{self.namespace}.{table}", "key": ["id"]}],
        }

    def _one(self, statement: str) -> Any:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()

    def _connect(self) -> Any:
        return pymysql.connect(
            host=self.at.mysql_host,
            port=self.at.mysql_port or 0,
            user="root",
            password=self.at.environment()["CDC_MYSQL_ROOT_PASSWORD"],
            database="shop",
            charset="utf8mb4",
            autocommit=True,
            init_command="SET time_zone = '+00:00'",
        )


Tables = PostgresTables | MySqlTables

SPARK_PREFIX = (
    "CAST(conv(substr(md5(concat_ws('|', CAST(id AS STRING), a, coalesce(b, '-'), CAST(amount AS STRING), "
    "CAST(n AS STRING), CAST(CAST(flag AS INT) AS STRING), CAST(unix_micros(CAST(at AS TIMESTAMP)) AS STRING), u)), "
    "1, 15), 16, 10) AS DECIMAL(38, 0))"
)
"""The same prefix of a row's MD5 in Spark's SQL, whatever the types of ``flag`` and ``at``; the session is in UTC."""

_COPY = (
    'if command -v psql >/dev/null; then exec psql --no-psqlrc --quiet --command="$2"; '
    'else exec "$1" -m tests.bench.load_copy "$2"; fi'
)

_POSTGRES_TABLE = (
    "CREATE TABLE {table} (id bigint NOT NULL, a text NOT NULL, b text, amount numeric(12,2) NOT NULL, "
    "n int NOT NULL, flag boolean NOT NULL, at timestamptz NOT NULL, u uuid NOT NULL)"
)
_POSTGRES_ROWS = """
INSERT INTO {table}
SELECT g, substr(h, 1, 5 + (g % 11)::int), CASE WHEN g % 50 > 0 THEN h || i || substr(h, 1, (g % 13)::int) END,
       (('x' || substr(h, 1, 8))::bit(32)::bigint - 2147483648) / 100.0,
       ('x' || substr(h, 9, 7))::bit(28)::int, ('x' || substr(h, 16, 1))::bit(4)::int % 2 = 1,
       timestamptz '2015-01-01 00:00:00+00' + ('x' || substr(h, 17, 12))::bit(48)::bigint * interval '1 microsecond',
       i::uuid
FROM (SELECT g, h, md5(h || 'x') AS i
      FROM (SELECT g, md5('{seed}:' || g) AS h FROM generate_series({low}::bigint, {high}) AS g) AS one) AS two
"""
_POSTGRES_TEXT = (
    "concat_ws('|', id::text, a, coalesce(b, '-'), amount::text, n::text, flag::int::text, "
    "(extract(epoch FROM at) * 1000000)::bigint::text, u::text)"
)

_MYSQL_TABLE = (
    "CREATE TABLE {table} (id bigint PRIMARY KEY, a varchar(20) NOT NULL, b varchar(100), "
    "amount decimal(12,2) NOT NULL, n int NOT NULL, flag tinyint(1) NOT NULL, at datetime(6) NOT NULL, "
    "u char(36) NOT NULL) CHARACTER SET utf8mb4"
)
_MYSQL_ROWS = """
INSERT INTO {table}
WITH RECURSIVE k AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM k WHERE n < 999),
one AS (SELECT {low} + x.n * 1000 + y.n AS g, MD5(CONCAT('{seed}:', {low} + x.n * 1000 + y.n)) AS h
        FROM k AS x CROSS JOIN k AS y WHERE {low} + x.n * 1000 + y.n <= {high}),
two AS (SELECT g, h, MD5(CONCAT(h, 'x')) AS i FROM one)
SELECT g, SUBSTR(h, 1, 5 + g % 11), IF(g % 50 > 0, CONCAT(h, i, SUBSTR(h, 1, g % 13)), NULL),
       (CAST(CONV(SUBSTR(h, 1, 8), 16, 10) AS SIGNED) - 2147483648) / 100,
       CAST(CONV(SUBSTR(h, 9, 7), 16, 10) AS SIGNED), CAST(CONV(SUBSTR(h, 16, 1), 16, 10) AS SIGNED) % 2,
       TIMESTAMPADD(MICROSECOND, CAST(CONV(SUBSTR(h, 17, 12), 16, 10) AS SIGNED), '2015-01-01 00:00:00.000000'),
       CONCAT_WS('-', SUBSTR(i, 1, 8), SUBSTR(i, 9, 4), SUBSTR(i, 13, 4), SUBSTR(i, 17, 4), SUBSTR(i, 21, 12))
FROM two ORDER BY g
"""
_MYSQL_TEXT = (
    "CONCAT_WS('|', id, a, COALESCE(b, '-'), amount, n, flag, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', at), u)"
)
