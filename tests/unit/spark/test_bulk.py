"""Tasks of bulk loads: how many run at a time, and what becomes of them when nobody wants their results any more."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cdc.core.errors import PreflightError, TransientError
from cdc.core.load import Range
from cdc.core.names import TableName
from cdc.spark.bulk import run_here, run_tasks, task_failure

PARTS = [Range(n, TableName("s", "t"), "", 1) for n in range(8)]


def test_a_load_is_tried_again_unless_the_python_of_executors_is_another() -> None:
    assert isinstance(task_failure("lake.t", ValueError("Job aborted due to stage failure")), TransientError)
    for said in ("ModuleNotFoundError: No module named 'cdc'", 'Cannot run program "/nowhere/python"'):
        found = task_failure("lake.t", ValueError(f"Job aborted: {said}"))
        assert isinstance(found, PreflightError)
        assert "lake.t" in str(found)
        assert "spark.pyspark.python" in found.hint


class Jobs:
    """Stands for session and context: jobs run in the threads that ask for them; a cancelled group runs no more."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.begun: list[int] = []
        self.cancelled: list[str] = []
        self.lock = threading.Lock()
        self.sparkContext = self

    def setJobGroup(self, *_: Any, **__: Any) -> None: ...  # noqa: N802 - Spark's names

    def setLocalProperty(self, *_: Any) -> None: ...  # noqa: N802

    def cancelJobGroup(self, group: str) -> None:  # noqa: N802
        self.cancelled.append(group)

    def parallelize(self, parts: list[Range], _: int) -> "Job":
        return Job(self, parts[0])


class Job:
    def __init__(self, jobs: Jobs, part: Range) -> None:
        self.jobs, self.part = jobs, part

    def map(self, task: Callable[[Range], Any]) -> "Job":
        self.task = task
        return self

    def collect(self) -> list[Any]:
        jobs = self.jobs
        with jobs.lock:
            jobs.running += 1
            jobs.begun.append(self.part.number)
            jobs.most = max(jobs.most, jobs.running)
        try:
            return [self.task(self.part)]
        finally:
            with jobs.lock:
                jobs.running -= 1


def tasks(jobs: Jobs, task: Callable[[Range], Any], slots: threading.Semaphore, parallel: int = 2) -> Any:
    return run_tasks(jobs, task, PARTS, slots=slots, parallel=parallel, group="g")  # type: ignore[arg-type]


def test_tables_that_are_loaded_side_by_side_share_the_connections_of_their_source() -> None:
    jobs, slots = Jobs(), threading.BoundedSemaphore(2)
    both = threading.Barrier(2, timeout=10)

    def task(part: Range) -> int:
        if part.number < 1:  # the first of each table: two do run at a time
            both.wait()
        return part.number

    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(sorted(tasks(jobs, task, slots)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [list(range(8))] * 2
    assert jobs.most == 2


def test_the_next_task_begins_before_the_last_result_is_taken() -> None:
    """A commit of rows takes a second: the connections waited for it."""
    jobs, third = Jobs(), threading.Event()

    def task(part: Range) -> int:
        if part.number == 3:
            third.set()
        return part.number

    results = tasks(jobs, task, threading.BoundedSemaphore(1), parallel=1)
    assert next(results) == 0
    assert third.wait(10), "nothing was begun while the first result was looked at"
    assert sorted(results) == list(range(1, 8))


def test_nothing_is_begun_once_the_results_are_not_wanted() -> None:
    jobs, let_go = Jobs(), threading.Event()

    def task(part: Range) -> int:
        if part.number:
            let_go.wait(10)
        return part.number

    jobs.cancelJobGroup = lambda _group: let_go.set()  # type: ignore[method-assign]
    results = tasks(jobs, task, threading.BoundedSemaphore(1), parallel=2)
    next(results)
    results.close()
    assert len(jobs.begun) <= 2
    assert jobs.running == 0


def test_an_error_of_a_task_ends_the_others() -> None:
    def task(part: Range) -> int:
        raise ValueError(part.number)

    jobs = Jobs()
    with pytest.raises(ValueError, match="0"):
        list(tasks(jobs, task, threading.BoundedSemaphore(1), parallel=1))
    assert jobs.cancelled == ["g"]


def test_a_small_table_is_read_without_a_job_and_takes_its_turn() -> None:
    slots = threading.BoundedSemaphore(1)
    free = []

    def task(part: Range) -> int:
        free.append(slots.acquire(blocking=False))
        return part.number

    results = run_here(task, PARTS[:3], slots=slots)
    assert next(results) == 0
    assert slots.acquire(blocking=False), "the connection was kept while the result was looked at"
    slots.release()
    assert list(results) == [1, 2]
    assert free == [False] * 3
