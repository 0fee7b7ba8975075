"""Checkpoints: list those of a table with how they can still be had, and write the ledger of them again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cdc.core.checkpoints import (
    Checkpoint,
    Reach,
    checkpoint_of_row,
    checkpoints_of,
    find_snapshot,
    ledger_row,
    reachable,
)
from cdc.core.errors import TerminalError
from cdc.core.history import TableHistory
from cdc.core.names import TableName
from cdc.core.progress import TopicState
from cdc.core.status import LedgerRow


class Histories(Protocol):
    """Histories of target tables, read afresh at each call."""

    def read(self, target: TableName) -> TableHistory:
        """Return a table's history; raises TerminalError if it is not there, TransientError if nobody answers."""
        ...


class Ledger(Protocol):
    """The ledger of commits: derived data. Appending is atomic and not idempotent."""

    def read(self, target: TableName) -> list[LedgerRow]:
        """Return the rows of a target."""
        ...

    def append(self, rows: Iterable[LedgerRow]) -> None:
        """Append rows."""
        ...


@dataclass(frozen=True)
class Found:
    """A checkpoint, and how it can still be had."""

    checkpoint: Checkpoint
    reach: Reach


def list_checkpoints(history: TableHistory, ledger: Iterable[LedgerRow], topic: TopicState | None) -> list[Found]:
    """Return a table's checkpoints, newest first; what the ledger says counts only where the history ends."""
    own = {one.table_snapshot: one for one in checkpoints_of(history)}
    ledger_only = [checkpoint_of_row(row) for row in ledger if row.table_snapshot not in own]
    known = {one.table_snapshot: one for one in ledger_only} | own
    found = sorted(known.values(), key=lambda one: one.committed_at, reverse=True)
    return [Found(one, reachable(one, history.versions.keys(), topic)) for one in found]


def show_checkpoint(found: list[Found], history: TableHistory, reference: str) -> Found:
    """Return the checkpoint behind ``latest``, an id or the beginning of one, ``tag:NAME`` or a time.

    Raises TerminalError if it is none.
    """
    by_id = [one for one in found if reference.isdigit() and str(one.checkpoint.table_snapshot).startswith(reference)]
    if len(by_id) == 1:
        return by_id[0]
    snapshot = find_snapshot(history, reference)
    for one in found:
        if one.checkpoint.table_snapshot == snapshot:
            return one
    raise TerminalError(
        f"snapshot {snapshot} of {history.target} is no checkpoint",
        hint="it is a fence or somebody else's commit; `cdc checkpoint list` shows the checkpoints",
    )


def rebuild_ledger(history: TableHistory, ledger: Ledger, *, dry_run: bool) -> int:
    """Append what the ledger lacks of a table's history, and return how many rows that are; idempotent."""
    known = {row.table_snapshot for row in ledger.read(history.target)}
    lacking = [
        ledger_row(one) for one in checkpoints_of(history) if one.table_snapshot not in known and one.kind != "rewind"
    ]
    if not dry_run:
        ledger.append(reversed(lacking))
    return len(lacking)
