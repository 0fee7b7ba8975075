"""The order of loads: those whose changes are captured come first, so that one that has to wait holds up no other."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from cdc.core.names import TableName
from cdc.pipeline.table import TableSpec

PAUSE = 0.5
"""Seconds between two looks."""


def ready_groups(
    specs: Sequence[TableSpec],
    lacking: Callable[[Sequence[TableSpec]], Mapping[TableName, str]],
    waits: Callable[[TableSpec, str], None],
    *,
    seconds: float,
    stopping: Callable[[], bool] = lambda: False,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[TableSpec]]:
    """Yield all the tables, in groups that can be loaded now, each in the order given.

    ``lacking`` gives the targets that have to wait, and why; ``waits`` is told each reason once. When so many
    ``seconds`` have passed without a group, or it is told to stop, the rest comes as it is.
    """
    left, told, began = list(specs), dict[TableName, str](), clock()
    while left:
        reasons = {} if stopping() or clock() - began >= seconds else lacking(left)
        for spec in left:
            if (reason := reasons.get(spec.target, "")) and told.get(spec.target) != reason:
                told[spec.target] = reason
                waits(spec, reason)
        if ready := [spec for spec in left if spec.target not in reasons]:
            yield ready
            left, began = [spec for spec in left if spec.target in reasons], clock()
        else:
            pause(PAUSE)
