"""The lease of a pipeline: one Iceberg table per pipeline, one holder at a time.

Whoever commits a snapshot to the table holds the lease from then on; the snapshot's sequence number is the fencing
token: unique, and greater with every holder. The holder beats by changing a property. Nobody's clock is compared
with anybody else's: a candidate takes over when it has seen no beat for a whole time-to-live by its own clock.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

from cdc.core.errors import Fenced, LeaseHeld
from cdc.core.names import quote
from cdc.lake.holder import BEAT, HOLDER, Holder, table_of, this_process
from cdc.lake.java import has_table, java_errors, load_table


class Lease:
    """A candidate for the lease of one pipeline, and its holder once ``acquire`` returned.

    ``acquire`` is exclusive, ``renew`` and ``check`` raise Fenced once somebody else holds the lease.
    """

    def __init__(
        self,
        session: SparkSession,
        catalog: str,
        namespace: str,
        pipeline: str,
        ttl: float,
        *,
        holder: Holder | None = None,
    ) -> None:
        self._session = session
        self._pipeline = pipeline
        self._ttl = ttl
        self._me = holder or this_process()
        self._beats = 0
        self._seen_at = 0.0
        self._beating = threading.Lock()
        self._namespace = ".".join(quote(part, "`") for part in (catalog, namespace))
        self._name = f"{self._namespace}.{quote(table_of(pipeline), '`')}"
        self.token = 0

    def acquire(self, *, wait: bool, stopping: Callable[[], bool], pause: Callable[[float], object]) -> int:
        """Return the fencing token of a lease that is now ours.

        Raises LeaseHeld when another instance is alive and ``wait`` is false; waits for its end otherwise, until
        ``stopping`` says so.
        """
        self._create()
        observed, since = self._observe(), time.monotonic()
        while not self._free(observed[0]) and time.monotonic() - since < self._ttl:
            pause(min(1.0, self._ttl / 10))
            if stopping():
                raise LeaseHeld(
                    f"gave up waiting for the lease of pipeline {self._pipeline!r}",
                    hint="it was told to stop; `cdc status` tells who holds it",
                )
            current = self._observe()
            if current != observed:
                if not wait and not self._free(current[0]):
                    raise self._held(current[0])
                observed, since = current, time.monotonic()
        return self._take()

    def _held(self, holder: Holder | None) -> LeaseHeld:
        return LeaseHeld(
            f"pipeline {self._pipeline!r} is already running: the lease is held by {holder}",
            hint="stop that instance, or start this one with --standby to wait for it",
        )

    @staticmethod
    def _free(holder: Holder | None) -> bool:
        return holder is None or holder.gone()

    def _take(self) -> int:
        with java_errors(f"take the lease of {self._pipeline}"):
            self._load().newAppend().set(HOLDER, self._me.to_json()).commit()
            self._seen_at = time.monotonic()
            table = self._load()
            self.token = int(table.currentSnapshot().sequenceNumber())
        if (holder := _holder(table)) != self._me:
            raise self._held(holder)
        return self.token

    def renew(self) -> None:
        """Beat; raises Fenced when somebody else has taken the lease."""
        with self._beating, java_errors(f"renew the lease of {self._pipeline}"):
            started = time.monotonic()
            table = self._load()
            self._require_mine(table)
            self._beats += 1
            table.updateProperties().set(BEAT, f"{self._me.instance}:{self._beats}").commit()
            self._seen_at = started

    def check(self) -> None:
        """Refuse to go on without the lease; raises Fenced when somebody else has it, as ``renew`` does.

        A beat that is late, because the catalog was away or the process slept, is made up for here: that nobody has
        taken over can be seen, and against who does so from now on there is the fence of each table.
        """
        if time.monotonic() - self._seen_at > self._ttl:
            self.renew()

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        with java_errors(f"release the lease of {self._pipeline}"):
            table = self._load()
            if _holder(table) == self._me:
                table.newAppend().set(HOLDER, "").commit()

    def _require_mine(self, table: Any) -> None:  # noqa: ANN401 - py4j
        holder = _holder(table)
        if holder != self._me:
            raise Fenced(
                f"the lease of pipeline {self._pipeline!r} was taken over by {holder}",
                hint="this instance stops; the other one goes on",
            )

    def _observe(self) -> tuple[Holder | None, int, str]:
        with java_errors(f"read the lease of {self._pipeline}"):
            table = self._load()
            snapshot = table.currentSnapshot()
            number = 0 if snapshot is None else int(snapshot.sequenceNumber())
            return _holder(table), number, str(dict(table.properties()).get(BEAT, ""))

    def _create(self) -> None:
        with java_errors(f"create the lease of {self._pipeline}"):
            if has_table(self._session, self._name):
                return
            self._session.sql(f"CREATE NAMESPACE IF NOT EXISTS {self._namespace}")
            self._session.sql(
                f"CREATE TABLE IF NOT EXISTS {self._name} (holder string) USING iceberg TBLPROPERTIES "
                "('write.metadata.delete-after-commit.enabled' = 'true', 'write.metadata.previous-versions-max' = '5')"
            )

    def _load(self) -> Any:  # noqa: ANN401 - py4j
        return load_table(self._session, self._name)


def _holder(table: Any) -> Holder | None:  # noqa: ANN401 - py4j
    snapshot = table.currentSnapshot()
    return Holder.of("" if snapshot is None else str(dict(snapshot.summary()).get(HOLDER, "")))
