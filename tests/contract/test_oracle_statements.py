"""Every statement for Oracle is one, says the grammar inside Debezium; there was no Oracle to run them on."""

import re
from collections.abc import Iterator

import pytest

from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.local.places import REPOSITORY
from cdc.sources.bulk_oracle.columns import Column, OracleRead
from cdc.sources.bulk_oracle.predicates import between, equal_to_one_of, extremes_query, literal, quantiles_query
from cdc.sources.bulk_oracle.session import POSITION, SESSION, OracleServer
from cdc.sources.bulk_oracle.source import COLUMNS, SIZE, OracleRangeReader
from cdc.sources.oracle import STATEMENTS
from tests.fakes.configuration import ORACLE, configuration
from tests.oracle import Connector

NAME = TableName("SALES", "Odd table")
TARGETS = {
    "NUMBER": ("decimal(38, 10)", "string"),
    "FLOAT": ("double", "string"),
    "BINARY_DOUBLE": ("double",),
    "DATE": ("timestamp", "string"),
    "TIMESTAMP": ("timestamp", "string"),
    "TIMESTAMP WITH TIME ZONE": ("timestamptz", "string"),
    "TIMESTAMP WITH LOCAL TIME ZONE": ("timestamptz",),
    "VARCHAR2": ("string",),
    "CLOB": ("string",),
    "RAW": ("binary",),
}
KEYS = {
    "NUMBER": ["-1.5", "7"],
    "RAW": [b"\x01", b"\xff"],
    "VARCHAR2": ["it's", "ü"],
    "NVARCHAR2": ["🦊", ""],
    "CHAR": ["a", "b"],
    "NCHAR": ["a", "b"],
    "DATE": ["2020-01-02 03:04:05", "2021-01-02 03:04:05"],
    "TIMESTAMP": ["2020-01-02 03:04:05.123456789", "2021-01-02 03:04:05"],
    "TIMESTAMP WITH TIME ZONE": ["2020-01-02 03:04:05", "2021-01-02 03:04:05"],
}


def column(kind: str, name: str = "K") -> Column:
    return Column(name, kind, None, nullable=False)


def statements() -> Iterator[tuple[str, str]]:
    """Yield what a statement is for, and the statement."""
    for number, statement in enumerate(STATEMENTS):
        yield f"preflight {number}", statement
    yield from (("bulk position", POSITION), ("bulk size", SIZE), ("bulk columns", COLUMNS))
    for number, statement in enumerate(SESSION):
        yield f"bulk session {number}", statement
    server = OracleServer(configuration(ORACLE).sources[0], None, 60)  # type: ignore[arg-type]
    reads = tuple(OracleRead(column(kind), target) for kind, targets in TARGETS.items() for target in targets)
    yield "bulk rows", OracleRangeReader(server, reads).statement(Range(0, NAME, "", 1))
    for kind, values in KEYS.items():
        parts = [column(kind, "A"), column("NUMBER", "B")]
        keys = [(values[0], "1"), (values[1], "2")]
        reader = OracleRangeReader(server, (OracleRead(column("NUMBER"), "string"),))
        yield f"bulk keys of {kind}", reader.statement(Range(0, NAME, equal_to_one_of(parts, keys), 1))
        bounds = [[literal(part, one) for part, one in zip(parts, key, strict=True)] for key in keys]
        for number, predicate in enumerate(between(parts, bounds)):
            yield f"bulk range {number} of {kind}", reader.statement(Range(0, NAME, predicate, 1))
        yield f"bulk quantiles of {kind}", quantiles_query(NAME, parts, 100)
    yield "bulk extremes", extremes_query(NAME, column("NUMBER"))
    for path in sorted((REPOSITORY / "sql" / "sources" / "oracle").glob("*.sql")):
        lines = path.read_text(encoding="utf-8").replace("${table}", '"SALES"."ORDERS"').splitlines()
        for line in lines:
            if line and not line.startswith("--"):
                yield f"{path.name}: {line[:60]}", line


EVERY = dict(statements())


@pytest.fixture(scope="module")
def parser(process: Connector) -> Connector:
    return process


@pytest.mark.parametrize("name", EVERY)
def test_statement(parser: Connector, name: str) -> None:
    assert parser.errors(EVERY[name].strip().rstrip(";") + ";") == []


def test_the_grammar_finds_what_is_wrong(parser: Connector) -> None:
    for wrong in ("SELECT a, FROM b;", "SELECT a FROM b WHERE;", "GRANT ON c TO d;", "ALTER DATABASE ADD;"):
        assert parser.errors(wrong), wrong


def test_every_view_that_is_asked_is_granted() -> None:
    """Each view of the instance that the checks and the reader select from stands in setup.sql."""
    granted = (REPOSITORY / "sql" / "sources" / "oracle" / "setup.sql").read_text(encoding="utf-8").upper()
    asked = {view for statement in EVERY.values() for view in re.findall(r"\b[vV]\$(\w+)", statement)}
    assert {"database", "log", "archived_log"} <= asked
    assert not [view for view in asked if f"V_${view.upper()}" not in granted]
