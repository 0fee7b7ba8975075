"""``python -m tests.bench.wide``: one batch of a table with hundreds of columns, whose source adds some meanwhile.

The changes are decoded, collapsed, merged and published on local files, in a JVM that has applied one small batch
before; afterwards every column of every row is compared with what the changes make of it. ``heap_mb`` is what the
driver's old generation held at most, rubbish included.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from cdc.bootstrap.spark import fetch_spark
from cdc.spark import small
from cdc.spark.session import build_session
from tests.contract.wide import JsonTable, WideSource, columns, kept
from tests.lake import LakeTable, lake_config

FORMATS = {"avro": LakeTable, "json_schema": JsonTable}


def main() -> None:
    """Apply the batch, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wide", description=__doc__)
    parser.add_argument("--columns", type=int, default=330, help="columns at the end")
    parser.add_argument(
        "--versions", type=int, default=2, help="versions of the schema in the batch, a column more each"
    )
    parser.add_argument("--changes", type=int, default=300, help="changes of the batch")
    parser.add_argument("--keys", type=int, default=1_009, help="keys that the changes are of")
    parser.add_argument("--format", choices=FORMATS, default="avro")
    parser.add_argument("--memory", default="2g", help="spark.driver_memory")
    parser.add_argument("--spark", action="store_true", help="let Spark collapse the batch, however small it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    print(json.dumps({**vars(options), **figures}))
    sys.exit(0 if figures["contents"] == "equal" else 1)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Apply the batch; returns seconds, memory, and whether the contents are right."""
    config = lake_config(folder)
    spark = config.spark.model_copy(update={"driver_memory": options.memory})
    session = build_session(config.model_copy(update={"spark": spark}), fetch_spark())
    first = options.columns - options.versions + 1
    source, table = WideSource(options.keys), FORMATS[options.format](session, config, columns(first), name="wide")
    table.apply(source.changes(first, 100))
    small.MESSAGES = 0 if options.spark else small.MESSAGES
    groups = [
        (columns(n), source.changes(n, options.changes // options.versions)) for n in range(first, options.columns + 1)
    ]
    began = time.monotonic()
    applied = table.apply_mixed(groups)
    return {
        "seconds": round(time.monotonic() - began, 1),
        "of_these": {name: round(seconds, 1) for name, seconds in applied.seconds.items()},
        "heap_mb": old_generation(session),
        "contents": "equal"
        if table.values() == {key: kept(row, options.columns) for key, row in source.rows.items()}
        else "DIFFERENT",
    }


def old_generation(session: SparkSession) -> int:
    """Return how many megabytes the JVM's old generation held at most."""
    beans = session._jvm.java.lang.management.ManagementFactory.getMemoryPoolMXBeans()  # noqa: SLF001
    return max(bean.getPeakUsage().getUsed() >> 20 for bean in beans if "Old Gen" in bean.getName())


if __name__ == "__main__":
    main()
