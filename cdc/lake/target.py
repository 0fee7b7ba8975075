"""A target table in a catalog that pyiceberg writes to: read, staged and published without a JVM where that can be.

What only Spark does, a MERGE and changes of the schema, goes through Iceberg's Java classes (``cdc.lake.tables``).
"""

from collections.abc import Mapping

from pyiceberg.table import Table

from cdc.core.ddl import iceberg_type
from cdc.core.errors import CdcError, CommitConflict, CommitStateUnknown, TerminalError, TransientError
from cdc.core.evolution import SchemaPlan
from cdc.core.history import FENCE, TableHistory, Version
from cdc.core.names import TableName
from cdc.core.partitioning import shown_term
from cdc.lake.checkpoints import version_of
from cdc.lake.commits import commit_errors, repeated
from cdc.lake.foreign import UP, attempted, lake_errors
from cdc.lake.held import HeldTable
from cdc.lake.listing import ancestors, descends
from cdc.lake.producing import FORMAT
from cdc.lake.publishing import Staged, committed
from cdc.lake.row_delta import delta_of
from cdc.lake.tables import IcebergTable, TableSnapshot


class Target:
    """One target table; implements ``pipeline.table.TargetTable``. ``java`` is the same table in Spark's JVM."""

    def __init__(self, held: HeldTable, java: IcebergTable) -> None:
        self._held = held
        self._java = java

    def exists(self) -> bool:
        """Return whether the table is in the catalog."""
        with lake_errors(f"read table {self._held.name}"):
            return self._held.look() is not None

    def create(
        self,
        columns: Mapping[str, str],
        key: tuple[str, ...],
        partition_by: tuple[str, ...],
        properties: Mapping[str, str],
    ) -> None:
        """Create the table, empty and with its key; nothing happens if it exists."""
        self._java.create(columns, key, partition_by, properties)

    def find(self) -> TableSnapshot | None:
        """Return the table's present state, None if it is not there."""
        with lake_errors(f"read table {self._held.name}"):
            table = self._held.look()
        return None if table is None else state_of(table)

    def read(self) -> TableSnapshot:
        """Return the table's present state; ``snapshot_id`` is -1 before the first commit."""
        found = self.find()
        if found is None:
            raise TerminalError(f"there is no table {self._held.name}", hint="it was there: who dropped it?")
        return found

    def fence(self, summary: Mapping[str, str]) -> None:
        """Commit an empty snapshot to ``main``: whoever staged on an older one can no longer publish."""
        if not attempted(lambda: self._fenced({**summary, FENCE: "true"})):  # Spark's first commits take a second each
            self._java.fence(summary)

    def _fenced(self, summary: Mapping[str, str]) -> bool:
        for attempt in repeated(CommitConflict):
            with attempt, commit_errors(f"fence table {self._held.name}"):
                table = self._held.look()
                if table is None or table.metadata.format_version != FORMAT:
                    return False
                change = delta_of(table, (), summary).appending()
                self._held.moved_beneath(committed(self._held.catalog, table, change, self._held.texts))
        return True

    def evolve(self, plan: SchemaPlan) -> None:
        """Add and widen columns; what the table has already is left alone."""
        self._java.evolve(plan)

    def stage(self, base: int) -> None:
        """Make the staging branch point at ``base``, for a MERGE into it."""
        self._held.drop()
        self._java.stage(base)

    def stage_progress(self, base: int, summary: Mapping[str, str]) -> None:
        """Stage an empty snapshot on top of ``base``."""
        if self._held.table.metadata.format_version != FORMAT:
            self._held.drop()
            self._java.stage_progress(base, summary)
            return
        self._held.stage(delta_of(self._held.table, (), summary))
        self._staged_on(base)

    def staged(self, base: int) -> tuple[int, Mapping[str, str]]:
        """Return the snapshot that was staged and its summary; nothing staged gives ``base`` itself.

        Raises CommitConflict if what is staged does not begin at ``base``, or several writers have staged it.
        """
        staged = self._staged_on(base)
        return self._java.staged(base) if staged is None else (staged.snapshot.snapshot_id, staged.summary)

    def _staged_on(self, base: int) -> Staged | None:
        staged = self._held.staged
        if staged is not None and staged.snapshot.parent_snapshot_id != base:
            raise CommitConflict(f"a batch of {self._held.name} was staged on another snapshot than it began with")
        return staged

    def publish(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        """Move ``main`` from ``base`` to ``staged`` and mirror ``properties``, atomically.

        The merge mode that suits the table's new size comes with it, for the next batch. Raises CommitConflict if
        ``main`` is no longer ``base``; an unknown outcome is resolved by looking for ``staged`` among its ancestors.
        """
        if self._held.staged is None:
            self._java.publish(base, staged, properties)
            return
        try:
            self._commit(properties)
        except CommitStateUnknown:
            if not self.published(staged):
                raise

    def _commit(self, properties: Mapping[str, str]) -> None:
        held = self._held
        assert held.staged is not None  # noqa: S101 - publish has looked
        doing = f"publish {held.name}"
        try:
            with commit_errors(doing):
                change = held.staged.publishing(properties)
                held.moved_to(committed(held.catalog, held.staged.base, change, held.texts))
        except CdcError:
            raise
        except Exception as error:  # nothing is published: the batch is staged again, by Spark
            held.avoided = f"it was not committed without Spark: {type(error).__name__}"
            raise TransientError(f"could not {doing}: {type(error).__name__}", hint=UP) from error

    def published(self, staged: int) -> bool:
        """Return whether a snapshot is ``main`` or one of its ancestors."""
        with lake_errors(f"read table {self._held.name}"):
            table = self._held.look()
        return table is not None and descends(table, table.metadata.current_snapshot_id, staged)


def state_of(table: Table) -> TableSnapshot:
    """Return a table as a writer finds it."""
    schema, snapshot_id = table.schema(), table.metadata.current_snapshot_id
    return TableSnapshot(
        -1 if snapshot_id is None else snapshot_id,
        str(table.metadata.table_uuid),
        {field.name: iceberg_type(str(field.field_type)) for field in schema.fields},
        entries_of(table),
        frozenset(schema.identifier_field_names()),
        tuple(
            shown_term(str(field.transform), str(schema.find_column_name(field.source_id)))
            for field in table.spec().fields
        ),
    )


def entries_of(table: Table) -> dict[str, str]:
    """Return the ``cdc.`` entries that count at ``main``."""
    head, versions = table.metadata.current_snapshot_id, dict[int, Version]()
    for version in map(version_of, ancestors(table, head)):
        versions[version.snapshot_id] = version
        if version.entries and FENCE not in version.entries:
            break
    history = TableHistory(TableName(*table.name()[-2:]), head, versions, properties=dict(table.properties))
    return history.recorded(head) or {}
