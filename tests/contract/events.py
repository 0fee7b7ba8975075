"""Change events made by hand, the way the connectors write them."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from tests.lake import Message

INT: Any = ["null", "int"]
TEXT: Any = ["null", "string"]


def column(name: str, kind: Any, source: str | None = None) -> dict[str, Any]:
    """Return an Avro field; ``source`` is the column's name in the database where Avro does not allow it."""
    if source is not None:
        kind = ["null", {"type": kind[1], "connect.parameters": {"__debezium.source.column.name": source}}]
    return {"name": name, "type": kind, **({"default": None} if isinstance(kind, list) else {})}


NUMBERED = [column("id", "int"), column("n", INT)]


@dataclass
class Topic:
    """One topic: messages get ascending offsets in their partition.

    ``at`` is an event's place: PostgreSQL (last commit, lsn), MySQL (file, pos), Oracle (scn, commit_scn, txSeq).
    """

    engine: str = "postgres"
    key: tuple[str, ...] = ("id",)
    offsets: dict[int, int] = field(default_factory=dict)

    def change(
        self,
        operation: str,
        row: dict[str, Any],
        at: tuple[Any, ...],
        *,
        partition: int = 0,
        snapshot: str = "false",
        headers: dict[str, Any] | None = None,
    ) -> Message:
        """Return an event; a delete needs the key's columns only."""
        after = None if operation == "d" else row
        value = {"before": None, "after": after, "source": self._source(at, snapshot), "op": operation, "ts_ms": 0}
        key = {name: row[name] for name in self.key}
        return Message(partition, self._next(partition), key, value, headers or {})

    def read(self, row: dict[str, Any], at: tuple[Any, ...], **options: Any) -> Message:
        """Return an event of a source's snapshot."""
        return self.change("r", row, at, **{"snapshot": "true", **options})

    def move(self, old: dict[str, Any], new: dict[str, Any], at: tuple[Any, ...]) -> list[Message]:
        """Return the two halves of a key change."""
        before, after = ({name: row[name] for name in self.key} for row in (old, new))
        return [
            self.change("d", old, at, headers={"__debezium.newkey": after}),
            self.change("c", new, at, headers={"__debezium.oldkey": before}),
        ]

    def truncate(self, at: tuple[Any, ...], partition: int = 0) -> Message:
        """Return a truncate, which has no key."""
        value = {"before": None, "after": None, "source": self._source(at, "false"), "op": "t", "ts_ms": 0}
        return Message(partition, self._next(partition), None, value)

    def tombstone(self, row: dict[str, Any], partition: int = 0) -> Message:
        """Return the message without a value that follows a delete."""
        return Message(partition, self._next(partition), {name: row[name] for name in self.key}, None)

    def raw(self, key: dict[str, Any] | bytes | None, value: bytes, partition: int = 0) -> Message:
        """Return a message with these bytes."""
        raw_key, known = (key, None) if isinstance(key, bytes) else (None, key)
        return Message(partition, self._next(partition), known, None, raw=value, raw_key=raw_key)

    def again(self, message: Message) -> Message:
        """Return a message as a connector writes it once more that has ended before it noted that it had."""
        return replace(message, offset=self._next(message.partition))

    def _next(self, partition: int) -> int:
        offset = self.offsets.get(partition, 0)
        self.offsets[partition] = offset + 1
        return offset

    def _source(self, at: tuple[Any, ...], snapshot: str) -> dict[str, Any]:
        common = {"version": "3", "ts_ms": 1_700_000_000_000, "snapshot": snapshot}
        if self.engine == "postgres":
            commit, lsn = at
            return {**common, "sequence": json.dumps([str(commit) if commit else None, str(lsn)])}
        if self.engine == "mysql":
            return {**common, "file": at[0], "pos": at[1]}
        return {**common, "scn": at[0], "commit_scn": at[1], "txSeq": at[2]}
