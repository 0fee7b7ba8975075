"""The door to Iceberg's Java API in Spark's JVM, and its exceptions as errors of the project."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.java_gateway import JavaMember
from py4j.protocol import STATIC_PREFIX, Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from cdc.core.errors import CdcError, CommitConflict, CommitStateUnknown, TerminalError, TransientError

_KINDS: tuple[tuple[str, type[CdcError]], ...] = (
    ("org.apache.iceberg.exceptions.CommitStateUnknownException", CommitStateUnknown),
    ("org.apache.iceberg.exceptions.CommitFailedException", CommitConflict),
    ("org.apache.iceberg.exceptions.ValidationException", CommitConflict),
    ("org.apache.iceberg.exceptions.ServiceFailureException", CommitStateUnknown),
    ("org.apache.iceberg.exceptions.ServiceUnavailableException", TransientError),
    ("org.apache.iceberg.exceptions.RESTException", TransientError),
    ("org.apache.iceberg.jdbc.UncheckedSQLException", TransientError),
    ("org.apache.iceberg.exceptions.RuntimeIOException", TransientError),
    ("java.io.UncheckedIOException", TransientError),
    ("java.net.ConnectException", TransientError),
    ("java.sql.SQLTransientConnectionException", TransientError),
    ("org.apache.kafka.common.errors.TimeoutException", TransientError),
    ("org.apache.hadoop.fs.FSError", TransientError),
    ("java.io.IOException", TransientError),
    ("java.lang.OutOfMemoryError", TransientError),  # another table may have had it
    ("org.apache.spark.memory.SparkOutOfMemoryError", TransientError),
    ("java.lang.StackOverflowError", TerminalError),
)
_UP = "are catalog and warehouse up, and catalog.uri right? `cdc doctor` looks"
_HINTS = {
    "java.lang.OutOfMemoryError": "raise spark.driver_memory in the configuration, then start the service again",
    "org.apache.spark.memory.SparkOutOfMemoryError": "raise spark.driver_memory, or lower stream.max_offsets_per_batch",
    "java.lang.StackOverflowError": "set spark.driver.extraJavaOptions in spark.properties to -Xss8m, then start again",
}
_LOST = ("ExecutorLostFailure", "CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND", "Master removed our application")
"""What Spark says, in an exception that is the same for every failed job, when executors went while they worked."""
_LOST_HINT = "it is done again; why the executor went is in its log (short of memory: raise spark.executor.memory)"
_TELLING = ("java.io.IOException", "java.lang.OutOfMemoryError")


@contextmanager
def java_errors(doing: str) -> Iterator[None]:
    """Raise known Java failures as errors of the project, the most telling cause first; others pass unchanged."""
    try:
        yield
    except (Py4JError, PySparkException) as error:
        known = java_meaning(doing, error)
        if known is None:
            raise
        raise known from error


def java_meaning(doing: str, error: BaseException) -> CdcError | None:
    """Return what a Java failure means, the most telling cause first; None for one that is not known."""
    causes = dict(java_causes(error))
    for name, kind in _KINDS:
        if name in causes:
            said = "".join(f": {causes[cause][:200]}" for cause in _TELLING if cause in causes)
            return kind(f"could not {doing}: {name.rpartition('.')[2]}{said}", hint=_HINTS.get(name, _UP))
    if any(sign in said for said in causes.values() for sign in _LOST):
        return TransientError(
            f"could not {doing}: Spark lost an executor, and with it what was half done", hint=_LOST_HINT
        )
    return None


def java_causes(error: BaseException) -> Iterator[tuple[str, str]]:
    """Return class name and message of a Java error and of its causes."""
    java = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    if isinstance(java, Py4JJavaError):
        java = java.java_exception
    while java is not None:
        yield str(java.getClass().getName()), str(java.getMessage())
        java = java.getCause()


def java_class(session: SparkSession, name: str) -> Any:  # noqa: ANN401 - py4j
    """Return the class of this full name, in one question: for every package the JVM would search all jars."""
    return getattr(session._jvm, name)  # noqa: SLF001 - PySpark has no public door to Iceberg's Java API


def java_static(session: SparkSession, name: str, method: str) -> Any:  # noqa: ANN401 - py4j
    """Return a static method of a class that has another one of this name, of objects: py4j may look at that first."""
    client = session.sparkContext._gateway._gateway_client  # type: ignore[union-attr]  # noqa: SLF001
    return JavaMember(method, None, STATIC_PREFIX + name, client)


def use_in_this_thread(session: SparkSession) -> None:
    """Make a session the thread's active one, where Iceberg asks for that instead of the one it is called from."""
    java_class(session, "org.apache.spark.sql.SparkSession").setActiveSession(session._jsparkSession)  # noqa: SLF001


def load_table(session: SparkSession, name: str) -> Any:  # noqa: ANN401 - py4j
    """Return the Java table behind a quoted name, read afresh from the catalog.

    In a thread that has made no statement yet Iceberg would look for the catalog in settings of nobody.
    """
    use_in_this_thread(session)
    loader = java_class(session, "org.apache.iceberg.spark.Spark3Util")
    return loader.loadIcebergTable(session._jsparkSession, name)  # noqa: SLF001


def has_table(session: SparkSession, name: str) -> bool:
    """Return whether there is a table of a quoted name, without a statement: the first ones of a session take long."""
    try:
        load_table(session, name)
    except (Py4JError, PySparkException) as error:
        if any(cause.endswith(_MISSING) for cause, _ in java_causes(error)):
            return False
        raise
    return True


_MISSING = ("NoSuchTableException", "NoSuchNamespaceException", "NoSuchDatabaseException")
