# ruff: noqa: S608 - identifiers are quoted by cdc.core.names, everything else is made here
"""Maintenance of Iceberg tables: looking at them, and each step by Iceberg's own actions or its Java API.

Steps hold no lease of their own and need none: a compaction is validated against what was committed since it began, an
expiry names its snapshots, what carries progress on is published by compare-and-swap (docs/decisions/0025).
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cdc.core.compaction import Compact, DataFile, DeleteFile, Packing
from cdc.core.history import carried
from cdc.core.maintenance import (
    MANY_MANIFESTS,
    ORPHANS_AT,
    PRUNED_AT,
    Carry,
    Done,
    Expire,
    Limits,
    Prune,
    RemoveOrphans,
    RewriteDeletes,
    RewriteManifests,
    SetProperties,
    Settle,
    Step,
    TableShape,
    packing_of,
)
from cdc.core.names import TableName, quote, shadow_of
from cdc.lake.checkpoints import Histories
from cdc.lake.compaction import rewrite
from cdc.lake.expiry import expire
from cdc.lake.java import java_class, java_errors, load_table
from cdc.lake.measuring import PATHS, Files, Measuring, measured, worth_a_look
from cdc.lake.packing import pack
from cdc.lake.tables import BRANCH, IcebergTable, recorded
from cdc.lake.yielding import yielding

MARK = "maintenance"
"""Entry of the summaries of these commits; not one of ``cdc.``, so that whoever looks for progress passes on."""

_ONLY_FILE = (
    f"CASE WHEN try_element_at(lower_bounds, {PATHS}) = try_element_at(upper_bounds, {PATHS}) "
    f"THEN decode(try_element_at(lower_bounds, {PATHS}), 'UTF-8') END"
)

KIND_OF_CARRY = "maintenance"

_ON_HADOOP = "org.apache.iceberg.hadoop.HadoopFileIO"


class TableMaintainer:
    """The hands of maintenance in one session; implements ``pipeline.maintain.Maintainer``. One thread at a time.

    ``direct`` is the catalog, where small steps may be taken without Spark.
    """

    def __init__(
        self,
        session: SparkSession,
        catalog: str,
        namespace: str,
        histories: Histories,
        direct: Catalog | None = None,
    ) -> None:
        self._session = session
        self._direct = direct
        self._measuring = Measuring(direct) if direct else None
        self._catalog = catalog
        self._namespace = namespace
        self._histories = histories
        self._known: dict[TableName, tuple[tuple[int, Packing], Files]] = {}

    def look(self, table: TableName, limits: Limits) -> TableShape | None:
        """Return what the table is like, None if it is not there. Files are only read where some may be due.

        They are remembered by snapshot: a table that is not written to costs one look at its metadata.
        """
        history = self._histories.find(table)
        if history is None:
            return None
        if history.head is None:
            return TableShape(history)
        summary, packing = history.versions[history.head].summary, packing_of(TableShape(history), limits)
        seen = history.head, packing
        if self._known.get(table, (None,))[0] != seen:
            with java_errors(f"look at table {table}"):
                self._known[table] = seen, self._measured(table, history.head, summary, packing)
        rests_on = history.refs.get(BRANCH)
        return TableShape(
            history,
            *self._known[table][1],
            shadowed=self._histories.find(shadow_of(self._namespace, table)) is not None,
            resting=rests_on is not None and rests_on != history.head and history.is_ancestor(rests_on),
        )

    def do(self, table: TableName, step: Step, wanted: Callable[[], bool], patience: float) -> Done:
        """Carry a step out; errors as the protocol says."""
        with yielding(self._session, wanted, patience) as go_on, java_errors(f"{step.kind.replace('_', ' ')} {table}"):
            if isinstance(step, Compact):
                packed = pack(self._direct, table, step, {MARK: step.kind}, go_on) if self._direct else None
                if packed is not None:
                    return Done(*packed)
                return Done(*rewrite(self._session, self._sql_name(table), step, {MARK: step.kind}, go_on))
            if isinstance(step, RewriteDeletes | RewriteManifests):
                return self._rewrite_metadata(table, step)
            if isinstance(step, Expire):
                gone = expire(self._direct, table, step.snapshots, go_on) if self._direct else None
                return Done(snapshots=gone) if gone is not None else self._expire(table, step)
            if isinstance(step, RemoveOrphans):
                return self._remove_orphans(table, step)
            self._change(table, step)
            return Done()

    def _change(self, table: TableName, step: SetProperties | Prune | Carry | Settle) -> None:
        if isinstance(step, SetProperties):
            self._set(table, dict(step.properties))
        elif isinstance(step, Prune):
            limit = f"{step.before.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
            self._session.sql(
                f"DELETE FROM {self._sql_name(table)} WHERE {quote(step.column, '`')} < TIMESTAMP '{limit} UTC'"
            )
            self._set(table, {PRUNED_AT: _now()})
        elif isinstance(step, Carry):
            self._carry(table)
        else:
            self._settle(table)

    def _measured(self, table: TableName, snapshot: int, summary: Mapping[str, str], packing: Packing) -> Files:
        if self._measuring and (here := self._measuring.measured(table, snapshot, summary, packing)):
            return here
        found = self._files(table, snapshot, packing) if worth_a_look(summary, packing) else Files()
        manifests, size = self._manifests(table, snapshot)
        return found._replace(manifests=manifests, manifest_bytes=size)

    def _files(self, table: TableName, snapshot: int, packing: Packing) -> Files:
        name = f"{self._sql_name(table)}.files"
        columns = self._session.table(name).columns
        partition = "CAST(partition AS string)" if "partition" in columns else "''"
        rows = self._session.sql(
            f"SELECT content, file_path, file_size_in_bytes AS bytes, record_count AS rows, spec_id AS spec, "
            f"coalesce({partition}, '') AS partition, coalesce(referenced_data_file, {_ONLY_FILE}) AS of "
            f"FROM {name} VERSION AS OF {int(snapshot)}"
        ).toArrow()
        return measured([_file(row) for row in rows.to_pylist()], packing)

    def _manifests(self, table: TableName, snapshot: int) -> tuple[int, int]:
        iceberg = self._load(table)
        found = iceberg.snapshot(snapshot).allManifests(iceberg.io())
        if found.size() < MANY_MANIFESTS:  # each question to the JVM costs, and so few are never rewritten
            return found.size(), 0
        return found.size(), sum(int(manifest.length()) for manifest in found)

    def _rewrite_metadata(self, table: TableName, step: RewriteDeletes | RewriteManifests) -> Done:
        actions, iceberg = self._actions(), self._load(table)
        if isinstance(step, RewriteDeletes):
            made = actions.rewritePositionDeletes(iceberg).snapshotProperty(MARK, step.kind).execute()
            return Done(int(made.rewrittenDeleteFilesCount()), int(made.addedDeleteFilesCount()))
        done = actions.rewriteManifests(iceberg).snapshotProperty(MARK, step.kind).option("use-caching", "false")
        made = done.execute()
        return Done(_length(made.rewrittenManifests()), _length(made.addedManifests()))

    def _carry(self, table: TableName) -> None:
        """Commit what counts once more, as ``main``, unless somebody commits meanwhile."""
        iceberg, mark = self._load(table), f"carry {uuid.uuid4()}"
        base = int(iceberg.currentSnapshot().snapshotId())
        append = iceberg.newAppend().stageOnly().set(MARK, mark)
        for name, value in carried(recorded(iceberg, base), KIND_OF_CARRY).items():
            append.set(name, value)
        append.commit()
        snapshots = list(self._load(table).snapshots())
        staged = next(one for one in reversed(snapshots) if dict(one.summary()).get(MARK) == mark)
        target = IcebergTable(self._session, self._catalog, table)
        # One that was staged on a newer main is refused with it: main is that one then, and not ``base``.
        target.publish(base, int(staged.snapshotId()), {})

    def _settle(self, table: TableName) -> None:
        """Move the staging branch to ``main``, in one compare-and-swap, if nothing is staged on it."""
        operations = self._load(table).operations()
        metadata = operations.current()
        main, staging = metadata.ref("main"), metadata.ref(BRANCH)
        target = IcebergTable(self._session, self._catalog, table)
        if main is None or staging is None or not target.published(int(staging.snapshotId())):
            return
        reference = java_class(self._session, "org.apache.iceberg.SnapshotRef").branchBuilder(main.snapshotId())
        builder = java_class(self._session, "org.apache.iceberg.TableMetadata").buildFrom(metadata)
        operations.commit(metadata, builder.setRef(BRANCH, reference.build()).build())

    def _expire(self, table: TableName, step: Expire) -> Done:
        iceberg = self._load(table)
        present = {int(snapshot.snapshotId()) for snapshot in iceberg.snapshots()}
        expire = iceberg.expireSnapshots().expireOlderThan(0)  # none for its age: the plan names each
        for number in present & set(step.snapshots):
            expire.expireSnapshotId(number)
        pool = java_class(self._session, "java.util.concurrent.Executors").newFixedThreadPool(4)
        try:
            expire.executeDeleteWith(pool).commit()
        finally:
            pool.shutdown()
        return Done(snapshots=len(present & set(step.snapshots)))

    def _remove_orphans(self, table: TableName, step: RemoveOrphans) -> Done:
        iceberg = self._load(table)
        action = self._actions().deleteOrphanFiles(iceberg).olderThan(int(step.before.timestamp() * 1000))
        if str(iceberg.io().getClass().getName()) != _ON_HADOOP:  # Hadoop need not know the store
            action = action.usePrefixListing(True)  # noqa: FBT003 - py4j
        removed = action.execute()
        self._set(table, {ORPHANS_AT: _now()})
        return Done(_length(removed.orphanFileLocations()))

    def _set(self, table: TableName, properties: dict[str, str]) -> None:
        update = self._load(table).updateProperties()
        for name, value in properties.items():
            update.set(name, value)
        update.commit()

    def _actions(self) -> Any:  # noqa: ANN401 - py4j
        actions = java_class(self._session, "org.apache.iceberg.spark.actions.SparkActions")
        return actions.get(self._session._jsparkSession)  # noqa: SLF001 - PySpark has no public door to Iceberg's

    def _load(self, table: TableName) -> Any:  # noqa: ANN401 - py4j
        return load_table(self._session, self._sql_name(table))

    def _sql_name(self, table: TableName) -> str:
        return ".".join(quote(part, "`") for part in (self._catalog, *table))


def _file(row: Mapping[str, Any]) -> DataFile | DeleteFile:
    if row["content"]:
        return DeleteFile(row["rows"], row["of"], row["spec"], row["partition"])
    return DataFile(row["file_path"], row["bytes"], row["rows"], row["spec"], row["partition"])


def _length(found: Any) -> int:  # noqa: ANN401 - py4j's Iterable
    return sum(1 for _ in found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
