"""The errors of the project; each class is a decision, not only a name.

CdcError
├── TransientError           retried with backoff; a table that it stops is tried again later
│   ├── CommitConflict       somebody else committed first; start again from a fresh table
│   ├── HeldBack             a table left messages for a later batch; start the query again
│   ├── Moved                somebody else moved a table's main; start the query again where it is now
│   └── Yielded              a batch of the table waited: the work is due again later
├── CommitStateUnknown       the answer was lost: look for the commit before deciding
├── PoisonEvent              one message cannot be used: quarantine it, block its key
└── TerminalError            stop this table (or command), keep the others, show the hint
    ├── ConfigError          the configuration is wrong
    ├── PreflightError       the source, cluster or catalog is not fit for the configuration
    ├── IncompatibleSchema   the event schema cannot be merged into the table
    ├── PositionLost         the offsets needed are no longer there, or belong to another topic
    ├── RuleBroken           rows of a batch break a rule that stops their table; tried again later
    ├── UnavailableValue     an unchanged value that Debezium left out is known nowhere
    └── Fenced               another instance took over; this one must publish nothing more
        └── LeaseHeld        another instance holds the lease
Anything else is a bug: the command ends with its name, and keeps the traceback in a file.
"""

import re


class CdcError(Exception):
    """An error with a hint for the operator; messages never contain row values."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def hint_for(self, table: object) -> str:
        """Return the hint with the table that a command in it is for."""
        return re.sub(r"\b(cdc (?:[a-z]+ )+)TABLE\b", lambda found: f"{found[1]}{table}", self.hint)

    def said_of(self, table: object) -> str:
        """Return message and hint in one line, as states show them."""
        return "; ".join(filter(None, (str(self), self.hint_for(table))))


class TransientError(CdcError):
    """A dependency did not answer as it should; trying again may help."""


class CommitConflict(TransientError):
    """Another writer committed to the same table first."""


class HeldBack(TransientError):
    """A table left the end of its batch for later, because a key change is not there as a whole yet."""


class Moved(TransientError):
    """A table is not where this pipeline left it: it was loaded, rewound or replayed meanwhile."""


class Yielded(TransientError):
    """Maintenance of a table was given up so that a batch of it can go on."""


class CommitStateUnknown(CdcError):
    """The catalog's answer was lost; the commit may or may not have happened."""


class PoisonEvent(CdcError):
    """A single message cannot be decoded or applied."""


class TerminalError(CdcError):
    """Going on would be wrong; an operator has to act."""


class ConfigError(TerminalError):
    """The configuration is invalid."""


class PreflightError(TerminalError):
    """Something outside the configuration is not as it must be."""


class IncompatibleSchema(TerminalError):
    """The event schema and the table cannot be reconciled without losing data."""


class PositionLost(TerminalError):
    """The offsets to continue from are gone, or the topic is not the one they belong to."""


class UnavailableValue(TerminalError):
    """A value that the source left out as unchanged is known neither in the batch nor in the table."""


class RuleBroken(TerminalError):
    """Rows that are to be published break a rule of their table that stops it."""


class Fenced(TerminalError):
    """A newer instance has taken over this pipeline."""


class LeaseHeld(Fenced):
    """The lease of this pipeline belongs to another live instance."""
