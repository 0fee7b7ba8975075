"""Compaction: data files of a table rewritten as few, without what is deleted, in one commit that changes no row."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

from cdc.core.compaction import Compact
from cdc.core.errors import CommitConflict
from cdc.lake.java import java_class, java_errors, java_static, load_table

_SLACK = 16 << 20
"""Added to what one task reads: sizes of row groups do not add up to those of files."""


class _Chosen(NamedTuple):
    """The scan tasks of the files to rewrite, and the delete files that are of these alone."""

    tasks: Any
    deletes: list[Any]


def rewrite(
    session: SparkSession, name: str, step: Compact, summary: Mapping[str, str], go_on: Callable[[], None]
) -> tuple[int, int]:
    """Rewrite the files of a step; return how many files are gone, and how many are new.

    Rows keep their values, and in format 3 their ids. Raises CommitConflict, and takes the new files away, if one of
    the files is not there any more or rows of it were deleted meanwhile. ``go_on`` is asked while files are looked for.
    """
    table = load_table(session, name)
    base = table.currentSnapshot()
    chosen = _choose(session, table, int(base.snapshotId()), step, go_on)
    made = _written(session, table, chosen, step)
    update = table.newRewrite().validateFromSnapshot(base.snapshotId()).dataSequenceNumber(base.sequenceNumber())
    for task in chosen.tasks:
        update.deleteFile(task.file())
    for delete in chosen.deletes:
        update.deleteFile(delete)
    for file in made:
        update.addFile(file)
    for key, value in summary.items():
        update.set(key, value)
    try:
        with java_errors(f"compact {name}"):
            update.commit()
    except CommitConflict:  # nothing has landed; of any other failure nobody knows
        for file in made:
            table.io().deleteFile(file.location())
        raise
    return chosen.tasks.size() + len(chosen.deletes), len(made)


def _choose(session: SparkSession, table: Any, base: int, step: Compact, go_on: Callable[[], None]) -> _Chosen:  # noqa: ANN401 - py4j
    wanted, content = set(step.paths), java_class(session, "org.apache.iceberg.util.ContentFileUtil")
    tasks = java_class(session, "java.util.ArrayList")()
    deletes: dict[tuple[str, str], Any] = {}
    with _closing(table.newScan().useSnapshot(base).ignoreResiduals().planFiles()) as found:
        for task in found:
            go_on()
            if str(task.file().location()) not in wanted:
                continue
            tasks.add(task)
            for delete in task.deletes():
                if content.isFileScoped(delete):
                    deletes[str(delete.location()), str(delete.contentOffset())] = delete
    if tasks.size() < len(wanted):
        raise CommitConflict(f"{len(wanted) - tasks.size()} of the files to rewrite are not in {table.name()} any more")
    return _Chosen(tasks, list(deletes.values()))


@contextmanager
def _closing(files: Any) -> Iterator[Any]:  # noqa: ANN401 - py4j's CloseableIterable
    iterator = files.iterator()
    try:
        yield _each(iterator)
    finally:
        files.close()


def _each(iterator: Any) -> Iterator[Any]:  # noqa: ANN401 - py4j
    while iterator.hasNext():
        yield iterator.next()


def _written(session: SparkSession, table: Any, chosen: _Chosen, step: Compact) -> list[Any]:  # noqa: ANN401 - py4j
    """Write the living rows of the chosen files to new ones, and return these; no commit is made."""
    group = str(uuid.uuid4())
    tasks = java_class(session, "org.apache.iceberg.spark.ScanTaskSetManager").get()
    tables = java_static(session, "org.apache.iceberg.spark.SparkTableCache", "get")()
    rewrites = java_class(session, "org.apache.iceberg.spark.FileRewriteCoordinator").get()
    spec = int(table.spec().specId())
    parts = max(1, -(-step.bytes // (step.target + step.target // 2)))
    tasks.stageTasks(table, group, chosen.tasks)
    tables.add(group, table)
    try:
        read = session.read.format("iceberg").option("split-size", str(step.bytes // parts + _SLACK))
        rows = read.option("file-open-cost", "0").load(group)
        rows.write.format("iceberg").options(
            **{
                "target-file-size-bytes": str(2 * step.target),
                "distribution-mode": "none" if spec == step.spec else "hash",
                "output-spec-id": str(spec),
            }
        ).mode("append").save(group)
        return list(rewrites.fetchNewFiles(table, group))
    finally:
        tables.remove(group)
        tasks.removeTasks(table, group)
        rewrites.clearRewrite(table, group)
