"""Keep a running service from a table for a moment: whoever swaps it in would never be as far as a busy one is."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from cdc.core.names import TableName
from cdc.pipeline.pause import Switch

log = structlog.get_logger()

PATIENCE = 3
"""Swaps that came too late before the table is kept quiet."""


@contextmanager
def quiet(switch: Switch, target: TableName, who: str, why: str) -> Iterator[None]:
    """Pause a table, unless somebody has, and resume it afterwards; its messages wait, and status tells by whom."""
    name = str(target)
    if name in switch.read().paused:
        yield
        return
    log.info("table kept quiet for a swap", table=name, why=why)
    switch.pause(name, who, why)
    try:
        yield
    finally:
        switch.resume(name)
