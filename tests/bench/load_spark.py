"""Spark without cdc: a table read by one JDBC partition, and fingerprints of tables in the lake.

``python -m tests.bench.load_spark jdbc|fingerprints``; what to do stands as JSON in the variable LOAD_SPARK, since
arguments can be read by everybody and it holds passwords.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from tests.bench.load_tables import SPARK_PREFIX


def main() -> None:
    """Do what is asked for; results are JSON, the last line on standard output."""
    task = json.loads(os.environ["LOAD_SPARK"])  # noqa: TID251 - set by the measurement
    session = start(task["jars"], task["memory"], task["catalog"])
    try:
        result = {"jdbc": copy, "fingerprints": fingerprints}[sys.argv[1]](session, task)
    finally:
        session.stop()
    print(json.dumps(result), flush=True)


def start(jars: str, memory: str, catalog: dict[str, str]) -> SparkSession:
    """Return a session with an Iceberg catalog named lake."""
    builder = (
        SparkSession.builder.master("local[*]")
        .config("spark.jars", ",".join(str(jar) for jar in sorted(Path(jars).glob("*.jar"))))
        .config("spark.driver.memory", memory)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "WARN")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
    )
    session = builder.getOrCreate()
    for name, value in {"": "org.apache.iceberg.spark.SparkCatalog", **catalog}.items():
        session.conf.set(f"spark.sql.catalog.lake{name and '.'}{name}", value)  # not in the JVM's arguments
    return session


def copy(session: SparkSession, task: dict[str, Any]) -> dict[str, Any]:
    """Copy a table into the lake, as the documentation of Spark shows it."""
    session.sql(f"CREATE NAMESPACE IF NOT EXISTS {task['target'].rpartition('.')[0]}")
    session.read.format("jdbc").options(**task["options"]).load().writeTo(task["target"]).using("iceberg").create()
    return {}


def fingerprints(session: SparkSession, task: dict[str, Any]) -> dict[str, Any]:
    """Return rows, sum, files and bytes of each table."""
    return {name: _of(session, name) for name in task["tables"]}


def _of(session: SparkSession, table: str) -> dict[str, int]:
    rows, total = session.sql(f"SELECT count(*), sum({SPARK_PREFIX}) FROM {table}").collect()[0]
    files, size = session.sql(f"SELECT count(*), sum(file_size_in_bytes) FROM {table}.files").collect()[0]
    return {"rows": rows, "total": int(total or 0), "files": files, "bytes": int(size or 0)}


if __name__ == "__main__":
    main()
