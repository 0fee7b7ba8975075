"""The Spark session of the service, and the catalog of the configuration in it.

Catalog settings, which may hold secrets, are set on running sessions and not at start: start-up settings would stand
in the arguments of the JVM's process.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from queue import Empty, Queue
from threading import BoundedSemaphore
from typing import Any

from pyspark.sql import SparkSession

from cdc.config.models import VALUES_REST_ON, Config, SparkConfig
from cdc.config.services import CatalogConfig, GlueCatalog, HiveCatalog, JdbcCatalog, RestCatalog
from cdc.core.errors import ConfigError
from cdc.spark.class_archive import archive_options
from cdc.spark.jvm import LOG_OPTION, SMALL, start_jvm
from cdc.spark.local_files import local_file_settings
from cdc.spark.master import require_master

SETTINGS = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    **VALUES_REST_ON,
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.sql.adaptive.enabled": "false",  # batches are small: planning them again costs more than it saves
    "spark.sql.codegen.cache.maxEntries": "400",  # a fold needs 150 classes; of a very wide table each takes 0.6 MB
    "spark.sql.ui.explainMode": "simple",  # plans are described at every action; wide ones at length
    "spark.sql.maxPlanStringLength": "2000",
    "spark.sql.debug.maxToStringFields": "5",
    "spark.python.sql.dataFrameDebugging.enabled": "false",  # it asks the JVM three things for every call on a column
    "spark.kafka.consumer.cache.capacity": "1000",  # a large batch reads each partition by a consumer of its own
    "spark.scheduler.mode": "FAIR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.redaction.regex": "(?i)secret|password|token|credential|access.?key|jaas",
    "spark.log.level": "WARN",
}


IN_ONE_PROCESS = {
    "spark.executor.killOnFatalError.depth": "0",  # memory that runs out in one table's task is not the end of all
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""Settings where tasks run in the driver; executors elsewhere could not reach it on the loopback interface."""

ON_EXECUTORS = {"spark.scheduler.minRegisteredResourcesRatio": "0.8"}
"""Settings where tasks run elsewhere: a session begins with most of its executors, and counts their cores."""

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
"""Options of a Spark JVM that runs for minutes: the compiler that is quick at first, with room for its code.

Told to use that one only, the JVM keeps 48 MB for code; a few tables fill it, and then it compiles no more.
"""

SPARING = "-XX:GCTimeRatio=1 -XX:MaxNewSize=192m"
"""Options of a JVM beside the service's: it takes the memory that is in use, not all that it may.

Rows that are read and forgotten would fill the heap before garbage is looked for; and the collector, where others have
the processor, would take it for busy and the heap for too small.
"""


_OPTIONS, _EXECUTOR_OPTIONS = "spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"
_CLASS_PATH = "spark.driver.extraClassPath"


def build_session(config: Config, jars: Path, *, brief: bool = False) -> SparkSession:
    """Return the session; starts a JVM with the jars in ``jars``, in ``brief`` one that is to run for minutes.

    Raises ConfigError when there are none, PreflightError when Java does not start or a master does not answer.
    """
    session = spark_session(config.spark, jars, _pipeline(config), brief=brief)
    use_catalog(session, config.catalog)
    return session


def begin_jvm(config: Config, jars: Path) -> None:
    """Have the JVM of ``build_session`` start meanwhile; what keeps it from that is raised there."""

    def begin() -> None:
        with suppress(Exception):
            start_jvm(session_settings(config.spark, jars), _pipeline(config))

    threading.Thread(target=begin, name="begin-jvm", daemon=True).start()


def spark_session(config: SparkConfig, jars: Path, pipeline: str = "", *, brief: bool = False) -> SparkSession:
    """Return a session without a catalog; raises as ``build_session`` does."""
    settings = session_settings(config, jars, brief=brief)
    require_master(config.master)
    start_jvm(settings, pipeline)
    session = SparkSession.builder.config(map=dict(settings)).getOrCreate()
    # Tasks in Python (bulk loads) run in the environment of the service, or in the one that the executors have for it.
    session.sparkContext.pythonExec = settings["spark.pyspark.python"]
    if config.properties.get("spark.sql.shuffle.partitions") is None:
        session.conf.set("spark.sql.shuffle.partitions", str(session.sparkContext.defaultParallelism))
    _remember_classes(session)
    return session


def _remember_classes(session: SparkSession) -> None:
    """Keep the classes that PySpark looks up for every function call: each time the JVM would search all jars."""
    jvm: Any = session._jvm  # noqa: SLF001 - PySpark has no public way
    for name in ("PythonUtils", "org.apache.spark.sql.functions"):
        setattr(jvm, name, getattr(jvm, name))


def session_settings(config: SparkConfig, jars: Path, *, brief: bool = False) -> dict[str, str]:
    """Return Spark's settings; those of the configuration win, and options of its JVMs come last.

    Raises ConfigError when there are no jars.
    """
    files = sorted(str(jar) for jar in jars.glob("*.jar"))
    if not files:
        raise ConfigError(f"no jars in {jars}", hint="run `cdc local fetch`, or set spark.jars to a directory of them")
    chosen, own_process = config.properties, config.master.startswith("local")
    settings = {
        **SETTINGS,
        "spark.app.name": "cdc",
        "spark.driver.memory": config.driver_memory,
        "spark.pyspark.python": sys.executable,
        "spark.sql.shuffle.partitions": "2",
        **(IN_ONE_PROCESS if own_process else {**ON_EXECUTORS, "spark.jars": ",".join(files)}),
        **chosen,
        "spark.master": config.master,
        _OPTIONS: _joined(*((QUICK_START, SPARING) if brief else (SMALL,)), LOG_OPTION, chosen.get(_OPTIONS, "")),
    }
    if own_process:
        settings |= local_file_settings(files, chosen)
        settings[_CLASS_PATH] = ":".join(filter(None, [*files, chosen.get(_CLASS_PATH, "")]))
        settings[_OPTIONS] = _joined(settings[_OPTIONS], archive_options(jars))
    else:  # the same lines: of exceptions, whose messages may hold values of rows, only the class
        settings[_EXECUTOR_OPTIONS] = _joined(LOG_OPTION, chosen.get(_EXECUTOR_OPTIONS, ""))
    return settings


