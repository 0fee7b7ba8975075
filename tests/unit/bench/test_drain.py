"""What the throughput measurement takes from a log."""

import json

from tests.bench.drain import applied, batches, lines
from tests.bench.load_meter import Run


def run_that_said(*said):
    texts = [one if isinstance(one, str) else json.dumps(one) for one in said]
    return Run("service", [], {}, lines=list(enumerate(texts)))


def batch(events, **seconds):
    return {"event": "batch applied", "events": events, "way": "delta", "seconds": seconds}


def test_changes_and_stages_are_added_up_over_the_batches():
    run = run_that_said(
        "WARN not JSON",
        {"event": "query started"},
        batch(3, collapse=1.5, stage=0.25),
        {"event": "status written"},
        batch(4, collapse=0.5),
    )
    told = list(lines(run))
    assert [at for at, _ in told] == [1, 2, 4]
    assert applied(told) == 7
    assert batches(run) == {
        "batches": 2,
        "ways": {"delta": 2},
        "seconds_by_stage": {"collapse": 2.0, "stage": 0.25},
    }
