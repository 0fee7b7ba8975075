"""Which tables are maintained, and how long each keeps what."""

from datetime import timedelta
from pathlib import Path

import pytest

from cdc.bootstrap.maintenance import kept_tables, own_tables
from cdc.config.models import Config, MaintenanceConfig
from cdc.config.services import KafkaConfig
from cdc.core.maintenance import Pruning
from cdc.core.names import TableName
from tests.lake import lake_config

TARGET = TableName("shop", "t")


def config(keep_tombstones: str = "14d", retention: str = "7d") -> Config:
    made = lake_config(Path("/nowhere"))
    return made.model_copy(
        update={
            "maintenance": MaintenanceConfig.model_validate({"keep_tombstones": keep_tombstones}),
            "kafka": KafkaConfig.model_validate({"bootstrap_servers": "127.0.0.1:1", "retention": retention}),
        }
    )


@pytest.mark.parametrize(
    ("stones", "retention", "kept"),
    [("14d", "7d", 14), ("14d", "8d", 15), ("1d", "30d", 37), ("60d", "7d", 60)],
)
def test_tombstones_stay_for_as_long_as_a_topic_may_have_an_older_event(stones: str, retention: str, kept: int) -> None:
    """Kafka removes whole segments, which are filled for a week: an event may outlive the retention by that."""
    made = config(stones, retention)
    target, beside = kept_tables(made, [TARGET])
    assert target.limits.pruning is None
    assert beside.limits.pruning == Pruning("deleted_at", timedelta(days=kept))
    assert (beside.name, beside.turn_name) == (TableName("cdc", "tombstones_shop__t"), target.turn_name)


def test_of_the_tables_that_all_share_ledger_and_proofs_forget_rows() -> None:
    found = {one.name.table: one for one in own_tables(config())}
    assert {"status", "commits", "quarantine", "operations", "lease_shop", "lease_shop_load"} <= found.keys()
    assert [name for name, one in found.items() if one.limits.pruning] == ["commits", "verifications"]
    assert "control" not in found, "it is its properties"
