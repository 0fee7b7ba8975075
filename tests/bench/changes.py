"""The changes of the throughput measurement: of ten, eight update a row, one inserts one, one deletes one.

No change is in vain: every tenth of the rows that are there before is one that is going to be deleted, and is never
updated; when these are gone, the inserted ones follow. Which rows are updated is drawn from a distribution.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tests.bench.shapes import Column, assignments, values

Keys = Literal["zipf", "uniform"]
EXPONENT = 0.99
"""Of the Zipf distribution, as YCSB has it: the most popular of a million keys gets one update in fifteen."""

TRANSACTION = 100
OPERATIONS = "iuuuuuuuud"
_SPREAD = 2_654_435_761
"""A prime: its multiples bring neighbours far apart, so popular keys are all over the table."""


class Changes(NamedTuple):
    """Changes of one table in order: letters of ``OPERATIONS``, and keys."""

    operations: npt.NDArray[np.str_]
    keys: npt.NDArray[np.int64]


def changes(count: int, rows: int, keys: Keys, seed: int) -> Changes:
    """Return changes of a table that has the rows 0 to ``rows - 1``; raises ValueError for fewer than 10 rows."""
    if rows < len(OPERATIONS):
        raise ValueError(f"a table of {rows} rows is too small: at least {len(OPERATIONS)} are needed")
    turns, slots = np.divmod(np.arange(count), len(OPERATIONS))
    operations = np.array(list(OPERATIONS))[slots]
    found = np.where(operations == "d", _doomed(turns, rows), rows + turns)
    updates = operations == "u"
    found[updates] = _updated(int(updates.sum()), rows, keys, np.random.default_rng(seed))
    return Changes(operations, found)


def _doomed(turns: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """Return the key that is deleted in each turn of ten changes: the n-th inserted row is there in turn n."""
    doomed = rows // len(OPERATIONS)
    return np.where(turns < doomed, turns * _SPREAD % doomed * 10 + 9, rows + turns - doomed)


def _updated(count: int, rows: int, keys: Keys, random: np.random.Generator) -> npt.NDArray[np.int64]:
    kept = rows // len(OPERATIONS) * 9
    if keys == "uniform":
        chosen = random.integers(kept, size=count)
    else:
        shares = np.cumsum(np.arange(1, kept + 1, dtype=float) ** -EXPONENT)
        chosen = np.searchsorted(shares, random.random(count) * shares[-1]) * _SPREAD % kept
    return chosen // 9 * 10 + chosen % 9


def make(table: str, columns: tuple[Column, ...], seed: int) -> str:
    """Return SQL that makes the changes of the temporary table ``plan`` (n, op, id), a hundred in a transaction."""
    names = ", ".join(column.name for column in columns)
    return f"""
DO $$ DECLARE one record; k bigint; h text; BEGIN
FOR one IN SELECT n, op, id FROM plan ORDER BY n LOOP
  k := one.id;
  h := md5('{seed}:' || one.n || ':' || k);
  IF one.op = 'u' THEN UPDATE {table} SET {assignments(columns)} WHERE id = k;
  ELSIF one.op = 'i' THEN INSERT INTO {table} (id, {names}) SELECT k, {", ".join(values(columns))};
  ELSE DELETE FROM {table} WHERE id = k;
  END IF;
  IF NOT FOUND THEN RAISE 'change % found no row', one.n; END IF;
  IF one.n % {TRANSACTION} = {TRANSACTION - 1} THEN COMMIT; END IF;
END LOOP; END $$"""


def at_once(table: str, columns: tuple[Column, ...], rows: int, count: int, seed: int) -> Iterator[str]:
    """Yield statements that together make ``count`` updates, each over the table's ``rows`` rows from the first on."""
    for turn, before in enumerate(range(0, count, rows)):
        made = f"SELECT id AS k, md5('{seed}:{turn}:' || id) AS h FROM {table} WHERE id < {min(rows, count - before)}"
        yield f"UPDATE {table} AS t SET {assignments(columns)} FROM ({made}) AS one WHERE t.id = one.k"
