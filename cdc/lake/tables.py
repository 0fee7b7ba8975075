"""Target tables in Iceberg: their state, schema, staging branch and the publish of a staged commit.

A commit is staged on the writer's branch and published by moving ``main`` in one compare-and-swap on the catalog: it
succeeds only while ``main`` is still the snapshot that the writer read, so a writer that was overtaken publishes
nothing (docs/decisions, "Stage, audit, publish").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from cdc.core.ddl import iceberg_type, spark_type
from cdc.core.errors import CommitConflict, CommitStateUnknown
from cdc.core.evolution import CDC_COLUMNS, SchemaPlan
from cdc.core.history import FENCE, PREFIX, TOKEN
from cdc.core.names import TableName, quote
from cdc.core.partitioning import parse_term, shown_term
from cdc.lake.java import java_causes, java_class, java_errors, load_table

BRANCH = "cdc"
_MISSING = "org.apache.spark.sql.catalyst.analysis.NoSuchTableException"

DEFAULT_PROPERTIES = {
    "format-version": "2",
    "write.merge.mode": "copy-on-write",
    "write.update.mode": "merge-on-read",
    "write.delete.mode": "merge-on-read",
    "write.merge.isolation-level": "snapshot",
    "write.merge.distribution-mode": "none",
    "write.delete.distribution-mode": "none",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
}
"""Properties of a new table; format 2 because a memory growth is reported for streaming merges with format 3."""

MERGE_MODE = "write.merge.mode"
MODE_BY_SIZE = "cdc.merge-mode-by-size"
"""Property of tables whose merge mode follows their size; those made with a mode of their own keep it."""

SMALL_BYTES, SMALL_ROWS = 1 << 20, 20_000
"""Data and rows up to which a batch rewrites a table: that costs less than reading deletes of many small files."""


@dataclass(frozen=True)
class TableSnapshot:
    """A table as a writer found it: the snapshot of ``main``, its uuid, columns and what earlier commits recorded.

    ``key`` are its identifier fields, ``partitioning`` its partition terms; ``summary`` holds the ``cdc.`` entries of
    the newest batch among ``main``'s ancestors, and of fences after it.
    """

    snapshot_id: int
    uuid: str
    columns: Mapping[str, str]
    summary: Mapping[str, str]
    key: frozenset[str] = frozenset()
    partitioning: tuple[str, ...] = ()


def partitioning_of(table: Any) -> tuple[str, ...]:  # noqa: ANN401 - py4j
    """Return the partition terms of Iceberg's ``Table``."""
    fields, schema = table.spec().fields(), table.schema()
    return tuple(shown_term(str(f.transform()), str(schema.findColumnName(f.sourceId()))) for f in fields)


