"""Which snapshots are expired: never one that a rewind is promised, or that alone knows the progress."""

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, note, settings
from hypothesis import strategies as st

from cdc.core.checkpoints import checkpoints_of
from cdc.core.history import TableHistory, Version, carried
from cdc.core.retention import Keep, expirable, has_to_be_carried
from tests.unit.core.histories import START, batch, fence, history, without

MINUTE = timedelta(minutes=1)
COMPACTION = {"maintenance": "compact", "operation": "replace"}


def test_young_ones_stay_and_the_one_that_was_main_before_them() -> None:
    made = history(*(batch(n) for n in range(10)))
    assert expirable(made, Keep(3 * MINUTE, 1, 100), START + 9 * MINUTE) == (101, 102, 103, 104, 105, 106)
    assert expirable(made, Keep(timedelta(days=1), 1, 100), START + 9 * MINUTE) == ()


def test_never_fewer_and_never_more() -> None:
    made = history(*(batch(n) for n in range(10)))
    late = START + timedelta(days=9)
    assert expirable(made, Keep(MINUTE, 4, 100), late) == (101, 102, 103, 104, 105, 106)
    assert expirable(made, Keep(timedelta(days=99), 1, 3), late) == (101, 102, 103, 104, 105, 106, 107)


def test_what_tags_and_branches_point_at_stays_with_what_it_is_read_with() -> None:
    made = history(batch(1), fence(), batch(2), batch(3), batch(4), refs={"before": 102, "cdc": 104})
    assert expirable(made, Keep(MINUTE, 1, 1), START + timedelta(days=1)) == (103,)


def test_the_last_commit_that_bears_progress_stays_below_fences_and_compactions() -> None:
    """S20."""
    made = history(batch(1), batch(2), fence(), COMPACTION, COMPACTION)
    keep, late = Keep(MINUTE, 1, 1), START + timedelta(days=1)
    assert expirable(made, keep, late) == (101,)
    assert has_to_be_carried(made, keep, late)
    assert not has_to_be_carried(made, Keep(MINUTE, 4, 4), late)
    known = made.recorded(made.head)
    assert known
    again = replace(
        made,
        head=106,
        versions={**made.versions, 106: Version(106, 105, late, 0, carried(known, "maintenance"))},
    )
    assert not has_to_be_carried(again, keep, late)
    alone = without(again, *expirable(again, keep, late))
    assert list(alone.versions) == [106]
    assert alone.progress(106) == made.progress(105)
    assert [one.kind for one in checkpoints_of(alone)] == ["maintenance"]


def test_progress_that_only_a_property_knows_is_carried() -> None:
    made = without(history(batch(1), COMPACTION), 101)
    keep, late = Keep(MINUTE, 1, 1), START + timedelta(days=1)
    assert not has_to_be_carried(made, keep, late), "there is none"
    assert has_to_be_carried(replace(made, properties=batch(1)), keep, late)


def test_a_table_that_never_had_a_batch_has_nothing_to_carry() -> None:
    assert not has_to_be_carried(history(fence(), fence()), Keep(MINUTE, 1, 1), START + timedelta(days=1))


def test_tables_of_which_nothing_is_recorded_keep_no_more_than_is_said() -> None:
    """Such as the ledger: nothing is ever looked for in its past."""
    made = history(*(COMPACTION for _ in range(9)), refs={"tag": 102})
    assert expirable(made, Keep(MINUTE, 2, 2), START + timedelta(days=1)) == (101, 103, 104, 105, 106, 107)


def generated(seed: int) -> TableHistory:
    """Return the history of a table with batches, fences, compactions, rewinds, abandoned commits, tags and carries."""
    chance = random.Random(seed)
    versions: dict[int, Version] = {}
    head, log, refs, at = None, [], {}, START
    offset = 0
    made = history(fence())
    for number in range(1, chance.randrange(2, 60)):
        at += timedelta(minutes=chance.choice((1, 1, 1, 30, 600)))
        known = replace(made, head=head, versions=dict(versions))
        kind = chance.choices(("batch", "fence", "compact", "rewind", "abandoned", "carry"), (8, 2, 3, 1, 1, 1))[0]
        parent, summary = head, dict(COMPACTION)
        if kind in {"batch", "abandoned"}:
            offset += 1
            summary = batch(offset)
        elif kind == "fence":
            summary = fence()
        elif kind == "carry" and (recorded := known.recorded(head)) and "cdc.progress" in recorded:
            summary = carried(recorded, "maintenance")
        elif kind == "rewind" and head is not None:
            to = chance.choice([one.snapshot_id for one in known.ancestry(head)])
            refs[f"cdc_before_rewind_{number}"] = head
            parent, summary = to, {**fence(), "cdc.rewound_from": str(head), "cdc.rewound_to": str(to)}
        versions[number] = Version(number, parent, at, 0, summary)
        if kind == "abandoned":
            if chance.random() < 0.5:
                refs["cdc"] = number
        else:
            head = number
            log.append((at, number))
    return replace(made, head=head, versions=versions, main_log=tuple(log), refs=refs)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_whatever_happened_what_is_promised_stays(seed: int) -> None:
    """Of every snapshot that stays the same is known as before, and main keeps an unbroken stretch as long as said."""
    note(f"seed {seed}")
    chance = random.Random(seed)
    made = generated(seed)
    now = max(version.at for version in made.versions.values()) + timedelta(minutes=chance.randrange(2000))
    fewest = chance.randrange(1, 10)
    keep = Keep(timedelta(minutes=chance.randrange(1, 3000)), fewest, fewest + chance.randrange(30))
    gone = expirable(made, keep, now)
    left = without(made, *gone)
    assert made.head is None or made.head in left.versions
    assert set(made.refs.values()) <= left.versions.keys()
    for number in left.versions:
        if made.recorded(number) is not None:
            assert left.recorded(number) == made.recorded(number), f"seed {seed}, snapshot {number}"
    before, after = ([v.snapshot_id for v in one.ancestry(one.head)] for one in (made, left))
    assert after == before[: len(after)]
    promised = [n for n in before if made.versions[n].at > now - keep.time][: keep.most]
    assert set(promised) <= set(after), f"seed {seed}"
    assert len(after) >= min(fewest, len(before))
    assert list(gone) == sorted(gone, key=lambda n: (made.versions[n].at, n))
    assert expirable(left, keep, now) == (), "once is enough"
