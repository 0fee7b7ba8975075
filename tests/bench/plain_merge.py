"""Plain PySpark beside cdc: from the same topic into another table, by a foreachBatch as people write it.

``python -m tests.bench.plain_merge CONFIG copy|drain|compare --table T --topic T ..`` with the Spark settings of the
configuration. The newest change of each key, by the position in the source's log, is merged (merge-on-read, format 2).
It stands for what is often written by hand and does less: no schema changes, no progress in the table, no quarantine.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import httpx
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f
from pyspark.sql.avro.functions import from_avro

from cdc.bootstrap.spark import fetch_spark
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.spark.session import build_session
from tests.bench.drain import DRAINED, PUBLISHED, STARTED

PROPERTIES = {
    "format-version": "2",
    **{f"write.{verb}.mode": "merge-on-read" for verb in ("delete", "update", "merge")},
}


def main() -> None:
    """Copy a table as it was, drain a topic into the copy, or compare it; what is done are lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("verb", choices=["copy", "drain", "compare"])
    parser.add_argument("--table", required=True, help="the table that is merged into")
    parser.add_argument("--source", help="copy, compare: the other table")
    parser.add_argument("--snapshot", type=int, help="copy: of this snapshot")
    parser.add_argument("--topic", help="drain: the topic")
    options = parser.parse_args()
    config = load_config(options.config, dict(os.environ))  # noqa: TID251 - passwords, set by the measurement
    session = build_session(config, fetch_spark())
    table = f"{config.catalog.name}.{options.table}"
    if options.verb == "copy":
        copy(session, table, f"{config.catalog.name}.{options.source}", options.snapshot)
    elif options.verb == "compare":
        compare(session, table, f"{config.catalog.name}.{options.source}")
    else:
        drain(session, config, table, options.topic)
        tell(DRAINED)
        signal.pause()  # what it has used is looked at while it lives
    session.stop()


def copy(session: SparkSession, table: str, source: str, snapshot: int) -> None:
    """Make the table with the source's columns and rows; what cdc adds is left out."""
    session.sql(f"CREATE NAMESPACE IF NOT EXISTS {table.rpartition('.')[0]}")
    rows = session.read.option("versionAsOf", snapshot).table(source)
    kept = rows.select(*(name for name in rows.columns if not name.startswith("_cdc_")))
    writer = kept.writeTo(table).using("iceberg")
    for name, value in PROPERTIES.items():
        writer = writer.tableProperty(name, value)
    writer.create()


def compare(session: SparkSession, table: str, other: str) -> None:
    """Tell how many rows differ from the other table's, and how long either takes to be counted and a column added up.

    The other one is read first, so that the table finds a JVM that has done it before.
    """
    theirs, ours = scanned(session, other), scanned(session, table)
    columns = session.table(table).columns
    one, two = session.table(table), session.table(other).select(*columns)
    differing = one.exceptAll(two).count() + two.exceptAll(one).count()
    tell(
        "compared",
        rows=ours[0],
        sum=ours[1],
        scan_by_spark=ours[2],
        scan_of_cdc_by_spark=theirs[2],
        differing=differing,
    )


def scanned(session: SparkSession, table: str) -> tuple[int, int, float]:
    """Return the rows, the sum of a column, and the seconds that this took."""
    began = time.monotonic()
    rows, total = session.sql(f"SELECT count(*), sum(n) FROM {table}").collect()[0]
    return rows, total, round(time.monotonic() - began, 2)


def drain(session: SparkSession, config: Config, table: str, topic: str) -> None:
    """Merge what is in the topic."""
    versions = httpx.get(f"{config.registry.url}/subjects/{topic}-value/versions/latest").raise_for_status()
    messages = (
        session.readStream.format("kafka")
        .option("kafka.bootstrap.servers", config.kafka.bootstrap_servers)
        .option("kafka.isolation.level", "read_committed")
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", config.stream.max_offsets_per_batch)
        .load()
    )
    value = from_avro(f.expr("substring(value, 6)"), versions.json()["schema"])  # behind magic byte and schema id
    changes = messages.where("value IS NOT NULL").select(value.alias("change"))
    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            changes.writeStream.foreachBatch(lambda batch, _: merge(batch, table))
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        tell(STARTED)
        query.awaitTermination()


def merge(batch: DataFrame, table: str) -> None:
    """Merge the newest change of each key."""
    session = batch.sparkSession
    target = session.table(table).schema
    newest = Window.partitionBy("id").orderBy(f.desc("lsn"))
    columns = [
        f.col(f"change.after.{one.name}").cast(one.dataType).alias(one.name) for one in target if one.name != "id"
    ]
    (
        batch.select(
            f.expr("coalesce(change.after.id, change.before.id)").alias("id"),
            f.col("change.op").alias("op"),
            f.col("change.source.lsn").alias("lsn"),
            *columns,
        )
        .withColumn("place", f.row_number().over(newest))
        .where("place = 1")
        .createOrReplaceTempView("changes")
    )
    session.sql(f"""
        MERGE INTO {table} AS t USING changes AS c ON t.id = c.id
        WHEN MATCHED AND c.op = 'd' THEN DELETE
        WHEN MATCHED THEN UPDATE SET *
        WHEN NOT MATCHED AND c.op <> 'd' THEN INSERT *""")
    tell(PUBLISHED)


def tell(event: str, **figures: float) -> None:
    print(json.dumps({"event": event, **figures}), flush=True)


if __name__ == "__main__":
    main()
