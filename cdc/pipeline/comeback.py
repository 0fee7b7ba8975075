"""Comeback: which tables that have stopped are tried again by themselves, and when."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from cdc.core.errors import CommitStateUnknown, RuleBroken, TransientError
from cdc.core.restarts import Pauses
from cdc.pipeline.roster import Roster
from cdc.pipeline.table import TableSpec

log = structlog.get_logger()

FIRST_SECONDS = 15.0
"""The first pause; trying again costs the other tables a new start of the query."""


@dataclass
class Comeback:
    """Lets stopped tables begin again with the next query, with growing pauses.

    One that stopped because something was away, or for rows that may be mended, is tried for ever. The others are tried
    only while no table is read, when it costs nobody anything: a stopped service would be started again by its
    supervisor just so. ``stale_of``
    tells of a table whether it has to be loaded anew, which no try can help.
    """

    roster: Roster
    stale_of: Callable[[TableSpec], str]
    now: Callable[[], float] = time.monotonic
    pauses: Pauses = field(default_factory=lambda: Pauses(FIRST_SECONDS))
    _stopped_at: float = 0.0

    def due(self) -> bool:
        """Pardon what is worth another try, if it is time; return whether anything was."""
        now, waiting = self.now(), self._waiting()
        if not waiting:
            if now - self._stopped_at > self.pauses.longest:
                self.pauses.forget()
            return False
        self._stopped_at = now
        if not self.pauses.over(now):
            return False
        for spec in waiting:
            log.info("stopped table tried again", pipeline=spec.pipeline, table=str(spec.target))
            self.roster.pardon(spec)
        return True

    def _waiting(self) -> list[TableSpec]:
        return [
            spec
            for spec in self.roster.specs
            if spec.topic in self.roster.stopped
            and spec.topic not in self.roster.pardoned | self.roster.unfit.keys()
            and not self.stale_of(spec)
            and (not self.roster.reading or may_pass(self.roster.stopped[spec.topic]))
        ]


def may_pass(error: BaseException) -> bool:
    """Return whether an error is of something that did not answer, or of rows that may be mended by now."""
    return isinstance(error, (TransientError, CommitStateUnknown, RuleBroken))
