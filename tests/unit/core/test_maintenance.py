"""What is due of a table, from its shape."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cdc.core.compaction import DataFile
from cdc.core.history import TableHistory
from cdc.core.maintenance import (
    BOUND_METADATA,
    KINDS,
    METADATA_FILES,
    MOST_EXPIRED,
    ORPHANS_AT,
    PRUNED_AT,
    Expire,
    Limits,
    MaintenancePlan,
    Prune,
    Pruning,
    RemoveOrphans,
    SetProperties,
    TableShape,
    plan_maintenance,
)
from cdc.core.retention import Keep
from tests.unit.core.histories import START, TARGET, batch, history

NOW = START + timedelta(hours=1)
LIMITS = Limits(Keep(timedelta(days=1), 20, 1000), 64 << 20)
LOOKED = {BOUND_METADATA: "true", ORPHANS_AT: NOW.isoformat()}


def shape(**more: object) -> TableShape:
    """Return the shape of a table of which nothing is due, but for what is said."""
    made = TableShape(history(batch(1), batch(2), properties=LOOKED))
    return replace(made, **more)  # type: ignore[arg-type]


def kinds(plan: MaintenancePlan) -> list[str]:
    assert all(step.reason for step in plan.steps)
    return [step.kind for step in plan.steps]


def test_nothing_due_is_an_empty_plan() -> None:
    plan = plan_maintenance(shape(), LIMITS, NOW)
    assert not plan
    assert plan == MaintenancePlan(TARGET)
    assert not plan.held


def test_a_table_without_a_snapshot_only_gets_its_properties() -> None:
    empty = TableShape(TableHistory(TARGET, None, {}))
    (step,) = plan_maintenance(empty, LIMITS, NOW).steps
    assert isinstance(step, SetProperties)
    assert dict(step.properties) == {BOUND_METADATA: "true", METADATA_FILES: "20", ORPHANS_AT: NOW.isoformat()}


def test_who_wants_to_keep_metadata_files_keeps_them() -> None:
    kept = shape(history=history(batch(1), properties={**LOOKED, BOUND_METADATA: "false"}))
    assert not plan_maintenance(kept, LIMITS, NOW)


def test_each_step_has_its_reason() -> None:
    small = tuple(DataFile(str(n), 1000, 10, deleted=4) for n in range(6))
    everything = shape(
        history=history(*(batch(n) for n in range(30)), properties={ORPHANS_AT: START.isoformat()}),
        files=small,
        delete_files=600,
        surplus_deletes=600,
        manifests=40,
        manifest_bytes=400_000,
        resting=True,
    )
    limits = replace(LIMITS, keep=Keep(timedelta(minutes=1), 5, 5), thorough=True, pruning=Pruning("at", timedelta(1)))
    plan = plan_maintenance(everything, limits, NOW)
    assert kinds(plan) == [
        "set_properties",
        "prune",
        "rewrite_deletes",
        "compact",
        "rewrite_manifests",
        "settle",
        "expire",
        "remove_orphans",
    ]
    assert set(kinds(plan)) | {"carry"} == set(KINDS)
    reasons = {step.kind: step.reason for step in plan.steps}
    assert reasons["compact"] == "6 files below 512 MiB, 24 of their 60 rows are deleted"
    assert reasons["rewrite_manifests"] == "40 manifests, where 1 would do"
    assert reasons["expire"].startswith("25 of 30 snapshots")


@pytest.mark.parametrize(
    ("surplus", "small", "due"),
    [(9, 0, []), (10, 0, ["rewrite_deletes"]), (499, 6, ["compact"]), (500, 6, ["rewrite_deletes", "compact"])],
)
def test_delete_files_are_not_put_together_for_files_that_are_rewritten_anyway(
    surplus: int, small: int, due: list[str]
) -> None:
    """Fifty delete files became as many again in seven seconds, and were gone with their data files a moment later."""
    files = tuple(DataFile(str(n), 1000, 10, deleted=4) for n in range(small))
    found = shape(files=files, delete_files=surplus, surplus_deletes=surplus)
    assert kinds(plan_maintenance(found, LIMITS, NOW)) == due


@pytest.mark.parametrize(("manifests", "size", "due"), [(20, 0, True), (19, 0, False), (40, 300 << 20, False)])
def test_manifests_are_rewritten_when_they_are_many_for_their_size(manifests: int, size: int, *, due: bool) -> None:
    plan = plan_maintenance(shape(manifests=manifests, manifest_bytes=size), LIMITS, NOW)
    assert kinds(plan) == (["rewrite_manifests"] if due else [])


def test_the_target_size_is_that_of_the_table() -> None:
    half = tuple(DataFile(str(n), 1 << 20, 10) for n in range(6))
    assert kinds(plan_maintenance(shape(files=half), LIMITS, NOW)) == ["compact"]
    made = history(batch(1), properties={**LOOKED, "write.target-file-size-bytes": str(1 << 20)})
    assert not plan_maintenance(shape(files=half, history=made), LIMITS, NOW)


def test_a_table_whose_files_may_not_be_removed_loses_none() -> None:
    made = history(*(batch(n) for n in range(30)), properties={**LOOKED, "gc.enabled": "false"})
    limits = replace(LIMITS, keep=Keep(timedelta(0), 1, 1), thorough=True)
    assert not plan_maintenance(shape(history=made), limits, NOW)


def test_nothing_is_removed_while_a_load_or_replay_is_under_way() -> None:
    """Its first rows may be in files that only the snapshot that it began with knows."""
    made = history(*(batch(n) for n in range(30)), properties=LOOKED)
    limits = replace(LIMITS, keep=Keep(timedelta(0), 1, 1), thorough=True)
    assert kinds(plan_maintenance(shape(history=made), limits, NOW)) == ["expire", "remove_orphans"]
    held = plan_maintenance(shape(history=made, shadowed=True), limits, NOW)
    assert not held
    assert "under way" in held.held


def test_orphans_are_looked_for_once_a_day_and_never_beside_a_load() -> None:
    tomorrow = NOW + timedelta(days=1)
    keep = replace(LIMITS, keep=Keep(timedelta(days=9), 20, 1000))
    assert not plan_maintenance(shape(), keep, tomorrow - timedelta(minutes=1))
    (step,) = plan_maintenance(shape(), keep, tomorrow).steps
    assert isinstance(step, RemoveOrphans)
    assert step.before == tomorrow - timedelta(days=3)
    assert not plan_maintenance(shape(shadowed=True), keep, tomorrow)
    assert kinds(plan_maintenance(shape(), replace(keep, thorough=True), NOW)) == ["remove_orphans"]


def test_a_table_that_was_never_looked_at_is_as_old_as_its_first_commit() -> None:
    """Four hundred commits of two hundred tables said nothing else, in the minutes after a start."""
    made = history(batch(1), batch(2), properties={BOUND_METADATA: "true"})
    pruned = replace(LIMITS, pruning=Pruning("deleted_at", timedelta(days=14)))
    assert not plan_maintenance(shape(history=made), pruned, NOW)
    assert kinds(plan_maintenance(shape(history=made), pruned, START + timedelta(days=1.1))) == [
        "prune",
        "remove_orphans",
    ]


def test_where_the_first_commit_is_forgotten_the_first_look_is_noted() -> None:
    made = history(batch(1), batch(2), properties={BOUND_METADATA: "true"})
    forgetful = replace(made, versions={n: replace(v, parent=v.parent or 99) for n, v in made.versions.items()})
    (step,) = plan_maintenance(shape(history=forgetful), LIMITS, NOW).steps
    assert isinstance(step, SetProperties)
    assert dict(step.properties) == {ORPHANS_AT: NOW.isoformat()}


def test_rows_are_pruned_by_whole_days() -> None:
    made = history(batch(1), properties={**LOOKED, PRUNED_AT: (NOW - timedelta(days=1)).isoformat()})
    limits = replace(LIMITS, pruning=Pruning("deleted_at", timedelta(days=14)))
    (step,) = plan_maintenance(shape(history=made), limits, NOW).steps
    assert isinstance(step, Prune)
    assert step.before.isoformat() == "2026-01-17T00:00:00+00:00"


def test_snapshots_go_in_lots_or_when_they_are_overdue() -> None:
    """An expiry reads what all snapshots hold: it waits for a tenth more of them than are kept, by number or time."""
    day = timedelta(days=1)
    made = history(*(batch(n) for n in range(60)), properties={**LOOKED, ORPHANS_AT: (START + day).isoformat()})
    few = replace(LIMITS, keep=Keep(day, 1, 1000))
    assert not plan_maintenance(shape(history=made), few, START + day + timedelta(minutes=30))
    assert kinds(plan_maintenance(shape(history=made), few, START + day * 1.1)) == ["expire"]
    many = replace(LIMITS, keep=Keep(day, 1, 55))
    assert not plan_maintenance(shape(history=made), many, NOW)
    assert kinds(plan_maintenance(shape(history=made), replace(many, keep=Keep(day, 1, 54)), NOW)) == ["expire"]
    thorough = replace(few, thorough=True)
    later = START + day + timedelta(minutes=30)
    assert kinds(plan_maintenance(shape(history=made), thorough, later)) == ["expire", "remove_orphans"]


def test_many_snapshots_go_in_parts() -> None:
    made = history(*(batch(n) for n in range(MOST_EXPIRED + 50)), properties=LOOKED)
    limits = replace(LIMITS, keep=Keep(timedelta(0), 1, 1))
    (step,) = plan_maintenance(shape(history=made), limits, START + timedelta(days=1)).steps
    assert isinstance(step, Expire)
    assert step.snapshots == tuple(range(101, 101 + MOST_EXPIRED))
