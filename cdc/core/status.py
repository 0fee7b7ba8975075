"""What is told of a pipeline's tables: a row of status per target, and a ledger row per published commit."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TableState(StrEnum):
    """Where a table stands; set by the running pipeline only, and shown by ``cdc status``.

    WAITING: no event seen yet. LOADING: its first rows come from a load that is not through yet, its events wait for
    that. RUNNING: the latest batch is in the table. PAUSED: by an operator, see last_error for who and why; it goes on
    from its own progress when it is resumed. STOPPED: a terminal error, see last_error; the table's offsets stay where
    they are until the service is started again or somebody moves the table (load, rewind, replay, reset).
    """

    WAITING = "waiting"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class StatusRow:
    """One target as the pipeline last saw it; counts go on over restarts, times are UTC."""

    pipeline: str
    source: str
    target: str
    state: str
    position: str
    offsets: str
    table_snapshot: int | None
    token: int
    batches: int
    events: int
    inserted: int
    updated: int
    deleted: int
    quarantined: int
    lag_seconds: float | None
    source_at: datetime | None
    committed_at: datetime | None
    updated_at: datetime
    last_error: str
    way: str | None = None
    """How its last batch that had changes was staged, and why not in a quicker way; None before the first."""
    seconds: float | None = None
    """How long that batch took."""


@dataclass(frozen=True)
class LedgerRow:
    """One published commit of one target: which positions and offsets it brought; ``seconds`` None is not known."""

    pipeline: str
    target: str
    table_snapshot: int
    parent_snapshot: int
    token: int
    first_position: str
    last_position: str
    offsets: str
    events: int
    inserted: int
    updated: int
    deleted: int
    source_at: datetime | None
    committed_at: datetime
    seconds: float | None
