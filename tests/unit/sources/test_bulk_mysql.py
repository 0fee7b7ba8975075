"""What bulk reads of MySQL ask for, and how the bytes that come become Arrow, without a server."""

import io
import struct
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.core.errors import IncompatibleSchema, PreflightError, TerminalError, TransientError
from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.sources.bulk_mysql import protocol
from cdc.sources.bulk_mysql.columns import Read, arrow_type, read_of
from cdc.sources.bulk_mysql.connection import Server
from cdc.sources.bulk_mysql.declared import Declared, Table
from cdc.sources.bulk_mysql.literals import from_printed, from_value
from cdc.sources.bulk_mysql.ranges import after, between
from cdc.sources.bulk_mysql.reader import MySqlRangeReader
from tests.fakes.configuration import CANARY, MYSQL, configuration

NAME = TableName("my-shop", "it's `odd`")
SERVER = Server(configuration(MYSQL).sources[0], None, 60)


moment = datetime.fromisoformat


def column(kind, declared=None, name="k", **more):
    facts = {"nullable": False, "charset": None, "collation": None, "fallback": None} | more
    return Declared(name=name, kind=kind, declared=declared or kind, **facts)


TEXT = column("varchar", "varchar(9)", charset="latin1", collation="latin1_german1_ci")


def packet(payload):
    """A payload as packets of at most 16 MB, as the protocol cuts it."""
    pieces = [payload[at : at + 2**24 - 1] for at in range(0, len(payload), 2**24 - 1)] or [b""]
    if len(pieces[-1]) == 2**24 - 1:
        pieces.append(b"")
    return b"".join(struct.pack("<I", len(piece) | (n % 256) << 24) + piece for n, piece in enumerate(pieces))


def cell(value):
    if value is None:
        return b"\xfb"
    size = len(value)
    for mark, code, limit in ((b"", "<B", 251), (b"\xfc", "<H", 2**16), (b"\xfd", "<I", 2**24), (b"\xfe", "<Q", 2**64)):
        if size < limit:
            length = struct.pack(code, size)
            return mark + (length[:3] if code == "<I" else length) + value
    raise AssertionError


def read_back(rows, columns, end=b"\xfe\0\0\x02\0"):
    raw = b"".join(packet(b"".join(map(cell, row))) for row in rows) + packet(end)
    found = []
    for block in protocol.blocks_of(io.BufferedReader(io.BytesIO(raw))):
        found += zip(*(array.to_pylist() for array in protocol.cells(block, columns)), strict=True)
    return found


cells = st.one_of(st.none(), st.binary(max_size=300), st.integers(248, 260).map(bytes), st.just(bytes(65536)))


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[cells] * n), max_size=30)))
def test_rows_come_as_they_were_sent(rows):
    assert read_back(rows, len(rows[0]) if rows else 1) == rows


def test_blocks_end_between_rows_wherever_the_pieces_end(monkeypatch):
    monkeypatch.setattr(protocol, "BLOCK", 50)
    monkeypatch.setattr(protocol, "_PIECE", 7)
    rows = [(str(n).encode(), None if n % 3 else bytes(n % 70)) for n in range(500)]
    assert read_back(rows, 2) == rows


@pytest.mark.parametrize("size", [2**24 - 6, 2**24 - 5, 2**24 - 4, 2**24, 2 * 2**24, 40_000_000])
def test_a_row_of_several_packets(size):
    rows = [(b"a", b"b"), (b"\1" * size, b"c" * 300), (None, b"\2" * size), (b"last", b"")]
    assert read_back(rows, 2) == rows


def test_an_error_between_rows_is_raised():
    with pytest.raises(pymysql.OperationalError, match="gone"):
        read_back([(b"a",)], 1, end=b"\xff" + struct.pack("<H", 1317) + b"#70100gone")


