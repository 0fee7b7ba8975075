"""Proving: the running service proves its tables equal to their sources, one after another, again and again.

What a proof does is ``cdc.pipeline.prove``'s. Here it is decided whose turn it is: that of the longest due.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import structlog

from cdc.core.errors import CdcError
from cdc.core.proof import TableProof

log = structlog.get_logger()

LOOK_SECONDS = 5.0
"""How often it is looked for a table that is due."""

FIRST = timedelta(minutes=10)
"""So long a table has been there before its first proof, at most: it comes after the rush of a start."""

RETRY = timedelta(minutes=15)
"""After so long a proof that failed is tried again; after twice as long each further time."""


class Provable(NamedTuple):
    """A table that is streamed: its pipeline and its target."""

    pipeline: str
    target: str


class Prover(Protocol):
    """The hands of proofs."""

    def tables(self) -> Iterable[Provable]:
        """Return the tables that can be proved now: those whose pipeline this process runs, and which are at work."""
        ...

    def proved(self) -> dict[str, datetime]:
        """Return when each target was proved last, by whomever; raises CdcError."""
        ...

    def prove(self, table: Provable) -> TableProof:
        """Prove a table, and write down what was found; what went wrong is told in the proof."""
        ...


class Metrics(Protocol):
    """Gauges and counters of proofs."""

    def proved(self, pipeline: str, table: str, *, at: float, rows_read: int, differences: int) -> None:
        """Record a proof that came to its end at a Unix time."""
        ...

    def proof_failed(self, pipeline: str, table: str) -> None:
        """Count a proof that did not come to its end."""
        ...


@dataclass
class Proving:
    """The proofs of a process; ``run`` goes on until it is told to stop. ``every`` is from one proof to the next."""

    prover: Prover
    metrics: Metrics
    every: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _due: dict[str, datetime] = field(default_factory=dict)
    _failed: Counter[str] = field(default_factory=Counter)

    def run(self, stop: threading.Event) -> None:
        """Prove what is due, until told to stop."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                self.look(stop)
            except CdcError as error:
                log.warning("proofs wait", error=str(error), hint=error.hint)
            except Exception:  # a mistake of ours must not end the proofs, and is not to be overlooked
                log.exception("proofs failed")
            stop.wait(max(0.0, LOOK_SECONDS - (time.monotonic() - began)))

    def look(self, stop: threading.Event) -> None:
        """Prove the table whose proof is longest due, if there is one."""
        table = self.next()
        if table is None:
            return
        proof = self.prover.prove(table)
        if not stop.is_set():
            self._tell(table, proof)

    def next(self) -> Provable | None:
        """Return the table whose proof is longest due, None if none is."""
        tables, now = list(self.prover.tables()), self.now()
        new = [table for table in tables if table.target not in self._due]
        last = self.prover.proved() if new else {}
        for table in new:
            at = last.get(table.target)
            self._due[table.target] = now + min(FIRST, self.every) if at is None else at + self.every
        due = [table for table in tables if self._due[table.target] <= now]
        return min(due, key=lambda table: self._due[table.target], default=None)

    def _tell(self, table: Provable, proof: TableProof) -> None:
        told = {"pipeline": table.pipeline, "table": table.target}
        if proof.error:
            self._due[table.target] = self.now() + min(RETRY * 2 ** min(self._failed[table.target], 20), self.every)
            self._failed[table.target] += 1
            self.metrics.proof_failed(*table)
            log.warning("proof failed", **told, error=proof.error)
            return
        del self._failed[table.target]
        at, count = self.now(), len(proof.differences)
        self._due[table.target] = at + self.every
        self.metrics.proved(*table, at=at.timestamp(), rows_read=proof.read, differences=count)
        figures = {
            "position": proof.position,
            "rows": proof.rows,
            "rows_read": proof.read,
            "unsettled": proof.unsettled,
            "seconds": round(proof.seconds, 1),
        }
        if proof.differences:
            log.error("table differs from its source", **told, differences=proof.summary(), **figures)
        else:
            log.info("table is equal to its source", **told, **figures)
