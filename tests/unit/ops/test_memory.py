"""A process that was busy once is small again."""

import gc
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cdc.ops import memory
from cdc.ops.memory import give_back, kept_small

PIECES, BYTES = 4_000, 30_000
NUMBERS = pa.array(range(BYTES // 8))


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_a_backlog_has_taken_is_given_back() -> None:
    """The service kept 300 MB of buffers that had been free for minutes."""
    kept: list[object] = []

    def busy() -> None:
        pieces = [(pc.add(NUMBERS, 1), os.urandom(BYTES)) for _ in range(PIECES)]
        kept.extend(pieces[::100])  # so that no block is free as a whole

    before = resident()
    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.02)
        threads[1].join(0.02)
        most = max(most, resident())
    assert most - before > 2 * PIECES * BYTES
    give_back()
    assert resident() - before < (most - before) // 4
    assert len(kept) == 2 * PIECES // 100


def test_it_goes_on_and_a_jvm_that_does_not_answer_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "SECONDS", 0.01)
    asked, twice, before = [], threading.Event(), gc.get_threshold()

    def jvm() -> None:
        asked.append(gc.get_threshold())
        if len(asked) > 1:
            twice.set()
        raise ConnectionError

    with kept_small(jvm):
        assert twice.wait(30)
    assert set(asked) == {(50_000, 50, 1000)}
    assert gc.get_threshold() == before
