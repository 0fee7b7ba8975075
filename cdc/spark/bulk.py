"""Bulk reads as Spark jobs: a task for each range, wherever Spark's workers are, its result back at the driver."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from pyspark.sql import SparkSession

from cdc.core.load import Range

T = TypeVar("T")


def run_tasks(
    session: SparkSession, task: Callable[[Range], T], parts: Sequence[Range], *, parallel: int, group: str
) -> Iterator[T]:
    """Yield the results of ``task`` for each range, as they come; at most ``parallel`` run at a time.

    The task runs in a Python process of Spark's. Closing the iterator ends those that run. What a task raises is
    raised here as PySparkException, its text in the message.
    """
    waiting = list(parts)
    running: set[Future[T]] = set()
    context = session.sparkContext

    def one(part: Range) -> T:
        context.setJobGroup(group, "bulk read", interruptOnCancel=True)
        context.setLocalProperty("spark.scheduler.pool", group)
        return context.parallelize([part], 1).map(task).collect()[0]

    with ThreadPoolExecutor(parallel, group) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    running.add(pool.submit(one, waiting.pop(0)))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            if running:
                context.cancelJobGroup(group)
