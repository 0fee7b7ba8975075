"""Columns of an Oracle table, twice: as a statement declares them, and as Oracle's JDBC driver describes them.

A connector knows a table from its driver at first, and from statements in the log once it was altered: both must give
one type. The driver's description is what the statement in ``OracleDatabaseMetaData.getColumns`` selects.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Declared(NamedTuple):
    """A column: its declaration, and type name, JDBC type, size and decimal digits in the driver's words."""

    declaration: str
    name: str
    jdbc: int
    size: int
    digits: int | None


def number(declaration: str, precision: int = 0, scale: int | None = None) -> Declared:
    """Return an exact number; the driver gives the scale of one without as -127."""
    return Declared(declaration, "NUMBER", 2, precision, -127 if scale is None else scale)


COLUMNS: Mapping[str, Declared] = {
    "N": number("NUMBER"),
    "N2": number("NUMBER(10,2)", 10, 2),
    "N9": number("NUMBER(9)", 9, 0),
    "N18": number("NUMBER(18)", 18, 0),
    "N38": number("NUMBER(38)", 38, 0),
    "N38_37": number("NUMBER(38,37)", 38, 37),
    "NI": number("INTEGER", 38, 0),
    "NS": number("SMALLINT", 38, 0),
    "NDEC": number("DECIMAL(5,1)", 5, 1),
    "NM": number("NUMBER(5,-2)", 5, -2),
    "NMM": number("NUMBER(38,-10)", 38, -10),
    "NF": number("NUMBER(2,5)", 2, 5),
    "F": Declared("FLOAT", "FLOAT", 6, 126, None),
    "F10": Declared("FLOAT(10)", "FLOAT", 6, 10, None),
    "FR": Declared("REAL", "FLOAT", 6, 63, None),
    "FD": Declared("DOUBLE PRECISION", "FLOAT", 6, 126, None),
    "BF": Declared("BINARY_FLOAT", "BINARY_FLOAT", 100, 4, None),
    "BD": Declared("BINARY_DOUBLE", "BINARY_DOUBLE", 101, 8, None),
    "D": Declared("DATE", "DATE", 93, 7, None),
    "T0": Declared("TIMESTAMP(0)", "TIMESTAMP(0)", 93, 7, 0),
    "T3": Declared("TIMESTAMP(3)", "TIMESTAMP(3)", 93, 11, 3),
    "T": Declared("TIMESTAMP", "TIMESTAMP(6)", 93, 11, 6),
    "T7": Declared("TIMESTAMP(7)", "TIMESTAMP(7)", 93, 11, 7),
    "T9": Declared("TIMESTAMP(9)", "TIMESTAMP(9)", 93, 11, 9),
    "TZ": Declared("TIMESTAMP(6) WITH TIME ZONE", "TIMESTAMP(6) WITH TIME ZONE", -101, 13, 6),
    "TL": Declared("TIMESTAMP(6) WITH LOCAL TIME ZONE", "TIMESTAMP(6) WITH LOCAL TIME ZONE", -102, 11, 6),
    "IY": Declared("INTERVAL YEAR TO MONTH", "INTERVAL YEAR(2) TO MONTH", -103, 2, 0),
    "IS": Declared("INTERVAL DAY TO SECOND", "INTERVAL DAY(2) TO SECOND(6)", -104, 2, 6),
    "C": Declared("CHAR(5)", "CHAR", 1, 5, None),
    "V": Declared("VARCHAR2(200)", "VARCHAR2", 12, 200, None),
    "NC": Declared("NCHAR(3)", "NCHAR", -15, 3, None),
    "NV": Declared("NVARCHAR2(20)", "NVARCHAR2", -9, 20, None),
    "RW": Declared("RAW(10)", "RAW", -3, 10, None),
    "RI": Declared("ROWID", "ROWID", -8, 10, None),
}
LARGE: Mapping[str, Declared] = {
    "LC": Declared("CLOB", "CLOB", 2005, 4000, None),
    "LN": Declared("NCLOB", "NCLOB", 2011, 4000, None),
    "LB": Declared("BLOB", "BLOB", 2004, 4000, None),
    "LX": Declared("XMLTYPE", "XMLTYPE", 2009, 2000, None),
}
ID = {"ID": number("NUMBER(9) NOT NULL PRIMARY KEY", 9, 0)}


def statement(table: str, columns: Mapping[str, Declared], owner: str = "SALES") -> str:
    """Return the statement that makes a table, its key ``ID`` before the columns."""
    declared = ", ".join(f'"{name}" {column.declaration}' for name, column in (ID | dict(columns)).items())
    return f'CREATE TABLE "{owner}"."{table}" ({declared});'


def described(columns: Mapping[str, Declared]) -> list[dict[int, Any]]:
    """Return the table as the driver describes it: name, JDBC type, type name, size, digits, nullable, number."""
    return [
        {
            4: name,
            5: c.jdbc,
            6: c.name,
            7: c.size,
            9: c.digits,
            11: int(name != "ID"),
            13: None,
            17: n,
            23: "NO",
            24: "NO",
        }
        for n, (name, c) in enumerate((ID | dict(columns)).items(), 1)
    ]
