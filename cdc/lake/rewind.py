"""The move of a table's ``main`` to another of its snapshots, in one commit and without Spark."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import RESTError
from pyiceberg.manifest import write_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    RemovePropertiesUpdate,
    RemoveSnapshotRefUpdate,
    SetCurrentSchemaUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
)

from cdc.core.errors import CommitConflict, CommitStateUnknown, ConfigError
from cdc.core.history import FENCE
from cdc.core.names import TableName
from cdc.core.rewind import RewindPlan
from cdc.lake.commits import commit_errors, writable

TAG_DAYS = 30
"""How long the tag of an abandoned head keeps it from being expired."""

_TOTALS = "total-"


class Rewinder:
    """Moves tables in one catalog; each move is a compare-and-swap from the snapshot that was read."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def move(self, plan: RewindPlan) -> int:
        """Do what the plan says and return the new snapshot; raises CommitConflict if ``main`` has moved since.

        The new snapshot is empty and lies on the one that the plan goes to, so that whoever has staged on that one, or
        on any other before, cannot publish. An unknown outcome is resolved by looking for the new snapshot.
        """
        writable(self._catalog)
        with commit_errors(f"rewind {plan.target}"):
            table = self._catalog.load_table(tuple(plan.target))
            fence = _fence(table, plan)
            requirements = (
                AssertTableUUID(uuid=table.metadata.table_uuid),
                AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=plan.from_snapshot),
            )
        try:
            with commit_errors(f"rewind {plan.target}"), self._unexpired(plan):
                self._catalog.commit_table(table, requirements, _updates(table, plan, fence))
        except CommitStateUnknown:
            if not self._holds(plan.target, fence.snapshot_id):
                raise
        return fence.snapshot_id

    @contextmanager
    def _unexpired(self, plan: RewindPlan) -> Iterator[None]:
        """Raise what comes of an expired snapshot as CommitConflict: ``main`` does not move by that."""
        try:
            yield
        except (ValueError, RESTError) as error:
            if self._holds(plan.target, plan.to_snapshot):
                raise
            raise CommitConflict(f"could not rewind {plan.target}: the snapshot was expired meanwhile") from error

    def _holds(self, target: TableName, snapshot_id: int) -> bool:
        with commit_errors(f"read {target}"):
            return self._catalog.load_table(tuple(target)).snapshot_by_id(snapshot_id) is not None


def _updates(table: Table, plan: RewindPlan, fence: Snapshot) -> tuple[TableUpdate, ...]:
    """Return the changes of one commit; ``main`` is the last of them, and keeps its settings."""
    stale = [name for name in plan.stale if name in table.properties]
    main = table.metadata.refs[MAIN_BRANCH]
    held = f"{plan.tag}_to"
    found: list[TableUpdate] = [
        # No catalog points a tag at a snapshot that is gone: this one may be expired meanwhile, with its files.
        _reference(held, SnapshotRefType.TAG, plan.to_snapshot, age=TAG_DAYS * 24 * 3600 * 1000),
        RemoveSnapshotRefUpdate(ref_name=held),
        _reference(plan.tag, SnapshotRefType.TAG, plan.from_snapshot, age=TAG_DAYS * 24 * 3600 * 1000),
        SetPropertiesUpdate(updates=dict(plan.entries)),
        *([RemovePropertiesUpdate(removals=stale)] if stale else []),
        *([] if plan.schema_id is None else [SetCurrentSchemaUpdate(schema_id=plan.schema_id)]),
        AddSnapshotUpdate(snapshot=fence),
        SetSnapshotRefUpdate(
            ref_name=MAIN_BRANCH,
            type=SnapshotRefType.BRANCH,
            snapshot_id=fence.snapshot_id,
            max_ref_age_ms=main.max_ref_age_ms,
            max_snapshot_age_ms=main.max_snapshot_age_ms,
            min_snapshots_to_keep=main.min_snapshots_to_keep,
        ),
    ]
    return tuple(found)


def _reference(name: str, kind: SnapshotRefType, snapshot_id: int, *, age: int) -> SetSnapshotRefUpdate:
    return SetSnapshotRefUpdate(
        ref_name=name,
        type=kind,
        snapshot_id=snapshot_id,
        max_ref_age_ms=age,
        max_snapshot_age_ms=None,
        min_snapshots_to_keep=None,
    )


def _fence(table: Table, plan: RewindPlan) -> Snapshot:
    """Return an empty snapshot on top of the one that the plan goes to; its list of manifests is written already."""
    metadata = table.metadata
    if metadata.format_version != 2:
        raise ConfigError(
            f"{plan.target} has Iceberg's format {metadata.format_version}, and only format 2 can be rewound",
            hint="call system.rollback_to_snapshot with Spark while the service is stopped",
        )
    parent = next(one for one in metadata.snapshots if one.snapshot_id == plan.to_snapshot)
    number, sequence = metadata.new_snapshot_id(), metadata.last_sequence_number + 1
    path = table.location_provider().new_metadata_location(f"snap-{number}-0-{uuid.uuid4()}.avro")
    output = table.io.new_output(path)
    with write_manifest_list(2, output, number, parent.snapshot_id, sequence, "deflate") as manifests:
        manifests.add_manifests(parent.manifests(table.io))
    return Snapshot(
        snapshot_id=number,
        parent_snapshot_id=parent.snapshot_id,
        sequence_number=sequence,
        manifest_list=path,
        summary=Summary(Operation.APPEND, **_totals(parent), **plan.fence, **{FENCE: "true"}),
        schema_id=metadata.current_schema_id if plan.schema_id is None else plan.schema_id,
    )


def _totals(snapshot: Snapshot) -> Mapping[str, str]:
    entries = snapshot.summary.additional_properties if snapshot.summary else {}
    return {name: value for name, value in entries.items() if name.startswith(_TOTALS)}
