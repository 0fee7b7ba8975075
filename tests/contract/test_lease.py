"""The lease of a pipeline on real Iceberg tables: one holder, tokens that grow, takeover."""

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import Fenced, LeaseHeld
from cdc.lake.holder import LeaseSeen, read_lease, this_process
from cdc.lake.lease import Lease
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.spark.session import sibling_session

SHORT, LONG = 0.6, 60.0
_numbers = count(1)


@pytest.fixture
def candidate(lake: tuple[Any, Any]) -> Callable[..., Lease]:
    """Return a function that makes candidates for the lease of one pipeline."""
    session, config = lake
    pipeline = f"pipeline {next(_numbers)}"

    def make(ttl: float = LONG, **changed: Any) -> Lease:
        me = replace(this_process(), instance=str(uuid.uuid4()), **changed)
        return Lease(session, config.catalog.name, "cdc", pipeline, ttl, holder=me)

    return make


def acquire(lease: Lease, *, wait: bool = False, while_waiting: Callable[[], None] = lambda: None) -> int:
    def pause(seconds: float) -> None:
        while_waiting()
        threading.Event().wait(seconds)

    return lease.acquire(wait=wait, stopping=lambda: False, pause=pause)


def test_a_live_holder_keeps_its_lease_and_is_named(candidate: Callable[..., Lease]) -> None:
    holder, other = candidate(), candidate(5.0)
    assert acquire(holder) > 0
    with pytest.raises(LeaseHeld, match=f"process {this_process().process} on {this_process().host}") as refused:
        acquire(other, while_waiting=holder.renew)
    assert "--standby" in refused.value.hint
    holder.renew()
    holder.check()


def test_a_lease_that_is_there_is_taken_by_a_session_that_has_made_no_statement(lake: tuple[Any, Any]) -> None:
    """A service that was started again did not find its catalog, and ended."""
    session, config = lake
    pipeline = f"pipeline {next(_numbers)}"
    before = Lease(session, config.catalog.name, "cdc", pipeline, LONG)
    first = acquire(before)
    before.release()
    new = sibling_session(session, config.catalog)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(acquire, Lease(new, config.catalog.name, "cdc", pipeline, LONG)).result() > first


def test_whoever_has_no_spark_sees_who_is_at_work(lake: tuple[Any, Any], candidate: Callable[..., Lease]) -> None:
    config, holder = lake[1], candidate()
    catalog, pipeline = open_catalog(config.catalog), f"pipeline {next(_numbers) - 1}"

    def seen() -> LeaseSeen:
        return read_lease(catalog, "cdc", pipeline)

    assert seen() == LeaseSeen(None, None)
    acquire(holder)
    holder.renew()
    found = seen()
    assert found.holder is not None
    assert found.holder.process == this_process().process
    assert found.beat_at is not None
    assert found.alive(5, found.beat_at)
    assert not found.alive(5, found.beat_at + timedelta(seconds=6))
    holder.release()
    assert (seen().holder, seen().alive(5, found.beat_at)) == (None, False)
    gone = LeaseSeen(replace(this_process(), process=2**22 + 1), datetime.now(UTC))
    assert not gone.alive(60, datetime.now(UTC))


def test_release_lets_the_next_one_in_at_once_with_a_greater_token(candidate: Callable[..., Lease]) -> None:
    first, second = candidate(), candidate()
    token = acquire(first)
    first.release()
    assert acquire(second) > token
    first.release()  # not ours any more: nothing happens
    second.renew()


def test_a_holder_whose_process_is_gone_loses_the_lease_at_once(candidate: Callable[..., Lease]) -> None:
    dead, next_one = candidate(started="1"), candidate()
    token = acquire(dead)
    began = time.monotonic()
    assert acquire(next_one) > token
    assert time.monotonic() - began < LONG / 2


def test_a_holder_of_another_machine_is_waited_for(candidate: Callable[..., Lease]) -> None:
    """Its process cannot be looked at: only a whole time-to-live without a beat counts."""
    far, next_one = candidate(boot="another", started="1"), candidate(SHORT)
    acquire(far)
    began = time.monotonic()
    acquire(next_one)
    assert time.monotonic() - began >= SHORT


def test_a_paused_holder_that_wakes_is_fenced(candidate: Callable[..., Lease]) -> None:
    """S22, X12."""
    paused, next_one = candidate(SHORT), candidate(SHORT)
    token = acquire(paused)
    assert acquire(next_one, wait=True) > token
    with pytest.raises(Fenced, match="was taken over by process"):
        paused.check()
    with pytest.raises(Fenced, match="was taken over by process"):
        paused.renew()


def test_a_holder_that_could_not_beat_goes_on_if_nobody_has_taken_over(candidate: Callable[..., Lease]) -> None:
    """X6: a catalog that was away for longer than the time-to-live ended the pipeline."""
    lonely, next_one = candidate(0.01), candidate(0.01)
    acquire(lonely)
    threading.Event().wait(0.02)
    lonely.check()
    acquire(next_one)
    threading.Event().wait(0.02)
    with pytest.raises(Fenced, match="was taken over by process"):
        lonely.check()


def test_waiting_ends_when_the_service_is_stopped(candidate: Callable[..., Lease]) -> None:
    acquire(candidate())
    with pytest.raises(LeaseHeld, match="gave up"):
        candidate(LONG).acquire(wait=True, stopping=lambda: True, pause=lambda _: None)


def test_beats_leave_bounded_metadata(candidate: Callable[..., Lease], lake: tuple[Any, Any]) -> None:
    lease = candidate()
    acquire(lease)
    for _ in range(9):
        lease.renew()
    location = lake[1].catalog.warehouse
    (folder,) = Path(location).glob(f"cdc/lease_pipeline {next(_numbers) - 1}/metadata")
    assert len(list(folder.glob("*.metadata.json"))) <= 6
    assert len(list(folder.glob("snap-*"))) == 1
