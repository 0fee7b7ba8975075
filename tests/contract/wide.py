"""Rows of tables with hundreds of columns, of the types that such tables have, in Avro and in JSON with schemas."""

import base64
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from cdc.bootstrap.writers import Writers
from cdc.config.sources import EventFormat
from cdc.spark.envelope import Writer
from cdc.spark.microbatch import MicroBatch
from tests.contract.events import Topic, column
from tests.lake import PLACEHOLDER, LakeTable, Message

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_SOURCE = "__debezium.source.column."


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Kind:
    """A type of column as Avro describes it; ``told`` makes a number's value in events, ``kept`` the one in rows."""

    avro: str
    told: Callable[[int], Any]
    kept: Callable[[Any], Any] = _same
    semantic: str = ""
    source: str = ""
    length: tuple[int, ...] = ()

    def type(self) -> list[Any]:
        """Return the nullable Avro type."""
        item = self.avro.removeprefix("array of ")
        kind: dict[str, Any] = {"type": self.avro} if item == self.avro else {"type": "array", "items": ["null", item]}
        about = {_SOURCE + "type": self.source} if self.source else {}
        about |= {_SOURCE + name: str(n) for name, n in zip(("length", "scale"), self.length, strict=False)}
        kind |= {"connect.name": self.semantic} if self.semantic else {}
        return ["null", kind | ({"connect.parameters": about} if about else {})]


KINDS = (
    Kind("int", _same),
    Kind("string", "text {}".format),
    Kind("long", lambda n: n << 33),
    Kind("string", "{}.25".format, Decimal, source="NUMERIC", length=(12, 2)),
    Kind("boolean", lambda n: n % 2 == 0, source="BOOL", length=(1,)),
    Kind(
        "long",
        lambda n: (1_700_000_000 + n) * 1_000_000,
        lambda micros: datetime(1970, 1, 1) + timedelta(microseconds=micros),  # noqa: DTZ001 - it has no zone
        "io.debezium.time.MicroTimestamp",
    ),
    Kind("string", lambda _: None),
    Kind(
        "string",
        lambda n: (_BEGAN + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        datetime.fromisoformat,
        "io.debezium.time.ZonedTimestamp",
    ),
    Kind("double", lambda n: n / 4),
    Kind("array of int", lambda n: [n, None], source="_INT4"),
    Kind("string", "{}.5".format, source="NUMERIC"),
    Kind("array of string", lambda n: [f"{n}", ""], source="_TEXT"),
    Kind("int", _same, lambda days: date(1970, 1, 1) + timedelta(days=days), "io.debezium.time.Date"),
    Kind("bytes", b"%d".__mod__),
)
LARGE = "c1"
"""A text, which an update may leave out."""


def columns(count: int) -> list[dict[str, Any]]:
    """Return the Avro fields of a table with so many columns, ``id`` the first."""
    return [column("id", "int"), *(column(f"c{n}", KINDS[n % len(KINDS)].type()) for n in range(count - 1))]


def told(key: int, number: int, count: int) -> dict[str, Any]:
    """Return a row of so many columns as an event has it; the values are made of the number."""
    return {"id": key, **{f"c{n}": KINDS[n % len(KINDS)].told(number + n) for n in range(count - 1)}}


def kept(row: dict[str, Any], count: int) -> dict[str, Any]:
    """Return what a target with so many columns holds of an event's row."""
    values = {f"c{n}": row.get(f"c{n}") for n in range(count - 1)}
    kinds = zip(values.items(), itertools.cycle(KINDS), strict=False)
    return {"id": row["id"], **{name: value if value is None else kind.kept(value) for (name, value), kind in kinds}}


class WideSource:
    """A table whose source changes rows and adds columns; ``rows`` are what the events have made of it."""

    def __init__(self, keys: int = 211) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self._keys, self._topic, self._number = keys, Topic(), 0

    def changes(self, count: int, events: int) -> list[Message]:
        """Return so many changes of rows that have so many columns by now."""
        return [message for _ in range(events) for message in self._change(count)]

    def _change(self, count: int) -> list[Message]:
        """Return the next change: a row comes or is updated, a tenth each of those there go, and change their key."""
        self._number += 1
        key, number = self._number * 31 % self._keys, self._number
        at, row = (number * 10, number * 10 + 1), told(key, number, count)
        before = self.rows.pop(key, None)
        if before is not None and number % 10 == 0:
            return [self._topic.change("d", row, at)]
        event = row
        if before is not None and number % 2:
            row, event = {**row, LARGE: before[LARGE]}, {**row, LARGE: PLACEHOLDER}
        if before is None or number % 10 != 1:
            self.rows[key] = row
            return [self._topic.change("c" if before is None else "u", event, at)]
        moved = {"id": 1_000_000 + number}
        self.rows[moved["id"]] = {**row, **moved}
        return self._topic.move(event, {**event, **moved}, at)


class JsonTable(LakeTable):
    """A target table whose messages are JSON with schemas."""

    event_format = "json_schema"

    def resolver(self, micro: MicroBatch, writers: dict[int, Writer]) -> Any:  # noqa: ARG002 - messages tell
        """Return what finds the schemas, in the messages themselves."""
        return Writers(None, EventFormat.JSON_SCHEMA).resolver(self.spec.topic, micro)

    def framed(self, schema: str, record: dict[str, Any], number: int) -> bytes:  # noqa: ARG002
        """Return the record with its schema before it."""
        block = json.dumps(_block("", json.loads(schema), {}))
        return f'{{"schema":{block},"payload":{json.dumps(record, default=_base64)}}}'.encode()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_CONNECT = {"int": "int32", "long": "int64", "record": "struct"}


def _block(name: str, schema: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Return an Avro type as the schema block of a JSON message describes it."""
    optional = isinstance(schema, list)
    kind = next(one for one in schema if one != "null") if optional else schema
    kind = named.get(kind, {"type": kind}) if isinstance(kind, str) else kind
    block = {"type": _CONNECT.get(kind["type"], kind["type"]), "optional": optional, "field": name}
    if kind["type"] == "record":
        named[kind["name"]] = kind
        block["fields"] = [_block(field["name"], field["type"], named) for field in kind["fields"]]
    if kind["type"] == "array":
        block["items"] = _block("element", kind["items"], named)
    block |= {"name": kind["connect.name"]} if "connect.name" in kind else {}
    return block | ({"parameters": kind["connect.parameters"]} if "connect.parameters" in kind else {})
