"""A table's two sides with their real parts: its database, Spark on a snapshot of the lake, Kafka in between."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import takewhile
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.arrow import plain_type
from cdc.bootstrap.by_value import column_texts, differing_values, joined_keys, key_values
from cdc.bootstrap.deleted import newest, tombstones
from cdc.bootstrap.standing import Standing
from cdc.core.canonical import Form
from cdc.core.ddl import spark_type
from cdc.core.errors import PreflightError, TransientError
from cdc.core.evolution import CDC_COLUMNS
from cdc.core.fingerprint import WHOLE, DigestSource, Fingerprint, KeyRange, Rendering, RowDigests, parted
from cdc.core.history import DELETED, INSERTED, UPDATED, TableHistory
from cdc.core.load import Range, RangeReader
from cdc.core.names import TableName, quote, quote_table
from cdc.core.proof import Seen, Texts, changed_share, suspects_at_once
from cdc.kafka.ranges import RangeReader as KafkaRanges
from cdc.lake.checkpoints import Histories
from cdc.lazy import lazy
from cdc.pipeline.catch_up import RangeEngine
from cdc.pipeline.table import TableSpec
from cdc.spark.digests import NO_DIGESTS, differing, digested, digests_of, fingerprints_of

ROWS = 10_000
"""Rows of a range."""

ASKED = 5_000
"""Keys that one statement asks the source for."""

_FEW = 100
"""Offsets that are looked at, whether they are of changes: tombstones and ends of transactions are not."""

_RECENT, _MOST = 60.0, 0.5
_POSITION = "_cdc_position"
_BYTES = 64 << 20


@dataclass(frozen=True)
class SidesParts:
    """What the sides of a table work with. ``declared`` are the source's columns with their types in the lake.

    ``where`` is the condition of the part that was loaded: rows that are not of it may be missing. ``whole_rows``, if
    it is not zero, bounds the rows of a table that can be compared as a whole only.
    """

    source: DigestSource
    table: TableName
    spec: TableSpec
    declared: Mapping[str, str]
    session: SparkSession
    catalog: Catalog
    catalog_name: str
    namespace: str
    engine: RangeEngine
    messages: KafkaRanges
    passed: Callable[[str], bool]
    trouble: Callable[[], str]
    json: frozenset[str] = frozenset()
    where: str = ""
    whole_rows: int = 0


class Sides:
    """One table in its source and in the lake; implements ``pipeline.prove.Sides``."""

    def __init__(self, parts: SidesParts) -> None:
        self._parts = parts
        self._passed = ("", dict[int, int]())
        self._standing = Standing(parts.catalog, parts.namespace, parts.spec.target)

    @lazy
    def _digests(self) -> RowDigests:
        parts = self._parts
        return parts.source.digests(parts.table, parts.spec.key, parts.declared)

    @property
    def by_value(self) -> Sequence[str]:
        """Return the columns that the database cannot digest."""
        return self._digests.by_value

    @property
    def where(self) -> str:
        """Return the condition of the part that was loaded."""
        return self._parts.where

    @lazy
    def forms(self) -> Mapping[str, Form]:
        """Return what counts as equal of exact numbers without bounds, and of JSON."""
        numbers = [name for name, how in self._digests.columns.items() if how is Rendering.NUMBER]
        return dict.fromkeys(numbers, Form.NUMBER) | dict.fromkeys(self._parts.json, Form.JSON)

    def position(self) -> str:
        """Return the end of the source's log."""
        return self._parts.source.position()

    def applied(self, high: str) -> bool:
        """Return whether what the connector had passed on, once it had passed a position, is in the lake."""
        if self._passed[0] != high:
            if not self._parts.passed(high):
                return False
            self._passed = high, dict(self._parts.engine.ends(self._parts.spec.topic))
        return self._reached(self._passed[1])

    def _reached(self, ends: Mapping[int, int]) -> bool:
        history = Histories(self._parts.catalog).read(self._parts.spec.target)
        progress = history.progress(history.head)
        begins = {p: progress.of(p).next_offset if progress else 0 for p in ends}
        left = {p: (begins[p], end) for p, end in ends.items() if begins[p] < end}
        if not left:
            return True
        if sum(end - begin for begin, end in left.values()) > _FEW:
            return False
        found = self._parts.messages.read({self._parts.spec.topic: left}, _BYTES)
        if isinstance(found, str):
            raise TransientError(f"what is left of {self._parts.spec.topic} was not read: {found}", hint="is Kafka up?")
        return bool(found["value"].null_count == len(found))

    def trouble(self) -> str:
        """Return why the table does not go on, or what is wrong with the connector; each with what helps."""
        return self._standing.why() or self._parts.trouble()

    def ranges(self) -> Sequence[KeyRange]:
        """Return ranges of the key; raises PreflightError for a table without any that is too large for that."""
        found = self._parts.source.key_ranges(self._parts.table, self._parts.spec.key, ROWS)
        most, target = self._parts.whole_rows, self._parts.spec.target
        if found == (WHOLE,) and most and (rows := _total(Histories(self._parts.catalog).read(target))) > most:
            raise PreflightError(
                f"{target} has {rows:,} rows, and its key another order in the database than in the lake: they would "
                "have to be compared at once",
                hint=f"`cdc verify -t {target}` does that, in a process with memory of its own",
            )
        return found

    def busy(self, seconds: float) -> bool:
        """Return whether most ranges change within so many seconds, by the commits of the last minute."""
        history = Histories(self._parts.catalog).read(self._parts.spec.target)
        began = datetime.now(UTC) - timedelta(seconds=_RECENT)
        recent = takewhile(lambda version: version.at > began, history.ancestry(history.head))
        changes = sum(int(one.summary.get(name, "0")) for one in recent for name in (INSERTED, UPDATED, DELETED))
        return changed_share(changes / _RECENT, _total(history), ROWS, seconds) > _MOST

    def in_source(self, part: KeyRange) -> Fingerprint:
        """Return the fingerprint of a range in the source."""
        (row,) = self._read(self._digests.fingerprints, part).to_pylist()
        return Fingerprint.of(row["rows"], row["first"], row["second"])

    def in_lake(self, parts: Sequence[KeyRange]) -> Sequence[Fingerprint]:
        """Return the fingerprints of ranges in the lake."""
        return fingerprints_of(self._digested(self._within(self._lake(), parts)), self._types, parts)

    def read_digests(self, parts: Sequence[KeyRange]) -> "FromSource":
        """Read the digests of the rows of ranges in the source."""
        found = _together([self._read(self._digests.digests, part) for part in parts], NO_DIGESTS)
        return FromSource(found, lambda ours: differing(ours, self._digests_of(parts)))

    def read_values(self, parts: Sequence[KeyRange]) -> "FromSource | None":
        """Read the columns that are compared by value of the rows of ranges in the source.

        A key that only one side has is found by its digest.
        """
        if not self.by_value:
            return None
        key, names = self._parts.spec.key, [*self._parts.spec.key, *self.by_value]
        found = _together([self._read(self._reader(names), part) for part in parts], pa.table({}))
        return FromSource(found, lambda ours: differing_values(ours, self._rows_of(parts, names), key, self.forms))

    def at_once(self) -> int:
        """Return how many suspects may be looked at together, by how large the rows are."""
        history = Histories(self._parts.catalog).read(self._parts.spec.target)
        return suspects_at_once(_total(history), _total(history, "total-files-size"))

    def source_rows(self, keys: Sequence[str]) -> Mapping[str, Texts]:
        """Return the rows of keys in the source."""
        parts = [keys[start : start + ASKED] for start in range(0, len(keys), ASKED)]
        return {key: row for part in parts for key, row in self._asked(part).items()}

    def _asked(self, keys: Sequence[str]) -> Mapping[str, Texts]:
        values = key_values([parted(key) for key in keys], self._key_types)
        part = self._parts.source.keys(self._parts.table, self._parts.spec.key, values)
        return self._texts(_table(self._reader(list(self._parts.declared)), part))

    def lake_rows(self, keys: Sequence[str]) -> Mapping[str, Seen]:
        """Return each of the keys as it is in the lake."""
        wanted = self._frame(keys)
        rows = self._lake().join(f.broadcast(wanted), list(self._parts.spec.key), "left_semi").toArrow()
        positions = dict(zip(self._keys(rows), rows[_POSITION].to_pylist(), strict=True))
        found, stones = self._texts(rows), self._tombstones(wanted)
        return {key: Seen(found.get(key), positions.get(key) or stones.get(key, "")) for key in keys}

    def _rows_of(self, parts: Sequence[KeyRange], columns: Sequence[str]) -> pa.Table:
        """Return columns of the lake's rows in some ranges; those that it has not are null."""
        return self._within(self._lake(), parts).select(*map(self._column, columns)).toArrow()

    def _digests_of(self, parts: Sequence[KeyRange]) -> pa.Table:
        """Return ``key, first, second`` of the lake's rows in some ranges."""
        return digests_of(self._digested(self._within(self._lake(), parts))).toArrow()

    @lazy
    def _types(self) -> dict[str, str]:
        """Return the types of the lake's columns, Iceberg's names for them; of those that it has not the source's."""
        with self._parts.engine.table(self._parts.spec) as table:
            columns = table.read().columns
        return {**self._parts.declared, **{n: kind for n, kind in columns.items() if n not in CDC_COLUMNS}}

    @property
    def _key_types(self) -> list[str]:
        return [self._types[name] for name in self._parts.spec.key]

    def _lake(self) -> DataFrame:
        """Return the table at the newest snapshot of ``main``, with nulls for columns that it does not have."""
        target = self._parts.spec.target
        head = Histories(self._parts.catalog).read(target).head
        if head is None:
            raise PreflightError(f"table {target} holds nothing yet", hint="`cdc status` tells whether it is loaded")
        name = quote_table((self._parts.catalog_name, *target), "`")
        frame = self._parts.session.read.format("iceberg").option("versionAsOf", head).load(name)
        missing = {name: kind for name, kind in self._parts.declared.items() if name not in frame.columns}
        return frame.select("*", *(f.lit(None).cast(spark_type(kind)).alias(name) for name, kind in missing.items()))

    def _digested(self, rows: DataFrame) -> DataFrame:
        return digested(rows, self._parts.spec.key, self._types, self._digests.columns)

    def _within(self, rows: DataFrame, parts: Sequence[KeyRange]) -> DataFrame:
        """Return the rows in some ranges; in conditions that Iceberg prunes files by."""
        conditions = [condition_of(part, self._types) for part in merged(parts)]
        bounded = [one for one in conditions if one is not None]
        return rows.where(reduce(lambda a, b: a | b, bounded)) if len(bounded) == len(conditions) else rows

    def _frame(self, keys: Sequence[str]) -> DataFrame:
        columns = zip(*key_values([parted(key) for key in keys], self._key_types), strict=True)
        arrays = [pa.array(values, plain_type(kind)) for values, kind in zip(columns, self._key_types, strict=True)]
        return self._parts.session.createDataFrame(pa.table(arrays, names=list(self._parts.spec.key)))

    def _tombstones(self, wanted: DataFrame) -> dict[str, str]:
        """Return the newest position of those of the keys that were deleted and are remembered."""
        key, parts = list(self._parts.spec.key), self._parts
        known = tombstones(parts.session, parts.catalog, parts.catalog_name, parts.namespace, parts.spec.target, key)
        if known is None:
            return {}
        stones = known.join(f.broadcast(wanted), key, "left_semi").toArrow()
        return newest(self._keys(stones), stones[_POSITION].to_pylist())

    def _keys(self, rows: pa.Table) -> list[str]:
        return joined_keys(rows, self._parts.spec.key)

    def _texts(self, rows: pa.Table) -> dict[str, Texts]:
        if not rows.num_rows:
            return {}
        names = [name for name in rows.column_names if name not in CDC_COLUMNS]
        columns = [column_texts(rows[name]) for name in names]
        return {key: dict(zip(names, row, strict=True)) for key, *row in zip(self._keys(rows), *columns, strict=True)}

    def _reader(self, columns: Sequence[str]) -> RangeReader:
        wanted = {name: self._parts.declared[name] for name in columns}
        return self._parts.source.reader(self._parts.table, self._parts.spec.key, wanted)

    def _read(self, reader: RangeReader, part: KeyRange) -> pa.Table:
        return _table(reader, replace(self._parts.source.part(self._parts.table, part), where=self._parts.where))

    @staticmethod
    def _column(name: str) -> Column:
        return f.col(quote(name, "`"))


