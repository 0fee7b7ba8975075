"""Bulk reads as Spark jobs: a task for each range, wherever Spark's workers are, its result back at the driver.

What is soon read is read here: a Python worker of Spark's takes longer to start than a small table to load.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from typing import TypeVar

from pyspark.sql import SparkSession

from cdc.core.errors import CdcError, PreflightError, TransientError
from cdc.core.load import Range

T = TypeVar("T")

_OTHER_PYTHON = ("No module named", "PYTHON_VERSION_MISMATCH", "Cannot run program")


def task_failure(table: object, error: Exception) -> CdcError:
    """Return what the failure of a task of a table's load means: it is tried again, unless Python itself is another."""
    if any(sign in str(error) for sign in _OTHER_PYTHON):
        what = f"a task of the load of {table} could not begin: the executors' Python is not that of this environment"
        return PreflightError(
            what, hint="have it on every node, and name it with spark.pyspark.python in spark.properties"
        )
    what = f"a task of the load of {table} ended: {type(error).__name__}"
    return TransientError(what, hint="started again, the load goes on behind its last commit")


def run_tasks(
    session: SparkSession,
    task: Callable[[Range], T],
    parts: Sequence[Range],
    *,
    slots: threading.Semaphore,
    parallel: int,
    group: str,
) -> Generator[T, None, None]:
    """Yield the results of ``task`` for each range, as they come; at most ``parallel`` run at a time.

    The task runs in a Python process of Spark's; the next begins whether or not the last result has been taken. Each
    has one of the ``slots``, which other tables of the source want too. Closing the iterator ends those that run. What
    a task raises is raised here as PySparkException, its text in the message, and what ends its process as
    Py4JJavaError.
    """
    context, ended = session.sparkContext, threading.Event()

    def one(part: Range) -> T:
        with slots:
            if ended.is_set():
                raise CancelledError
            context.setJobGroup(group, "bulk read", interruptOnCancel=True)
            context.setLocalProperty("spark.scheduler.pool", group)
            return context.parallelize([part], 1).map(task).collect()[0]

    pool = ThreadPoolExecutor(parallel, group)
    try:
        for future in as_completed([pool.submit(one, part) for part in parts]):
            yield future.result()
    finally:
        ended.set()
        # A job that begins between the two is ended with the pool: it is waited for, and its range is done again.
        pool.shutdown(wait=False, cancel_futures=True)
        context.cancelJobGroup(group)
        pool.shutdown(wait=True)


def run_here(
    task: Callable[[Range], T], parts: Sequence[Range], *, slots: threading.Semaphore
) -> Generator[T, None, None]:
    """Yield the results of ``task`` for each range, one after another, in the calling thread; each has a slot."""
    for part in parts:
        with slots:
            result = task(part)
        yield result
