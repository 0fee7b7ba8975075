"""``make bench-apply``: batches of a large table, as row deltas and by a MERGE, from gathered changes to publish.

Two equal tables of eight columns get the same batches (80 % updates, 10 % inserts, 10 % deletes, keys at random)
through the real decoder, collapse, commit protocol and audit, on local files, first one, then the other. What is
timed are the stages from the changes to the publish of their commit; the first batch warms the JVM up. Figures are
printed only when both tables hold, in every column, what the batches make of the rows from before.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.core.evolution import unify
from cdc.core.types import parse_avro_row
from cdc.pipeline.apply import create_table
from tests.contract.events import Topic
from tests.lake import LakeTable, Message, envelope_schema, start_session


def _column(name: str, avro: str, source: str, **more: Any) -> dict[str, Any]:
    parameters = {"__debezium.source.column.type": source, "__debezium.source.column.name": name}
    for what in ("length", "scale"):
        if what in more:
            parameters[f"__debezium.source.column.{what}"] = str(more.pop(what))
    return {"name": name, "type": ["null", {"type": avro, "connect.parameters": parameters, **more}], "default": None}


KEYS = {"integer": ("id",), "uuid": ("token",), "composite": ("visits", "token")}
COLUMNS = [
    _column("id", "long", "INT8"),
    _column("name", "string", "TEXT"),
    _column("note", "string", "TEXT"),
    _column("amount", "string", "NUMERIC", length=12, scale=2),
    _column("visits", "int", "INT4"),
    _column("active", "boolean", "BOOL", length=1),
    _column(
        "changed_at",
        "string",
        "TIMESTAMPTZ",
        **{"connect.version": 1, "connect.name": "io.debezium.time.ZonedTimestamp"},
    ),
    _column("token", "string", "UUID"),
]
NAMES = [str(column["name"]) for column in COLUMNS]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ROWS_A_FILE = 1_000_000
BASE = f"""
SELECT id, concat('name ', id) AS name, rpad(concat('note of ', id, ' '), 70, md5(cast(id AS string))) AS note,
  cast(concat(id % 1000000, '.25') AS decimal(12, 2)) AS amount, cast(id % 1000 AS int) AS visits, id % 2 = 0 AS active,
  timestamp_seconds({int(BEGAN.timestamp())} + id % 1000000) AS changed_at,
  regexp_replace(md5(cast(id AS string)), '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})', '$1-$2-$3-$4-') AS token,
  concat('00000000-0000000000000000-0-', lower(lpad(hex(id), 16, '0')), '-0000000000000000') AS _cdc_position,
  'r' AS _cdc_op, timestamp_seconds(0) AS _cdc_source_ts, timestamp_seconds(0) AS _cdc_committed_at
FROM range(0, ROWS, 1, FILES)
"""


def main() -> None:
    """Make the tables, apply the batches, compare, print."""
    parser = argparse.ArgumentParser(prog="make bench-apply", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--changes", type=int, default=20_000, help="changes of a batch; above 20,000 Spark collapses them"
    )
    parser.add_argument("--batches", type=int, default=5, help="batches that are timed")
    parser.add_argument("--key", choices=sorted(KEYS), default="integer")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        session, config = start_session(Path(folder))
        try:
            figures = measured(session, config, options)
        finally:
            session.stop()
    print(json.dumps({**vars(options), **machine(), **figures}, indent=2))
    sys.exit(0 if figures["contents"] == "equal" else 1)


def machine() -> dict[str, str]:
    """Return where and when."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load average {os.getloadavg()[0]:.1f}",
    }


def measured(session: SparkSession, config: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    source = Source(options)
    tables = {way: filled(session, config, options, way) for way in ("delta", "merge")}
    index = build(tables["delta"], options.rows)
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in tables}
    batches = [source.batch() for _ in range(options.batches + 1)]
    for way, table in tables.items():  # not in turns: a MERGE reads the table, and whatever was in memory is out of it
        for number, batch in enumerate(batches):
            table.memory.progress = None
            applied = table.apply(batch)
            if not applied.way.startswith(way):
                raise SystemExit(f"bench: a batch was staged as {applied.way!r}")
            say(f"batch {number}, {way}: { {n: round(s, 2) for n, s in applied.seconds.items()} }")
            taken[way].append(dict(applied.seconds))
    expected = digest(source.expected(session, options.rows), KEYS[options.key])
    found = {way: digest(table.session.table(table.table.sql_name), KEYS[options.key]) for way, table in tables.items()}
    equal = all(one == expected for one in found.values())
    return {
        "index": {**index, "bytes_at_the_end": size_of(tables["delta"].index_folder)},
        **{way: told(seconds[1:]) for way, seconds in taken.items()},
        "rows_at_the_end": expected[0],
        "contents": "equal" if equal else f"DIFFERENT: {expected} {found}",
    }


def told(batches: list[dict[str, float]]) -> dict[str, Any]:
    """Return medians of the seconds of each stage, and of those from the changes to the publish together."""
    whole = [one["merge"] + one["publish"] for one in batches]
    stages = {name: round(statistics.median(one[name] for one in batches), 3) for name in batches[0]}
    return {
        "seconds_from_changes_to_publish": round(statistics.median(whole), 3),
        "of_each_batch": [round(one, 3) for one in whole],
        "median_of_stages": stages,
    }


