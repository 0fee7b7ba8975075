"""Two tables of the lake beside each other with their real parts: the catalog, and Spark on their table snapshots."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.bootstrap.by_value import column_texts
from cdc.bootstrap.deleted import newest, tombstones
from cdc.bootstrap.equality import ROWS, condition_of, merged
from cdc.bootstrap.specs import spec_of
from cdc.bootstrap.standing import Standing
from cdc.config.models import Config
from cdc.config.sources import SourceConfig, TableConfig
from cdc.core.canonical import Form
from cdc.core.ddl import iceberg_type, spark_type
from cdc.core.errors import CdcError, ConfigError, PreflightError
from cdc.core.fingerprint import WHOLE, Digest, Fingerprint, KeyRange, Rendering, ranges_between
from cdc.core.names import TableName, quote, quote_table
from cdc.core.pairing import Pairing, paired
from cdc.core.proof import LAKE, TableProof, Texts
from cdc.lake.java import java_errors
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lazy import lazy
from cdc.pipeline.against import BEHIND_SECONDS, Comparison, Digests, Ours
from cdc.pipeline.prove import Progressing
from cdc.spark.digests import KEY, digested, digests_of, fingerprints_of, joined, text_of

_RANGES, _SAMPLES = 500, 20
"""At most so many ranges, whose bounds are taken of about so many keys of each."""

_BROADCAST = 100_000
"""Up to so many keys are sent to every task that looks for them."""

_SPARK_LACKS = ("time", "timestamp_ns", "timestamptz_ns", "variant", "geometry", "geography", "unknown")
"""Types of Iceberg for which Spark cannot even open a table."""

_POSITION = "_cdc_position"


def require(catalog: Catalog, other: TableName, target: TableName) -> Table:
    """Return the other table as it is now.

    Raises ConfigError where it is none or the target itself, PreflightError for one that cannot be compared.
    """
    if other == target:
        raise ConfigError(f"{other} is the table that is to be compared", hint="name another one behind --against")
    try:
        table = catalog.load_table(tuple(other))
    except NoSuchTableError:
        what = f'there is no table {other} in catalog "{catalog.name}"'
        raise ConfigError(what, hint="give namespace.table of one that is in the catalog of the target") from None
    if unknown := [f.name for f in table.schema().fields if str(f.field_type).partition("(")[0] in _SPARK_LACKS]:
        kind = table.schema().find_type(unknown[0])
        raise PreflightError(
            f'column "{unknown[0]}" of {other} is of type {kind}, for which Spark has none',
            hint="compare a copy of the table without that column",
        )
    return table


@dataclass(frozen=True)
class PairParts:
    """What a pair of tables works with; ``key`` are the columns that tell its rows."""

    session: SparkSession
    catalog: Catalog
    catalog_name: str
    namespace: str
    target: TableName
    other: TableName
    key: Sequence[str]


class LakePair:
    """A table of ours and another one of the same catalog; implements ``pipeline.against.Pair``."""

    def __init__(self, parts: PairParts) -> None:
        self._parts = parts
        self._standing = Standing(parts.catalog, parts.namespace, parts.target)
        ours, theirs = self._load(parts.target), require(parts.catalog, parts.other, parts.target)
        self._first = _head(ours, parts.target), _head(theirs, parts.other)
        self._last = self._first
        self._rows = int(_summary(ours).get("total-records", 0))
        names = str(parts.target), str(parts.other)
        self.pairing: Pairing = paired(names, _types(ours), _types(theirs), parts.key)

    @property
    def forms(self) -> Mapping[str, Form]:
        """Return what counts as equal of numbers that no decimal holds."""
        how = self._renderings
        return {name: Form.NUMBER for name, rendering in how.items() if rendering is Rendering.NUMBER}

    def position(self) -> str:
        """Return the table snapshots of both that are compared first."""
        ours, theirs = self._first
        return f"table snapshot {ours} of {self._parts.target} and {theirs} of {self._parts.other}"

    def held(self) -> str:
        """Return why our table does not go on."""
        return self._standing.why()

    def ranges(self) -> Sequence[KeyRange]:
        """Return ranges of the first column of the key, whose bounds are keys of ours; one where it has no order."""
        column = self._parts.key[0]
        kind, rendering = self.pairing.columns[column]
        numbers = kind in ("int", "long") or _is_short_integer(kind)
        count = min(self._rows // ROWS, _RANGES)
        if count < 2 or rendering is not Rendering.PLAIN or not (numbers or kind in ("string", "binary")):
            return (WHOLE,)
        keys = self._at(0, self._first).select(_column(column)).sample(min(1.0, _SAMPLES * count / self._rows), 1)
        found = sorted(_bound(one) for one in keys.distinct().toArrow()[column].to_pylist() if one is not None)
        bounds = [str(found[len(found) * n // count]) for n in range(1, count)] if found else []
        return ranges_between(column, list(dict.fromkeys(bounds)), numbers=numbers)

    def fingerprints(self, parts: Sequence[KeyRange]) -> tuple[Sequence[Fingerprint], Sequence[Fingerprint]]:
        """Return the fingerprints of ranges in both tables."""
        ours, theirs = (fingerprints_of(self._digested(self._at(n, self._first)), self._types, parts) for n in (0, 1))
        return ours, theirs

    def differing(self, parts: Sequence[KeyRange]) -> Sequence[str]:
        """Return the keys whose rows are not the same ones in both; Spark finds them."""
        sides = [
            digests_of(self._digested(self._within(self._at(n, self._first), parts))).withColumn("side", f.lit(side))
            for n, side in ((0, 1), (1, -1))
        ]
        left = sides[0].unionAll(sides[1]).groupBy("key", "first", "second").agg(f.sum("side").alias("left"))
        keys: list[str] = left.where("left <> 0").select("key").distinct().toArrow()["key"].to_pylist()
        return keys

    def theirs(self, keys: Sequence[str]) -> Mapping[str, Digests]:
        """Return each of the keys as it is in the other table."""
        self._last = self._last[0], _head(require(*self._names()), self._parts.other)
        rows = _by_key(digests_of(self._of_keys(self._digested(self._at(1, self._last)), keys)).toArrow())
        return {key: rows.get(key, ()) for key in keys}

    def ours(self, keys: Sequence[str]) -> Mapping[str, Ours]:
        """Return each of the keys as it is in our table; a deleted one with the position of its tombstone."""
        self._last = _head(self._load(self._parts.target), self._parts.target), self._last[1]
        there = digests_of(self._of_keys(self._digested(self._at(0, self._last)), keys), _POSITION).toArrow()
        rows, positions = _by_key(there), self._tombstones(keys) | _positions(there)
        return {key: Ours(rows.get(key, ()), positions.get(key, "")) for key in keys}

    def texts(self, keys: Sequence[str]) -> tuple[Mapping[str, Sequence[Texts]], Mapping[str, Sequence[Texts]]]:
        """Return the rows of keys in the other table and in ours, as they were when they were looked at last."""
        names = list(self.pairing.columns)
        sides = [self._of_keys(self._digested(self._at(n, self._last)), keys) for n in (1, 0)]
        there, here = (_texts(rows.select(KEY, *map(_column, names)).toArrow(), names) for rows in sides)
        return there, here

    def _names(self) -> tuple[Catalog, TableName, TableName]:
        return self._parts.catalog, self._parts.other, self._parts.target

    def _load(self, name: TableName) -> Table:
        try:
            return self._parts.catalog.load_table(tuple(name))
        except NoSuchTableError:
            raise PreflightError(f"there is no table {name} in the lake", hint="has `cdc stream` run?") from None

    @lazy
    def _types(self) -> dict[str, str]:
        return {name: one.type for name, one in self.pairing.columns.items()}

    @lazy
    def _renderings(self) -> dict[str, Rendering]:
        return {name: one.rendering for name, one in self.pairing.columns.items()}

    def _at(self, side: int, snapshots: tuple[int, int]) -> DataFrame:
        """Return the compared columns of a table at its snapshot, as what they are compared as; ours with positions."""
        name = quote_table((self._parts.catalog_name, *(self._parts.target, self._parts.other)[side]), "`")
        frame = self._parts.session.read.format("iceberg").option("versionAsOf", snapshots[side]).load(name)
        columns = [_cast(frame, name, kind) for name, kind in self._types.items()]
        return frame.select(*columns, *([_column(_POSITION)] if side == 0 else []))

    def _digested(self, rows: DataFrame) -> DataFrame:
        return digested(rows, self._parts.key, self._types, self._renderings)

    def _within(self, rows: DataFrame, parts: Sequence[KeyRange]) -> DataFrame:
        """Return the rows in some ranges; a key without a value, which the other table may have, is in the first."""
        conditions = []
        for part in merged(parts):
            bounds = condition_of(part, self._types)
            if bounds is None:
                return rows
            conditions.append(bounds | _column(part.column).isNull() if part.after is None else bounds)
        return rows.where(reduce(lambda a, b: a | b, conditions))

    def _of_keys(self, rows: DataFrame, keys: Sequence[str]) -> DataFrame:
        """Return those of the rows that have one of the keys; by their texts, for null is a key here."""
        wanted = self._parts.session.createDataFrame(pa.table({KEY: pa.array(keys, pa.string())}))
        return rows.join(wanted if len(keys) > _BROADCAST else f.broadcast(wanted), KEY, "left_semi")

    def _tombstones(self, keys: Sequence[str]) -> dict[str, str]:
        parts, key = self._parts, self._parts.key
        known = tombstones(parts.session, parts.catalog, parts.catalog_name, parts.namespace, parts.target, key)
        if known is None:
            return {}
        typed = known.select(*(_cast(known, name, self._types[name]) for name in key), _POSITION)
        text = joined([text_of(name, self._types[name], self._renderings[name]) for name in key])
        found = self._of_keys(typed.select(text.alias(KEY), _POSITION), keys)
        return _positions(found.withColumnRenamed(KEY, "key").toArrow())


class Comparisons:
    """Comparisons of tables of ours with others of the lake; what goes wrong with one is told in it."""

    def __init__(
        self,
        config: Config,
        session: SparkSession,
        on_progress: Callable[[str, Progressing], None] = lambda _target, _progress: None,
        stopping: Callable[[], bool] = lambda: False,
        limit: int = 10_000,
        behind: float = BEHIND_SECONDS,
    ) -> None:
        """``behind`` is how long, in seconds, a change of the source may take until it is in both tables."""
        self._config, self._session, self._catalog = config, session, open_catalog(config.catalog)
        self._on_progress, self._stopping, self._limit, self._behind = on_progress, stopping, limit, behind

    def run(self, source: SourceConfig, table: TableConfig, other: TableName) -> TableProof:
        """Return what became of the comparison of one table with another one."""
        target = source.target_of(table)
        names = f"{LAKE}{other}", str(target)
        try:
            with java_errors(f"compare {target} with {other}"):
                return Comparison(
                    LakePair(self._parts(target, other, spec_of(source, table).key)),
                    names,
                    behind=self._behind,
                    limit=self._limit,
                    on_progress=lambda progress: self._on_progress(names[1], progress),
                    stopping=self._stopping,
                ).run()
        except CdcError as error:
            return TableProof(*names, error=error.said_of(table.source))

    def _parts(self, target: TableName, other: TableName, key: Sequence[str]) -> PairParts:
        config = self._config
        return PairParts(
            self._session, self._catalog, config.catalog.name, config.metadata_namespace, target, other, key
        )


def _head(table: Table, name: TableName) -> int:
    snapshot = table.current_snapshot()
    if snapshot is None:
        raise PreflightError(f"table {name} holds nothing yet", hint="compare it when whoever feeds it has begun")
    return int(snapshot.snapshot_id)


def _summary(table: Table) -> Mapping[str, str]:
    snapshot = table.current_snapshot()
    return dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}


def _types(table: Table) -> dict[str, str]:
    """Return the types of a table's columns at its newest snapshot, by Iceberg's names for them."""
    snapshot = table.current_snapshot()
    written = snapshot.schema_id if snapshot else None
    schema = next((one for one in table.metadata.schemas if one.schema_id == written), table.schema())
    return {field.name: iceberg_type(str(field.field_type)) for field in schema.fields}


def _is_short_integer(kind: str) -> bool:
    digits, _, scale = kind.removeprefix("decimal(").removesuffix(")").partition(", ")
    return kind.startswith("decimal(") and scale == "0" and int(digits) <= 20


def _bound(value: Any) -> Any:  # noqa: ANN401 - a key of any kind that has ranges
    return value.hex() if isinstance(value, bytes) else value if isinstance(value, str) else int(value)


def _cast(frame: DataFrame, name: str, kind: str) -> Column:
    """Return a column as the type that it is compared as, null where the table has it no more."""
    if name in frame.columns and kind.startswith(("list<", "struct<")):  # the same in both
        return _column(name)
    return (_column(name) if name in frame.columns else f.lit(None)).cast(spark_type(kind)).alias(name)


def _by_key(rows: pa.Table) -> dict[str, Digests]:
    found: defaultdict[str, list[Digest]] = defaultdict(list)
    for key, *halves in zip(*(rows[name].to_pylist() for name in ("key", "first", "second")), strict=True):
        found[key].append(Digest(*halves))
    return {key: tuple(sorted(digests)) for key, digests in found.items()}


def _positions(rows: pa.Table) -> dict[str, str]:
    return newest(rows["key"].to_pylist(), rows[_POSITION].to_pylist())


def _texts(rows: pa.Table, names: Sequence[str]) -> dict[str, list[Texts]]:
    """Return the rows of each key, in the order of their texts."""
    found: defaultdict[str, list[Texts]] = defaultdict(list)
    columns = [column_texts(rows[name]) for name in names] if rows.num_rows else []
    for key, *row in zip(rows[KEY].to_pylist(), *columns, strict=True):
        found[key].append(dict(zip(names, row, strict=True)))
    return {key: sorted(each, key=lambda row: [text or "" for text in row.values()]) for key, each in found.items()}


def _column(name: str) -> Column:
    return f.col(quote(name, "`"))
