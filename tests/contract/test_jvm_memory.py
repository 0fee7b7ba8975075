"""The heap of Spark's JVM goes back to the system once it is not needed."""

import time
from typing import Any

from cdc.spark.jvm import shrink

DEADLINE = 60.0


def test_heap_that_a_large_batch_needed_is_given_back(lake: tuple[Any, Any]) -> None:
    """After its loads a service kept 1.4 GB of heap for as long as it ran."""
    session, _ = lake
    runtime = session._jvm.java.lang.Runtime.getRuntime()  # noqa: SLF001
    large = session.range(5_000_000).selectExpr("id", "cast(id AS string) text").cache()
    assert large.count() == 5_000_000
    most = runtime.totalMemory()
    large.unpersist(blocking=True)
    deadline = time.monotonic() + DEADLINE
    while runtime.totalMemory() > most * 2 // 3:  # it is done beside the work, and not at once
        assert time.monotonic() < deadline, f"{runtime.totalMemory() >> 20} MB of {most >> 20} MB"
        shrink(session)
        time.sleep(0.5)
