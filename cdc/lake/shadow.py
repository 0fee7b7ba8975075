# ruff: noqa: S608 - identifiers are quoted by cdc.core.names, everything else is made here
"""Shadow tables: the next state of a target, made beside it and put in its place in one compare-and-swap.

A shadow begins as a copy of its target's metadata: the same columns with the same ids, the same partition specs, and
either no rows or those of one snapshot (the files are shared, nothing is copied). It is a table of its own, so readers
and writers of the target notice nothing. Its files lie in the target's folders. ``graft`` makes its newest snapshot
the target's ``main`` (docs/decisions/0014-load-into-a-shadow.md).
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.functions import partitioning

from cdc.core.collapse import READ_AGAIN
from cdc.core.ddl import spark_type
from cdc.core.errors import CommitConflict, CommitStateUnknown, IncompatibleSchema
from cdc.core.history import PREFIX
from cdc.core.names import TableName, quote, shadow_of, tombstones_of
from cdc.core.partitioning import PartitionTerm
from cdc.lake.data_files import FileWriter, WrittenFile
from cdc.lake.java import java_class, java_errors, load_table
from cdc.lake.tables import BRANCH, MODE_BY_SIZE, IcebergTable, merge_mode, recorded

_OWN_IDS = 1000
"""Columns that a shadow gets while it is made have ids from here on: the target's new columns have others."""

_OWN_ROWS = 1 << 40
"""Row ids of format 3 begin so far behind the target's."""


SHARED = "shadow.shared"
"""Property of a shadow whose files its target has too, or may have."""

_SHARED = {SHARED: "true", "gc.enabled": "false"}


