# ruff: noqa: S608 - identifiers are quoted by cdc.core.names, everything else is made here
"""Maintenance of Iceberg tables: looking at them, and each step by Iceberg's own actions or its Java API.

Steps hold no lease of their own and need none: a compaction is validated against what was committed since it began, an
expiry names its snapshots, what carries progress on is published by compare-and-swap (docs/decisions/0024).
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from cdc.core.compaction import Compact, DataFile
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
from cdc.lake.java import java_class, java_errors, load_table
from cdc.lake.tables import BRANCH, IcebergTable, recorded
from cdc.lake.yielding import yielding

MARK = "maintenance"
"""Entry of the summaries of these commits; not one of ``cdc.``, so that whoever looks for progress passes on."""

_PATH = 2147483546
"""Iceberg's number of the column of paths in position deletes; a file of one data file alone has it as both bounds."""

_ONLY_FILE = (
    f"CASE WHEN try_element_at(lower_bounds, {_PATH}) = try_element_at(upper_bounds, {_PATH}) "
    f"THEN decode(try_element_at(lower_bounds, {_PATH}), 'UTF-8') END"
)

KIND_OF_CARRY = "maintenance"


class TableMaintainer:
    """The hands of maintenance in one session; implements ``pipeline.maintain.Maintainer``. One thread at a time."""

    def __init__(self, session: SparkSession, catalog: str, namespace: str, histories: Histories) -> None:
        self._session = session
        self._catalog = catalog
        self._namespace = namespace
        self._histories = histories

    def look(self, table: TableName, limits: Limits) -> TableShape | None:
        """Return what the table is like, None if it is not there. Files are only read where some may be due."""
        history = self._histories.find(table)
        if history is None:
            return None
        if history.head is None:
            return TableShape(history)
        summary = history.versions[history.head].summary
        with java_errors(f"look at table {table}"):
            files: tuple[DataFile, ...] = ()
            deletes = loose = 0
            fewest = packing_of(TableShape(history), limits).fewest
            if _number(summary, "total-data-files") >= fewest or _number(summary, "total-delete-files"):
                files, deletes, loose = self._files(table, history.head)
            manifests, size = self._manifests(table)
        rests_on = history.refs.get(BRANCH)
        return TableShape(
            history,
            files,
            deletes,
            loose,
            manifests,
            size,
            shadowed=self._histories.find(shadow_of(self._namespace, table)) is not None,
            resting=rests_on is not None and rests_on != history.head and history.is_ancestor(rests_on),
        )

    def do(self, table: TableName, step: Step, wanted: Callable[[], bool], patience: float) -> Done:
        """Carry a step out; errors as the protocol says."""
        with yielding(self._session, wanted, patience), java_errors(f"{step.kind.replace('_', ' ')} {table}"):
            if isinstance(step, Compact):
                return Done(*rewrite(self._session, self._sql_name(table), step, {MARK: step.kind}))
            if isinstance(step, RewriteDeletes | RewriteManifests):
                return self._rewrite_metadata(table, step)
            if isinstance(step, Expire):
                return self._expire(table, step)
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

    def _files(self, table: TableName, snapshot: int) -> tuple[tuple[DataFile, ...], int, int]:
        """Return the live data files, the number of delete files, and of those that are of several data files."""
        name = f"{self._sql_name(table)}.files"
        columns = self._session.table(name).columns
        partition = "CAST(partition AS string)" if "partition" in columns else "''"
        rows = self._session.sql(
            f"SELECT content, file_path, file_size_in_bytes, record_count, spec_id, {partition} AS partition, "
            f"coalesce(referenced_data_file, {_ONLY_FILE}) AS referenced FROM {name} VERSION AS OF {int(snapshot)}"
        ).toArrow()
        deleted: dict[str, int] = {}
        data, deletes, loose = [], 0, 0
        for row in rows.to_pylist():
            if row["content"] == 0:
                data.append(row)
                continue
            deletes += 1
            loose += row["referenced"] is None
            if of := row["referenced"]:
                deleted[of] = deleted.get(of, 0) + row["record_count"]
        found = tuple(
            DataFile(
                row["file_path"],
                row["file_size_in_bytes"],
                row["record_count"],
                row["spec_id"],
                row["partition"] or "",
                deleted.get(row["file_path"], 0),
            )
            for row in data
        )
        return found, deletes, loose

    def _manifests(self, table: TableName) -> tuple[int, int]:
        iceberg = self._load(table)
        found = iceberg.currentSnapshot().allManifests(iceberg.io())
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
        action = self._actions().deleteOrphanFiles(self._load(table))
        removed = action.olderThan(int(step.before.timestamp() * 1000)).execute()
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


def _number(summary: Any, name: str) -> int:  # noqa: ANN401 - a mapping of texts
    return int(summary.get(name) or 0)


def _length(found: Any) -> int:  # noqa: ANN401 - py4j's Iterable
    return sum(1 for _ in found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
