"""Work in Spark that is given up when somebody with more right to go on waits for it."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from cdc.core.errors import Yielded

LOOK_SECONDS = 0.2
GIVEN_UP = "maintenance was given up for a batch"


@contextmanager
def yielding(session: SparkSession, wanted: Callable[[], bool], patience: float) -> Iterator[Callable[[], None]]:
    """Cancel the block's jobs once it has run for ``patience`` seconds and is ``wanted``; it raises Yielded then.

    The block is given what raises Yielded for it, to ask where it works without a job.
    """
    context, tag = session.sparkContext, f"cdc-maintenance-{uuid.uuid4()}"
    ended, given_up = threading.Event(), threading.Event()
    since = time.monotonic()

    def is_given_up() -> bool:
        if not given_up.is_set() and time.monotonic() - since >= patience and wanted():
            given_up.set()
        return given_up.is_set()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            if is_given_up():
                context.cancelJobsWithTag(tag)  # again and again: another job may begin meanwhile

    watcher = threading.Thread(target=watch, name=tag, daemon=True)

    def go_on() -> None:
        if is_given_up():
            raise Yielded(GIVEN_UP)

    context.addJobTag(tag)
    watcher.start()
    try:
        yield go_on
    except Exception as error:
        if given_up.is_set():
            raise Yielded(GIVEN_UP) from error
        raise
    finally:
        ended.set()
        watcher.join()
        context.removeJobTag(tag)
