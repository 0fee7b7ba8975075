"""Messages of real connectors in all three formats (tests/fixtures/debezium), and the rows that they stand for.

The tables hold a column of every type; the histories have snapshot reads, updates, a key change, a delete, an unchanged
large value, and in MySQL columns added meanwhile. Recorded with Debezium 3.7.0 on PostgreSQL 17.6 and 3.6.1 on MySQL
8.0.33, without the converters of values: what they make now (``tests/e2e/test_exact_values.py``) was put into
PostgreSQL's JSON without schemas for the columns tsq, mr and lsn, and for vb what Avro's bytes are read as. Of schema
blocks only what the row after the change needs is kept.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.core.canonical import Column, Form
from cdc.core.preflight import SourceColumn

FOLDER = Path(__file__).parent / "fixtures" / "debezium"


@dataclass(frozen=True)
class Sample:
    """A recorded message."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def load(engine: str, name: str) -> Any:
    """Return a file of recordings."""
    return json.loads((FOLDER / engine / f"{name}.json").read_text(encoding="utf-8"))


def messages(engine: str, event_format: str) -> list[Sample]:
    """Return the messages of a topic, in order."""
    data = load(engine, event_format)

    def content(part: Any) -> bytes | None:
        if part is None or event_format == "json":
            return None if part is None else part.encode()
        if event_format == "avro":
            return base64.b64decode(part)
        schema = json.dumps(data["schemas"][part["schema"]], ensure_ascii=False, separators=(",", ":"))
        return f'{{"schema":{schema},"payload":{part["payload"]}}}'.encode()

    return [
        Sample(m["offset"], content(m["key"]), content(m["value"]), [(n, v.encode()) for n, v in m["headers"]])
        for m in data["messages"]
    ]


@dataclass(frozen=True)
class Recorded:
    """A table as the database held it at the end of the recording: canonical texts, and its declarations."""

    columns: list[Column]
    rows: list[list[str | None]]
    declared: list[SourceColumn]


def recorded(engine: str) -> Recorded:
    """Return the source's table."""
    data = load(engine, "expected")
    columns = [Column(name, Form(form)) for name, form in data["columns"]]
    return Recorded(columns, data["rows"], [SourceColumn(*column, False) for column in data["declared"]])
