"""A few rows as a text, for where there is room for a text only."""

import base64
import zlib

import pyarrow as pa  # type: ignore[import-untyped]


def packed(rows: pa.Table) -> str:
    """Return rows of any types as a text."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return base64.b64encode(zlib.compress(sink.getvalue().to_pybytes())).decode("ascii")


def unpacked(text: str) -> pa.Table:
    """Return the rows of a text; raises ValueError for one that is none."""
    try:
        content = zlib.decompress(base64.b64decode(text))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"not packed rows: {error}") from None
    with pa.ipc.open_stream(content) as reader:
        return reader.read_all()
