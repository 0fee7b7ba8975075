"""In which order Oracle's changes count, and what is not logged: redo logs through Debezium's classes into the lake."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cdc.core.errors import UnavailableValue
from cdc.core.names import TableName
from cdc.core.positions import connector_place
from cdc.pipeline.aside import culprits
from tests.oracle import Connector, Record, Refused, Registry, settings
from tests.oracle.lake import OracleTable
from tests.oracle.log import INFO, STATUS, Log, Transaction, text
from tests.oracle.tables import Declared, described, number

TABLES = [{"source": "SALES.ORDERS", "key": ["ID"]}]
COLUMNS = {"N": number("NUMBER(9)", 9, 0), "V": Declared("VARCHAR2(20)", "VARCHAR2", 12, 20, None)}
ROW_ID = "AAAR3sAAEAAAACXAAA"


@pytest.fixture
def source(process: Connector, registry: Registry) -> Connector:
    """A connector that knows the table from its driver."""
    process.open(settings(registry.url, TABLES))
    process.learn("SALES", "ORDERS", described(COLUMNS))
    return process


@pytest.fixture(params=["core", "spark"])
def new_table(
    request: pytest.FixtureRequest, lake: tuple[Any, Any], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], OracleTable]:
    """Return a function that makes the target table, whose events are decoded at the driver or by Spark."""
    if request.param == "spark":
        monkeypatch.setattr("cdc.spark.small.MESSAGES", 0)
    name = request.node.name.replace("[", "_").replace("]", "")
    return lambda: OracleTable(lake, registry, f"order_{name}"[-60:])


def transaction(number: int, scn: int, thread: int = 1) -> Transaction:
    return Transaction(f"{number:08x}00010000", scn, thread)


def row(key: int, n: int | None, v: str | None = "v") -> dict[str, str | None]:
    return {"ID": text(str(key)), "N": None if n is None else text(str(n)), "V": None if v is None else text(v)}


def lake_row(key: int, n: int | None, v: str | None = "v") -> dict[str, Any]:
    return {"ID": Decimal(key), "N": None if n is None else Decimal(n), "V": v}


def changed(before: dict[str, str | None], **values: str | None) -> tuple[dict[str, str | None], dict[str, str | None]]:
    return before, {name: None if value is None else text(value) for name, value in values.items()}


def test_o2_the_commit_decides_and_not_when_a_change_was_made(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """A long transaction's change has the lower SCN and commits later: events come in the order of commits."""
    table = new_table()
    log: Log = [
        *transaction(1, 50).insert(row(1, 0)).insert(row(2, 0)).commit(60),
        *(long := transaction(2, 100).update(*changed(row(1, 0), N="1"))).rows,
        *transaction(3, 400).update(*changed(row(2, 0), N="1")).commit(450),
        *long.commit(500)[len(long.rows) :],
        *transaction(4, 510).update(*changed(row(1, 1), N="2")).commit(520),
    ]
    records = source.mine(log)
    assert len(records) == 5
    table.feed(records)
    assert table.by_key() == {1: lake_row(1, 2), 2: lake_row(2, 1)}


