"""What the tables of the throughput measurement are like: columns, numbers of tables and rows, SQL that makes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """A column beside the key; its value is SQL over ``k``, the row's key, and {h}, the 32 digits of an MD5."""

    name: str
    type: str
    value: str
    changes: bool = True
    """Whether updates give it another value."""


COLUMNS = (
    Column("short", "text", "substr({h}, 1, 5 + (k % 11)::int)"),
    Column("long", "text", "{h} || md5({h}) || substr({h}, 1, (k % 13)::int)", changes=False),
    Column("amount", "numeric(12,2)", "(('x' || substr({h}, 1, 8))::bit(32)::bigint - 2147483648) / 100.0"),
    Column("n", "int", "('x' || substr({h}, 9, 7))::bit(28)::int"),
    Column("flag", "boolean", "('x' || substr({h}, 16, 1))::bit(4)::int % 2 = 1"),
    Column(
        "sent_at",
        "timestamptz",
        "timestamptz '2015-01-01 00:00:00+00' + ('x' || substr({h}, 17, 12))::bit(48)::bigint * interval '1us'",
    ),
    Column("code", "uuid", "md5({h} || 'x')::uuid", changes=False),
)
"""With the bigint key ``id`` eight columns: texts of about 10 and 70 characters, and one of each common type."""


@dataclass(frozen=True)
class Shape:
    """Tables with ``rows`` rows each, and ``changes`` of all of them together."""

    columns: tuple[Column, ...]
    tables: int
    rows: int
    changes: int
    one_transaction: bool = False

    @property
    def names(self) -> list[str]:
        """Return the names of the tables, without a schema."""
        return [f"t{number:02}" for number in range(self.tables)]


def wide(count: int) -> tuple[Column, ...]:
    """Return so many columns: the common ones, then the short ones of them over and over with other values each time.

    A row stays below 2 kB, so PostgreSQL keeps no value of it out of line.
    """
    short = [column for column in COLUMNS if column.name != "long"]
    turns = (divmod(place, len(short)) for place in range(count - len(COLUMNS)))
    return (*COLUMNS, *(_again(short[place], turn + 1) for turn, place in turns))


def _again(column: Column, turn: int) -> Column:
    digits = f"md5({{h}} || {turn})"
    return column._replace(name=f"{column.name}{turn}", value=column.value.replace("{h}", digits))


SHAPES = {
    "table": Shape(COLUMNS, tables=1, rows=1_000_000, changes=1_000_000),
    "wide": Shape(wide(199), tables=1, rows=50_000, changes=50_000),
    "transaction": Shape(COLUMNS, tables=1, rows=1_000_000, changes=10_000_000, one_transaction=True),
    "tables": Shape(COLUMNS, tables=50, rows=20_000, changes=1_000_000),
}


def create(table: str, columns: tuple[Column, ...], rows: int, seed: int) -> Iterator[str]:
    """Yield the statements that make a table with the rows 0 to ``rows - 1``."""
    defined = ", ".join(f"{column.name} {column.type}" for column in columns)
    made = f"SELECT k, md5('{seed}:' || k) AS h FROM generate_series(0, {rows - 1}::bigint) AS k"
    yield f"CREATE TABLE {table} (id bigint PRIMARY KEY, {defined})"
    yield f"INSERT INTO {table} SELECT k, {', '.join(values(columns))} FROM ({made}) AS one"


def assignments(columns: tuple[Column, ...]) -> str:
    """Return what an update sets."""
    changing = tuple(column for column in columns if column.changes)
    return ", ".join(f"{c.name} = {value}" for c, value in zip(changing, values(changing), strict=True))


def values(columns: tuple[Column, ...]) -> list[str]:
    """Return SQL of the columns' values, over ``k`` and ``h``."""
    return [column.value.replace("{h}", "h") for column in columns]
