"""Commits to the staging branch that pyiceberg makes: begun where the table was read, and made once or not at all."""

from contextlib import suppress

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import AssertTableUUID

from cdc.core.errors import CommitConflict, CommitStateUnknown, TransientError
from cdc.core.names import TableName
from cdc.lake.commits import commit_errors
from cdc.lake.tables import BRANCH


def main_of(table: Table) -> int | None:
    """Return the snapshot of ``main``."""
    return table.metadata.current_snapshot_id


def at_branch(catalog: Catalog, name: TableName, read: Table) -> Table:
    """Return the table with its branch where ``main`` was read; raises CommitConflict where that is not so."""
    with commit_errors(f"read {name}"):
        table = read if _branch(read) == main_of(read) else catalog.load_table(name)
    if not (_branch(table) == main_of(table) == main_of(read)):
        raise CommitConflict(f"could not stage a batch of {name}: it was moved by another writer")
    return table


def commit_staged(catalog: Catalog, name: TableName, table: Table, transaction: Transaction) -> None:
    """Commit here: the transaction itself would begin again on what another writer has made of the table.

    Raises CommitConflict, CommitStateUnknown and TransientError; something else passes unchanged.
    """
    requirements = (*transaction._requirements, AssertTableUUID(uuid=table.metadata.table_uuid))  # noqa: SLF001
    with commit_errors(f"stage a batch of {name}"):
        done = catalog.commit_table(table, requirements, transaction._updates)  # noqa: SLF001
    with suppress(Exception):  # a file that stays does no harm
        catalog._delete_old_metadata(table.io, table.metadata, done.metadata)  # noqa: SLF001


def staged_or_transient(catalog: Catalog, name: TableName, table: Table, transaction: Transaction) -> str | None:
    """Commit, and return None; returns the class of an error that was not foreseen, with which nothing is staged."""
    try:
        commit_staged(catalog, name, table, transaction)
    except (CommitConflict, CommitStateUnknown, TransientError):
        raise
    except Exception as error:  # noqa: BLE001 - nothing is published yet: Spark stages the batch, or tells
        return type(error).__name__
    return None


def _branch(table: Table) -> int | None:
    branch = table.metadata.refs.get(BRANCH)
    return branch.snapshot_id if branch else None
