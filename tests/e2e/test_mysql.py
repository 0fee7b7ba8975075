"""MySQL, end to end: real server, Debezium, Kafka, registry, `cdc stream`, Iceberg; every column of every row."""

from decimal import Decimal

import pytest

from cdc.lake.pyiceberg_catalog import open_catalog
from tests.e2e.conftest import SECOND
from tests.e2e.scenario import Scenario

pytestmark = pytest.mark.timeout(600)


def test_initial_snapshot(mysql: Scenario) -> None:
    mysql.service.await_equal()


def test_every_operation(mysql: Scenario) -> None:
    """M22, M36, M37, P14, M25: one by one, several of them meeting in one batch."""
    mysql.apply(
        "INSERT INTO accounts (id, name, balance) VALUES (1, 'new', 1), (2, NULL, NULL), (18446744073709551614, '', 0)"
    )
    mysql.apply("UPDATE accounts SET name = 'changed' WHERE id = 18446744073709551614")
    mysql.apply("UPDATE accounts SET id = 9223372036854775808 WHERE id = 1")
    mysql.apply("DELETE FROM accounts WHERE id = 2")
    mysql.apply("REPLACE INTO accounts (id, name) VALUES (9223372036854775808, 'replaced')")
    mysql.apply("INSERT INTO accounts (id, name) VALUES (7, 'a') ON DUPLICATE KEY UPDATE name = 'b'")
    mysql.apply("INSERT INTO accounts (id, name) VALUES (7, 'a') ON DUPLICATE KEY UPDATE name = 'b'")
    mysql.apply("INSERT INTO accounts (id, name) VALUES (8, 'x')", "DELETE FROM accounts WHERE id = 8")
    mysql.apply("INSERT INTO ledger_lines (account_id, line, amount) VALUES (900, 1, 1.5), (900, 2, 2.5)")
    mysql.apply("UPDATE ledger_lines SET line = line + 10 WHERE account_id = 900 ORDER BY line DESC")
    mysql.apply("UPDATE keys_only SET a = a + 5000 WHERE a < 10")
    mysql.apply("TRUNCATE TABLE readings", "INSERT INTO readings VALUES (1, 'after the truncate')")
    mysql.apply("UPDATE `Order. Items` SET `Unit Price` = 1.25, `Größe` = 'größer', `select` = 'x'")
    mysql.apply("INSERT IGNORE INTO many_types (id, t_time) VALUES (9001, '-00:00:01.5'), (9002, '-838:59:59')")
    mysql.service.await_equal()


def test_a_table_of_a_second_database_was_never_captured(mysql: Scenario) -> None:
    """M21, T5: it was loaded and then stood still. Generated columns, stored and virtual, are in MySQL's log as others
    are.
    """
    mysql.apply(
        f"INSERT INTO {SECOND}.accounts (id, name, price, number) VALUES (3, 'c', 3.5, 4)",
        f"UPDATE {SECOND}.accounts SET name = 'changed', number = 10 WHERE id = 1",
        f"DELETE FROM {SECOND}.accounts WHERE id = 2",
    )
    mysql.service.await_equal()
    target = open_catalog(mysql.service.config.catalog).load_table(("e2e_my", f"{SECOND}_accounts"))
    found = target.scan(selected_fields=("id", "shouted", "total")).to_arrow().sort_by("id").to_pylist()
    assert [(row["id"], row["shouted"], row["total"]) for row in found] == [
        (1, "CHANGED", Decimal("15.00")),
        (3, "C", Decimal("14.00")),
    ]


def test_columns_that_are_invisible_are_in_the_lake_m20(mysql: Scenario) -> None:
    """A primary key that the server has made by itself is one of them, and keys the target."""
    mysql.apply(
        f"INSERT INTO {SECOND}.hidden (name, secret) VALUES ('d', 4)",
        f"UPDATE {SECOND}.hidden SET secret = 20 WHERE name = 'b'",
        f"DELETE FROM {SECOND}.hidden WHERE name = 'a'",
    )
    mysql.service.await_equal()
    target = open_catalog(mysql.service.config.catalog).load_table(("e2e_my", f"{SECOND}_hidden"))
    rows = target.scan(selected_fields=("my_row_id", "name", "secret")).to_arrow().sort_by("my_row_id").to_pylist()
    assert [tuple(row.values()) for row in rows] == [(2, "b", 20), (3, "c", 3), (4, "d", 4)]


def test_random_workload(mysql: Scenario) -> None:
    mysql.run_workload()
    mysql.service.await_equal()


def test_random_workload_with_kills(mysql: Scenario) -> None:
    """S1 and S3: the service is killed at ten random moments, JVM included."""
    mysql.run_workload_with_kills()
    mysql.service.await_equal()


def test_random_workload_with_kills_where_all_work_is_sparks(mysql: Scenario) -> None:
    """S1 and S3, the other way: nothing is decoded, collapsed or rewritten at the driver."""
    mysql.run_workload_with_kills_by_spark_alone()


def test_stops_cleanly(mysql: Scenario) -> None:
    """X8: SIGTERM ends the service in under 30 seconds with exit code 0, and the lake stays equal."""
    assert mysql.service.stop() == 0
    mysql.service.await_equal(10)