def test_o11_what_is_mined_again_after_a_restart_changes_nothing(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """S14: a deleted row does not come back, an updated one does not go back, whatever batch it comes with."""
    table = new_table()
    log = [
        *transaction(1, 50).insert(row(1, 0)).insert(row(2, 0)).insert(row(3, 0)).commit(60),
        *transaction(2, 70).update(*changed(row(1, 0), N="5")).delete(row(2, 0)).commit(80),
    ]
    first = source.mine(log)
    table.feed(first)
    known = table.by_key()
    assert known == {1: lake_row(1, 5), 3: lake_row(3, 0)}
    source.start_from(1)
    again = source.mine(log)
    assert len(again) == len(first)
    table.feed(again[:2])
    assert table.by_key() == known
    table.feed(again[2:])
    assert table.by_key() == known


def test_changes_of_one_row_in_one_transaction_are_in_the_order_of_the_log(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """O3, O5: ``ssn`` is 0 for all; ``txSeq`` tells them apart, also if they come in several batches, or once more."""
    table = new_table()
    log = transaction(1, 50).insert(row(1, 0))
    for n in range(1, 12):
        log.update(*changed(row(1, n - 1), N=str(n)))
    records = source.mine(log.commit(100))
    table.feed(records[:11])
    assert table.by_key() == {1: lake_row(1, 10)}
    table.feed([records[11], records[3]])
    assert table.by_key() == {1: lake_row(1, 11)}
    table.feed(records[8:10])
    assert table.by_key() == {1: lake_row(1, 11)}


@pytest.mark.parametrize("commit", [2**53, 2**62, 2**63 - 2])
def test_o1_large_system_change_numbers_are_exact(
    source: Connector, new_table: Callable[[], OracleTable], commit: int
) -> None:
    """Two neighbours that are one number as a float, the later one first."""
    table = new_table()
    first = source.mine(transaction(1, 50).insert(row(1, 1)).commit(commit))
    second = source.mine(transaction(2, commit).update(*changed(row(1, 1), N="2")).commit(commit + 1))
    table.feed(second)
    table.feed(first)
    assert table.by_key() == {1: lake_row(1, 2)}


def test_o1_a_system_change_number_beyond_63_bits_is_refused(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """Oracle's end there. What has no place in the order is kept aside, and nothing is written over the row."""
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 1)).commit(60)))
    table.feed(source.mine(transaction(2, 70).update(*changed(row(1, 1), N="2")).commit(2**63)))
    assert table.by_key() == {1: lake_row(1, 1)}
    assert table.quarantined() == ["no position"]


