"""What the checks make of an Oracle database's catalog: recorded rows of it, since there was no Oracle."""

import sys
from typing import Any

import pytest

from cdc.core.errors import PreflightError, TransientError
from cdc.core.names import TableName
from cdc.core.preflight import check_key, unfit
from cdc.pipeline.symptoms import recreated
from cdc.sources.oracle import OracleDatabase
from tests.fakes.configuration import ORACLE, configuration
from tests.fakes.oracle import FakeOracle, column, server

ORDERS = TableName("SALES", "ORDERS")
NAME = ("SALES", "ORDERS")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeOracle:
    database = FakeOracle.fit()
    monkeypatch.setitem(sys.modules, "oracledb", database)
    return database


def opened(**connector: str) -> OracleDatabase:
    return OracleDatabase(configuration(ORACLE | {"connector": connector}).sources[0])  # type: ignore[arg-type]


def found(database: OracleDatabase) -> list[tuple[str, bool, bool]]:
    return [(finding.name, finding.fatal, finding.gap) for finding in database.findings()]


def test_a_fit_database_has_no_findings(fake: FakeOracle) -> None:
    """O35."""
    assert opened().findings() == []
    assert opened().position() == "5000"
    assert fake.asked[0]["service_name"] == "ORCLPDB1"


def test_a_table_as_it_is_declared(fake: FakeOracle) -> None:
    fake.keys[NAME] = [["ID"], ["NOTE", "ID"]]
    table = opened().table(*ORDERS)
    assert [(c.name, c.type, c.nullable, c.generated, c.filled) for c in table.columns] == [
        ("ID", "number", False, False, True),
        ("NOTE", "varchar2", True, False, False),
    ]
    assert table.unique_keys == {frozenset({"ID"}), frozenset({"ID", "NOTE"})}
    assert table.identity is None
    assert check_key(table, ["ID"]) == []
    assert table.id == "1234/1/77"


def test_a_table_that_is_not_there(fake: FakeOracle) -> None:
    fake.tables.clear()
    with pytest.raises(PreflightError, match=r"SALES\.ORDERS does not exist"):
        opened().table(*ORDERS)
    assert opened().findings() == []  # whoever asks for the table is told
    assert isinstance(opened().tables([ORDERS])[ORDERS], PreflightError)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"LOG_MODE": "NOARCHIVELOG"}, [("log_mode", True, False)]),
        ({"SUPPLEMENTAL_LOG_DATA_MIN": "NO"}, [("supplemental_log", True, False)]),
        ({"SUPPLEMENTAL_LOG_DATA_MIN": "IMPLICIT"}, []),
        ({"FORCE_LOGGING": "NO"}, [("force_logging", False, False)]),  # O29
    ],
)
def test_the_server(fake: FakeOracle, row: dict[str, Any], expected: list[Any]) -> None:
    """O29."""
    fake.server = server(**row)
    assert found(opened()) == expected


def test_o14_a_table_without_all_its_columns_in_the_log_stops_until_it_is_read_anew(fake: FakeOracle) -> None:
    """It is looked at all the time: what was changed meanwhile may be known nowhere, hence the gap."""
    fake.log_groups.clear()
    (finding,) = opened().findings()
    assert (finding.name, finding.fatal, finding.gap, finding.table) == ("supplemental_columns", True, True, ORDERS)
    assert "ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS" in finding.hint
    assert unfit([finding]) == {ORDERS: finding}


def test_a_database_that_logs_all_columns_of_all_tables_was_refused(fake: FakeOracle) -> None:
    fake.log_groups.clear()
    fake.server = server(SUPPLEMENTAL_LOG_DATA_ALL="YES")
    assert opened().findings() == []


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"IOT_TYPE": "IOT"}, "index_organised"),  # O27
        ({"TEMPORARY": "Y"}, "temporary"),
    ],
)
def test_tables_that_are_not_in_the_log(fake: FakeOracle, row: dict[str, Any], name: str) -> None:
    """O27."""
    fake.tables[NAME] |= row
    assert found(opened()) == [(name, True, False)]


