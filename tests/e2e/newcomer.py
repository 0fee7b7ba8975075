"""Twelve tables as databases have them, and a person who types what the README says."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cdc.config.loader import load_config
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.status_reader import read_row_count
from cdc.local.places import distributions
from tests.e2e.service import await_true

README = Path(__file__).resolve().parents[2] / "README.md"
READING = README.parent / "docs" / "reading.md"
FIRST_ROWS_SECONDS = 300.0

POSTGRES = """
CREATE SCHEMA logistics;
CREATE TYPE product_kind AS ENUM ('book', 'film');
CREATE TABLE customers (id uuid PRIMARY KEY, email text NOT NULL, at timestamptz, profile jsonb, tags text[]);
CREATE TABLE products (id serial PRIMARY KEY, kind product_kind, price money, weight numeric, names varchar(9)[]);
CREATE TABLE orders (id bigint PRIMARY KEY, customer uuid REFERENCES customers, at timestamptz, total numeric(12, 2));
CREATE TABLE order_lines (order_id bigint, line int, price numeric(9, 2), pieces int,
    amount numeric(12, 2) GENERATED ALWAYS AS (price * pieces) STORED, PRIMARY KEY (order_id, line));
CREATE TABLE "Order Notes" ("Note No" int PRIMARY KEY, "Text" text, "Half Life" int GENERATED ALWAYS AS (7) STORED);
CREATE TABLE countries (code char(2) PRIMARY KEY, name text, area int4range);
CREATE TABLE logistics.stock (warehouse int NOT NULL, sku text NOT NULL, pieces int, UNIQUE (warehouse, sku));
CREATE TABLE logistics.orders (id bigint PRIMARY KEY, parcel bytea, sent date, of_day time, lasted interval, at inet);
CREATE TABLE events (id bigint, at timestamptz, what text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_other PARTITION OF events DEFAULT;
CREATE TABLE audit_log (at timestamptz, what text);
CREATE UNLOGGED TABLE sessions (id uuid PRIMARY KEY);
CREATE TABLE places (id int PRIMARY KEY, area box);
CREATE VIEW order_totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;

INSERT INTO customers SELECT md5(i::text)::uuid, 'c' || i, '2026-01-01'::timestamptz + i * interval '1 hour',
    jsonb_build_object('n', i, 'long', repeat('x', i)), ARRAY['a', 'b' || i, NULL] FROM generate_series(1, 1000) i;
INSERT INTO products SELECT i, (ARRAY['book', 'film']::product_kind[])[1 + i % 2], i * 1.25, i / 7.0, ARRAY['n' || i]
    FROM generate_series(1, 300) i;
INSERT INTO orders SELECT i, md5((1 + i % 1000)::text)::uuid, now(), i / 3.0 FROM generate_series(1, 5000) i;
INSERT INTO order_lines SELECT i, l, 1.5 * l, i % 5 FROM generate_series(1, 5000) i, generate_series(1, 2) l;
INSERT INTO "Order Notes" SELECT i, 'note ' || i FROM generate_series(1, 50) i;
INSERT INTO countries VALUES ('DE', 'Germany', '[1,9)'), ('FR', 'France', NULL);
INSERT INTO logistics.stock SELECT i % 3, 'sku' || i, i FROM generate_series(1, 100) i;
INSERT INTO logistics.orders SELECT i, decode(md5(i::text), 'hex'), '2026-02-01'::date + i, '12:30:00.5'::time,
    i * interval '1 minute', '10.0.0.1' FROM generate_series(1, 200) i;
INSERT INTO events SELECT i, '2025-06-01'::timestamptz + i * interval '1 day', 'e' || i FROM generate_series(1, 500) i;
INSERT INTO audit_log VALUES (now(), 'nobody knows which row this is');
"""
POSTGRES_CHANGES = """
UPDATE customers SET tags = NULL WHERE email LIKE 'c1%';
UPDATE logistics.stock SET pieces = pieces + 1;
DELETE FROM logistics.stock WHERE warehouse = 2;
UPDATE order_lines SET pieces = 9 WHERE order_id < 10;
UPDATE events SET at = at + interval '1 year' WHERE id < 20;
INSERT INTO "Order Notes" VALUES (51, 'later');
"""
POSTGRES_CAPTURED = {
    '"Order Notes"', "countries", "customers", "events", "order_lines", "orders", "products",
}  # fmt: skip
POSTGRES_UNFIT = {
    "public.audit_log": "key_not_unique",
    "public.events_2026": "is_partition",
    "public.events_other": "is_partition",
    "public.order_totals": "not_a_table",
    "public.places": "column_type",
    "public.sessions": "unlogged",
}

MYSQL = """
CREATE TABLE customers (id char(36) PRIMARY KEY, email varchar(99) NOT NULL, at timestamp(6) NULL, profile json);
CREATE TABLE products (id int AUTO_INCREMENT PRIMARY KEY, kind enum('book', 'film'), price decimal(9, 2),
    flags set('a', 'b'));
CREATE TABLE orders (id bigint unsigned PRIMARY KEY, customer char(36), at datetime, total decimal(12, 2));
CREATE TABLE order_lines (order_id bigint, line int, price decimal(9, 2), pieces int,
    amount decimal(12, 2) GENERATED ALWAYS AS (price * pieces) STORED, PRIMARY KEY (order_id, line));
CREATE TABLE `Order Notes` (`Note No` int PRIMARY KEY, `Text` text);
CREATE TABLE countries (code char(2) PRIMARY KEY, name varchar(20), founded year);
CREATE TABLE stock (warehouse int NOT NULL, sku varchar(20) NOT NULL, pieces int, UNIQUE (warehouse, sku));
CREATE TABLE documents (id int PRIMARY KEY, body longtext, parcel varbinary(16), of_day time(3), active bool);
CREATE TABLE events (id bigint, at date, what text, PRIMARY KEY (id, at)) PARTITION BY HASH (id) PARTITIONS 3;
CREATE TABLE audit_log (at datetime, what text);
CREATE TABLE children (id int PRIMARY KEY, product int,
    FOREIGN KEY (product) REFERENCES products (id) ON DELETE CASCADE);
CREATE VIEW order_totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;

SET SESSION cte_max_recursion_depth = 10000;
CREATE TABLE n (i int PRIMARY KEY) AS
    WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) SELECT i FROM c;
