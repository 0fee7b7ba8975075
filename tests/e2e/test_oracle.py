"""Oracle's changes through Kafka, the registry and `cdc stream`, column by column.

The events are made by Debezium's own classes out of a redo log (``mined``), or by a connector on a real Oracle
database that runs the same statements (``real``), which is skipped where ``CDC_TEST_ORACLE_URL`` names none.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cdc.lake.pyiceberg_catalog import direct_catalog
from cdc.local.stack import LocalStack
from tests.e2e.service import Service, await_true
from tests.oracle import connector
from tests.oracle.log import Transaction, text
from tests.oracle.origins import TABLE, Mined, Origin, real
from tests.oracle.tables import COLUMNS

pytestmark = pytest.mark.timeout(900)

CHOSEN = {name: COLUMNS[name] for name in ("N", "N2", "BD", "D", "T", "T9", "TZ", "IY", "IS", "C", "V", "NV", "RW")}
LOG = {
    "N": "'12345678901234567890.5'",
    "N2": "'3.10'",
    "BD": "'2.5E-003'",
    "D": "TO_DATE('2020-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS')",
    "T": "TO_TIMESTAMP('2020-01-02 03:04:05.000001')",
    "T9": "TO_TIMESTAMP('2020-01-02 03:04:05.123456789')",
    "TZ": "TO_TIMESTAMP_TZ('2020-01-02 03:04:05.123456 +02:00')",
    "IY": "TO_YMINTERVAL('+03-06')",
    "IS": "TO_DSINTERVAL('+01 02:03:04.040000')",
    "C": "'ab   '",
    "V": "'it''s'",
    "NV": "'ü'",
    "RW": "HEXTORAW('01ff')",
}
LAKE = {
    "N": "12345678901234567890.5",
    "N2": Decimal("3.10"),
    "BD": 0.0025,
    "D": datetime(2020, 1, 2, 3, 4, 5),  # noqa: DTZ001 - without a zone
    "T": datetime(2020, 1, 2, 3, 4, 5, 1),  # noqa: DTZ001
    "T9": "2020-01-02T03:04:05.123456789Z",
    "TZ": datetime(2020, 1, 2, 1, 4, 5, 123456, UTC),
    "IY": "P3Y6M0DT0H0M0S",
    "IS": "P0Y0M1DT2H3M4.04S",
    "C": "ab   ",
    "V": "it's",
    "NV": "ü",
    "RW": b"\x01\xff",
}
Expected = dict[int, dict[str, Any]]


@pytest.fixture(params=["mined", "real"])
def origin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Origin]:
    name = f"erp_{request.function.__name__[5:20]}"
    if request.param == "real":
        database = real(name)
        yield database
        database.close()
        return
    stack: LocalStack = request.getfixturevalue("stack")
    with connector(tmp_path) as one:
        mined = Mined(stack, one, name)
        yield mined
        mined.close()


@pytest.fixture
def service(origin: Origin, stack: LocalStack, tmp_path: Path) -> Iterator[Service]:
    table = {"source": f"{origin.owner}.{TABLE}", "key": ["ID"], "target": f"{origin.name}.orders"}
    one = Service.create(tmp_path, stack, [{**origin.source(), "heartbeat": "1s", "tables": [table]}])
    one.environment = {**one.environment, **origin.environment}
    origin.make(CHOSEN)
    if not isinstance(origin, Mined):
        applied = one.run("connectors", "apply", origin.name)
        assert applied.returncode == 0, applied.stdout + applied.stderr
    one.start()
    yield one
    one.kill()
    if not isinstance(origin, Mined):
        one.run("connectors", "remove", origin.name, "--offsets")


def row(key: int, **values: str | None) -> dict[str, str | None]:
    return {"ID": text(str(key)), **LOG, **values}


def lake_row(key: int, **values: Any) -> dict[str, Any]:
    return {"ID": Decimal(key), **LAKE, **values}


def in_lake(service: Service) -> Expected:
    catalog = direct_catalog(service.config.catalog)
    assert catalog is not None
    (source,) = service.config.sources
    target = tuple(source.target_of(source.tables[0]))
    if not catalog.table_exists(target):
        return {}
    found = catalog.load_table(target).scan().to_arrow().to_pylist()
    return {int(one["ID"]): {n: v for n, v in one.items() if not n.startswith("_cdc_")} for one in found}


def await_lake(service: Service, expected: Expected) -> None:
    """Wait until every column of every row is as expected; shows the lake if it does not come."""
    found: Expected = {}

    def equal() -> bool:
        service.check_alive()
        found.clear()
        found.update(in_lake(service))
        return found == expected

    try:
        await_true(equal, 240, "the lake is as expected", pause=1)
    except AssertionError:
        print(found, service.tail(80), sep="\n")
        raise


def test_changes_of_every_kind_arrive_and_stay_right_over_a_kill(origin: Origin, service: Service) -> None:
    """O2, O11, O14, O30, O33: inserts, updates, deletes, shifted keys, a late commit, redelivery, a truncate."""

    def transaction(number: int, scn: int) -> Transaction:
        return Transaction(f"{number:08x}00010000", scn, owner=origin.owner)

    first = transaction(2, 100)
    for key in range(1, 21):
        first.insert(row(key))
    empty = dict.fromkeys(LOG)
    first.insert(row(21, **empty))
    log = first.commit(200)
    origin.run(log)
    expected = {key: lake_row(key) for key in range(1, 21)} | {21: lake_row(21, **dict.fromkeys(LAKE))}
    await_lake(service, expected)

    second = transaction(3, 210).update(row(1), {"V": text("changed"), "D": None}).delete(row(2))
    second.delete(row(3)).insert(row(3, V=text("again"), N=None))
    second.update(row(21, **empty), {"ID": text("22")})
    for key in reversed(range(10, 21)):  # each onto the key that the row before has left
        second.update(row(key), {"ID": text(str(key + 1))})
    log += second.commit(300)
    origin.run(second.commit(300))
    expected[1] |= {"V": "changed", "D": None}
    del expected[2]
    expected[3] |= {"V": "again", "N": None}
    expected[22] = {**expected.pop(21), "ID": Decimal(22)}
    expected[21] = lake_row(21)
    del expected[10]
    await_lake(service, expected)

    service.kill()
    third = transaction(4, 310).update(row(5), {"N2": text("7.25")}).update(row(5, N2=text("7.25")), {"RW": None})
    origin.again(log)
    origin.run(third.commit(320))
    expected[5] |= {"N2": Decimal("7.25"), "RW": None}
    service.start()
    await_lake(service, expected)

    undone = transaction(5, 330).insert(row(50)).delete(row(6)).roll_back(340)
    origin.run([*undone, *transaction(6, 350).insert(row(51)).commit(360)])
    expected[51] = lake_row(51)
    await_lake(service, expected)

    cut = transaction(7, 370).ddl(f'TRUNCATE TABLE "{origin.owner}"."{TABLE}";').commit(380)
    origin.run([*cut, *transaction(8, 390).insert(row(60)).commit(400)])
    await_lake(service, {60: lake_row(60)})


def test_what_is_not_logged_is_not_overwritten(origin: Origin, service: Service) -> None:
    """O14, O15: an update of a table whose key alone is logged. A real database logs all, as preflight demands."""
    if not isinstance(origin, Mined):
        pytest.skip("preflight refuses such a table of a real database")
    origin.run(Transaction("0200010001000000", 100).insert(row(1, BD=None)).commit(200))
    await_lake(service, {1: lake_row(1, BD=None)})
    partly = Transaction("0300010001000000", 210)
    partly.every_column = ("ID", "BD")
    origin.run(partly.update(row(1, BD=None), {"V": text("changed")}).commit(220))
    await_lake(service, {1: lake_row(1, BD=None, V="changed")})