@pytest.mark.parametrize(
    "unfit_column",
    [
        column("X", "bfile"),  # O25
        column("X", "long raw"),
        column("X", "clob"),  # O16
        column("X", "xmltype"),
        column("X", "number", virtual=True),
        column("X", "interval day(2) to second(9)", scale=9),  # O21
    ],
    ids=lambda one: one["TYPE"],
)
def test_columns_that_do_not_come_whole_are_refused_until_they_are_left_out(
    fake: FakeOracle, unfit_column: dict[str, Any]
) -> None:
    """O16, O25, O26: the hint was to leave the column out, and that did not help."""
    fake.columns[NAME] = [*fake.columns[NAME], unfit_column]
    assert found(opened()) == [("unsupported_column", True, False)]
    assert opened(**{"column.exclude.list": r"SALES\.ORDERS\.X"}).findings() == []


def test_o16_large_objects_may_be_captured(fake: FakeOracle) -> None:
    fake.columns[NAME] = [*fake.columns[NAME], column("X", "clob")]
    assert opened(**{"lob.enabled": "true", "log.mining.strategy": "redo_log_catalog"}).findings() == []


@pytest.mark.parametrize("kind", ["interval day(2) to second(6)", "timestamp(9)", "interval year(2) to month"])
def test_other_times_are_fit(fake: FakeOracle, kind: str) -> None:
    fake.columns[NAME] = [*fake.columns[NAME], column("X", kind, scale=9 if kind == "timestamp(9)" else 6)]
    assert opened().findings() == []


def test_o28_long_names(fake: FakeOracle) -> None:
    fake.columns[NAME] = [*fake.columns[NAME], column("X" * 31, "number")]
    assert found(opened()) == [("long_name", True, False)]


@pytest.mark.parametrize(
    ("stored", "current", "oldest", "expected"),
    [
        (None, 5000, 100, []),
        ({"scn": "4000"}, 5000, 100, []),
        ({"scn": "99"}, 5000, 100, []),  # the next to be read is 100
        ({"scn": "98"}, 5000, 100, ["redo_purged"]),  # O9
        ({"scn": "5001"}, 5000, 100, ["log_set_back"]),  # O32
        ({"scn": str(2**62)}, 2**62 - 1, 100, ["log_set_back"]),  # O1: not as floats
        ({"scn": "4000"}, 5000, None, []),
        ({"scn": "10", "snapshot": "INITIAL"}, 5000, 100, []),
    ],
)
def test_whether_the_log_holds_the_connectors_place(
    fake: FakeOracle, stored: dict[str, Any] | None, current: int, oldest: int | None, expected: list[str]
) -> None:
    """O1, O9, O32."""
    fake.server, fake.oldest = server(CURRENT_SCN=current), oldest
    findings = opened().log_findings(stored, running=True)
    assert [finding.name for finding in findings] == expected
    assert all("cdc connectors remove erp --offsets" in finding.hint for finding in findings)


def test_o32_after_resetlogs_a_table_is_another_one(fake: FakeOracle) -> None:
    """Also when the database has come past the connector's place again: changes that were delivered are taken back."""
    source = configuration(ORACLE).sources[0]
    target = str(source.target_of(source.tables[0]))
    known = {target: opened().table(*ORDERS).id}
    assert recreated(source, {ORDERS: opened().table(*ORDERS).id}, known) == []
    fake.server = server(INCARNATION=4_900, CURRENT_SCN=9_000)
    (finding,) = recreated(source, {ORDERS: opened().table(*ORDERS).id}, known)
    assert (finding.name, finding.table, finding.gap) == ("recreated", ORDERS, True)


def test_t4_a_table_that_was_dropped_and_made_again(fake: FakeOracle) -> None:
    before = opened().table(*ORDERS).id
    fake.tables[NAME] |= {"OBJECT_ID": 78}
    assert opened().table(*ORDERS).id != before


@pytest.mark.parametrize(
    ("code", "kind"),
    [("ORA-01017", PreflightError), ("ORA-00942", PreflightError), ("DPY-6005", TransientError)],
)
def test_errors_of_the_driver_without_the_password(
    fake: FakeOracle, code: str, kind: type[PreflightError | TransientError]
) -> None:
    fake.fails = code
    with pytest.raises(kind, match=code) as refused:
        opened().findings()
    assert "canary" not in str(refused.value)