def _joined(*options: str) -> str:
    return " ".join(filter(None, options))


def _pipeline(config: Config) -> str:
    """Return whose JVM it is; nothing if it is that of several."""
    return config.sources[0].name if len(config.sources) == 1 else ""


def use_catalog(session: SparkSession, catalog: CatalogConfig) -> None:
    """Make the catalog known to a session under its name."""
    prefix = f"spark.sql.catalog.{catalog.name}"
    session.conf.set(prefix, "org.apache.iceberg.spark.SparkCatalog")
    for name, value in catalog_properties(catalog).items():
        session.conf.set(f"{prefix}.{name}", value)


def catalog_properties(catalog: CatalogConfig) -> Mapping[str, str]:
    """Return Iceberg's Java properties of a catalog."""
    properties = {"type": catalog.type, "warehouse": catalog.warehouse, "cache-enabled": "false"}
    if isinstance(catalog, JdbcCatalog):
        properties |= {"uri": catalog.uri, "jdbc.schema-version": "V1", **_patience(catalog.uri)}
        properties |= {"jdbc.user": catalog.username} if catalog.username else {}
        properties |= {"jdbc.password": catalog.password.reveal()} if catalog.password else {}
    elif isinstance(catalog, RestCatalog):
        properties |= {"uri": catalog.uri}
        properties |= {"credential": catalog.credential.reveal()} if catalog.credential else {}
        properties |= {"token": catalog.token.reveal()} if catalog.token else {}
    elif isinstance(catalog, HiveCatalog):
        properties |= {"uri": catalog.uri}
    elif isinstance(catalog, GlueCatalog):
        properties |= {"client.region": catalog.region} if catalog.region else {}
    return {**properties, **catalog.properties}


_ANSWERS = {"postgresql": "60", "mysql": "60000", "mariadb": "60000"}
"""How long a catalog's database may take to answer, in each driver's own unit; by default they wait for ever."""


def _patience(uri: str) -> Mapping[str, str]:
    kind = uri.removeprefix("jdbc:").partition(":")[0]
    return {"jdbc.socketTimeout": _ANSWERS[kind]} if kind in _ANSWERS else {}


_INHERITED = (
    "spark.sql.shuffle.partitions",
    "spark.sql.session.timeZone",
    "spark.sql.caseSensitive",
    "spark.sql.adaptive.enabled",
)


INTERPRETED_ROWS = 50_000
"""Up to so many rows, messages and table together, Spark interprets expressions: compiling them would take longer."""


def sibling_session(session: SparkSession, catalog: CatalogConfig) -> SparkSession:
    """Return a session beside another one, in the same JVM, with settings and temporary views of its own."""
    sibling = session.newSession()
    for name in _INHERITED:
        sibling.conf.set(name, session.conf.get(name) or "")
    use_catalog(sibling, catalog)
    return sibling


class Siblings:
    """Sessions beside one for work whose statements have temporary views and settings of their own.

    They are lent again and again: each has connections to the catalog, which end when the JVM has forgotten it.
    """

    def __init__(self, session: SparkSession, catalog: CatalogConfig) -> None:
        self._make = partial(sibling_session, session, catalog)
        self._free: Queue[SparkSession] = Queue()

    @contextmanager
    def lend(self) -> Iterator[SparkSession]:
        """Lend one that nobody else has, a new one if there is none; from any thread."""
        try:
            session = self._free.get_nowait()
        except Empty:
            session = self._make()
        try:
            yield session
        finally:
            self._free.put(session)


class SessionPool:
    """Sessions for tables that are written side by side.

    Iceberg takes a commit's summary from session settings, so writers at work at the same time need one each.
    """

    def __init__(self, session: SparkSession, catalog: CatalogConfig, size: int) -> None:
        self._siblings, self._places = Siblings(session, catalog), BoundedSemaphore(size)

    @contextmanager
    def borrow(self, rows: Callable[[], int], topic: str) -> Iterator[Callable[[], SparkSession]]:
        """Lend a session to one thread, for work on about so many ``rows`` of a topic's table.

        It is taken when it is asked for, and waited for if none is free: work without Spark needs none.
        """
        taken = ExitStack()

        @cache
        def lent() -> SparkSession:
            taken.enter_context(self._places)
            session = taken.enter_context(self._siblings.lend())
            mode = "NO_CODEGEN" if rows() <= INTERPRETED_ROWS else "FALLBACK"
            session.conf.set("spark.sql.codegen.factoryMode", mode)
            session.sparkContext.setLocalProperty("spark.scheduler.pool", topic)
            return session

        with taken:
            yield lent


@contextmanager
def snapshot_properties(session: SparkSession, summary: Mapping[str, str]) -> Iterator[None]:
    """Put entries into the snapshot summary of every Iceberg commit that the session makes meanwhile."""
    names = [f"spark.sql.iceberg.snapshot-property.{name}" for name in summary]
    for name, value in zip(names, summary.values(), strict=True):
        session.conf.set(name, value)
    try:
        yield
    finally:
        for name in names:
            session.conf.unset(name)