def test_an_answer_that_ends_too_early_is_a_lost_connection():
    with pytest.raises(pymysql.OperationalError, match="Lost connection"):
        list(protocol.blocks_of(io.BufferedReader(io.BytesIO(packet(cell(b"a"))))))


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (column("int"), -5, "-5"),
        (column("bigint"), Decimal(2**64 - 1), "18446744073709551615"),
        (column("decimal"), Decimal("-1E-5"), "-0.00001"),
        (column("bit", "bit(1)"), True, "1"),
        (column("bit", "bit(4)"), "0101", "b'0101'"),
        (column("date"), date(1, 2, 3), "'0001-02-03'"),
        (column("datetime"), moment("2020-01-02 03:04:05.000006"), "'2020-01-02 03:04:05.000006'"),
        (column("timestamp"), datetime(2020, 1, 2, tzinfo=UTC), "'2020-01-02 00:00:00'"),
        (column("time"), -3_600_000_001, "'-01:00:00.000001'"),
        (column("time"), 838 * 3600 * 10**6, "'838:00:00.000000'"),
        (column("binary"), b"'\\", "X'275c'"),
        (TEXT, "'\\ü", "CONVERT(_utf8mb4 X'275cc3bc' USING latin1) COLLATE latin1_german1_ci"),
    ],
)
def test_literals_of_values(declared, value, expected):
    assert from_value(declared, value) == expected


@pytest.mark.parametrize(
    ("declared", "text", "expected"),
    [
        (column("int"), "7", "7"),
        (TEXT, "FC27", "_latin1 X'FC27' COLLATE latin1_german1_ci"),
        (column("varbinary"), "", "X''"),
        (column("date"), "2020-01-02", "'2020-01-02'"),
        (column("date"), "0000-00-00", None),
        (column("time"), "-838:59:59.5", "'-838:59:59.5'"),
    ],
)
def test_literals_of_printed_values(declared, text, expected):
    assert from_printed(declared, text) == expected


@pytest.mark.parametrize(("kind", "text"), [("int", "1 OR 1=1"), ("date", "'"), ("varbinary", "0G"), ("varchar", "00")])
def test_what_is_no_value_of_its_type_becomes_no_sql(kind, text):
    with pytest.raises(TerminalError) as refused:
        from_printed(column(kind), text)
    assert str(refused.value) == "a key value has not the form of its column's type"


def test_composite_bounds_are_written_so_that_an_index_serves():
    parts = [column("int", name="a"), column("int", name="b`")]
    assert after(parts, ("1", "2"), ">=") == "`a` > 1 OR (`a` = 1 AND (`b``` >= 2))"
    assert between(parts[:1], [("1",), ("5",)]) == ["(`a` < 1)", "(`a` >= 1) AND (`a` < 5)", "(`a` >= 5)"]
    assert between(parts, []) == [""]


def test_the_statement_reads_in_the_order_of_the_key_without_sorting():
    reads = (read_of(column("float", name="f"), "float"), read_of(column("bit", "bit(9)", name="b"), "string"))
    statement = MySqlRangeReader(SERVER, reads, ordered=True).statement(Range(0, NAME, "`k` < 5", 1))
    assert statement == (
        "SELECT `f` - 0e0, LPAD(BIN(`b` + 0), 9, '0') FROM `my-shop`.`it's ``odd```"
        " FORCE INDEX (`PRIMARY`) WHERE `k` < 5"
    )


@pytest.mark.parametrize(
    ("kind", "target", "texts", "expected"),
    [
        ("bigint", "decimal(20, 0)", [b"18446744073709551615", None], [Decimal(2**64 - 1), None]),
        ("int", "long", [b"0042"], [42]),
        ("decimal", "decimal(38, 10)", [b"-0.0000000001"], [Decimal("-1E-10")]),
        ("double", "double", [b"5e-324", b"-0", b"1.7976931348623157e308"], [5e-324, -0.0, 1.7976931348623157e308]),
        ("float", "float", [b"0.10000000149011612"], [0.10000000149011612]),
        ("bit", "boolean", [b"1", b"0", None], [True, False, None]),
        ("date", "date", [b"0000-00-00", b"2024-02-29", b"2024-00-10"], [None, date(2024, 2, 29), None]),
        ("datetime", "timestamp", [b"9999-12-31 23:59:59.999999"], [moment("9999-12-31 23:59:59.999999")]),
        ("timestamp", "timestamptz", [b"1970-01-01 00:00:01"], [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]),
        ("varchar", "string", ["🦊".encode(), b""], ["🦊", ""]),
        ("blob", "binary", [b"\0\xff"], [b"\0\xff"]),
    ],
)
def test_values(kind, target, texts, expected):
    found = Read(column(kind, nullable=True), target).convert(pa.array(texts, pa.binary()))
    assert found.type == arrow_type(target)
    assert list(map(str, found.to_pylist())) == list(map(str, expected))


