"""The epoch of a table raised by an operator's word: a commit that changes no row (docs/decisions/0034)."""

from pyiceberg.catalog import Catalog

from cdc.core.errors import CommitConflict, CommitStateUnknown, TerminalError
from cdc.core.history import ACCEPTED, PROGRESS, carried
from cdc.core.names import TableName
from cdc.core.progress import Progress, raised
from cdc.lake.checkpoints import history_of
from cdc.lake.commits import commit_errors, repeated, writable

KIND = "accept"


class Epochs:
    """Raises epochs of tables in one catalog; one that was raised twice has only a higher one."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = writable(catalog)

    def raise_(self, target: TableName) -> Progress:
        """Let every change that comes be newer than all that a table has; returns its progress.

        Raises TerminalError for a table that was never loaded or written to.
        """
        return repeated(CommitConflict, CommitStateUnknown)(self._raised, target)

    def _raised(self, target: TableName) -> Progress:
        with commit_errors(f"begin a new epoch of {target}"):
            table = self._catalog.load_table(tuple(target))
            history = history_of(target, table)
            recorded, progress = history.recorded(history.head), history.progress(history.head)
            if not recorded or progress is None:
                raise TerminalError(f"{target} holds nothing yet", hint=f"`cdc load -t {target}` loads it")
            progress = raised(progress)
            entries = carried(recorded, KIND) | {PROGRESS: progress.to_json()}
            with table.transaction() as transaction:
                transaction.set_properties({name: progress.to_json() for name in (ACCEPTED, PROGRESS)})
                with transaction.update_snapshot(snapshot_properties=entries).fast_append():
                    pass
            return progress