@dataclass(frozen=True)
class FromSource:
    """Rows as they were read in the source, and how they are compared with the lake; implements ``Digests``."""

    found: pa.Table
    compare: Callable[[pa.Table], Iterable[str]]

    @property
    def rows(self) -> int:
        """Return how many rows were read."""
        return int(self.found.num_rows)

    def differing(self) -> Iterable[str]:
        """Return the keys that are otherwise in the lake as it is now."""
        return self.compare(self.found)


def _total(history: TableHistory, what: str = "total-records") -> int:
    """Return how many rows the newest snapshot has, about: those that deletes have taken count, too."""
    newest = history.versions[history.head].summary if history.head is not None else {}
    return int(newest.get(what, "0"))


def _table(reader: RangeReader, part: Range) -> pa.Table:
    batches = list(reader.read(part))
    return pa.Table.from_batches(batches) if batches else pa.table({})


def _together(found: Sequence[pa.Table], empty: pa.Table) -> pa.Table:
    """Return the rows of all tables; ``empty`` where none has any, for then none may know its columns."""
    filled = [one for one in found if one.num_rows]
    return pa.concat_tables(filled) if filled else empty


def merged(parts: Sequence[KeyRange]) -> list[KeyRange]:
    """Return ranges that hold the same rows, neighbours put together."""
    found: list[KeyRange] = []
    for part in parts:
        if found and found[-1].through is not None and found[-1].through == part.after:
            found[-1] = found[-1]._replace(through=part.through)
        else:
            found.append(part)
    return found


def condition_of(part: KeyRange, types: Mapping[str, str]) -> Column | None:
    """Return what holds for the rows of a range, None where that is every row."""
    if part.after is None and part.through is None:
        return None
    column, kind = f.col(quote(part.column, "`")), types[part.column]

    def literal(bound: str) -> Column:
        value: Any = int(bound) if part.numbers else bytes.fromhex(bound) if kind == "binary" else bound
        return f.lit(str(value)).cast(kind) if kind.startswith("decimal") else f.lit(value)

    ends = [column > literal(part.after)] if part.after is not None else []
    ends += [column <= literal(part.through)] if part.through is not None else []
    return reduce(lambda a, b: a & b, ends)
