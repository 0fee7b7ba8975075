"""How Oracle's tables would be read: on a driver whose database is a few rows of the catalog."""

import sys
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from cdc.core.errors import IncompatibleSchema, PreflightError, TerminalError, TransientError
from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.sources.bulk_oracle import OracleBulk
from cdc.sources.bulk_oracle.session import SESSION
from tests.fakes.configuration import ORACLE, configuration
from tests.fakes.oracle import FakeOracle, column

ORDERS = TableName("SALES", "ORDERS")
NAME = ("SALES", "ORDERS")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeOracle:
    database = FakeOracle.fit()
    database.sizes[NAME] = (1_000, 64_000)
    monkeypatch.setitem(sys.modules, "oracledb", database)
    return database


def bulk(host: str | None = None) -> OracleBulk:
    return OracleBulk(configuration(ORACLE).sources[0], host=host)  # type: ignore[arg-type]


def test_size_and_position_on_sessions_that_are_set(fake: FakeOracle) -> None:
    """Numbers have a point, texts are compared byte by byte, times are of UTC, whatever the server's defaults."""
    assert bulk().size(ORDERS) == (1_000, 64_000)
    assert bulk().position() == "5000"
    assert fake.sessions == [list(SESSION)] * 2
    assert fake.open == 0


def test_a_table_that_is_not_there(fake: FakeOracle) -> None:
    fake.sizes.clear()
    with pytest.raises(PreflightError, match=r"SALES\.ORDERS does not exist"):
        bulk().size(ORDERS)


def test_a_whole_key_is_cut_evenly_and_an_uneven_one_where_its_rows_lie(fake: FakeOracle) -> None:
    fake.extremes = ("1", "1000")
    assert [part.predicate for part in bulk().ranges(ORDERS, ["ID"], 500)] == ['("ID" < 501)', '("ID" >= 501)']
    fake.extremes, fake.cuts = ("1", "99999999"), [{"C0": "17"}]
    assert [part.predicate for part in bulk().ranges(ORDERS, ["ID"], 500)] == ['("ID" < 17)', '("ID" >= 17)']
    assert len(bulk().ranges(ORDERS, ["ID"], 5_000)) == 1


def test_a_key_of_times_is_cut_by_literals_of_its_type(fake: FakeOracle) -> None:
    fake.columns[NAME] = [column("AT", "date", nullable=False)]
    fake.cuts = [{"C0": "2020-01-02 03:04:05"}]
    literal = "TO_DATE('2020-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS')"
    parts = bulk().ranges(ORDERS, ["AT"], 500)
    assert [part.predicate for part in parts] == [f'("AT" < {literal})', f'("AT" >= {literal})']


def test_rows_in_the_types_of_the_target(fake: FakeOracle) -> None:
    fake.columns[NAME] = [
        column("ID", "number", nullable=False, scale=0),
        column("N", "number"),
        column("D", "date"),
        column("T", "timestamp(9)", scale=9),
    ]
    fake.data = [pa.table({"C0": ["1", "2"], "C1": [".5", None], "C2": ["2020-01-02 03:04:05.000000", None],
                           "C3": ["2020-01-02T03:04:05.123456789Z", None]})]  # fmt: skip
    wanted = {"ID": "decimal(9, 0)", "N": "string", "D": "timestamp", "T": "string"}
    rows = bulk().reader(ORDERS, ["ID"], wanted).read(Range(0, ORDERS, '"ID" < 5', 2))
    (batch,) = list(rows)
    assert batch.to_pylist() == [
        {"ID": Decimal(1), "N": "0.5", "D": datetime(2020, 1, 2, 3, 4, 5), "T": "2020-01-02T03:04:05.123456789Z"},  # noqa: DTZ001
        {"ID": Decimal(2), "N": None, "D": None, "T": None},
    ]
    assert (rows.low, rows.high) == ("5000", "5000")
    assert fake.read[0].endswith('FROM "SALES"."ORDERS" WHERE "ID" < 5')
    assert fake.open == 0


def test_a_column_that_cannot_be_read_is_refused_before_any_row(fake: FakeOracle) -> None:
    fake.columns[NAME] = [*fake.columns[NAME], column("I", "interval day(2) to second(6)")]
    with pytest.raises(IncompatibleSchema, match="INTERVAL DAY TO SECOND"):
        bulk().reader(ORDERS, ["ID"], {"ID": "string", "I": "string"})
    assert fake.read == []


def test_a_value_that_does_not_fit_shows_nothing(fake: FakeOracle) -> None:
    fake.data = [pa.table({"C0": ["canary"]})]
    rows = bulk().reader(ORDERS, ["ID"], {"ID": "decimal(9, 0)"}).read(Range(0, ORDERS, "", 1))
    with pytest.raises(TerminalError) as refused:
        list(rows)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ORA-01031", PreflightError),
        ("ORA-01555", TransientError),
        ("DPY-6001", TransientError),
        ("ORA-00600", TerminalError),
    ],
)
def test_errors_of_the_driver(fake: FakeOracle, code: str, kind: type[Exception]) -> None:
    """O7, O36: what passes is tried again; the password is in no message."""
    fake.fails = code
    with pytest.raises(kind, match=code) as refused:
        bulk().size(ORDERS)
    assert "canary" not in str(refused.value)


def test_rows_of_a_standby_begin_where_the_source_is(fake: FakeOracle) -> None:
    fake.data = [pa.table({"C0": ["1"]})]
    rows = bulk("standby").reader(ORDERS, ["ID"], {"ID": "string"}).read(Range(0, ORDERS, "", 1))
    assert rows.low == "5000"
    assert {asked["host"] for asked in fake.asked} == {"standby", "db"}
    rows.close()
    assert fake.open == 0
