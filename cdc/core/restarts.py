"""Restarts: whether and when what has failed is tried again."""

import re
from dataclasses import dataclass, field

FIRST, LONGEST = 5.0, 300.0
"""Seconds before the first restart, and the most between two; they double in between."""

TRIES = 3
"""Restarts of what nobody knows to pass or to last."""

_AWAY = re.compile(
    r"communications link failure|connection to \S+ refused|connect timed out"
    r"|connection (?:refused|reset|timed out|attempt|closed|is closed)"
    r"|socket|broken pipe|EOFException|end of stream|I/O error|no route to host|UnknownHostException"
    r"|terminating connection|(?:is )?(?:starting up|shutting down)|recovery mode|too many connections"
    r"|TimeoutException|timed out|TimeoutError|RetriableException|NotLeader|CoordinatorNotAvailable|DisconnectException"
    r"|server shutdown in progress|server has gone away|lost connection|is active for PID|producer is closed",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"no longer (?:available|exists)|has been invalidated|can no longer|could not find first log file"
    r"|purged (?:required )?binary logs|password authentication failed|access denied|permission denied"
    r"|schema isn't known|history (?:topic )?(?:is missing|schema)|does not exist|RecordTooLarge|TopicAuthorization",
    re.IGNORECASE,
)


@dataclass
class Pauses:
    """Pauses between tries of one thing, in seconds of one clock; they double from ``first`` to ``longest``."""

    first: float = FIRST
    longest: float = LONGEST
    tries: int = 0
    _due_at: float | None = None

    def over(self, now: float) -> bool:
        """Return whether the next try is due; the pause before it begins with the first time that this is asked."""
        if self._due_at is None:
            doubled = min(self.tries, 30)  # a power beyond the range of floats came after three days
            self._due_at = now + min(self.longest, self.first * 2**doubled)
        if now < self._due_at:
            return False
        self.tries, self._due_at = self.tries + 1, None
        return True

    def forget(self) -> None:
        """Begin anew: it went well."""
        self.tries, self._due_at = 0, None


@dataclass
class Restarts:
    """The restarts of one connector since it last was well; times are seconds of one clock."""

    pauses: Pauses = field(default_factory=Pauses)

    def well(self) -> None:
        """Forget what was: the connector runs."""
        self.pauses.forget()

    def due(self, trace: str, now: float) -> bool:
        """Return whether a connector that has failed with this trace is to be restarted now."""
        if not may_pass(trace) and (lasts(trace) or self.pauses.tries >= TRIES):
            return False
        return self.pauses.over(now)


def may_pass(trace: str) -> bool:
    """Return whether a trace shows that something did not answer; what is final besides, is final."""
    return bool(_AWAY.search(trace)) and not lasts(trace)


def lasts(trace: str) -> bool:
    """Return whether a trace shows what another try cannot help."""
    return bool(_FINAL.search(trace))
