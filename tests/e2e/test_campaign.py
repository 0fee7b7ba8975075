"""Some minutes of a campaign: random actions and kills on a stack of its own, judged by a comparison of its own.

What fails here is run again with ``python -m tests.campaign --db DB --seed SEED``.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from cdc.local.stack import LocalStack
from tests.campaign.actions import actions
from tests.campaign.runner import run
from tests.campaign.world import ground
from tests.e2e.scenario import SEED
from tests.e2e.shop import ENGINES

pytestmark = pytest.mark.timeout(1500)
SECONDS = 180.0


@pytest.mark.parametrize("engine", ENGINES)
def test_random_actions_and_kills_end_equal(second_stack: LocalStack, tmp_path: Path, engine: str) -> None:
    """S1, S3, K6, T10, P1, P6, P10, P12 and P14 meet each other in the order that the seed draws."""
    print(f"seed {SEED}")
    with ground(second_stack, engine, tmp_path) as world:
        outcome = run(world, actions(SEED), seconds=SECONDS)
        print(json.dumps(outcome.summary(), indent=2))
        assert not outcome.finding, f"seed {SEED}, {engine}: {outcome.finding}"
        world.verified()
        found = world.without_service(
            "DELETE FROM {s}.seats",
            "INSERT INTO {s}.seats (id, label, n) VALUES (9001, '', 1), (9002, '', 2)",
            "UPDATE {s}.tags SET label = 'planted', hits = -7",
        )
    assert len(outcome.done) > 10
    assert outcome.counts["comparisons"] >= 1
    assert outcome.counts["rows compared"] > 0
    kinds = {one.table: Counter((d.kind, d.columns) for d in one.differences) for one in found}
    rows = {one.table: (one.source_rows, one.lake_rows) for one in found}
    assert kinds["seats"] == Counter({("missing", ()): 2, ("extra", ()): rows["seats"][1]})
    assert kinds["tags"] == Counter({("different", ("hits", "label")): rows["tags"][0]})
    assert not any(kinds[table] for table in ("orders", "lines", "documents"))
