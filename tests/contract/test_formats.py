"""Avro, JSON with schemas and JSON without give the same table, equal to the source in every column of every row."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from cdc.bootstrap.writers import Writers
from cdc.config.sources import EventFormat
from cdc.core.canonical import same
from cdc.core.preflight import SourceColumn
from cdc.core.source_types import event_key, event_row
from cdc.lake.rows import texts
from cdc.pipeline.apply import Applier
from cdc.spark.batch import SparkTableBatch, TableFormat
from cdc.spark.microbatch import MicroBatch
from cdc.spark.staging import TableTarget
from tests.lake import PLACEHOLDER, SPARK_MESSAGE, LakeTable
from tests.samples import Sample, load, messages, recorded

STRUCTS = {"postgres": {"p", "bx", "li"}, "mysql": {"g", "p"}}
"""Geometries have no canonical text; the formats must agree on them all the same."""


class RecordedRegistry:
    """The schemas of the recording by their ids."""

    def __init__(self, engine: str) -> None:
        self._schemas = load(engine, "avro")["schemas"]

    def schema(self, number: int) -> str:
        return json.dumps(self._schemas[str(number)])


class FormatTable(LakeTable):
    """A target table fed with recorded messages of one format."""

    def __init__(self, lake: tuple[Any, Any], engine: str, event_format: str, declared: list[SourceColumn]) -> None:
        super().__init__(*lake, [], name=f"format_{engine}_{event_format}_{len(declared)}", engine=engine)
        self.format = event_format
        row = event_row(engine, declared)
        columns = (event_key(row, ("id",)), row)
        self.writers = Writers(RecordedRegistry(engine), EventFormat(event_format), lambda _topic: columns)  # type: ignore[arg-type]

    def feed(self, samples: list[Sample]) -> Any:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        rows = [(self.spec.topic, 0, s.offset, now, s.key, s.value, s.headers or None) for s in samples]
        with self.opened(self.session.createDataFrame(rows, SPARK_MESSAGE)) as batch:
            return Applier(self.token, 1000, lambda: None).apply(self.spec, self.table, batch, self.memory)

    @contextmanager
    def opened(self, frame: Any) -> Iterator[SparkTableBatch]:
        micro = MicroBatch(frame, "cdc_messages_formats", {self.spec.topic: self.format})
        part = micro.slices()[self.spec.topic]
        beside = f"`{self.catalog}`.`cdc`.`tombstones_{self.spec.target.table}`"
        target = TableTarget(self.table.sql_name, self.table.branch_sql, beside, self.quarantine)
        table_format = TableFormat("shop", self.spec.topic, self.spec.engine, self.format, self.spec.key, PLACEHOLDER)
        resolve = self.writers.resolver(self.spec.topic, micro)
        with self.pool.borrow() as session:
            batch = SparkTableBatch(session, micro.view, part, table_format, target, resolve)
            try:
                yield batch
            finally:
                batch.close()
                micro.close()

    def canonical(self) -> dict[str, list[Any]]:
        """Return the columns as canonical texts, rows in the order of the key's text."""
        frame = self.session.sql(f"SELECT * FROM {self.table.sql_name} ORDER BY CAST(id AS string)")
        table = frame.drop("_cdc_position", "_cdc_op", "_cdc_source_ts", "_cdc_committed_at").toArrow()
        structs = STRUCTS[self.spec.engine]
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        return {name: c.to_pylist() if name in structs else texts(c) for name, c in columns.items()}


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_all_formats_give_the_rows_of_the_source(lake: tuple[Any, Any], engine: str) -> None:
    """Also types: infinities, NaN, negative scale, bits, arrays, BOOLEAN added while streaming, TOAST, key change."""
    source = recorded(engine)
    order = sorted(range(len(source.rows)), key=lambda i: source.rows[i][0] or "")
    found: dict[str, dict[str, list[Any]]] = {}
    for event_format in ("avro", "json_schema", "json"):
        table = FormatTable(lake, engine, event_format, source.declared)
        samples = messages(engine, event_format)
        first = next(i for i, s in enumerate(samples) if s.offset > i)  # a transaction's marker ends the snapshot
        for part in (samples[:first], samples[first:]) if engine == "mysql" else (samples,):
            applied = table.feed(part)
            assert not applied.collapsed.problems, table.session.sql(f"SELECT reason FROM {table.quarantine}").collect()
        found[event_format] = table.canonical()
    for event_format, columns in found.items():
        for number, column in enumerate(source.columns):
            if column.name in STRUCTS[engine]:
                continue
            for place, index in enumerate(order):
                expected, value = source.rows[index][number], columns[column.name][place]
                assert same(column.form, expected, value), (event_format, column.name, expected, value)
    for event_format, columns in found.items():
        exact = {name: values for name, values in columns.items() if name != "n"}
        assert exact == {n: v for n, v in found["avro"].items() if n != "n"}, event_format


DECLARED = [SourceColumn("id", "integer", False, False), SourceColumn("n", "integer", True, False)]
BLOCK = {
    "type": "struct",
    "fields": [
        {
            "type": "struct",
            "field": "after",
            "fields": [{"type": "int32", "field": "id"}, {"type": "int32", "field": "n"}],
        }
    ],
}


@pytest.mark.parametrize("event_format", ["json_schema", "json"])
def test_what_does_not_fit_is_quarantined(lake: tuple[Any, Any], event_format: str) -> None:
    """A number too large for its column, text that is no JSON, bytes that are no text: never null, never skipped."""

    def wrapped(block: Any, payload: str) -> bytes:
        text = json.dumps({"schema": block}, separators=(",", ":"))[:-1] + f',"payload":{payload}}}'
        return (text if event_format == "json_schema" else payload).encode()

    def sample(number: int, n: str) -> Sample:
        source = '{"sequence":"[null,\\"5\\"]","ts_ms":1,"snapshot":null}'
        payload = f'{{"after":{{"id":{number},"n":{n}}},"source":{source},"op":"c"}}'
        return Sample(number, wrapped(BLOCK["fields"][0], f'{{"id":{number}}}'), wrapped(BLOCK, payload), [])

    table = FormatTable(lake, "postgres", event_format, DECLARED)
    broken = [Sample(n, sample(n, "0").key, value, []) for n, value in enumerate([b"{", b"\xff\xfe\x00"], 1)]
    applied = table.feed([sample(0, "99999999999"), *broken, sample(3, '"seven"'), sample(4, "7")])
    assert (applied.collapsed.problems, applied.collapsed.keys) == (4, 1)
    assert [(row.id, row.n) for row in table.rows()] == [(4, 7)]
    quarantined = table.session.sql(f"SELECT offset, reason FROM {table.quarantine} WHERE topic = '{table.spec.topic}'")
    assert {row["offset"] for row in quarantined.collect()} == {0, 1, 2, 3}
