"""What the two ways to collapse a table's share of a micro-batch begin with, and what both end with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.core.batch import Collapsed, Skip
from cdc.core.events import Key
from cdc.core.positions import LAYOUTS
from cdc.core.progress import Progress
from cdc.lazy import lazy
from cdc.spark import staging
from cdc.spark.decode import RowShape
from cdc.spark.delta import IndexedTable
from cdc.spark.gathered import floors_among, floors_of
from cdc.spark.merge import KeyBounds
from cdc.spark.rewrite import SmallTable

LARGE = "a large batch"
"""Why a batch is Spark's and not the driver's."""


class Tombstones(Protocol):
    """Where the keys of deleted rows are kept."""

    def keep(self, keys: pa.Table, *, wait: bool = True) -> Mapping[str, str] | None:
        """Keep keys, their columns and ``_cdc_position``; returns None, with nothing done, where Spark has to.

        Otherwise properties that have to be published with the batch: what may ``wait`` for that is in them.
        """
        ...

    def waiting(self, key: Sequence[str]) -> pa.Table | None:
        """Return those that only stand in properties, as ``keep`` was given them; Spark does not find them."""
        ...

    def since(self, position: str, key: Sequence[str]) -> pa.Table | None:
        """Return what was deleted at a position or later, as ``keep`` was given it; None where Spark has to look."""
        ...


@dataclass(frozen=True)
class Direct:
    """What is written without Spark, nothing where the catalog cannot be.

    ``small`` is the table as one that may be small, ``indexed`` as one whose rows are found by their keys. Up to
    so many ``messages`` a batch is collapsed without Spark.
    """

    small: SmallTable | None = None
    indexed: IndexedTable | None = None
    tombstones: Tombstones | None = None
    messages: int = 200_000


@dataclass(frozen=True)
class Share:
    """The decoded events of one table (``cdc.spark.decode``), and the table that they change.

    Spark is not asked before it is needed: ``lend`` gives its session, ``decode`` the events as it decodes them, and
    ``decoded`` are they where that was done at the driver, or why it was not. Columns in ``missing`` are unknown to a
    writer of the events: null, where no event and no row says otherwise. ``direct`` is what is written without Spark.
    """

    lend: Callable[[], SparkSession]
    target: staging.TableTarget
    shape: RowShape
    decode: Callable[[], DataFrame]
    decoded: pa.Table | str
    skip: Skip
    truncated: str
    missing: Sequence[str]
    direct: Direct

    @lazy
    def session(self) -> SparkSession:
        """Return the session that the table is written from."""
        return self.lend()

    @lazy
    def events(self) -> DataFrame:
        """Return the events as Spark decodes them."""
        return self.decode()

    def gathered(self) -> pa.Table:
        """Return the events at the driver."""
        return self.events.toArrow() if isinstance(self.decoded, str) else self.decoded

    def rows(self) -> DataFrame:
        """Return the table's rows as ``k, position, operation, v``, without those that a truncate has removed."""
        rows = staging.table_rows(self.session, self.target, self.shape)
        return rows.where(f.col("position") >= self.truncated) if self.truncated else rows


@dataclass(frozen=True)
class Work:
    """A share of a micro-batch after its collapse, ready to be staged.

    ``keys`` gives all its keys as ``k, partition``; ``changes`` are as ``cdc.spark.collapse`` describes, None if the
    collapse went no further. Of a small batch both are at the driver, too: ``places`` and ``gathered``. ``close`` frees
    what is ``cached``.
    """

    share: Share
    collapsed: Collapsed
    keys: Callable[[], DataFrame]
    changes: Callable[[], DataFrame] | None
    places: pa.Table | None = None
    gathered: pa.Table | None = None
    bounds: KeyBounds | None = None
    cached: Sequence[DataFrame] = field(default=())

    @lazy
    def floors(self) -> DataFrame | None:
        """Return the positions of keys deleted before as ``k, floor``, if there are events that may be older."""
        if not self._reaches_back:
            return None
        share, stones = self.share, self.share.direct.tombstones
        waiting = stones.waiting(share.shape.key) if stones else None
        return staging.tombstone_floors(share.session, share.target, share.shape, self.keys(), self._published, waiting)

    @lazy
    def known_floors(self) -> Mapping[Key, str] | None:
        """Return the positions of keys deleted before at the driver, if there are events that may be older.

        Without Spark where that can be: then of no other deletes than those that some event is not newer than.
        """
        if not self._reaches_back:
            return None
        tombstones, shape = self.share.direct.tombstones, self.share.shape
        if tombstones is not None and self.places is not None:
            first = self.collapsed.first_position[: LAYOUTS[shape.engine].order_width]
            if (found := tombstones.since(first, shape.key)) is not None:
                return floors_among(self.places, found, self._published)
        return floors_of(None if self.floors is None else self.floors.toArrow())

    @property
    def _reaches_back(self) -> bool:
        return self.share.skip.reaches_back(self.collapsed.first_position)

    @property
    def _published(self) -> Progress:
        return self.share.skip.published or self.share.skip.progress

    def close(self) -> None:
        """Free what is cached."""
        free(self.cached)


def cached(frame: DataFrame) -> DataFrame:
    """Return the data frame, kept once it has been computed."""
    return frame.persist(StorageLevel.MEMORY_AND_DISK)


def planned(frame: DataFrame) -> DataFrame:
    """Return the data frame with its plan settled: what is made of it is planned without it.

    Of a wide table the plan is large, and a filter or join that Spark pushes into it copies every column's expression
    into every column's condition.
    """
    session, java = frame.sparkSession, frame._jdf  # noqa: SLF001 - PySpark's own ways keep the rows, too
    rdd = java.queryExecution().toRdd()
    settled = session._jsparkSession.internalCreateDataFrame(rdd, java.schema(), frame.isStreaming)  # noqa: SLF001
    return DataFrame(settled, session)


def free(frames: Sequence[DataFrame]) -> None:
    """Let go of cached data frames."""
    for frame in frames:
        frame.unpersist()


def bounds_of(shape: RowShape, low: Any, high: Any) -> KeyBounds | None:  # noqa: ANN401 - values of any type
    """Return the bounds of the first key column where it is a number; texts stay out of statements."""
    if not shape.key or not isinstance(low, (int, Decimal)) or isinstance(low, bool):
        return None
    return KeyBounds(shape.key[0], str(low), str(high))
