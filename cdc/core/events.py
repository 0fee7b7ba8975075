"""Change events as the core sees them: decoded, with a position."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cdc.core.positions import Position

Key = tuple[Any, ...]
Values = Mapping[str, Any]


class Operation(StrEnum):
    """Debezium's operation codes."""

    CREATE = "c"
    READ = "r"
    UPDATE = "u"
    DELETE = "d"
    TRUNCATE = "t"


@dataclass(frozen=True)
class ChangeEvent:
    """One change to one row.

    ``values`` holds the row after the change (nothing for a delete); ``unavailable`` names the columns that the
    source left out because they did not change. A key change is a delete of the old key that bears ``new_key`` and a
    create of the new one that bears ``old_key``.
    """

    operation: Operation
    key: Key
    position: Position
    values: Values = field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()
    old_key: Key | None = None
    new_key: Key | None = None

    @property
    def moves(self) -> bool:
        """Return whether the event is half of a key change."""
        return self.old_key is not None or self.new_key is not None