def test_a_zero_date_in_a_column_without_nulls_is_its_default_m23():
    cells = pa.array([b"0000-00-00 00:00:00", b"2020-01-01 00:00:00"])
    assert Read(column("datetime"), "timestamp").convert(cells)[0].as_py() == moment("1970-01-01 00:00:00")
    default = column("datetime", fallback="2001-02-03 04:05:06")
    assert Read(default, "timestamp").convert(cells)[0].as_py() == moment("2001-02-03 04:05:06")
    zero = column("datetime", fallback="0000-00-00 00:00:00")
    assert Read(zero, "timestamp").convert(cells)[0].as_py() == moment("1970-01-01 00:00:00")


@pytest.mark.parametrize(("kind", "target"), [("int", "int"), ("decimal", "decimal(5, 2)"), ("varchar", "string")])
def test_a_value_that_does_not_fit_is_an_error_that_does_not_show_it(kind, target):
    with pytest.raises(TerminalError, match="does not fit") as refused:
        Read(column(kind), target).convert(pa.array([b"\xff99999999999.123"]))
    assert "9999" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("kind", "target"), [("vector", "list<float>"), ("point", "string"), ("int", "string"), ("date", "timestamp")]
)
def test_a_type_of_unknown_form_is_refused(kind, target):
    with pytest.raises(IncompatibleSchema, match="cannot be read in bulk") as refused:
        read_of(column(kind), target)
    assert "snapshot: connector" in refused.value.hint


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (pymysql.OperationalError(2013, "Lost connection"), TransientError),
        (pymysql.OperationalError(3024, "maximum statement execution time exceeded"), TransientError),
        (pymysql.OperationalError(1226, "max_user_connections"), TransientError),
        (pymysql.InterfaceError(0, ""), TransientError),
        (pymysql.OperationalError(1045, f"Access denied {CANARY}"), PreflightError),
        (pymysql.OperationalError(1142, "SELECT command denied"), PreflightError),
        (pymysql.ProgrammingError(1146, "Table doesn't exist"), PreflightError),
        (pymysql.OperationalError(1054, "Unknown column"), PreflightError),
        (pymysql.DataError(1292, "Incorrect value: 'row value'"), TerminalError),
        (ConnectionResetError(104, "Connection reset by peer"), TransientError),
        (TimeoutError("timed out"), TransientError),
    ],
)
def test_errors(error, expected):
    with pytest.raises(expected) as refused, SERVER.translated(NAME):
        raise error
    assert type(refused.value) is expected
    assert CANARY not in str(refused.value)
    assert "row value" not in str(refused.value)


def test_a_table_is_cut_by_its_primary_key():
    columns = {name: column("int", name=name) for name in "abc"}
    table = Table(NAME, columns, {"PRIMARY": ("a", "b"), "u": ("c",)}, partitioned=False)
    assert [part.name for part in table.index(["c"]).parts] == ["a", "b"]
    assert table.clustered_by(["b", "a"])
    assert not table.clustered_by(["c"])
    assert Table(NAME, columns, {"u": ("c",)}, partitioned=False).index(["c"]).name == "u"
    assert Table(NAME, columns, {}, partitioned=False).index(["c"]) is None
    with pytest.raises(PreflightError, match="no column 'd'"):
        table.some(["d"])