def filled(session: SparkSession, config: Any, options: argparse.Namespace, way: str) -> LakeTable:
    """Return a table with its first rows."""
    mode = {"write.merge.mode": "merge-on-read"}
    table = LakeTable(session, config, COLUMNS, name=way, key=KEYS[options.key], properties=mode, deltas=way == "delta")
    table.rewrites = False
    row = parse_avro_row(envelope_schema(COLUMNS))
    create_table(table.spec, table.table, unify([row]), table.token)
    base = base_rows(session, options.rows)
    base.select(*session.table(table.table.sql_name).columns).writeTo(table.table.sql_name).append()
    say(f"{options.rows:,} rows in {way}")
    return table


def base_rows(session: SparkSession, rows: int) -> DataFrame:
    """Return the rows that tables begin with."""
    return session.sql(BASE.replace("ROWS", str(rows)).replace("FILES", str(max(2, rows // ROWS_A_FILE))))


def build(table: LakeTable, rows: int) -> dict[str, Any]:
    """Build the index, and return what that took."""
    began = time.monotonic()
    while True:
        indexed = table.direct().indexed
        assert indexed is not None
        why = indexed.why_not()
        if why is None:
            break
        if not why.startswith("the key index is being built"):
            raise SystemExit(f"bench: {why}")
        time.sleep(0.05)
    seconds = time.monotonic() - began
    say(f"index built in {seconds:.1f} s")
    return {
        "seconds_to_build": round(seconds, 2),
        "rows_a_second": round(rows / seconds),
        "bytes": size_of(table.index_folder),
    }


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def digest(rows: DataFrame, key: tuple[str, ...]) -> tuple[int, int, Decimal]:
    """Return rows, distinct keys, and a sum over a hash of every column of every row."""
    hashed = f.xxhash64(*NAMES).cast("decimal(38, 0)")
    found = rows.agg(f.count("*"), f.count_distinct(*key), f.sum(hashed)).collect()[0]
    return found[0], found[1], found[2]


class Source:
    """The rows of a table that were changed, and their changes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._random = random.Random(options.seed)
        self._rows, self._changes, self._key = options.rows, options.changes, KEYS[options.key]
        self._topic = Topic(key=self._key)
        self._changed: dict[int, dict[str, Any] | None] = {}
        self._next, self._lsn = options.rows, 1_000

    def batch(self) -> list[Message]:
        """Return the changes of one batch, of different keys each."""
        inserts = deletes = self._changes // 10
        chosen: set[int] = set()
        while len(chosen) < self._changes - inserts:
            one = self._random.randrange(self._next)
            if self._changed.get(one, {}) is not None:
                chosen.add(one)
        old = sorted(chosen)
        self._random.shuffle(old)
        new = list(range(self._next, self._next + inserts))
        self._next += inserts
        return [
            *[self._change("d", one) for one in old[:deletes]],
            *[self._change("u", one) for one in old[deletes:]],
            *[self._change("c", one) for one in new],
        ]

    def _change(self, operation: str, one: int) -> Message:
        self._lsn += 10
        row = self._row(one)
        self._changed[one] = None if operation == "d" else row
        return self._topic.change(operation, row, (self._lsn - 5, self._lsn), partition=one % 3)

    def _row(self, one: int) -> dict[str, Any]:
        token = hashlib.md5(str(one).encode(), usedforsecurity=False).hexdigest()
        changed_at = BEGAN + timedelta(seconds=self._lsn, microseconds=self._lsn)
        return {
            "id": one,
            "name": f"new {self._lsn}",
            "note": f"changed at {self._lsn} ".ljust(70, "x"),
            "amount": f"{self._lsn % 100000}.75",
            "visits": one % 1000,
            "active": self._lsn % 20 == 0,
            "changed_at": changed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "token": "-".join((token[:8], token[8:12], token[12:16], token[16:20], token[20:])),
        }

    def expected(self, session: SparkSession, rows: int) -> DataFrame:
        """Return the rows as they are to be."""
        known = [self._parsed(row) for row in self._changed.values() if row is not None]
        plain = {"id": pa.int64(), "name": pa.string(), "note": pa.string(), "amount": pa.decimal128(12, 2)}
        other = {"visits": pa.int32(), "active": pa.bool_(), "changed_at": pa.timestamp("us", tz="UTC")}
        schema = pa.schema({**plain, **other, "token": pa.string()})
        changed = session.createDataFrame(pa.Table.from_pylist(known, schema))
        ids = session.createDataFrame(pa.table({"id": pa.array(self._changed, pa.int64())}))
        return base_rows(session, rows).join(ids, "id", "left_anti").select(*NAMES).unionByName(changed.select(*NAMES))

    @staticmethod
    def _parsed(row: dict[str, Any]) -> dict[str, Any]:
        at = datetime.strptime(row["changed_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        return {**row, "amount": Decimal(row["amount"]), "changed_at": at}


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    main()