def test_o4_redo_threads_may_commit_out_of_order(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    """RAC: the other thread's commit has the lower SCN and comes later; a row's own commits are in order."""
    table = new_table()
    log = [
        *transaction(1, 50).insert(row(1, 0)).insert(row(2, 0)).commit(60),
        *transaction(2, 70, thread=1).update(*changed(row(1, 0), N="1")).commit(500),
        *transaction(3, 71, thread=2).update(*changed(row(2, 0), N="1")).commit(490),
        *transaction(4, 501, thread=2).update(*changed(row(1, 1), N="2")).commit(510),
        *transaction(5, 502, thread=1).update(*changed(row(2, 1), N="2")).commit(505),
    ]
    records = source.mine(log)
    assert len(records) == 6
    table.feed(records)
    assert table.by_key() == {1: lake_row(1, 2), 2: lake_row(2, 2)}


def test_a_commit_of_no_thread_without_changes_is_no_change(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """O12: what Oracle logs of an empty transaction does not move the place of a thread."""
    table = new_table()
    empty = transaction(9, 90, thread=0).insert(row(9, 9))
    log = [*transaction(1, 50).insert(row(1, 0)).commit(60), *empty.commit(95)[-1:]]
    records = source.mine([*log, *transaction(2, 70).update(*changed(row(1, 0), N="1")).commit(80)])
    table.feed(records)
    assert table.by_key() == {1: lake_row(1, 1)}


def test_a_snapshot_has_no_commit_and_loses_to_a_change_at_its_number(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """O8: what committed after the snapshot's SCN counts; what it holds already does not count again."""
    table = new_table()

    def driver(key: int, n: int) -> list[list[str]]:
        return [["number", str(key)], ["number", str(n)], ["text", "v"]]

    read = source.read("SALES", "ORDERS", 1000, [driver(1, 10), driver(2, 10), driver(3, 10)])
    before = source.mine(transaction(1, 900).update(*changed(row(1, 5), N="10")).commit(950))
    at = source.mine(transaction(2, 960).update(*changed(row(2, 10), N="11")).commit(1000))
    after = source.mine(transaction(3, 970).update(*changed(row(3, 10), N="12")).commit(1001))
    table.feed([*read, *before, *at, *after])
    assert table.by_key() == {1: lake_row(1, 10), 2: lake_row(2, 11), 3: lake_row(3, 12)}
    table.feed([*before, *at])
    assert table.by_key() == {1: lake_row(1, 10), 2: lake_row(2, 11), 3: lake_row(3, 12)}


def test_a_row_deleted_and_inserted_again_stays(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    """In one transaction, in two, and in two batches; a NULL of the new row is no value of the old one."""
    table = new_table()
    log = transaction(1, 50)
    for key in (1, 2, 3):
        log.insert(row(key, 0))
    first = source.mine(log.commit(60))
    one = source.mine(transaction(2, 70).delete(row(1, 0)).insert(row(1, 1, None)).commit(80))
    deleted = source.mine(transaction(3, 90).delete(row(2, 0)).delete(row(3, 0)).commit(100))
    inserted = source.mine(transaction(4, 110).insert(row(2, None, "new")).commit(120))
    table.feed([*first, *one, *deleted])
    assert table.by_key() == {1: lake_row(1, 1, None)}
    table.feed(inserted)
    assert table.by_key() == {1: lake_row(1, 1, None), 2: lake_row(2, None, "new")}


def test_a_key_change_is_a_delete_and_a_create(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 5)).commit(60)))
    records = source.mine(transaction(2, 70).update(*changed(row(1, 5), ID="2")).commit(80))
    told = [[(name, value) for name, value in record.headers] for record in records]
    assert [("__debezium.newkey", b'{"ID":"2"}')] in told
    assert [("__debezium.oldkey", b'{"ID":"1"}')] in told
    table.feed(records)
    assert table.by_key() == {2: lake_row(2, 5)}


@pytest.mark.parametrize("split", [False, True])
def test_o30_keys_that_shift_in_one_statement(
    source: Connector, new_table: Callable[[], OracleTable], split: bool
) -> None:
    """``SET ID = ID + 1``: Oracle checks a key at the end of the statement, so two rows hold one for a while."""
    table = new_table()
    log = transaction(1, 50)
    for key in (1, 2, 3):
        log.insert(row(key, 10 * key))
    table.feed(source.mine(log.commit(60)))
    shift = transaction(2, 70)
    for key in (1, 2, 3):
        shift.update(*changed(row(key, 10 * key), ID=str(key + 1)))
    records = source.mine(shift.commit(80))
    for part in [records[:4], records[4:]] if split else [records]:
        table.feed(part)
    assert table.by_key() == {2: lake_row(2, 10), 3: lake_row(3, 20), 4: lake_row(4, 30)}


def test_o30_two_rows_that_swap_their_keys(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 10)).insert(row(2, 20)).commit(60)))
    swap = transaction(2, 70).update(*changed(row(1, 10), ID="2")).update(*changed(row(2, 20), ID="1"))
    table.feed(source.mine(swap.commit(80)))
    assert table.by_key() == {1: lake_row(1, 20), 2: lake_row(2, 10)}


