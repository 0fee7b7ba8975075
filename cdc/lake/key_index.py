"""The key index of one table: beside the lake, bound to one snapshot, made and brought along when it is asked for.

It is a cache and never the truth. Lost, broken or left behind, it is made again, and until then every question is
answered with the reason why there is no answer.
"""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from pyiceberg.table import Table

from cdc.lake.index_entries import KeyColumns
from cdc.lake.index_files import Handover, IndexedFiles, Tell, advance, built, follow, follows, opened, to_read
from cdc.lake.index_store import IndexBroken, IndexInUse
from cdc.lake.listing import Listing, Manifests, NotIndexed

log = structlog.get_logger()

AT_ONCE_ROWS = 20_000_000
"""Rows up to which an index is made while its batch waits, some 1.5 s a million: a MERGE takes longer, and memory."""

FOLLOWED_ROWS = 1_000_000
"""Of so many rows half may be read to bring an index along, however few the table has."""

AGAIN_SECONDS = 600.0
"""How long a table that cannot be indexed is left alone."""

SAID_EVERY_SECONDS = 30.0


@dataclass
class Job:
    """An index that is made or brought along; ``done`` counts rows."""

    name: str
    total: int
    future: "Future[IndexedFiles]" = field(default_factory=Future)
    done: int = 0
    said_at: float = field(default_factory=time.monotonic)

    def run(self, work: Callable[[Tell], IndexedFiles], turn: threading.Lock) -> None:
        """Do the work when it is its turn, and keep what becomes of it."""
        try:
            with turn:
                self.future.set_result(work(self.tell))
        except BaseException as error:  # noqa: BLE001 - raised again where the future is asked
            self.future.set_exception(error)

    def tell(self, rows: int) -> None:
        """Count rows, and log how far it is now and then."""
        self.done += rows
        if time.monotonic() - self.said_at >= SAID_EVERY_SECONDS:
            self.said_at = time.monotonic()
            log.info("key index is being built", table=self.name, rows=self.done, of=self.total)

    @property
    def reason(self) -> str:
        """Return what it means for a batch."""
        return f"the key index is being built ({100 * self.done // max(self.total, 1)} %)"


class KeyIndex:
    """The index of one table, for one thread at a time; ``folder`` is its own.

    Long work is done in a thread beside it, while nobody has the ``turn``; it ends with the process.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        columns: KeyColumns,
        turn: threading.Lock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._folder, self._columns = name, folder, columns
        self._turn, self._clock = turn, clock
        self._manifests = Manifests()
        self._index: IndexedFiles | None = None
        self._job: Job | None = None
        self._handover: Handover | None = None
        self._left_alone: tuple[str, float] = ("", 0.0)

    @property
    def columns(self) -> KeyColumns:
        """Return what it is made of."""
        return self._columns

    def at(self, table: Table) -> IndexedFiles | str:
        """Return the index at ``main`` of the table as it was loaded, or why there is none."""
        if self._job is not None and not self._over(self._job):
            return self._job.reason
        reason, until = self._left_alone
        if self._clock() < until:
            return reason
        try:
            return self._brought(table)
        except IndexInUse:
            return "the key index is in use by another process"
        except IndexBroken:
            return self.broken()
        except NotIndexed as error:
            return self._gives_up(str(error))
        except Exception as error:  # noqa: BLE001 - of the catalog or its store: the batch is merged, or tells
            return self._gives_up(_meant(error))

    def hand_over(self, done: Handover) -> None:
        """Take note of a commit that was staged; it counts once ``main`` is there."""
        self._handover = done

    def broken(self) -> str:
        """Make it anew, because it could not be read; returns what that means for a batch."""
        self._dropped()
        shutil.rmtree(self._folder, ignore_errors=True)
        return "the key index could not be read, and is made anew"

    def close(self) -> None:
        """Let go of its folder; it is opened again when it is asked."""
        if self._job is None and self._index is not None:
            self._index.store.close()

    def _over(self, job: Job) -> bool:
        if not job.future.done():
            return False
        self._job = None
        error = job.future.exception()
        if error is None:
            self._index = job.future.result()
            log.info("key index is there", table=self._name, rows=job.done)
        else:
            self._gives_up(str(error) if isinstance(error, NotIndexed) else _meant(error))
        return True

    def _brought(self, table: Table) -> IndexedFiles | str:
        main = table.metadata.current_snapshot_id
        if main is None:
            return "it has no commit yet"
        signature = self._columns.signature(table)
        if self._index and (self._index.signature != signature or self._index.store.state() != self._index.state):
            self._dropped()  # its key is another one, or another process has had it since
        done, self._handover = self._handover, None
        if self._index and done and (done.base, done.snapshot_id) == (self._index.snapshot_id, main):
            advance(self._index, done)
        if self._index and self._index.snapshot_id == main:
            return self._index
        return self._listed(table, self._manifests.listing(table, main), signature)

    def _listed(self, table: Table, listing: Listing, signature: str) -> IndexedFiles | str:
        index = self._index or opened(self._folder, self._columns.width, signature, table, listing)
        total = sum(listing.data.values())
        if index and not follows(index, table, listing):
            index.store.close()
            index = None
        if index and index.snapshot_id == listing.snapshot_id:
            self._index = index
            return index
        self._index = None
        if index and 2 * (rows := to_read(index, listing)) <= max(total, FOLLOWED_ROWS):
            return self._done(lambda tell: _followed(index, self._columns, table, listing, tell), rows)
        if index:
            index.store.close()
        return self._done(lambda tell: built(self._folder, self._columns, signature, table, listing, tell), total)

    def _done(self, work: Callable[[Tell], IndexedFiles], rows: int) -> IndexedFiles | str:
        job = Job(self._name, rows)
        if rows <= AT_ONCE_ROWS:
            self._index = work(job.tell)
            if rows > FOLLOWED_ROWS:
                log.info("key index is there", table=self._name, rows=rows)
            return self._index
        self._job = job
        threading.Thread(target=job.run, args=(work, self._turn), name="key-index", daemon=True).start()
        return job.reason

    def _gives_up(self, reason: str) -> str:
        log.warning("no key index", table=self._name, reason=reason)
        self._left_alone = (reason, self._clock() + AGAIN_SECONDS)
        self._dropped()
        return reason

    def _dropped(self) -> None:
        self.close()
        self._index = None


def _followed(index: IndexedFiles, columns: KeyColumns, table: Table, listing: Listing, tell: Tell) -> IndexedFiles:
    try:
        follow(index, columns, table, listing, tell)
    except BaseException:
        index.store.close()
        raise
    return index


def _meant(error: BaseException) -> str:
    """Return what an error means, without what it says: that may name values."""
    return f"the key index failed: {type(error).__name__}"
