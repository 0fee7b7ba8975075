"""The SQL of a change, drawn from its seed; the same for both databases but for quotation marks and upserts."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.campaign.actions import Change
from tests.campaign.tables import BY_NAME, NAME, Added, Captured
from tests.e2e.workload import MYSQL_DIALECT, POSTGRES_DIALECT, Dialect, Statement

Key = tuple[object, ...]
DIALECTS: Mapping[str, Dialect] = {"postgres": POSTGRES_DIALECT, "mysql": MYSQL_DIALECT}
LARGE = ("body", "picture", "meta", "raw")


def create(table: Captured, engine: str) -> list[str]:
    """Return what makes a table; texts of keys are told apart by their case in MySQL, too."""
    d = DIALECTS[engine]
    mysql = engine == "mysql"
    keys = [(name, kinds[mysql] + _collated(kinds[mysql])) for name, kinds in table.key.items()]
    rest = [(name, kind) for name, (kind, _) in table.types(engine).items()]
    parts = [f"{d.quote(name)} {kind}" for name, kind in [*keys, *rest]]
    key = ", ".join(map(d.quote, table.key))
    deferred = table.deferred and not mysql
    parts.append(f"PRIMARY KEY ({key}){' DEFERRABLE INITIALLY DEFERRED' if deferred else ''}")
    made = f"CREATE TABLE {name_of(table)} ({', '.join(parts)})"
    return [made, f"ALTER TABLE {name_of(table)} REPLICA IDENTITY FULL"] if deferred else [made]


def name_of(table: Captured) -> str:
    """Return the table's name in statements, which is plain."""
    return f"{NAME}.{table.name}"


def add_column(table: Captured, added: Added) -> str:
    """Return what adds a column."""
    default = f" DEFAULT {added.default}" if added.default else ""
    null = " NOT NULL" if added.required else " NULL"
    return f"ALTER TABLE {name_of(table)} ADD COLUMN {added.name} {added.kind}{null}{default}"


def statements(change: Change, engine: str, more: Sequence[Added] = ()) -> list[Statement]:
    """Return the statements of a change to a table that has got further columns meanwhile."""
    return Drawing(BY_NAME[change.table], engine, tuple(more), change.seed).of(change.how)


def _collated(kind: str) -> str:
    return " COLLATE utf8mb4_bin" if kind.startswith("varchar") else ""


