"""PostgreSQL, end to end: real server, Debezium, Kafka, registry, `cdc stream`, Iceberg; every column of every row."""

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from cdc.core.history import PROGRESS
from cdc.core.progress import Progress
from cdc.kafka.client import librdkafka_settings
from cdc.kafka.topics import KafkaTopics
from cdc.lake.pyiceberg_catalog import open_catalog
from tests.e2e.conftest import DECLARED, SCHEMA
from tests.e2e.scenario import Scenario
from tests.e2e.service import await_true

pytestmark = pytest.mark.timeout(600)


def test_initial_snapshot(postgres: Scenario) -> None:
    postgres.service.await_equal()


def test_every_operation(postgres: Scenario) -> None:
    """P1, P3, P10, P12, P13, P14, P42, P65: one by one, several of them meeting in one batch."""
    big = "repeat(md5('a'), 300)"
    postgres.apply(
        "INSERT INTO accounts (id, name, balance) VALUES (1001, 'new', 1), (1002, NULL, NULL), (1003, '', 0)"
    )
    postgres.apply("UPDATE accounts SET name = 'changed' WHERE id = 1001")
    postgres.apply("UPDATE accounts SET id = 2001 WHERE id = 1001")
    postgres.apply("DELETE FROM accounts WHERE id = 1002")
    postgres.apply("DELETE FROM accounts WHERE id = 1003", "INSERT INTO accounts (id, name) VALUES (1003, 'again')")
    postgres.apply(
        "INSERT INTO accounts (id, name) VALUES (1004, 'short-lived')", "DELETE FROM accounts WHERE id = 1004"
    )
    postgres.apply("INSERT INTO ledger_lines (account_id, line, amount) VALUES (900, 1, 1.5), (900, 2, 2.5)")
    postgres.apply("UPDATE ledger_lines SET line = line + 10 WHERE account_id = 900")
    postgres.apply("UPDATE keys_only SET a = a + 5000 WHERE a < 10")
    postgres.apply(f"INSERT INTO documents (id, title, body) VALUES (901, 'a', {big}), (902, 'b', {big})")
    postgres.apply("UPDATE documents SET title = 'large values unchanged'")
    postgres.apply("UPDATE documents SET body = 'short now' WHERE id = 902")
    postgres.apply("UPDATE documents SET version = 7 WHERE id IN (901, 902)")
    postgres.apply("INSERT INTO places (id, label) VALUES (701, 'x'), (702, 'y'), (703, 'z')")
    postgres.apply("UPDATE places SET id = CASE id WHEN 701 THEN 702 ELSE 701 END WHERE id IN (701, 702)")
    postgres.apply("UPDATE places SET id = id + 1 WHERE id BETWEEN 701 AND 703")
    postgres.apply("TRUNCATE readings", "INSERT INTO readings VALUES (1, 'after the truncate')")
    postgres.apply('UPDATE "Order. Items" SET "Unit Price" = 1.25, "Größe" = \'größer\', "select" = \'x\'')
    postgres.apply("UPDATE counters SET hits = 0")
    postgres.service.await_equal()


def test_one_statement_truncates_several_tables_p15(postgres: Scenario) -> None:
    """Each has an event of its own, in its own topic, and rows that come in the same transaction stay."""
    postgres.apply(
        "INSERT INTO counters (name, hits) VALUES ('before', 1)",
        "TRUNCATE readings, counters, places",
        "INSERT INTO counters (name, hits) VALUES ('after', 2)",
    )
    postgres.service.await_equal()


def test_key_change_that_leaves_a_large_value_unchanged_p6(postgres: Scenario) -> None:
    postgres.apply("UPDATE documents SET id = id + 10000 WHERE id IN (901, 902)")
    postgres.service.await_equal()


def test_a_unique_index_is_the_key_and_generated_columns_are_left_out_p7_p38(postgres: Scenario) -> None:
    """P8: neither key nor excluded columns are configured; rows are changed and deleted by the index's old key."""
    for table in DECLARED:
        postgres.apply(
            f"UPDATE {table} SET price = 100 WHERE code = 'c1'",
            f"UPDATE {table} SET code = 'moved' WHERE code = 'c2'",
            f"DELETE FROM {table} WHERE code = 'c3'",
            f"INSERT INTO {table} (code, price) VALUES ('c51', 51)",
        )
    postgres.service.await_equal()
    catalog = open_catalog(postgres.service.config.catalog)
    for table in DECLARED:
        target = catalog.load_table(("e2e_pg", f"{SCHEMA}_{table}"))
        names = [name for name in target.schema().column_names if not name.startswith("_cdc_")]
        assert names == ["note", "code", "price"]
    listed = postgres.service.run("doctor").stdout
    assert "generated columns of e2e.by_load are not in the log, and are left out: 'doubled'" in listed


