"""Keep: the pipelines of a process run side by side, and one that has ended is begun again while others run."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cdc.core.restarts import Pauses

log = structlog.get_logger()

FIRST_SECONDS = 15.0


class Pipeline(Protocol):
    """What runs until it is told to stop, or raises what it cannot go on with; it may be run again then."""

    name: str

    def run(self, stop: threading.Event, *, standby: bool = False) -> None:
        """Block until ``stop`` is set; ``standby`` waits where another instance holds the lease."""
        ...


@dataclass
class Keeper:
    """Runs pipelines until all have ended: one that another instance took over, or that met a bug, is not left behind.

    Begun again, it waits for its lease. Once all of them wait to be begun again the process ends, and its supervisor
    starts a new one.
    """

    pipelines: Sequence[Pipeline]
    stop: threading.Event
    standby: bool = False
    first: float = FIRST_SECONDS
    _ended: dict[str, Exception] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, on_started: Callable[[Sequence[threading.Thread]], None]) -> None:
        """Run all; ``on_started`` gets their threads.

        Raises the error of the first that ended and did not go on, unless all were told to stop.
        """
        threads = [threading.Thread(target=self._keep, args=(one,), name=one.name) for one in self.pipelines]
        for thread in threads:
            thread.start()
        on_started(threads)
        for thread in threads:
            thread.join()
        if self._ended and not self.stop.is_set():
            raise next(iter(self._ended.values()))

    def _keep(self, pipeline: Pipeline) -> None:
        pauses, standby = Pauses(self.first), self.standby
        while True:
            began = time.monotonic()
            try:
                pipeline.run(self.stop, standby=standby)
            except Exception as error:  # noqa: BLE001 - raised by ``run``, if it does not go on
                if time.monotonic() - began > pauses.longest:
                    pauses.forget()
                log.error("pipeline ended", pipeline=pipeline.name, error=str(error))  # noqa: TRY400
                if not self._waited(pipeline.name, error, pauses):
                    return
                standby = True
            else:
                return

    def _waited(self, name: str, error: Exception, pauses: Pauses) -> bool:
        """Return whether the time has come to begin again; not if all have ended, or are told to stop."""
        with self._lock:
            self._ended[name] = error
            if len(self._ended) == len(self.pipelines):
                self._over.set()
        while not pauses.over(time.monotonic()):
            if self.stop.is_set() or self._over.wait(self.first / 30):
                return False
        with self._lock:
            if self._over.is_set():
                return False
            del self._ended[name]
        log.info("pipeline begins again", pipeline=name)
        return True