def test_o33_truncate(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    """It is a statement in a transaction of its own; rows of before go, those of after stay, duplicates stay away."""
    table = new_table()
    first = source.mine(transaction(1, 50).insert(row(1, 1)).insert(row(2, 2)).commit(60))
    table.feed(first)
    cut = source.mine(transaction(2, 70).ddl('TRUNCATE TABLE "SALES"."ORDERS";').commit(75))
    assert [record.key for record in cut] == [None]
    after = source.mine(transaction(3, 80).insert(row(3, 3)).commit(90))
    table.feed([*cut, *after])
    assert table.by_key() == {3: lake_row(3, 3)}
    table.feed(first)
    assert table.by_key() == {3: lake_row(3, 3)}


def test_o34_what_a_transaction_takes_back_does_not_count(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """ROLLBACK TO SAVEPOINT, and ROLLBACK of the whole."""
    table = new_table()
    log = transaction(1, 50).insert(row(1, 1), "AAAR3sAAEAAAACXAAA").insert(row(2, 2), "AAAR3sAAEAAAACXAAB")
    log.undone('delete from "SALES"."ORDERS" where ROWID = \'AAAR3sAAEAAAACXAAB\';', row_id="AAAR3sAAEAAAACXAAB")
    log.insert(row(3, 3), "AAAR3sAAEAAAACXAAC")
    whole = transaction(2, 70).insert(row(4, 4)).update(*changed(row(1, 1), N="9")).roll_back(80)
    table.feed(source.mine([*log.commit(60), *whole]))
    assert table.by_key() == {1: lake_row(1, 1), 3: lake_row(3, 3)}


def test_a_column_added_meanwhile(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    """O13: a statement in the log; the table is known from its driver before and from the statement behind."""
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 1)).commit(60)))
    altered = transaction(2, 70).ddl('ALTER TABLE "SALES"."ORDERS" ADD ("M" NUMBER, "AT" DATE);').commit(75)
    literal = "TO_DATE('2024-02-29 01:02:03', 'YYYY-MM-DD HH24:MI:SS')"
    later = transaction(3, 80).insert({**row(2, 2), "M": "'1.5'", "AT": literal}).commit(90)
    table.feed(source.mine([*altered, *later]))
    found = table.by_key()
    assert found[1] == {**lake_row(1, 1), "M": None, "AT": None}
    assert found[2]["M"] == "1.5"
    assert str(found[2]["AT"]) == "2024-02-29 01:02:03"


def test_o13_a_row_of_a_definition_that_is_gone_has_its_columns_by_number(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """The strategy ``hybrid``: what LogMiner cannot name any more it numbers, its values in raw bytes."""
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 1, "ü")).commit(60)))
    log = transaction(2, 70)
    before = "\"COL 1\" = HEXTORAW('c102') and \"COL 2\" = HEXTORAW('c102') and \"COL 3\" = HEXTORAW('c3bc')"
    log.add("UPDATE", f'update "SALES"."ORDERS" set "COL 2" = HEXTORAW(\'c103\') where {before};', row_id=ROW_ID)
    log.rows[-1] |= {STATUS: 2, INFO: "Dictionary Version Mismatch"}
    table.feed(source.mine(log.commit(80)))
    assert table.by_key() == {1: lake_row(1, 2, "ü")}


def test_the_place_of_the_connector_is_behind_all_that_it_has_sent(source: Connector) -> None:
    """What committed at or before it is in Kafka: an open transaction that began before holds it back."""
    source.mine(transaction(1, 50).insert(row(1, 1)).commit(60))
    open_one = transaction(2, 70).insert(row(2, 2))
    source.mine([*open_one.rows, *transaction(3, 80).insert(row(3, 3)).commit(90)])
    place = connector_place("oracle", source.offset())
    assert place is not None
    assert place < (70,)


# Supplemental logging: what the log does not hold is neither NULL nor zero.


def keys_only(number: int, scn: int) -> Transaction:
    """Return a transaction of a table whose key alone is logged beside what changes."""
    one = transaction(number, scn)
    one.every_column = ("ID",)
    return one


def test_o14_columns_that_are_not_logged_keep_their_values(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    """O15: a NULL in the statement is a NULL; what it does not name is unchanged, in the table and in the batch."""
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 1, "one")).insert(row(2, 2, "two")).commit(60)))
    partly = keys_only(2, 70).update(*changed(row(1, 1, "one"), N="5"))
    table.feed(source.mine(partly.commit(80)))
    assert table.by_key() == {1: lake_row(1, 5, "one"), 2: lake_row(2, 2, "two")}
    log = keys_only(3, 90).update(*changed(row(1, 5, "one"), V="newer")).update(*changed(row(1, 5, "newer"), N=None))
    log.update(*changed(row(2, 2, "two"), V=None))
    table.feed(source.mine(log.commit(100)))
    assert table.by_key() == {1: lake_row(1, None, "newer"), 2: lake_row(2, 2, None)}


def test_o14_a_null_that_is_logged_is_one(source: Connector, new_table: Callable[[], OracleTable]) -> None:
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 1, None)).commit(60)))
    table.feed(source.mine(transaction(2, 70).update(*changed(row(1, 1, None), N="2")).commit(80)))
    assert table.by_key() == {1: lake_row(1, 2, None)}


