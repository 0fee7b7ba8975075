"""Which files are put together."""

import random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from cdc.core.compaction import (
    ALIKE_BYTES,
    DataFile,
    DeleteFile,
    Packing,
    deleted_rows,
    plan_compaction,
    surplus_deletes,
)

MIB = 1 << 20
PACKING = Packing(target=512 * MIB, step=256 * MIB)


def files(*sizes: int, partition: str = "", spec: int = 0, deleted: int = 0) -> list[DataFile]:
    return [DataFile(f"{partition}{spec}-{n}", size, 1000, spec, partition, deleted) for n, size in enumerate(sizes)]


def test_few_small_files_are_left_alone() -> None:
    assert plan_compaction(files(MIB, MIB, MIB, MIB), PACKING) == ()
    assert plan_compaction(files(*[500 * MIB] * 9), PACKING) == ()


def test_small_files_of_a_partition_become_one() -> None:
    found = plan_compaction([*files(*[MIB] * 6, partition="a"), *files(*[MIB] * 5, partition="b")], PACKING)
    assert [(len(one.paths), one.partition, one.bytes) for one in found] == [(6, "a", 6 * MIB), (5, "b", 5 * MIB)]
    assert found[0].reason == "6 files below 512 MiB in a"
    assert plan_compaction([*files(*[MIB] * 4, partition="a"), *files(*[MIB] * 4, partition="b")], PACKING) == ()


def test_files_of_several_specs_do_not_mix() -> None:
    assert plan_compaction([*files(*[MIB] * 4), *files(*[MIB] * 4, spec=1)], PACKING) == ()


def test_a_large_file_is_not_rewritten_for_a_handful_of_small_ones() -> None:
    (found,) = plan_compaction(files(MIB, MIB, MIB, MIB, MIB, 200 * MIB), PACKING)
    assert found.bytes == 5 * MIB


def test_a_step_has_a_bound() -> None:
    found = plan_compaction(files(*[40 * MIB] * 20), PACKING)
    assert [one.bytes for one in found] == [240 * MIB] * 3
    assert sum(len(one.paths) for one in found) == 18, "two that are left are too few"


def test_a_file_with_many_deleted_rows_is_rewritten_alone_whatever_its_size() -> None:
    (found,) = plan_compaction([*files(900 * MIB, deleted=200), *files(600 * MIB, partition="p", deleted=199)], PACKING)
    assert len(found.paths) == 1
    assert found.reason == "files, 200 of their 1,000 rows are deleted"


def test_a_file_without_a_living_row_goes() -> None:
    (found,) = plan_compaction(files(MIB, deleted=1000), PACKING)
    assert len(found.paths) == 1


def test_delete_files_are_too_many_beyond_one_for_each_data_file_of_a_partition() -> None:
    assert surplus_deletes([]) == 0
    assert surplus_deletes([DeleteFile(5, "a"), DeleteFile(5, "b")]) == 0
    assert surplus_deletes([DeleteFile(5, "a"), DeleteFile(5, "a"), DeleteFile(9), DeleteFile(9)]) == 3
    spread = [DeleteFile(9, partition=str(n)) for n in range(20)]
    assert surplus_deletes([*spread, DeleteFile(9, partition="7")]) == 2, "of the partition that has most of them"


def test_rows_that_are_deleted_are_counted_where_it_is_known_of_which_file() -> None:
    found = deleted_rows([DeleteFile(5, "a"), DeleteFile(2, "a"), DeleteFile(9), DeleteFile(1, "b")])
    assert found == {"a": 7, "b": 1}


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_a_table_that_grows_for_long_has_few_files_and_is_rewritten_few_times(seed: int) -> None:
    """S35: files come ten between two looks: their number is bounded, and so is how often a byte is written again."""
    note(f"seed {seed}")
    chance = random.Random(seed)
    packing = Packing(target=64 * MIB, step=128 * MIB)
    live: list[DataFile] = []
    came = rewritten = number = most = 0
    for _ in range(60):
        for _ in range(10):
            number += 1
            size = chance.randrange(ALIKE_BYTES // 8, 2 * ALIKE_BYTES)
            came += size
            live.append(DataFile(str(number), size, 100))
        while steps := plan_compaction(live, packing):
            for step in steps:
                number += 1
                rewritten += step.bytes
                live = [file for file in live if file.path not in step.paths]
                live.append(DataFile(str(number), step.bytes, 100))
        most = max(most, len(live) - came // (packing.target // 4))
    assert most <= 40, f"seed {seed}"
    assert rewritten <= 6 * came, f"seed {seed}"