class Shadow:
    """The shadow of one target. Not thread-safe; whoever makes one holds the lease for loads of its source."""

    def __init__(self, session: SparkSession, catalog: str, namespace: str, target: TableName) -> None:
        self._session = session
        self._catalog = catalog
        self._namespace = namespace
        self.target = IcebergTable(session, catalog, target)
        self.name = shadow_of(namespace, target)
        self.table = IcebergTable(session, catalog, self.name)

    def exists(self) -> bool:
        """Return whether the shadow is there."""
        return self.table.exists()

    def create(self, properties: Mapping[str, str], *, snapshot: int | None = None) -> None:
        """Make the shadow, without rows or with those of one of the target's snapshots.

        ``properties`` are set on it; what its target has recorded as mirrored properties comes with the rows.
        """
        with java_errors(f"make the shadow of {self.target.name}"):
            self._session.sql(f"CREATE NAMESPACE IF NOT EXISTS {_qualified(self._catalog, self.name.namespace)}")
            table = load_table(self._session, self.target.sql_name)
            metadata = json.loads(self._parser.toJson(table.operations().current()))
            mirrored = recorded(table, snapshot) if snapshot is not None else {}
            copy = _copied(metadata, snapshot, {**mirrored, **properties})
            path = f"{metadata['location'].rstrip('/')}/metadata/00000-{uuid.uuid4()}.metadata.json"
            parsed = self._parser.fromJson(json.dumps(copy))
            self._parser.write(parsed, table.io().newOutputFile(path))
            self._java_catalog().registerTable(self._identifier(), path)

    def properties(self) -> dict[str, str]:
        """Return the shadow's properties."""
        with java_errors(f"read the shadow of {self.target.name}"):
            return dict(load_table(self._session, self.table.sql_name).properties())

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set properties of the shadow."""
        with java_errors(f"set properties of the shadow of {self.target.name}"):
            update = load_table(self._session, self.table.sql_name).updateProperties()
            for name, value in properties.items():
                update.set(name, value)
            update.commit()

    def history(self) -> list[dict[str, str]]:
        """Return the summaries of the shadow's own commits, newest first."""
        with java_errors(f"read the shadow of {self.target.name}"):
            table = load_table(self._session, self.table.sql_name)
            snapshot, found = table.currentSnapshot(), []
            while snapshot is not None:
                found.append(dict(snapshot.summary()))
                parent = snapshot.parentId()
                snapshot = None if parent is None else table.snapshot(parent)
            return found

    def append(self, files: Sequence[WrittenFile], summary: Mapping[str, str]) -> None:
        """Commit data files, or none, with these entries in the commit's summary."""
        with java_errors(f"commit rows to the shadow of {self.target.name}"):
            self._append(files, summary, "main")

    def _append(self, files: Sequence[WrittenFile], summary: Mapping[str, str], branch: str) -> None:
        table = load_table(self._session, self.table.sql_name)
        update = table.newAppend().toBranch(branch)
        for file in files:
            update.appendFile(self._data_file(table, file))
        for name, value in summary.items():
            update.set(name, value)
        update.commit()

    def file_writer(self, key: tuple[str, ...], constants: Mapping[str, Any], file_io: Mapping[str, str]) -> FileWriter:
        """Return what writes data files for the shadow, in tasks."""
        with java_errors(f"read the shadow of {self.target.name}"):
            table = load_table(self._session, self.table.sql_name)
            schema = java_class(self._session, "org.apache.iceberg.SchemaParser").toJson(table.schema())
            spec = java_class(self._session, "org.apache.iceberg.PartitionSpecParser").toJson(table.spec())
            folder = dict(table.properties())["write.data.path"]
            codec = dict(table.properties()).get("write.parquet.compression-codec", "zstd")
        return FileWriter(str(schema), str(spec), folder, key, constants, file_io, codec)

    def _data_file(self, table: Any, file: WrittenFile) -> Any:  # noqa: ANN401 - py4j
        metrics_config = java_class(self._session, "org.apache.iceberg.MetricsConfig").forTable(table)
        read = java_class(self._session, "org.apache.iceberg.parquet.ParquetUtil").fileMetrics
        metrics = read(table.io().newInputFile(file.path), metrics_config)
        files = java_class(self._session, "org.apache.iceberg.DataFiles").builder(table.spec())
        builder = files.withPath(file.path).withFormat("PARQUET").withFileSizeInBytes(file.bytes).withMetrics(metrics)
        if file.partition:
            builder = builder.withPartitionValues(list(file.partition))
        return builder.build()

    def set_key(self, key: Sequence[str]) -> None:
        """Make these columns the identifier fields; those that were it before may be null from then on."""
        with java_errors(f"change the key of the shadow of {self.target.name}"):
            table = load_table(self._session, self.table.sql_name)
            update = table.updateSchema().allowIncompatibleChanges().setIdentifierFields(list(key))
            for name in key:
                update.requireColumn(name)
            for name in self.table.read().key - set(key):
                update.makeColumnOptional(name)
            update.commit()

    def set_partitioning(self, terms: Sequence[PartitionTerm]) -> None:
        """Partition what is written from now on by these terms; what was written before stays as it is."""
        expressions = java_class(self._session, "org.apache.iceberg.expressions.Expressions")
        with java_errors(f"change the partitioning of the shadow of {self.target.name}"):
            table = load_table(self._session, self.table.sql_name)
            update = table.updateSpec()
            for field in table.spec().fields():
                update.removeField(field.name())
            for transform, argument, column in terms:
                make = getattr(expressions, "ref" if transform == "identity" else transform)
                update.addField(make(column, argument) if argument else make(column))
            update.commit()

    def replace_columns(self, columns: Mapping[str, str]) -> None:
        """Drop and add columns whose type cannot be widened: readers of the target see the old ones until the swap."""
        with java_errors(f"change columns of the shadow of {self.target.name}"):
            for name, kind in columns.items():
                self._session.sql(f"ALTER TABLE {self.table.sql_name} DROP COLUMN {quote(name, '`')}")
                self._session.sql(f"ALTER TABLE {self.table.sql_name} ADD COLUMN {quote(name, '`')} {spark_type(kind)}")

    def repeated_keys(self, key: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """Return keys that more than one row has, up to a limit."""
        columns = ", ".join(quote(name, "`") for name in key)
        return self._keys(f"SELECT {columns} FROM {self.table.sql_name} GROUP BY {columns} HAVING count(*) > 1", limit)

    def marked_keys(self, key: Sequence[str], mark: str, limit: int) -> list[tuple[Any, ...]]:
        """Return the keys of rows whose ``_cdc_op`` is ``mark``, up to a limit."""
        columns = ", ".join(quote(name, "`") for name in key)
        return self._keys(f"SELECT {columns} FROM {self.table.sql_name} WHERE _cdc_op = '{mark}'", limit)

    def _keys(self, statement: str, limit: int) -> list[tuple[Any, ...]]:
        with java_errors(f"look for rows in the shadow of {self.target.name}"):
            found = self._session.sql(f"{statement} LIMIT {limit}").toArrow()
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def replace_rows(self, key: Sequence[str], values: Sequence[Sequence[Any]], files: Sequence[WrittenFile]) -> None:
        """Put the rows of data files in the place of those with these keys, in one commit."""
        base = self.table.read()
        kinds = {name: base.columns[name] for name in key}
        self.table.stage(base.snapshot_id)
        with java_errors(f"replace rows in the shadow of {self.target.name}"):
            fields = ", ".join(f"{quote(name, '`')} {spark_type(kind)}" for name, kind in kinds.items())
            keys = self._session.createDataFrame([tuple(one) for one in values], fields)
            keys.createOrReplaceTempView("cdc_keys")
            same = " AND ".join(f"t.{quote(name, '`')} = s.{quote(name, '`')}" for name in key)
            # What was read again earlier is behind the events by now: as good as what was read first.
            self._session.sql(f"UPDATE {self.table.branch_sql} SET _cdc_op = 'r' WHERE _cdc_op = '{READ_AGAIN}'")
            self._session.sql(
                f"MERGE INTO {self.table.branch_sql} t USING cdc_keys s ON {same} WHEN MATCHED THEN DELETE"
            )
            self._append(files, {}, BRANCH)
        staged, _ = self.table.staged(base.snapshot_id)
        self.table.publish(base.snapshot_id, staged, {})

    def hand_over_tombstones(self, key: Sequence[str]) -> None:
        """Add the shadow's tombstones to the target's; done again it adds nothing that counts.

        Those of the target go if they are of another key: what they tell of was before the load.
        """
        mine, theirs = (self._tombstones(name) for name in (self.name, self.target.name))
        with java_errors(f"hand over the tombstones of {self.target.name}"):
            present = self._session.catalog.tableExists(theirs)
            if present and set(self._session.table(theirs).columns) != {*key, "_cdc_position", "deleted_at"}:
                self._session.sql(f"DROP TABLE {theirs}")
                present = False
            if not self._session.catalog.tableExists(mine):
                return
            rows = self._session.table(mine)
            if present:
                rows.writeTo(theirs).append()
            else:
                rows.writeTo(theirs).partitionedBy(partitioning.days("deleted_at")).create()

    def _tombstones(self, table: TableName) -> str:
        return _qualified(self._catalog, *tombstones_of(self._namespace, table))

    def graft(self, base: int, summary: Mapping[str, str]) -> int:
        """Make the shadow's newest snapshot ``main`` of the target, and return its id.

        ``summary`` adds to what the shadow has recorded. Schema and partition spec come along. Raises CommitConflict if
        ``main`` is no longer ``base`` (-1: there is none); an unknown outcome is resolved by looking for the snapshot.
        """
        self.set_properties(_SHARED)  # before the swap: a crash right after it leaves the shadow behind
        with java_errors(f"read the shadow of {self.target.name}"):
            shadow = load_table(self._session, self.table.sql_name)
            entries = {**recorded(shadow), **summary}
            grafted = int(shadow.currentSnapshot().snapshotId())
        try:
            with java_errors(f"swap {self.target.name}"):
                self._swap(base, shadow.operations().current(), entries)
        except CommitStateUnknown:
            if not self.target.published(grafted):
                raise
        return grafted

    def _swap(self, base: int, made: Any, entries: Mapping[str, str]) -> None:  # noqa: ANN401 - py4j
        operations = load_table(self._session, self.target.sql_name).operations()
        metadata = operations.current()
        main = metadata.ref("main")
        if (base if main is None else int(main.snapshotId())) != base:
            raise CommitConflict(f"could not swap {self.target.name}: another writer has moved main")
        if base != -1 and main is None:
            raise CommitConflict(f"could not swap {self.target.name}: main is gone")
        builder = java_class(self._session, "org.apache.iceberg.TableMetadata").buildFrom(metadata)
        builder.setCurrentSchema(made.schema(), max(int(metadata.lastColumnId()), int(made.lastColumnId())))
        self._bring_spec(builder, metadata, made)
        schema_id = int(builder.build().currentSchemaId())
        snapshot = self._snapshot(metadata, made, base, schema_id, entries)
        builder.setBranchSnapshot(snapshot, "main")
        mirrored = {name: value for name, value in entries.items() if name.startswith(PREFIX)}
        wanted = {**mirrored, **merge_mode(metadata.properties(), dict(snapshot.summary()))}
        operations.commit(metadata, builder.setProperties(wanted).build())

    def _bring_spec(self, builder: Any, metadata: Any, made: Any) -> None:  # noqa: ANN401 - py4j
        """Manifests name their spec by number, so the target must give it the number that the shadow gave it."""
        number = int(made.defaultSpecId())
        if number == int(metadata.defaultSpecId()):
            return
        builder.setDefaultPartitionSpec(made.spec())
        if int(builder.build().defaultSpecId()) != number:
            raise IncompatibleSchema(
                f"the partitioning of {self.target.name} was changed while its shadow was made",
                hint="begin it anew: `cdc tables reset TABLE`",
            )

    def _snapshot(
        self,
        metadata: Any,  # noqa: ANN401 - py4j
        made: Any,  # noqa: ANN401 - py4j
        base: int,
        schema_id: int,
        entries: Mapping[str, str],
    ) -> Any:  # noqa: ANN401 - py4j
        parser = java_class(self._session, "org.apache.iceberg.SnapshotParser")
        document = json.loads(parser.toJson(made.currentSnapshot()))
        document.pop("parent-snapshot-id", None)
        if base != -1:
            document["parent-snapshot-id"] = base
        # Deletes apply to files of smaller numbers: the target's later ones must be greater than all of the shadow's.
        last = max(int(metadata.lastSequenceNumber()), int(made.lastSequenceNumber()))
        document["sequence-number"] = last + 1
        document["timestamp-ms"] = max(int(time.time() * 1000), int(metadata.lastUpdatedMillis()))
        document["schema-id"] = schema_id
        document["summary"] = {**document["summary"], **entries}
        return parser.fromJson(json.dumps(document))

    def drop(self) -> None:
        """Forget the shadow; idempotent. Its files go too, unless the target may have them in its history."""
        with java_errors(f"drop the shadow of {self.target.name}"):
            self._session.sql(f"DROP TABLE IF EXISTS {self._tombstones(self.name)} PURGE")
            if self.exists():
                self._java_catalog().dropTable(self._identifier(), SHARED not in self.properties())

    @property
    def _parser(self) -> Any:  # noqa: ANN401 - py4j
        return java_class(self._session, "org.apache.iceberg.TableMetadataParser")

    def _java_catalog(self) -> Any:  # noqa: ANN401 - py4j
        loader = java_class(self._session, "org.apache.iceberg.spark.Spark3Util")
        return loader.loadIcebergCatalog(self._session._jsparkSession, self._catalog)  # noqa: SLF001

    def _identifier(self) -> Any:  # noqa: ANN401 - py4j
        space = java_class(self._session, "org.apache.iceberg.catalog.Namespace")
        gateway: Any = self._session.sparkContext._gateway  # noqa: SLF001 - PySpark has no public door
        array = gateway.new_array(gateway.jvm.java.lang.String, 1)
        array[0] = self.name.namespace
        identifier = java_class(self._session, "org.apache.iceberg.catalog.TableIdentifier")
        return identifier.of(space.of(array), self.name.table)


def _copied(metadata: Mapping[str, Any], snapshot: int | None, properties: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of a shadow: those of its target, with no history but the one snapshot."""
    location = metadata["location"].rstrip("/")
    present = metadata.get("properties", {})
    kept = {n: v for n, v in present.items() if n == MODE_BY_SIZE or not n.startswith(PREFIX)}
    shared = {} if snapshot is None else _SHARED
    paths = {"write.data.path": f"{location}/data", "write.metadata.path": f"{location}/metadata"}
    chosen = [s for s in metadata.get("snapshots", ()) if s["snapshot-id"] == snapshot]
    copy = {
        **metadata,
        "table-uuid": str(uuid.uuid4()),
        "location": f"{location}/shadow",
        "properties": {**kept, **paths, **shared, **properties},
        "last-column-id": int(metadata["last-column-id"]) + _OWN_IDS,
        "snapshots": chosen,
        "refs": {"main": {"snapshot-id": snapshot, "type": "branch"}} if chosen else {},
        "current-snapshot-id": snapshot if chosen else -1,
        "snapshot-log": [{"snapshot-id": s["snapshot-id"], "timestamp-ms": s["timestamp-ms"]} for s in chosen],
        "metadata-log": [],
        "statistics": [],
        "partition-statistics": [],
    }
    if "next-row-id" in copy:
        copy["next-row-id"] = int(copy["next-row-id"]) + _OWN_ROWS
    return copy


def _qualified(*names: str) -> str:
    return ".".join(quote(name, "`") for name in names)
