"""The memory of a process that is always on: garbage is looked for seldom, and what is free goes back to the system."""

import ctypes
import gc
import threading

import pyarrow as pa  # type: ignore[import-untyped]

COLLECT_SECONDS = 60.0
"""How often all cyclic garbage is looked for: the JVM keeps what some of it stands for, sessions with connections."""


def keep_small() -> None:
    """Have cyclic garbage looked for seldom: each look goes through all that is kept of tables, and finds little.

    With two hundred tables it took a tenth of the time, four tenths of a second at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    threading.Thread(target=_again_and_again, name="memory", daemon=True).start()


def _again_and_again() -> None:
    never = threading.Event()
    while not never.wait(COLLECT_SECONDS):
        gc.collect()
        give_back()


def give_back() -> None:
    """Give back to the system what is free: allocators keep what a backlog has taken, as if there were one always."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
