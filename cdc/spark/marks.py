"""What tells the schemas of messages apart, computed of Arrow as ``cdc.spark.microbatch`` has Spark compute it."""

import hashlib
from collections.abc import Mapping

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

FRAME = 5
"""Bytes in front of an Avro message: zero, and the registry's number of its schema."""

_NONE = pa.scalar(b"", pa.binary())


def marked(messages: pa.Table, formats: Mapping[str, str]) -> pa.Table:
    """Return the messages of a Kafka source with ``key_mark``, ``value_mark`` and ``size``, in bytes, added.

    ``formats`` gives the event format of each topic.
    """
    kinds = sorted(set(formats.values()))
    keys, values = _marks(messages, kinds[0])
    for kind in kinds[1:]:
        topics = pa.array([topic for topic, is_kind in formats.items() if is_kind == kind], pa.string())
        here = pc.is_in(messages["topic"], topics)
        keys, values = (
            pc.if_else(here, of_kind, other)
            for of_kind, other in zip(_marks(messages, kind), (keys, values), strict=True)
        )
    size = pc.add(*(pc.fill_null(pc.binary_length(messages[name]), 0) for name in ("key", "value")))
    return messages.append_column("key_mark", keys).append_column("value_mark", values).append_column("size", size)


def _marks(messages: pa.Table, event_format: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    key, value = messages["key"], messages["value"]
    if event_format == "avro":
        return _frames(key), _frames(value)
    if event_format == "json_schema":
        return _block_hashes(key), _block_hashes(value)
    return pc.if_else(pc.is_valid(key), _NONE, _NONE), pc.if_else(
        pc.is_null(value), pa.scalar(None, pa.binary()), _NONE
    )


def _frames(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the first five bytes of the registry's wire format, no bytes for anything else."""
    framed = pc.and_(pc.greater_equal(pc.binary_length(column), FRAME), pc.starts_with(column, pattern="\0"))
    return pc.if_else(framed, pc.binary_slice(column, 0, FRAME), _NONE)


def _block_hashes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return hashes of the schema blocks, of which a topic has few."""
    blocks = [None if text is None else text.partition(b',"payload":')[0] for text in column.to_pylist()]
    hashes = {block: hashlib.md5(block, usedforsecurity=False).digest() for block in blocks if block is not None}
    return pa.chunked_array([pa.array([hashes.get(block) for block in blocks], pa.binary())])
