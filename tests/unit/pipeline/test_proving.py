"""Proofs of a running service: each table in turn, the longest due first."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cdc.core.errors import TransientError
from cdc.core.proof import Difference, Kind, TableProof
from cdc.ops.metrics import Metrics
from cdc.pipeline.proving import FIRST, RETRY, Provable, Proving

START = datetime(2026, 1, 2, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
A, B = Provable("shop", "shop.a"), Provable("shop", "shop.b")


@dataclass
class MemoryProver:
    """Tables whose proofs find what is in ``found``, equality without it."""

    there: Iterable[Provable] = (A, B)
    last: dict[str, datetime] = field(default_factory=dict)
    found: dict[str, TableProof] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    away: list[Exception] = field(default_factory=list)

    def tables(self) -> Iterable[Provable]:
        return self.there

    def proved(self) -> dict[str, datetime]:
        if self.away:
            raise self.away.pop()
        return self.last

    def prove(self, table: Provable) -> TableProof:
        self.made.append(table.target)
        return self.found.get(table.target) or TableProof("shop:public.t", table.target, position="0/1", read=100)


class Rig:
    def __init__(self, prover: MemoryProver, every: timedelta = DAY) -> None:
        self.prover, self.metrics, self.now = prover, Metrics(), START
        self.proving = Proving(prover, self.metrics, every, now=lambda: self.now)

    def looks(self, count: int, step: timedelta = MINUTE) -> list[str]:
        """Look so often, and return what was proved by these looks."""
        self.prover.made.clear()
        for _ in range(count):
            self.proving.look(threading.Event())
            self.now += step
        return list(self.prover.made)


def test_a_table_is_proved_soon_after_it_is_there_and_then_again_and_again() -> None:
    rig = Rig(MemoryProver())
    assert rig.looks(10) == []  # what begins has other things to do first
    assert rig.looks(5) == ["shop.a", "shop.b"]
    assert rig.looks(24 * 60 - 6) == []
    assert rig.looks(5) == ["shop.a", "shop.b"]


def test_a_start_proves_nothing_that_was_proved_of_late() -> None:
    rig = Rig(MemoryProver(last={"shop.a": START - DAY + 5 * MINUTE, "shop.b": START - 2 * DAY}))
    assert rig.looks(5) == ["shop.b"]
    assert rig.looks(5) == ["shop.a"]


def test_tables_that_do_not_run_are_left_out_and_hold_up_no_other() -> None:
    prover = MemoryProver()
    rig = Rig(prover)
    prover.there = (B,)
    assert rig.looks(20) == ["shop.b"]
    prover.there = (A, B)
    assert rig.looks(20) == ["shop.a"]


def test_a_proof_that_failed_is_tried_again_sooner_and_counted() -> None:
    failed = TableProof("shop:public.a", "shop.a", error="the lake does not come on")
    rig = Rig(MemoryProver(there=(A,), found={"shop.a": failed}))
    assert rig.looks(11) == ["shop.a"]
    assert rig.looks(int(RETRY / MINUTE)) == ["shop.a"]
    assert rig.looks(int(2 * RETRY / MINUTE)) == ["shop.a"], "less and less often"
    assert 20 < len(rig.looks(20 * 24 * 60)) < 30, "and once a day at last"
    assert 'cdc_proofs_failed_total{pipeline="shop",table="shop.a"}' in rig.metrics.render().decode()
    rig.prover.found = {}
    assert len(rig.looks(2 * 24 * 60)) in (1, 2)
    rig.prover.found = {"shop.a": failed}
    assert len(rig.looks(int((DAY + RETRY) / MINUTE))) > 4, "what was well has its failures behind it"


def test_what_was_found_is_a_metric() -> None:
    found = TableProof("shop:public.a", "shop.a", read=70, differences=(Difference("1,;", Kind.MISSING),) * 3)
    rig = Rig(MemoryProver(there=(A,), found={"shop.a": found}))
    rig.looks(11)
    shown = rig.metrics.render().decode()
    assert 'cdc_proved_differences{pipeline="shop",table="shop.a"} 3.0' in shown
    assert 'cdc_proved_rows_read_total{pipeline="shop",table="shop.a"} 70.0' in shown
    rig.prover.found = {"shop.a": replace(found, differences=())}
    rig.looks(24 * 60)
    shown = rig.metrics.render().decode()
    assert 'cdc_proved_differences{pipeline="shop",table="shop.a"} 0.0' in shown
    (at,) = re.findall(r'cdc_proved_timestamp_seconds\{pipeline="shop",table="shop.a"\} (\S+)', shown)
    assert float(at) == (START + FIRST + DAY).timestamp()


def test_a_catalog_that_is_away_makes_no_table_new() -> None:
    """Otherwise all tables would be proved at once behind an outage."""
    prover = MemoryProver(last={"shop.a": START, "shop.b": START}, away=[TransientError("away", hint="")])
    proving, stop = Proving(prover, Metrics(), DAY, now=lambda: START + FIRST), threading.Event()

    def tables() -> Iterable[Provable]:
        if not prover.away:
            stop.set()
        return (A, B)

    prover.tables = tables  # type: ignore[method-assign]
    threading.Timer(0.1, stop.set).start()
    proving.run(stop)
    assert not prover.away
    assert proving.next() is None
    assert prover.made == []
