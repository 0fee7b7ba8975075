"""A random workload over the tables, drawn from a seed: transactions of every operation, with a count of changes."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.tables import TestTable

Statement = tuple[str, tuple[object, ...]]
Key = tuple[object, ...]


@dataclass(frozen=True)
class Dialect:
    """Where the databases' SQL differs: quotation mark, what inserts over an existing row, and renaming of keys."""

    mark: str
    upsert: Callable[[str, Sequence[str], Sequence[str]], str]
    update: str

    def quote(self, name: str) -> str:
        return f"{self.mark}{name}{self.mark}"


def _on_conflict(insert: str, key: Sequence[str], rest: Sequence[str]) -> str:
    do = "UPDATE SET " + ", ".join(f"{c} = EXCLUDED.{c}" for c in rest) if rest else "NOTHING"
    return f"INSERT {insert} ON CONFLICT ({', '.join(key)}) DO {do}"


POSTGRES_DIALECT = Dialect('"', _on_conflict, "UPDATE")
MYSQL_DIALECT = Dialect("`", lambda insert, _key, _rest: f"REPLACE {insert}", "UPDATE IGNORE")


def create_table(table: TestTable, dialect: Dialect) -> list[str]:
    columns = [*((n, t) for n, (t, _) in table.key.items()), *((n, t) for n, (t, _) in table.columns.items())]
    parts = [f"{dialect.quote(name)} {kind}" for name, kind in columns]
    key = ", ".join(dialect.quote(name) for name in table.key)
    body = ", ".join([*parts, f"PRIMARY KEY ({key})"])
    return [f"CREATE TABLE {dialect.quote(table.name)} ({body}){table.options}", *table.after]