def test_random_workload(postgres: Scenario) -> None:
    """P49, P56."""
    postgres.run_workload()
    postgres.service.await_equal()


def test_random_workload_with_kills(postgres: Scenario) -> None:
    """S1 and S3: the service is killed at ten random moments, JVM included."""
    postgres.run_workload_with_kills()
    postgres.service.await_equal()


def test_random_workload_with_kills_where_all_work_is_sparks(postgres: Scenario) -> None:
    """S1 and S3, the other way: nothing is decoded, collapsed or rewritten at the driver."""
    postgres.run_workload_with_kills_by_spark_alone()


def test_large_key_change_cut_into_many_batches_p6(postgres: Scenario) -> None:
    """P11: batches end between the halves of key changes that leave large values out; either half may come first."""
    big = "repeat(md5('b'), 300)"
    assert postgres.service.stop() == 0
    postgres.apply(
        f"INSERT INTO documents (id, title, body) SELECT n, 'moves', {big} FROM generate_series(20001, 20300) n"
    )
    postgres.apply("UPDATE documents SET id = id + 10000 WHERE id > 20000")
    postgres.service.start(CDC_STREAM__MAX_OFFSETS_PER_BATCH="300")
    postgres.service.await_equal()
    assert "holds messages back" in postgres.service.tail(10_000)


def test_partitions_are_added_to_a_topic_that_is_behind_k4(postgres: Scenario) -> None:
    """The newer changes are in other partitions, and leave out the large value that only the older ones bring."""
    rows, more = 400, "id BETWEEN 40001 AND 40400"
    large = "(SELECT string_agg(md5('{0}' || n || g), '') FROM generate_series(1, 200) g)"  # nothing packs it
    postgres.apply(
        f"INSERT INTO documents (id, title, body) SELECT n, 'old', {large.format('a')}"
        f" FROM generate_series(40001, {40000 + rows}) n"
    )
    postgres.service.await_equal()
    assert postgres.service.stop() == 0
    (source,) = postgres.service.config.sources
    topic = source.topic_of(next(one for one in source.tables if one.source.table == "documents"))
    before = messages(postgres, topic)
    postgres.apply(f"UPDATE documents SET body = {large.format('b').replace('n ||', 'id ||')} WHERE {more}")
    await_true(lambda: messages(postgres, topic) >= before + rows, 60, "the large values are in the topic")
    admin = AdminClient(librdkafka_settings(postgres.service.config.kafka))
    admin.create_partitions([NewPartitions(topic, 9)])[topic].result()
    assert postgres.service.run("connectors", "restart", source.name).returncode == 0
    last_first = range(40000 + rows, 40000, -1)  # so that each part of the backlog has newer ones without the older
    postgres.apply(*(f"UPDATE documents SET title = 'new' WHERE id = {number}" for number in last_first))
    await_true(lambda: messages(postgres, topic) >= before + 2 * rows, 60, "all changes are in the topic")
    postgres.service.start(CDC_STREAM__MAX_OFFSETS_PER_BATCH="300")
    postgres.service.await_equal()
    said = postgres.service.said_since_start()
    assert "partitions were added" in said
    assert "holds messages back" in said


def messages(postgres: Scenario, topic: str) -> int:
    """Return how many offsets a topic has."""
    found = KafkaTopics(postgres.service.config.kafka).describe([topic])[topic]
    return sum(marks.high for marks in found.watermarks.values())


def test_a_service_that_is_killed_after_each_first_commit_gets_on(postgres: Scenario) -> None:
    """S40: its first batch was all that had come, and a cold Spark's: killed within a minute it had done nothing."""
    assert postgres.service.stop() == 0
    postgres.apply("INSERT INTO accounts (id, name) SELECT n, 'backlog' FROM generate_series(100001, 160000) n")
    postgres.apply("DELETE FROM accounts WHERE id > 100020")
    seen = [read_so_far(postgres)]
    for _ in range(2):
        postgres.service.start(CDC_STREAM__MAX_OFFSETS_PER_BATCH="500000", CDC_STREAM__DRIVER_MESSAGES="30000")
        postgres.service.await_log("batch applied", 90)
        postgres.service.kill()
        seen.append(read_so_far(postgres))
    assert seen == sorted(set(seen)), "each run has read on"
    postgres.service.start()
    postgres.service.await_equal()


def read_so_far(postgres: Scenario) -> int:
    """Return how many offsets of a table's topic are in the table."""
    table = open_catalog(postgres.service.config.catalog).load_table(("e2e_pg", f"{SCHEMA}_accounts"))
    progress = Progress.from_json(table.properties[PROGRESS])
    return sum(state.next_offset for state in progress.partitions.values())


def test_stops_cleanly(postgres: Scenario) -> None:
    """X8: SIGTERM ends the service in under 30 seconds with exit code 0, and the lake stays equal."""
    assert postgres.service.stop() == 0
    postgres.service.await_equal(10)