@dataclass
class Drawing:
    """What is drawn for one change; with further columns the keys, and the values of the others, are the same."""

    table: Captured
    engine: str
    more: tuple[Added, ...]
    seed: int

    def __post_init__(self) -> None:
        self.r = random.Random(self.seed)
        self._columns: dict[str, random.Random] = {}

    def of(self, how: str) -> list[Statement]:
        """Return the statements that are called so."""
        made: dict[str, Callable[[], list[Statement]]] = {
            "insert": lambda: self._insert(self._keys(15)),
            "update": self._update,
            "bulk": self._bulk,
            "delete": lambda: [self._delete(self._keys(12))],
            "again": self._again,
            "chain": self._chain,
            "move": lambda: self._move(self._key(), self._key()),
            "swap": self._swap,
            "ring": self._ring,
            "shift": self._shift,
            "touch": self._touch,
            "touch and move": lambda: [*self._touch(), *self._move(self._key(), self._key())],
            "truncate": lambda: [(f"TRUNCATE TABLE {self._name}", ())],
        }
        return made[how]()

    @property
    def _name(self) -> str:
        return name_of(self.table)

    @property
    def _d(self) -> Dialect:
        return DIALECTS[self.engine]

    def _key(self) -> Key:
        return tuple(self.r.choice(pool) for pool in self.table.pools())

    def _keys(self, most: int) -> list[Key]:
        return list(dict.fromkeys(self._key() for _ in range(self.r.randint(1, most))))

    def _value(self, name: str) -> object:
        types = self.table.types(self.engine)
        draw = types[name][1] if name in types else next(one.draw for one in self.more if one.name == name)
        required = any(one.required for one in self.more if one.name == name)
        r = self._columns.setdefault(name, random.Random(f"{self.seed}:{name}"))
        return None if r.random() < self.table.nulls and not required else draw(r)

    def _where(self, keys: Sequence[Key]) -> tuple[str, Key]:
        one = " AND ".join(f"{self._d.quote(name)} = %s" for name in self.table.key)
        return " OR ".join([f"({one})"] * len(keys)), tuple(value for key in keys for value in key)

    def _insert(self, keys: Sequence[Key]) -> list[Statement]:
        names = [*self.table.columns, *(one.name for one in self.more)]
        rows = [(*key, *(self._value(name) for name in names)) for key in keys]
        quoted, key = [self._d.quote(name) for name in names], [self._d.quote(name) for name in self.table.key]
        marks = "(" + ", ".join(["%s"] * (len(key) + len(names))) + ")"
        into = f"INTO {self._name} ({', '.join([*key, *quoted])}) VALUES {', '.join([marks] * len(rows))}"
        values = tuple(value for row in rows for value in row)
        if self.table.deferred:  # a deferrable key allows no ON CONFLICT: the rows are made sure not to be there
            return [self._delete(keys), (f"INSERT {into}", values)]
        return [(self._d.upsert(into, key, quoted), values)]

    def _set(self, names: Sequence[str], where: str, values: Key) -> Statement:
        sets = ", ".join(f"{self._d.quote(name)} = %s" for name in names)
        drawn = tuple(self._value(name) for name in names)
        return f"UPDATE {self._name} SET {sets} WHERE {where}", drawn + values

    def _names(self, most: int, without: Sequence[str] = ()) -> list[str]:
        names = [name for name in self.table.columns if name not in without]
        chosen = self.r.sample(names, self.r.randint(1, min(most, len(names))))
        return [*chosen, *(one.name for one in self.more if random.Random(f"{self.seed}:{one.name}").random() < 0.5)]

    def _update(self) -> list[Statement]:
        where, values = self._where(self._keys(25))
        return [self._set(self._names(3), where, values)]

    def _bulk(self) -> list[Statement]:
        """Change a column of all rows, or of many."""
        names = self._names(2, LARGE)
        first = next(iter(self.table.key))
        pool = self.table.pools()[0]
        where = "1 = 1" if self.r.random() < 0.5 else f"{self._d.quote(first)} >= %s"
        values = () if where == "1 = 1" else (self.r.choice(pool),)
        return [self._set(names, where, values)]

    def _delete(self, keys: Sequence[Key]) -> Statement:
        where, values = self._where(keys)
        return f"DELETE FROM {self._name} WHERE {where}", values

    def _again(self) -> list[Statement]:
        """Delete rows and insert the same keys."""
        keys = self._keys(8)
        return [self._delete(keys), *self._insert(keys)]

    def _chain(self) -> list[Statement]:
        """Change one row again and again: what it is at last counts."""
        key = self._key()
        where, values = self._where([key])
        updates = [self._set(self._names(3), where, values) for _ in range(self.r.randint(2, 6))]
        return [*self._insert([key]), *updates]

    def _move(self, old: Key, new: Key) -> list[Statement]:
        """Give a row another key, of which no row is left before."""
        if old == new:
            return []
        sets = ", ".join(f"{self._d.quote(name)} = %s" for name in self.table.key)
        where, values = self._where([old])
        return [self._delete([new]), (f"UPDATE {self._name} SET {sets} WHERE {where}", new + values)]

    def _swap(self) -> list[Statement]:
        """Let two rows exchange their keys in one transaction, by a third key that is nobody's."""
        one, two = self._key(), self._key()
        free = tuple("~" if isinstance(value, str) else -1000 for value in one)
        return [*self._move(one, free), *self._move_onto(two, one), *self._move_onto(free, two)] if one != two else []

    def _move_onto(self, old: Key, new: Key) -> list[Statement]:
        return self._move(old, new)[1:]

    def _ring(self) -> list[Statement]:
        """Let some rows exchange their keys: in one statement where keys are checked at the commit."""
        (key,) = self.table.key
        ring = self.r.sample(self.table.pools()[0], self.r.randint(2, 5))
        if self.engine == "mysql":
            return self._swap()
        cases = " ".join(["WHEN %s THEN %s"] * len(ring))
        pairs = tuple(value for pair in zip(ring, [*ring[1:], ring[0]], strict=True) for value in pair)
        where, marks = self._d.quote(key), ", ".join(["%s"] * len(ring))
        sets = f"UPDATE {self._name} SET {where} = CASE {where} {cases} END"
        return [(f"{sets} WHERE {where} IN ({marks})", pairs + tuple(ring))]

    def _shift(self) -> list[Statement]:
        """Move a run of rows up by one, each onto the key of the next."""
        low = self.r.randint(1, 15)
        high = low + self.r.randint(1, 4)
        order = " ORDER BY id DESC" if self.engine == "mysql" else ""
        where = f"WHERE id BETWEEN %s AND %s{order}"
        return [self._delete([(high + 1,)]), (f"UPDATE {self._name} SET id = id + 1 {where}", (low, high))]

    def _touch(self) -> list[Statement]:
        """Change rows and leave their large values as they are (P1)."""
        where, values = self._where(self._keys(20))
        return [self._set(["version"], where, values)]
