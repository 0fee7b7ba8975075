"""Avro, JSON with schemas and JSON without give the same table, equal to the source in every column of every row."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest

from cdc.bootstrap.writers import Writers
from cdc.config.sources import EventFormat
from cdc.core.canonical import same
from cdc.core.preflight import SourceColumn
from cdc.core.source_types import event_key, event_row
from cdc.lake.rows import texts
from cdc.pipeline.apply import Applier
from cdc.spark.batch import SparkTableBatch, TableFormat
from cdc.spark.microbatch import MESSAGE_DDL, MicroBatch
from cdc.spark.staging import TableTarget
from cdc.spark.work import Direct
from tests.lake import PLACEHOLDER, LakeTable
from tests.samples import Recorded, Sample, load, messages, recorded

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
        with self.opened(rows) as batch:
            return Applier(self.token, 1000, lambda: None).apply(self.spec, self.table, batch, self.memory)

    @contextmanager
    def opened(self, rows: list[Any]) -> Iterator[SparkTableBatch]:
        frame = self.session.createDataFrame(rows, MESSAGE_DDL)
        micro = MicroBatch(frame, "cdc_messages_formats", {self.spec.topic: self.format}, len(rows))
        part = micro.slices()[self.spec.topic]
        beside = f"`{self.catalog}`.`cdc`.`tombstones_{self.spec.target.table}`"
        target = TableTarget(self.table.sql_name, self.table.branch_sql, beside, self.quarantine)
        table_format = TableFormat("shop", self.spec.topic, self.spec.engine, self.format, self.spec.key, PLACEHOLDER)
        resolve = self.writers.resolver(self.spec.topic, micro)
        with self.pool.borrow(lambda: 0, self.spec.topic) as session:
            batch = SparkTableBatch(session, micro.view, part, table_format, target, resolve, Direct())
            try:
                yield batch
            finally:
                batch.close()
                micro.close()

    def feed_all(self, samples: list[Sample]) -> None:
        """Apply messages that can all be used."""
        problems = self.feed(samples).collapsed.problems
        assert not problems, self.session.sql(f"SELECT DISTINCT reason FROM {self.quarantine}").collect()

    def canonical(self) -> dict[str, dict[str, Any]]:
        """Return key -> column -> canonical text; structs as they are."""
        frame = self.session.sql(f"SELECT * FROM {self.table.sql_name}")
        table = frame.drop("_cdc_position", "_cdc_op", "_cdc_source_ts", "_cdc_committed_at").toArrow()
        structs = STRUCTS[self.spec.engine]
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        values = {name: c.to_pylist() if name in structs else texts(c) for name, c in columns.items()}
        return {key: {name: values[name][i] for name in values} for i, key in enumerate(values["id"])}


def truncate_after(last: Sample, schemas: dict[str, Any]) -> Sample:
    """Return a truncate in Avro, made of the last message: without a key, as connectors write it."""
    assert last.value is not None
    schema = fastavro.parse_schema(schemas[str(int.from_bytes(last.value[1:5], "big"))])
    envelope: Any = fastavro.schemaless_reader(io.BytesIO(last.value[5:]), schema, None)
    envelope["source"]["pos"] += 1
    out = io.BytesIO(last.value[:5])
    out.seek(5)
    fastavro.schemaless_writer(out, schema, {**envelope, "before": None, "after": None, "op": "t"})
    return Sample(last.offset + 1, None, out.getvalue(), [])


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_all_formats_give_the_rows_of_the_source(lake: tuple[Any, Any], engine: str) -> None:
    """M27, K15, S38: also types: infinities, NaN, negative scale, bits, arrays, BOOLEAN added while streaming, TOAST,
    key change.
    """
    source = recorded(engine)
    avro = FormatTable(lake, engine, "avro", source.declared)
    samples = messages(engine, "avro")
    first = next(i for i, s in enumerate(samples) if s.offset > i)  # a transaction's marker ends the snapshot
    avro.feed_all(samples[:first])
    snapshot = avro.canonical()
    avro.feed_all(samples[first:])
    changed = avro.canonical()
    assert_equal(source, changed, STRUCTS[engine])
    for event_format in ("json_schema", "json"):
        table = FormatTable(lake, engine, event_format, source.declared)
        table.feed_all([s for s in messages(engine, event_format) if engine == "mysql" or says_it_all(s)])
        known = changed if engine == "mysql" else {**changed, **snapshot}
        found = table.canonical()
        assert found == {key: known[key] for key in found}, event_format
        assert len(found) == (3 if engine == "mysql" else 4)
    if engine == "mysql":
        avro.feed_all([truncate_after(samples[-1], load(engine, "avro")["schemas"])])
        assert avro.rows() == [], "a truncate has no key (P14)"


def says_it_all(sample: Sample) -> bool:
    """Return whether no other event is needed to know the row: the fold is the same for all formats, and slow."""
    value = sample.value or b""
    return PLACEHOLDER.encode() not in value and b'"op":"d"' not in value and bool(value) and not sample.headers


def assert_equal(source: Recorded, found: dict[str, dict[str, Any]], without: set[str]) -> None:
    rows = {row[0]: row for row in source.rows}
    assert set(found) == set(rows)
    for key, row in rows.items():
        for column, expected in zip(source.columns, row, strict=True):
            value = found[str(key)][column.name]
            assert column.name in without or same(column.form, expected, value), (key, column.name, expected, value)


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

SOURCE = '{"sequence":"[null,\\"5\\"]","ts_ms":1,"snapshot":null}'


def test_what_does_not_fit_is_quarantined(lake: tuple[Any, Any]) -> None:
    """K12, S39: a number too large for its column, text that is no JSON, bytes that are no text: never null, never
    skipped.
    """

    def wrapped(block: Any, payload: str) -> bytes:
        return f'{{"schema":{json.dumps(block)},"payload":{payload}}}'.encode()

    def sample(number: int, n: str) -> Sample:
        payload = f'{{"after":{{"id":{number},"n":{n}}},"source":{SOURCE},"op":"c"}}'
        return Sample(number, wrapped(BLOCK["fields"][0], f'{{"id":{number}}}'), wrapped(BLOCK, payload), [])

    table = FormatTable(lake, "postgres", "json_schema", DECLARED)
    broken = [Sample(n, sample(n, "0").key, value, []) for n, value in enumerate([b"{", b"\xff\xfe\x00"], 1)]
    applied = table.feed([sample(0, "99999999999"), *broken, sample(3, '"seven"'), sample(4, "7")])
    assert (applied.collapsed.problems, applied.collapsed.keys) == (4, 1)
    assert [(row.id, row.n) for row in table.rows()] == [(4, 7)]
    truncate = f'{{"after":null,"source":{SOURCE.replace("5", "9")},"op":"t"}}'
    table.feed([Sample(5, None, wrapped(BLOCK, truncate), [])])
    assert table.rows() == []
    quarantined = table.session.sql(f"SELECT offset, reason FROM {table.quarantine} WHERE topic = '{table.spec.topic}'")
    assert {row["offset"] for row in quarantined.collect()} == {0, 1, 2, 3}


def test_a_list_of_a_connector_that_has_yet_to_be_told_was_text_of_json(lake: tuple[Any, Any]) -> None:
    """An array that is to be text: the server's own text is kept, a list and the marker of another are quarantined."""
    declared = [*DECLARED, SourceColumn("m", "integer[][]", True, False)]
    table = FormatTable(lake, "postgres", "json", declared)

    def sample(number: int, m: str) -> Sample:
        payload = f'{{"after":{{"id":{number},"n":1,"m":{m}}},"source":{SOURCE},"op":"c"}}'
        return Sample(number, f'{{"id":{number}}}'.encode(), payload.encode(), [])

    kept = ["{{1,2},{3,NULL}}", "[0:1]={5,6}", "{}"]
    texts_ = [json.dumps(text) for text in kept]
    applied = table.feed(
        [sample(n, m) for n, m in enumerate([*texts_, "null", "[1,2]", "[]", '"' + PLACEHOLDER + '/unfit"'])]
    )
    assert applied.collapsed.problems == 3
    assert [row.m for row in sorted(table.rows(), key=lambda row: row.id)] == [*kept, None]
