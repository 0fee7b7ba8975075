"""The memory of a process that is always on: garbage is looked for seldom, and what is free goes back to the system."""

import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pyarrow as pa  # type: ignore[import-untyped]

SECONDS = 60.0
"""How often all cyclic garbage is looked for: the JVM keeps what some of it stands for, sessions with connections."""


@contextmanager
def kept_small(give_back_more: Callable[[], None]) -> Iterator[None]:
    """Have cyclic garbage looked for seldom while the block runs, and what is free given back.

    Each look goes through all that is kept of tables, and finds little: with two hundred of them it took a tenth of the
    time, four tenths of a second at once. Then ``give_back_more`` is called, too; what it raises is passed over.
    """
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(50_000, 50, 1000)
    ended = threading.Event()
    threading.Thread(target=_again_and_again, args=(ended, give_back_more), name="memory", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        gc.set_threshold(*before)


def _again_and_again(ended: threading.Event, give_back_more: Callable[[], None]) -> None:
    while not ended.wait(SECONDS):
        gc.collect()
        give_back()
        with suppress(Exception):  # it is tried again; what else does not answer then is told by whoever needs it
            give_back_more()


def give_back() -> None:
    """Give back to the system what is free: allocators keep what a backlog has taken, as if there were one always."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
