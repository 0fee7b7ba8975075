"""What is kept of an operator's command: values only, never row values."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Operation:
    """One command that changed a table: when, by whom, to what, what it did, why, and how it ended; UTC."""

    at: datetime
    who: str
    command: str
    target: str
    what: str
    why: str
    outcome: str
