"""How long a load takes at least, from a look at how fast a table is read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest

from cdc.bootstrap.load_estimate import sampled_rows, seconds_of
from cdc.core.load import LoadPlan, Range, TableSize
from cdc.core.names import TableName
from cdc.core.progress import Progress

TABLE = TableName("s", "t")
PLAN = LoadPlan(
    "", TABLE, ("id",), {}, TableSize(1_000_000, 100_000_000), (Range(0, TABLE, "", 1),) * 4, Progress("t", ""), "", ""
)


@dataclass
class Rows:
    """Batches of a thousand rows, each of which takes 0.3 s; ``closed`` once nobody wants more."""

    low: str = ""
    high: str = ""
    batches: int = 100
    now: float = 0.0
    closed: bool = False

    def read(self, part: Range) -> "Rows":
        assert part is PLAN.ranges[0]
        return self

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for _ in range(self.batches):
            self.now += 0.3
            yield pa.record_batch({"id": pa.nulls(1000)})

    def close(self) -> None:
        self.closed = True


def test_a_second_of_the_first_range_is_read() -> None:
    rows = Rows()
    assert sampled_rows(rows, PLAN, lambda: rows.now) == pytest.approx(4000 / 1.2)
    assert rows.closed


def test_an_empty_range_tells_nothing() -> None:
    rows = Rows(batches=0)
    assert sampled_rows(rows, PLAN, lambda: rows.now) == 0.0
    assert sampled_rows(rows, replace(PLAN, ranges=()), lambda: rows.now) == 0.0
    assert seconds_of(PLAN, 0.0, 100, 2, float("inf")) == 0.0


def test_connections_ranges_width_and_the_limit_count() -> None:
    assert seconds_of(PLAN, 10_000, 100, 2, float("inf")) == 50
    assert seconds_of(PLAN, 10_000, 100, 8, float("inf")) == 25  # there are no more than four ranges
    assert seconds_of(PLAN, 10_000, 200, 2, float("inf")) == 25  # the rows of the table looked at are twice as wide
    assert seconds_of(PLAN, 10_000, 100, 2, 1_000) == 1_000
