"""How long loads will take: a look at how fast the largest table of a source is read."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing

from cdc.bootstrap.load import bulk_source
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.load import LoadPlan, RangeReader

SAMPLE_SECONDS = 1.0
"""How long a table is read for it, on one connection."""


def seconds_at_least(
    config: Config, source: SourceConfig, plans: Sequence[LoadPlan], rows_per_second: int | None = None
) -> list[float]:
    """Return for each table the seconds that reading it takes if every connection is as fast as the first one.

    Reads the largest table for a second. ``rows_per_second`` is another limit than the configuration's, 0 for none.
    Raises the errors of the reading.
    """
    largest = max(plans, key=lambda plan: plan.size.bytes)
    reader = bulk_source(source, config, replica=True).reader(largest.source, largest.key, largest.columns)
    rows = sampled_rows(reader, largest)
    width = largest.size.bytes / max(1, largest.size.rows)
    limit = (config.load.rows_per_second if rows_per_second is None else rows_per_second) or float("inf")
    return [seconds_of(plan, rows, width, config.load.parallel, limit) for plan in plans]


def sampled_rows(reader: RangeReader, plan: LoadPlan, clock: Callable[[], float] = time.monotonic) -> float:
    """Return how many rows a second one connection reads of the first range, 0.0 if there are none."""
    began, rows = clock(), 0
    if not plan.ranges:
        return 0.0
    with closing(reader.read(plan.ranges[0])) as batches:
        for batch in batches:
            rows += batch.num_rows
            if clock() - began >= SAMPLE_SECONDS:
                break
    return rows / max(1e-3, clock() - began)


def seconds_of(plan: LoadPlan, rows: float, width: float, parallel: int, limit: float) -> float:
    """Return the least seconds for a table, where one connection reads so many ``rows`` of ``width`` bytes a second."""
    if not plan.size.rows or not rows or not width:
        return 0.0
    own = rows * width / max(1.0, plan.size.bytes / plan.size.rows)
    return plan.size.rows / min(own * min(parallel, len(plan.ranges)), limit)