def test_o14_a_key_change_carries_what_is_not_logged_along(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 5, "kept")).commit(60)))
    table.feed(source.mine(keys_only(2, 70).update(*changed(row(1, 5, "kept"), ID="2")).commit(80)))
    assert table.by_key() == {2: lake_row(2, 5, "kept")}


def test_o14_a_value_that_is_known_nowhere_stops_the_table(
    source: Connector, new_table: Callable[[], OracleTable]
) -> None:
    table = new_table()
    table.feed(source.mine(transaction(1, 50).insert(row(1, 1)).commit(60)))
    unknown = source.mine(keys_only(2, 70).update(*changed(row(2, 2, "lost"), N="3")).commit(80))
    with pytest.raises(UnavailableValue, match="known nowhere") as refused:
        table.feed(unknown)
    assert "SUPPLEMENTAL LOG DATA (ALL)" in refused.value.hint
    assert table.by_key() == {1: lake_row(1, 1)}


def test_o14_a_column_without_a_stand_in_ends_the_connector(process: Connector, registry: Registry) -> None:
    """A number in binary has no value that could stand for an unchanged one; the message names the table."""
    process.open(settings(registry.url, TABLES))
    process.learn(
        "SALES", "ORDERS", described({"B": Declared("BINARY_DOUBLE", "BINARY_DOUBLE", 101, 8, None), **COLUMNS})
    )
    log = keys_only(1, 50).update({**row(1, 1), "B": "'1'"}, {"N": "'2'"})
    with pytest.raises(Refused, match=r"topic erp\.SALES\.ORDERS was logged without column B") as refused:
        process.mine(log.commit(60))
    orders = TableName("SALES", "ORDERS")
    assert culprits(str(refused.value), [orders, TableName("SALES", "OTHERS")]) == [orders]


def test_o14_a_key_that_is_not_logged_ends_the_connector(source: Connector) -> None:
    """With minimal logging the statement names what changed and the ROWID: whose row it is nobody knows."""
    log = transaction(1, 50)
    statement_ = f'update "SALES"."ORDERS" set "N" = \'2\' where "N" = \'1\' and ROWID = \'{ROW_ID}\';'
    log.add("UPDATE", statement_, row_id=ROW_ID)
    with pytest.raises(Refused, match=r"field ID is NULL|without column ID"):
        source.mine(log.commit(60))


def test_o14_a_column_that_is_never_null_did_not_become_zero(
    process: Connector, registry: Registry, new_table: Callable[[], OracleTable]
) -> None:
    """Debezium makes 0 and an empty text of values that it does not have, where a column allows no NULL."""
    process.open(settings(registry.url, TABLES))
    process.mine(
        transaction(1, 40)
        .ddl('CREATE TABLE "SALES"."ORDERS" (ID NUMBER(9) PRIMARY KEY, N NUMBER(9) NOT NULL, V VARCHAR2(20) NOT NULL);')
        .commit(45)
    )
    table = new_table()
    table.feed(process.mine(transaction(2, 50).insert(row(1, 7, "kept")).commit(60)))
    table.feed(process.mine(keys_only(3, 70).update(*changed(row(1, 7, "kept"), V="new")).commit(80)))
    table.feed(process.mine(keys_only(4, 90).update(*changed(row(1, 7, "new"), N="8")).commit(95)))
    assert table.by_key() == {1: lake_row(1, 8, "new")}


def test_statements_do_not_leave_the_connector(source: Connector) -> None:
    """They hold every value of a row; only the check needs them."""
    log = transaction(1, 50).insert(row(1, 1, "canary-1")).update(*changed(row(1, 1, "canary-1"), V="other"))
    log.delete(row(1, 1, "other"))
    records = source.mine(log.commit(60))
    assert len([record for record in records if record.value]) == 3
    assert all(b"update " not in told(record) and b"insert into" not in told(record) for record in records)
    assert all(b"delete from" not in told(record) for record in records)


def told(record: Record) -> bytes:
    return record.value or b""
