"""Java's failures in our own words."""

import pytest

from cdc.core.errors import TerminalError, TransientError
from cdc.lake.java import java_meaning


class Thrown:
    """A Java exception as py4j hands it over."""

    def __init__(self, name: str, message: str, cause: "Thrown | None" = None) -> None:
        self._name, self._message, self._cause = name, message, cause

    def getClass(self) -> "Thrown":  # noqa: N802 - Java's names
        return self

    def getName(self) -> str:  # noqa: N802
        return self._name

    def getMessage(self) -> str:  # noqa: N802
        return self._message

    def getCause(self) -> "Thrown | None":  # noqa: N802
        return self._cause


class Failure(Exception):
    """What PySpark raises for it."""

    def __init__(self, thrown: Thrown) -> None:
        self._origin = thrown


ABORTED = "Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent failure: "


@pytest.mark.parametrize(
    "said",
    [
        "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: worker lost",
        "org.apache.spark.SparkException: [CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND] Checkpoint block rdd_1_0 not found!",
    ],
)
def test_executors_that_are_lost_are_no_trouble_of_the_table(said: str) -> None:
    """S27."""
    found = java_meaning("apply a batch to lake.t", Failure(Thrown("org.apache.spark.SparkException", ABORTED + said)))
    assert isinstance(found, TransientError)
    assert str(found) == "could not apply a batch to lake.t: Spark lost an executor, and with it what was half done"
    assert "spark.executor.memory" in found.hint


def test_a_failed_job_of_another_kind_is_not_known() -> None:
    said = ABORTED + "java.lang.ArithmeticException: overflow"
    assert java_meaning("merge", Failure(Thrown("org.apache.spark.SparkException", said))) is None


def test_the_most_telling_cause_comes_first() -> None:
    deep = Thrown("java.lang.StackOverflowError", "", Thrown("java.io.IOException", "No space left on device"))
    found = java_meaning("merge", Failure(Thrown("org.apache.spark.SparkException", ABORTED, deep)))
    assert isinstance(found, TransientError)
    assert "No space left on device" in str(found)
    assert isinstance(java_meaning("merge", Failure(Thrown("java.lang.StackOverflowError", ""))), TerminalError)
