"""Why a table does not go on, as operators and the service have written it down: paused, to be loaded anew, stopped."""

import time
from collections.abc import Callable, Iterable

from pyiceberg.catalog import Catalog

from cdc.core.control import ControlState
from cdc.core.names import TableName
from cdc.core.status import StatusRow, TableState
from cdc.lake.control import Control
from cdc.lake.status_reader import read_status

SECONDS = 2.0
"""So long an answer is kept: who waits for a table asks again and again."""


def held_by(target: TableName, control: ControlState, rows: Iterable[StatusRow]) -> str:
    """Return why a table does not go on, and what helps; empty if it does, or nobody has said."""
    name = str(target)
    stopped = next((row for row in rows if row.target == name and row.state == TableState.STOPPED), None)
    if pause := control.paused.get(name):
        return f"{name} is {pause}; `cdc tables resume {name}` lets it go on"
    if mark := control.stale.get(name):
        return f"{name} has to be loaded anew: {mark}; `cdc tables reset {name}` does"
    if stopped:
        return f"{name} is stopped: {stopped.last_error or '`cdc status` shows why'}"
    return ""


class Standing:
    """One table as it is written down in the metadata namespace."""

    def __init__(
        self, catalog: Catalog, namespace: str, target: TableName, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalog, self._namespace, self._target, self._clock = catalog, namespace, target, clock
        self._known = (-SECONDS, "")

    def why(self) -> str:
        """Return why the table does not go on, at most ``SECONDS`` old; raises TransientError."""
        if self._clock() - self._known[0] >= SECONDS:
            control = Control(self._catalog, self._namespace).read()
            found = held_by(self._target, control, read_status(self._catalog, self._namespace))
            self._known = self._clock(), found
        return self._known[1]
