"""An Oracle driver whose database is a few rows of the catalog; it knows the statements of the checks alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cdc.sources.bulk_oracle import session, source
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
    sizes: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """Rows and bytes of tables."""
    extremes: tuple[str, str] = ("0", "0")
    cuts: list[Row] = field(default_factory=list)
    """The first keys of ranges."""
    data: list[pa.Table] = field(default_factory=list)
    """What reading rows brings, frame by frame."""
    read: list[str] = field(default_factory=list)
    sessions: list[list[str]] = field(default_factory=list)
    """What was set in each connection."""
    open: int = 0
    Error = Error

    @classmethod
    def fit(cls) -> "FakeOracle":
        """Return a database with the table ``SALES.ORDERS``, fit to be captured."""
        name = ("SALES", "ORDERS")
        kinds = [column("ID", "number", nullable=False, scale=0), column("NOTE", "varchar2")]
        table = {"IOT_TYPE": None, "TEMPORARY": "N", "LOGGING": "YES", "OBJECT_ID": 77}
        return cls(tables={name: table}, columns={name: kinds}, keys={name: [["ID"]]}, log_groups={name})

    def connect(self, **asked: Any) -> "Connection":
        self.asked.append(asked)
        if self.fails:
            raise Error(Denied(self.fails))
        self.open += 1
        self.sessions.append([])
        return Connection(self)

    def rows(self, statement: str, values: Mapping[str, str]) -> tuple[tuple[str, ...], list[Row]]:
        """Return the names and rows that a statement selects."""
        if values:
            return self._of_table(statement, (values["namespace"], values["name"]))
        if statement.startswith("ALTER SESSION SET "):
            self.sessions[-1].append(statement)
            return (), []
        if "ROW_NUMBER()" in statement:
            return tuple(self.cuts[0]), self.cuts
        if "MIN(" in statement and statement != LOGS:
            return ("LOW", "HIGH"), [dict(zip(("LOW", "HIGH"), self.extremes, strict=True))]
        (found,) = {
            SERVER: [self.server],
            LOGS: [{"OLDEST": self.oldest}],
            session.POSITION: [{"CURRENT_SCN": self.server["CURRENT_SCN"]}],
        }[statement]
        return tuple(found), [found]

    def _of_table(self, statement: str, name: tuple[str, str]) -> tuple[tuple[str, ...], list[Row]]:
        columns = self.columns.get(name, [])
        keys = [{"NAME": f"K{n}", "COLUMNS": "\0".join(key)} for n, key in enumerate(self.keys[name])]
        sizes = [{"FOUND": rows, "BYTES": size} for one, (rows, size) in self.sizes.items() if one == name]
        names, rows = {
            TABLE: (
                ("IOT_TYPE", "TEMPORARY", "LOGGING", "OBJECT_ID"),
                [self.tables[name]] if name in self.tables else [],
            ),
            COLUMNS: (tuple(column("", "")), columns),
            UNIQUE_KEYS: (("NAME", "COLUMNS"), keys),
            SUPPLEMENTAL: (("LOG_GROUPS",), [{"LOG_GROUPS": int(name in self.log_groups)}]),
            source.SIZE: (("FOUND", "BYTES"), sizes),
            source.COLUMNS: (
                ("NAME", "KIND", "SCALE", "NULLABLE"),
                [{**c, "KIND": c["TYPE"].upper()} for c in columns],
            ),
        }[statement]
        return names, rows


@dataclass
class Connection:
    database: FakeOracle
    call_timeout: int = 0

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.open -= 1

    @contextmanager
    def cursor(self) -> Iterator["Cursor"]:
        yield Cursor(self.database)

    def fetch_df_batches(self, statement: str, size: int) -> Iterator[pa.Table]:
        assert size > 0
        self.database.read.append(statement)
        yield from self.database.data


@dataclass
class Cursor:
    database: FakeOracle
    description: Sequence[tuple[str]] = ()
    found: list[tuple[Any, ...]] = field(default_factory=list)

    def execute(self, statement: str, values: Mapping[str, str] | None = None) -> None:
        names, rows = self.database.rows(statement, values or {})
        self.description = [(name,) for name in names]
        self.found = [tuple(row[name] for name in names) for row in rows]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.found