class IcebergTable:
    """One target table, driven through Iceberg's own Java classes in Spark's JVM.

    Not thread-safe; each writer thread has its own session and its own instance.
    """

    def __init__(self, session: SparkSession, catalog: str, name: TableName) -> None:
        self._session = session
        self._catalog = catalog
        self._name = self.name = name
        self.sql_name = ".".join(quote(part, "`") for part in (catalog, *name))

    @property
    def branch_sql(self) -> str:
        """Return the quoted name of the staging branch, for SQL."""
        return f"{self.sql_name}.{quote('branch_' + BRANCH, '`')}"

    def exists(self) -> bool:
        """Return whether the table is in the catalog."""
        with java_errors(f"look up table {self._name}"):
            # Not as ``find`` does: this makes the catalog known to a session that has not used it yet.
            return self._session.catalog.tableExists(self.sql_name)

    def create(
        self,
        columns: Mapping[str, str],
        key: tuple[str, ...],
        partition_by: tuple[str, ...],
        properties: Mapping[str, str],
    ) -> None:
        """Create the table, empty and with its key; nothing happens if it exists."""
        fields = [
            f"{quote(name, '`')} {spark_type(kind)}{' NOT NULL' if name in key else ''}"
            for name, kind in {**columns, **CDC_COLUMNS}.items()
        ]
        terms = ", ".join(parse_term(term).sql() for term in partition_by)
        partitioned = f" PARTITIONED BY ({terms})" if terms else ""
        chosen = {**DEFAULT_PROPERTIES, **({} if MERGE_MODE in properties else {MODE_BY_SIZE: "true"}), **properties}
        settings = ", ".join(f"{_literal(n)} = {_literal(v)}" for n, v in chosen.items())
        namespace = ".".join(quote(part, "`") for part in (self._catalog, self._name.namespace))
        with java_errors(f"create table {self._name}"):
            self._session.sql(f"CREATE NAMESPACE IF NOT EXISTS {namespace}")
            self._session.sql(
                f"CREATE TABLE IF NOT EXISTS {self.sql_name} ({', '.join(fields)}) USING iceberg{partitioned} "
                f"TBLPROPERTIES ({settings})"
            )
            update = self._load().updateSchema()
            update.setIdentifierFields(list(key)).commit()

    def read(self) -> TableSnapshot:
        """Return the table's present state; ``snapshot_id`` is -1 before the first commit."""
        with java_errors(f"read table {self._name}"):
            return _state(self._load())

    def find(self) -> TableSnapshot | None:
        """Return the table's present state, None if it is not there."""
        with java_errors(f"read table {self._name}"):
            table = self._found()
            return None if table is None else _state(table)

    def row_count(self) -> int:
        """Return the number of rows on ``main``, 0 if there is no table; rows that were deleted since may count."""
        with java_errors(f"read table {self._name}"):
            table = self._found()
            snapshot = None if table is None else table.currentSnapshot()
            return 0 if snapshot is None else int(snapshot.summary().get("total-records") or 0)

    def fence(self, summary: Mapping[str, str]) -> None:
        """Commit an empty snapshot to ``main``: whoever staged on an older one can no longer publish."""
        with java_errors(f"fence table {self._name}"):
            append = self._load().newAppend()
            for name, value in {**summary, FENCE: "true"}.items():
                append.set(name, value)
            append.commit()

    def evolve(self, plan: SchemaPlan) -> None:
        """Add and widen columns; what the table has already is left alone."""
        present = self.read().columns
        add = {name: kind for name, kind in plan.add.items() if name not in present}
        widen = {name: kind for name, kind in plan.widen.items() if present.get(name) != kind}
        with java_errors(f"change the schema of {self._name}"):
            if add:
                added = ", ".join(f"{quote(n, '`')} {spark_type(t)}" for n, t in add.items())
                self._session.sql(f"ALTER TABLE {self.sql_name} ADD COLUMNS ({added})")
            for name, kind in widen.items():
                self._session.sql(
                    f"ALTER TABLE {self.sql_name} ALTER COLUMN {quote(name, '`')} TYPE {spark_type(kind)}"
                )

    def stage(self, base: int) -> None:
        """Make the staging branch point at ``base``, the snapshot that the writer read."""
        with java_errors(f"prepare the staging branch of {self._name}"):
            table = self._load()
            reference = table.refs().get(BRANCH)
            if reference is None:
                table.manageSnapshots().createBranch(BRANCH, base).commit()
            elif reference.snapshotId() != base:
                table.manageSnapshots().replaceBranch(BRANCH, base).commit()

    def stage_progress(self, base: int, summary: Mapping[str, str]) -> None:
        """Commit an empty snapshot on top of ``base`` to the staging branch."""
        self.stage(base)
        with java_errors(f"stage the progress of {self._name}"):
            append = self._load().newAppend().toBranch(BRANCH)
            for name, value in summary.items():
                append.set(name, value)
            append.commit()

    def staged(self, base: int) -> tuple[int, Mapping[str, str]]:
        """Return the branch's newest snapshot and the counts of its summary; nothing staged gives ``base`` itself.

        Raises CommitConflict if what is staged does not begin at ``base``, or several writers have staged it.
        """
        with java_errors(f"read the staging branch of {self._name}"):
            table = self._load()
            head = table.refs().get(BRANCH).snapshotId()
            staged = _from(table, head, base)
        # The deletes of a truncate may be a commit of metadata alone, which Spark makes without our entries.
        if staged is None or len({summary[TOKEN] for summary in staged if TOKEN in summary}) > 1:
            raise CommitConflict(f"another writer has staged a commit of {self._name}")
        return int(head), staged[0] if staged else {}

    def publish(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        """Move ``main`` from ``base`` to ``staged`` and mirror ``properties``, atomically.

        The merge mode that suits the table's new size comes with it, for the next batch. Raises CommitConflict if
        ``main`` is no longer ``base``; an unknown outcome is resolved by looking for ``staged`` among its ancestors.
        """
        try:
            with java_errors(f"publish {self._name}"):
                self._swap(base, staged, properties)
        except CommitStateUnknown:
            if not self.published(staged):
                raise

    def _swap(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        operations = self._load().operations()
        metadata = operations.current()
        main = metadata.ref("main")
        if main is None or main.snapshotId() != base:
            raise CommitConflict(f"could not publish {self._name}: another writer has moved main")
        reference = java_class(self._session, "org.apache.iceberg.SnapshotRef").branchBuilder(staged).build()
        wanted = {**properties, **merge_mode(metadata.properties(), dict(metadata.snapshot(staged).summary()))}
        builder = java_class(self._session, "org.apache.iceberg.TableMetadata")
        changed = builder.buildFrom(metadata).setRef("main", reference).setProperties(wanted)
        operations.commit(metadata, changed.build())

    def published(self, staged: int) -> bool:
        """Return whether a snapshot is ``main`` or one of its ancestors."""
        table = self._load()
        found = table.currentSnapshot()
        while found is not None:
            if found.snapshotId() == staged:
                return True
            parent = found.parentId()
            found = None if parent is None else table.snapshot(parent)
        return False

    def _load(self) -> Any:  # noqa: ANN401 - py4j
        return load_table(self._session, self.sql_name)

    def _found(self) -> Any:  # noqa: ANN401 - py4j
        try:
            return self._load()
        except AnalysisException as error:
            if _MISSING in dict(java_causes(error)):
                return None
            raise


def _from(table: Any, head: int, base: int) -> list[dict[str, str]] | None:  # noqa: ANN401 - py4j
    """Return the summaries of the snapshots from ``head`` back to ``base``, that one left out; None if it is no way."""
    found: list[dict[str, str]] = []
    while head != base:
        snapshot = table.snapshot(head)
        if snapshot is None or snapshot.parentId() is None:
            return None
        found.append(dict(snapshot.summary()))
        head = snapshot.parentId()
    return found


def _state(table: Any) -> TableSnapshot:  # noqa: ANN401 - py4j
    current = table.currentSnapshot()
    columns = {f.name(): iceberg_type(f.type().toString()) for f in table.schema().columns()}
    snapshot_id = -1 if current is None else int(current.snapshotId())
    key = frozenset(str(name) for name in table.schema().identifierFieldNames())
    return TableSnapshot(snapshot_id, str(table.uuid()), columns, recorded(table), key, partitioning_of(table))


def recorded(table: Any, at: int | None = None) -> dict[str, str]:  # noqa: ANN401 - py4j
    """Return the ``cdc.`` entries of the newest commit of a batch among ``main``'s ancestors, and of fences after it.

    ``at`` is another snapshot to look from. The properties count only where history was expired: after a rollback they
    are ahead of ``main``.
    """
    snapshot = table.currentSnapshot() if at is None else table.snapshot(at)
    found = dict[str, str]()
    while snapshot is not None:
        entries = _own(dict(snapshot.summary() or {}))
        found = {**entries, **found}
        if entries and FENCE not in entries:
            return found
        parent = snapshot.parentId()
        snapshot = None if parent is None else table.snapshot(parent)
        if parent is not None and snapshot is None:
            return {**_own(dict(table.properties())), **found}
    return found


def merge_mode(properties: Mapping[str, str], summary: Mapping[str, str]) -> dict[str, str]:
    """Return the property that sets the merge mode by the size of a snapshot, or nothing if it is not ours to set."""
    if properties.get(MODE_BY_SIZE) != "true":
        return {}
    size, rows = (int(summary.get(f"total-{name}") or 0) for name in ("files-size", "records"))
    small = size <= SMALL_BYTES and rows <= SMALL_ROWS
    return {MERGE_MODE: "copy-on-write" if small else "merge-on-read"}


def _own(entries: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in entries.items() if name.startswith(PREFIX)}


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
