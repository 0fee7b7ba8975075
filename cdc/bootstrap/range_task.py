"""What a task of a bulk load does with its range: read it, write its data files, and tell what came of it."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cdc.core.errors import CdcError, TransientError
from cdc.core.load import Range, RangeReader, RangeResult
from cdc.lake.data_files import FileWriter


class RangeFailure(NamedTuple):
    """A known error of a task, as it travels to the driver: its class, message and hint."""

    part: Range
    kind: type[CdcError]
    message: str
    hint: str

    def error(self) -> CdcError:
        """Return the error that the task met."""
        return self.kind(self.message, hint=self.hint)


@dataclass(frozen=True)
class RangeTask:
    """Reads one range and writes its files; runs in a Python process of Spark's, wherever that is.

    ``rows_per_second`` bounds the reading, 0 does not. Done again it writes other files; those of a task whose result
    was never committed belong to no table.
    """

    reader: RangeReader
    writer: FileWriter
    load: str
    rows_per_second: float = 0.0

    def __call__(self, part: Range) -> RangeResult | RangeFailure:
        """Return what was written, or the error that was met."""
        try:
            return self._done(part)
        except CdcError as error:
            return RangeFailure(part, type(error), str(error), error.hint)
        except OSError as error:  # of the storage: readers raise errors of ours
            what = f"a data file cannot be written to {self.writer.folder}: {error.strerror or type(error).__name__}"
            return RangeFailure(part, TransientError, what, "free or grant what is missing there; the load goes on")

    def _done(self, part: Range) -> RangeResult:
        began, now = time.monotonic(), datetime.now(UTC)
        rows = self.reader.read(part)
        paced = _Paced(rows, self.rows_per_second)
        times = {"_cdc_source_ts": now, "_cdc_committed_at": now}
        writer = replace(self.writer, constants={**self.writer.constants, **times})
        try:
            # Never the same name twice: the tasks of a process that was killed may still be writing.
            name = f"load-{self.load}-{part.number:06}-{uuid.uuid4().hex[:8]}"
            files = writer.write(name, paced, ordered=part.ordered)
        finally:
            rows.close()
        seconds = time.monotonic() - began
        return RangeResult(part.number, rows.low, rows.high, paced.rows, paced.bytes, seconds, tuple(files))


class _Paced:
    """Batches, counted, and no faster than a number of rows a second."""

    def __init__(self, batches: Any, rows_per_second: float) -> None:  # noqa: ANN401 - RangeRows
        self._batches = batches
        self._rate = rows_per_second
        self.rows = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[Any]:
        began = time.monotonic()
        for batch in self._batches:
            self.rows += batch.num_rows
            self.bytes += batch.nbytes
            yield batch
            if self._rate:
                time.sleep(max(0.0, self.rows / self._rate - (time.monotonic() - began)))
