"""What is said of one table's share of a micro-batch: counts, positions and times, never row values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cdc.core.progress import Progress

BEHIND = "waits behind a quarantined message of the same key"


@dataclass(frozen=True)
class Collapsed:
    """A micro-batch of one table after the collapse.

    Positions are texts, empty when there is none; ``newest_at_ms`` is the source's time of the newest change. ``torn``
    is the least place of a key change of which only one half is there: the collapse went no further.
    """

    events: int = 0
    keys: int = 0
    deletes: int = 0
    problems: int = 0
    truncates: int = 0
    snapshot_reads: int = 0
    first_position: str = ""
    last_position: str = ""
    last_delete: str = ""
    newest_at_ms: int | None = None
    torn: str = ""

    def with_more(self, keys: int, deletes: int, last_delete: str) -> "Collapsed":
        """Return it with so many keys more, of which so many end deleted, the last of them at a position."""
        return replace(
            self,
            keys=self.keys + keys,
            deletes=self.deletes + deletes,
            last_delete=max(self.last_delete, last_delete),
        )

    @property
    def upserts(self) -> int:
        """Return the number of keys that end with a row."""
        return self.keys - self.deletes


@dataclass(frozen=True)
class Problem:
    """A message that cannot be used: where it is, the raw key that it blocks, and why."""

    partition: int
    offset: int
    key: bytes | None
    reason: str


@dataclass(frozen=True)
class Skip:
    """Messages to leave out: those already in the table, those behind a quarantined one, those held back.

    ``blocked`` maps a raw key to the (partition, offset) of its quarantined message, ``held`` a partition to the offset
    from which on messages are left for a later batch. Key changes up to the place ``given_up`` may be torn.
    ``last_delete`` is the position of the newest delete in the table. ``doubtful`` holds marks of rows in a
    shadow (``cdc.core.collapse``); a value that is known nowhere then becomes null and its row is marked.
    ``published`` is how far the table's rows are, where that is further than its progress: in a replay.
    """

    progress: Progress
    blocked: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)
    held: Mapping[int, int] = field(default_factory=dict)
    given_up: str = ""
    last_delete: str = ""
    doubtful: str = ""
    published: Progress | None = None

    def reaches_back(self, first_position: str) -> bool:
        """Return whether a batch that begins at this position may have events older than a delete."""
        return bool(first_position) and first_position <= self.last_delete
