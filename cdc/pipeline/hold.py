"""Hold: the lease of a pipeline, beaten by a thread of its own while it is held and given back at the end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

from cdc.core.errors import CdcError, CommitStateUnknown, TransientError

log = structlog.get_logger()


class Lease(Protocol):
    """Exclusive right to write the pipeline's tables; the token grows with every holder."""

    def acquire(self, *, wait: bool, stopping: Callable[[], bool], pause: Callable[[float], object]) -> int:
        """Return the fencing token; raises LeaseHeld while another instance lives."""
        ...

    def renew(self) -> None:
        """Beat; raises Fenced if the lease is lost, TransientError if the catalog is away."""
        ...

    def check(self) -> None:
        """Raise Fenced if another instance has the lease; what ``renew`` raises, if that has to be looked up."""
        ...

    def release(self) -> None:
        """Give the lease back."""
        ...


@contextmanager
def beating(lease: Lease, interval: float, pipeline: str, on_lost: Callable[[Exception], None]) -> Iterator[None]:
    """Renew a lease every ``interval`` seconds while the block runs; ``on_lost`` hears why that came to an end."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(interval):
            try:
                lease.renew()
            except (TransientError, CommitStateUnknown) as error:
                log.warning("lease not renewed", pipeline=pipeline, error=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the pipeline must end with it
                on_lost(error)
                return

    thread = threading.Thread(target=beat, name=f"{pipeline}-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def release(lease: Lease, pipeline: str) -> None:
    """Give a lease back; one that cannot be given back runs out by itself."""
    try:
        lease.release()
    except CdcError as error:
        log.warning("lease not released", pipeline=pipeline, error=str(error))