INSERT INTO customers SELECT CONCAT('c-', i), CONCAT('c', i), '2026-01-01', JSON_OBJECT('n', i) FROM n WHERE i <= 1000;
INSERT INTO products SELECT i, ELT(1 + i % 2, 'book', 'film'), i * 1.25, 'a' FROM n WHERE i <= 300;
INSERT INTO orders SELECT i, CONCAT('c-', 1 + i % 1000), NOW(), i / 3 FROM n;
INSERT INTO order_lines (order_id, line, price, pieces) SELECT i, 1, 1.5, i % 5 FROM n;
INSERT INTO `Order Notes` SELECT i, CONCAT('note ', i) FROM n WHERE i <= 50;
INSERT INTO countries VALUES ('DE', 'Germany', 1949), ('FR', 'France', NULL);
INSERT INTO stock SELECT i % 3, CONCAT('sku', i), i FROM n WHERE i <= 100;
INSERT INTO documents SELECT i, REPEAT('x', i), UNHEX(MD5(i)), '12:30:00.5', i % 2 FROM n WHERE i <= 200;
INSERT INTO events SELECT i, '2026-06-01', CONCAT('e', i) FROM n WHERE i <= 500;
INSERT INTO audit_log VALUES (NOW(), 'nobody knows which row this is');
DROP TABLE n;
"""
MYSQL_CHANGES = """
UPDATE customers SET profile = NULL WHERE email LIKE 'c1%';
UPDATE stock SET pieces = pieces + 1;
DELETE FROM stock WHERE warehouse = 2;
UPDATE order_lines SET pieces = 9 WHERE order_id < 10;
INSERT INTO `Order Notes` VALUES (51, 'later');
"""
MYSQL_CAPTURED = {
    '"Order Notes"', "countries", "customers", "documents", "events", "order_lines", "orders", "products", "stock",
}  # fmt: skip
MYSQL_UNFIT = {
    "newcomer.audit_log": "key_not_unique",
    "newcomer.children": "cascade",
    "newcomer.order_totals": "not_a_table",
}


def readme_commands() -> list[str]:
    """Return the commands of the README's path to one's own database, without their comments."""
    section = README.read_text(encoding="utf-8").partition("## Run it on your own database")[2]
    block = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert block
    return [line.partition(" #")[0].strip() for line in block[1].splitlines()]


def reading_script(engine: str) -> str:
    """Return the program that docs/reading.md shows for an engine, on a table of the newcomer's."""
    section = READING.read_text(encoding="utf-8").partition(f"\n## {engine}\n")[2]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block
    assert "shop.orders" in block[1]
    return block[1].replace("shop.orders", "newcomer.orders")


@dataclass
class Newcomer:
    """Somebody at a shell, in a folder of their own; times are counted from the first command."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    began: float = field(default_factory=time.monotonic)
    _service: subprocess.Popen[bytes] | None = None
    _first_seen: bool = False

    def type(self, command: str, code: int = 0) -> str:
        """Run a command in a shell to its end, and return what it said; it has to end with the exit code."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        print(f"[{self.seconds():6.1f} s] {command}: exit code {done.returncode}")
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}\n{self.tail()}"
        return done.stdout if code == 0 else done.stderr

    def start(self, command: str) -> None:
        """Run a command that stays."""
        print(f"[{self.seconds():6.1f} s] {command} &")
        with self.log.open("wb") as output:
            self._service = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the service, by force if it must be; idempotent."""
        if self._service is None:
            return
        self._service.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._service.wait(timeout=40)
        with suppress(ProcessLookupError):
            os.killpg(self._service.pid, signal.SIGKILL)
        self._service = None

    def await_rows(self) -> dict[str, int]:
        """Wait until every table has its first rows; return how many each has, by its name in the source."""
        (source,) = load_config(self.folder / "cdc.yaml").sources
        catalog, rows = open_catalog(load_config(self.folder / "cdc.yaml").catalog), dict[str, int]()

        def all_there() -> bool:
            assert self._service is None or self._service.poll() is None, self.tail()
            found = {str(table.source): read_row_count(catalog, source.target_of(table)) for table in source.tables}
            rows.update({name: count for name, count in found.items() if count})
            self._tell_first(rows)
            return len(rows) == len(found)

        await_true(all_there, FIRST_ROWS_SECONDS, f"rows in all tables\n{self.tail()}")
        print(f"[{self.seconds():6.1f} s] rows in all {len(rows)} tables")
        return rows

    def _tell_first(self, rows: Mapping[str, int]) -> None:
        if rows and not self._first_seen:
            self._first_seen = True
            print(f"[{self.seconds():6.1f} s] first rows")

    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def log(self) -> Path:
        return self.folder / "stream.log"

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def _variables(self) -> dict[str, str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CDC_", "PG"))}  # noqa: TID251 - of the child
        clients = distributions() / "mysql" / "bin"
        path = f"{Path(sys.executable).parent}:{kept['PATH']}:{clients}"
        return {**kept, "PATH": path, "CDC_OPERATIONS__HTTP_PORT": "0", **self.environment}