class RandomWorkload:
    """Draws and applies transactions; the same seed draws the same ones."""

    def __init__(self, tables: Sequence[TestTable], dialect: Dialect, seed: int) -> None:
        self._tables = tables
        self._dialect = dialect
        self._random = random.Random(seed)
        self.changes = 0

    def fill(self, connection: Any, share: float = 0.5) -> None:
        """Insert a part of the keys of every table, for the connector's initial snapshot to read."""
        for table in self._tables:
            keys = {self._key(table) for _ in range(int(200 * share))}
            self._apply(connection, [self._insert(table, sorted(keys, key=repr))])
            connection.commit()

    def run(self, connection: Any, changes: int, between: Callable[[], None] = lambda: None) -> int:
        """Apply transactions until this many rows were changed and committed; calls ``between`` after each."""
        until = self.changes + changes
        while self.changes < until:
            self.transaction(connection)
            between()
        return self.changes

    def transaction(self, connection: Any) -> None:
        weights = [table.weight for table in self._tables]
        tables = self._random.choices(self._tables, weights, k=self._random.randint(1, 4))
        undone = self._random.random() < 0.05
        count = 0
        for table in tables:
            count += self._apply(connection, self._operation(table))
        if self._random.random() < 0.05:
            self._savepoint(connection, tables[0])
        if undone:
            connection.rollback()
            return
        connection.commit()
        self.changes += count

    def _savepoint(self, connection: Any, table: TestTable) -> None:
        """Change rows and take it back, inside the transaction (O34 has it for Oracle)."""
        undone = self._operation(table)
        if not any("TRUNCATE" in sql for sql, _ in undone):  # MySQL's ends the transaction
            self._apply(connection, [("SAVEPOINT s", ()), *undone, ("ROLLBACK TO SAVEPOINT s", ())])

    @staticmethod
    def _apply(connection: Any, statements: Sequence[Statement]) -> int:
        count = 0
        with connection.cursor() as cursor:
            for sql, values in statements:
                cursor.execute(sql, values)
                count += max(cursor.rowcount, 0)
        return count

    def _operation(self, table: TestTable) -> list[Statement]:
        kinds: list[tuple[Callable[[TestTable], list[Statement]], int]] = [
            (self._insert_some, 30),
            (self._update, 45 if table.columns else 0),
            (self._delete, 12),
            (self._move, 8),
            (self._again, 4),
            (self._swap, 30 if table.swapped else 0),
            (self._truncate, 1 if table.truncated else 0),
        ]
        return self._random.choices([k for k, _ in kinds], [w for _, w in kinds])[0](table)

    def _key(self, table: TestTable) -> Key:
        return tuple(self._random.choice(pool) for _, pool in table.key.values())

    def _keys(self, table: TestTable, most: int) -> list[Key]:
        return list(dict.fromkeys(self._key(table) for _ in range(self._random.randint(1, most))))

    def _value(self, table: TestTable, column: str) -> object:
        draw = table.columns[column][1]
        return None if self._random.random() < table.nulls else draw(self._random)

    def _names(self, names: Sequence[str]) -> list[str]:
        return [self._dialect.quote(name) for name in names]

    def _where(self, table: TestTable, keys: Sequence[Key]) -> tuple[str, tuple[object, ...]]:
        one = " AND ".join(f"{name} = %s" for name in self._names(list(table.key)))
        return " OR ".join([f"({one})"] * len(keys)), tuple(value for key in keys for value in key)

    def _insert(self, table: TestTable, keys: Sequence[Key]) -> Statement:
        key, rest = self._names(list(table.key)), self._names(list(table.columns))
        rows = [(*k, *(self._value(table, column) for column in table.columns)) for k in keys]
        row = "(" + ", ".join(["%s"] * (len(key) + len(rest))) + ")"
        into = (
            f"INTO {self._dialect.quote(table.name)} ({', '.join([*key, *rest])}) VALUES {', '.join([row] * len(rows))}"
        )
        values = tuple(value for r in rows for value in r)
        if table.swapped:  # a deferrable key allows no ON CONFLICT: the rows are made sure not to be there
            return f"INSERT {into}", values
        return self._dialect.upsert(into, key, rest), values

    def _insert_some(self, table: TestTable) -> list[Statement]:
        keys = self._keys(table, 3 if len(table.columns) > 50 else 25)
        before = [self._delete_keys(table, keys)] if table.swapped else []
        return [*before, self._insert(table, keys)]

    def _update(self, table: TestTable) -> list[Statement]:
        columns = self._random.sample(list(table.columns), self._random.randint(1, min(3, len(table.columns))))
        where, keys = self._where(table, self._keys(table, 30))
        sets = ", ".join(f"{name} = %s" for name in self._names(columns))
        values = tuple(self._value(table, column) for column in columns)
        return [(f"UPDATE {self._dialect.quote(table.name)} SET {sets} WHERE {where}", values + keys)]

    def _delete_keys(self, table: TestTable, keys: Sequence[Key]) -> Statement:
        where, values = self._where(table, keys)
        return f"DELETE FROM {self._dialect.quote(table.name)} WHERE {where}", values

    def _delete(self, table: TestTable) -> list[Statement]:
        return [self._delete_keys(table, self._keys(table, 12))]

    def _again(self, table: TestTable) -> list[Statement]:
        keys = self._keys(table, 5)
        return [self._delete_keys(table, keys), self._insert(table, keys)]

    def _move(self, table: TestTable) -> list[Statement]:
        """Give a row another key, if that one is free (PostgreSQL) or ignoring it if it is not (MySQL)."""
        names, name = self._names(list(table.key)), self._dialect.quote(table.name)
        old, new = self._key(table), self._key(table)
        sql = f"{self._dialect.update} {name} SET {', '.join(f'{n} = %s' for n in names)} WHERE "
        where, values = self._where(table, [old])
        if self._dialect is MYSQL_DIALECT:
            return [(sql + where, new + values)]
        taken, others = self._where(table, [new])
        return [(f"{sql}{where} AND NOT EXISTS (SELECT FROM {name} WHERE {taken})", new + values + others)]

    def _swap(self, table: TestTable) -> list[Statement]:
        """Let some rows exchange their keys in one statement (P12)."""
        (key,) = table.key
        ring = self._random.sample(table.key[key][1], self._random.randint(2, 5))
        quoted = self._dialect.quote(key)
        cases = " ".join(["WHEN %s THEN %s"] * len(ring))
        pairs = tuple(value for pair in zip(ring, [*ring[1:], ring[0]], strict=True) for value in pair)
        marks = ", ".join(["%s"] * len(ring))
        update = f"UPDATE {self._dialect.quote(table.name)} SET {quoted} = CASE {quoted} {cases} END"
        return [(f"{update} WHERE {quoted} IN ({marks})", pairs + tuple(ring))]

    def _truncate(self, table: TestTable) -> list[Statement]:
        return [(f"TRUNCATE TABLE {self._dialect.quote(table.name)}", ())]
