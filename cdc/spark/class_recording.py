"""What is done in a JVM so that its archive holds the classes of services and commands.

``python -m cdc.spark.class_recording JARS ARCHIVE`` does it in a process of its own.
"""

import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession

from cdc.config.models import SparkConfig
from cdc.config.services import HadoopCatalog
from cdc.spark.class_archive import SECONDS, recording_options
from cdc.spark.session import spark_session, use_catalog


def record(jars: Path, archive: Path) -> None:
    """Do in a JVM what a service does, and have the JVM write the archive when it ends."""
    config = SparkConfig(
        master="local[2]",
        driver_memory="1g",
        properties={"spark.driver.extraJavaOptions": recording_options(archive)},
    )
    session = spark_session(config, jars)
    with tempfile.TemporaryDirectory() as folder:
        use_all(session, Path(folder))
    _end(session)
    if not archive.is_file():
        raise SystemExit("the JVM has written no archive")


def use_all(session: SparkSession, folder: Path) -> None:
    """Use what services and commands use: statements, Iceberg, a stream, the client of Kafka, catalogs and drivers."""
    use_catalog(session, HadoopCatalog(type="hadoop", name="classes", warehouse=f"file:{folder}"))
    session.sql("CREATE NAMESPACE IF NOT EXISTS classes.a")
    session.sql("CREATE TABLE classes.a.t (id bigint, name string, at timestamp, amount decimal(9,2)) USING iceberg")
    session.createDataFrame([(1, "a")], "id bigint, name string").createOrReplaceTempView("rows")
    session.sql("INSERT INTO classes.a.t (id, name) SELECT id, name FROM rows")
    session.sql(
        "MERGE INTO classes.a.t USING rows ON t.id = rows.id WHEN MATCHED THEN UPDATE SET name = rows.name "
        "WHEN NOT MATCHED THEN INSERT (id, name) VALUES (rows.id, rows.name)"
    )
    session.sql("SELECT name, count(*), max(id) FROM classes.a.t WHERE id > 0 GROUP BY name").toArrow()
    _stream(session, str(folder / "checkpoint"))
    _ask_kafka(session)
    jvm: Any = session._jvm  # noqa: SLF001 - PySpark has no public way
    for name in ("org.apache.iceberg.jdbc.JdbcCatalog", "org.apache.iceberg.rest.RESTCatalog", "org.postgresql.Driver"):
        jvm.java.lang.Class.forName(name)


def _stream(session: SparkSession, checkpoint: str) -> None:
    handled = threading.Event()

    def handle(frame: DataFrame, _: int) -> None:
        frame.count()
        handled.set()

    stream = session.readStream.format("rate").load().writeStream.foreachBatch(handle)
    query = stream.option("checkpointLocation", checkpoint).start()
    handled.wait(60)
    query.stop()


def _ask_kafka(session: SparkSession) -> None:
    """Ask a broker that is not there: the classes that ask are loaded all the same."""
    impatient = {"default.api.timeout.ms": "1000", "request.timeout.ms": "500", "bootstrap.servers": "127.0.0.1:1"}
    options = {f"kafka.{name}": value for name, value in impatient.items()}
    with suppress(Exception):
        session.read.format("kafka").options(**options).option("subscribe", "none").load().count()


def _end(session: SparkSession) -> None:
    """End the JVM, and wait until it has written what it is told to write."""
    session.stop()
    gateway: Any = SparkContext._gateway  # noqa: SLF001
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(SECONDS)


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]))
