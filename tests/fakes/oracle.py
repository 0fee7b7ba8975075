"""An Oracle driver whose database is a few rows of the catalog; it knows the statements of the checks alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cdc.sources.oracle import COLUMNS, LOGS, SERVER, SUPPLEMENTAL, TABLE, UNIQUE_KEYS

Row = dict[str, Any]


class Error(Exception):
    """As the driver raises it: its argument has the error's full code."""


@dataclass
class Denied:
    full_code: str

    def __str__(self) -> str:
        return f"{self.full_code}: what the server says of canary-7c1f\nHelp: a second line"


def column(name: str, kind: str, *, nullable: bool = True, virtual: bool = False, scale: int | None = None) -> Row:
    """Return a row of ``ALL_TAB_COLS`` as the statement selects it."""
    flags = {"NULLABLE": "Y" if nullable else "N", "VIRTUAL_COLUMN": "YES" if virtual else "NO"}
    return {"NAME": name, "TYPE": kind, **flags, "SCALE": scale, "FILLED": "N" if nullable and not virtual else "Y"}


def server(**other: Any) -> Row:
    """Return the row of ``V$DATABASE`` of a database that is fit."""
    fit = {"LOG_MODE": "ARCHIVELOG", "FORCE_LOGGING": "YES"}
    fit |= {"SUPPLEMENTAL_LOG_DATA_MIN": "YES", "SUPPLEMENTAL_LOG_DATA_ALL": "NO"}
    return {**fit, "CURRENT_SCN": 5_000, "DBID": 1_234, "INCARNATION": 1, **other}


@dataclass
class FakeOracle:
    """A module like ``oracledb``, and its database; ``fails`` is the code with which it refuses to connect."""

    server: Row = field(default_factory=server)
    oldest: int | None = 100
    tables: dict[tuple[str, str], Row] = field(default_factory=dict)
    columns: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    keys: dict[tuple[str, str], list[list[str]]] = field(default_factory=dict)
    log_groups: set[tuple[str, str]] = field(default_factory=set)
    fails: str = ""
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    Error = Error

    @classmethod
    def fit(cls) -> "FakeOracle":
        """Return a database with the table ``SALES.ORDERS``, fit to be captured."""
        name = ("SALES", "ORDERS")
        kinds = [column("ID", "number", nullable=False, scale=0), column("NOTE", "varchar2")]
        table = {"IOT_TYPE": None, "TEMPORARY": "N", "LOGGING": "YES", "OBJECT_ID": 77}
        return cls(tables={name: table}, columns={name: kinds}, keys={name: [["ID"]]}, log_groups={name})

    @contextmanager
    def connect(self, **asked: Any) -> Iterator["FakeOracle"]:
        self.asked.append(asked)
        if self.fails:
            raise Error(Denied(self.fails))
        yield self

    @contextmanager
    def cursor(self) -> Iterator["Cursor"]:
        yield Cursor(self)

    def rows(self, statement: str, values: Mapping[str, str]) -> tuple[tuple[str, ...], list[Row]]:
        """Return the names and rows that a statement selects."""
        if statement == SERVER:
            return tuple(server()), [self.server]
        if statement == LOGS:
            return ("OLDEST",), [{"OLDEST": self.oldest}]
        name = (values["namespace"], values["name"])
        if statement == TABLE:
            return ("IOT_TYPE", "TEMPORARY", "LOGGING", "OBJECT_ID"), [r for n, r in self.tables.items() if n == name]
        if statement == COLUMNS:
            return tuple(column("", "")), self.columns[name]
        if statement == UNIQUE_KEYS:
            named = [{"NAME": f"K{n}", "COLUMNS": "\0".join(key)} for n, key in enumerate(self.keys[name])]
            return ("NAME", "COLUMNS"), named
        assert statement == SUPPLEMENTAL, statement
        return ("LOG_GROUPS",), [{"LOG_GROUPS": int(name in self.log_groups)}]


@dataclass
class Cursor:
    database: FakeOracle
    description: list[tuple[str]] = field(default_factory=list)
    found: list[tuple[Any, ...]] = field(default_factory=list)

    def execute(self, statement: str, values: Mapping[str, str]) -> None:
        names, rows = self.database.rows(statement, values)
        self.description = [(name,) for name in names]
        self.found = [tuple(row[name] for name in names) for row in rows]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.found
