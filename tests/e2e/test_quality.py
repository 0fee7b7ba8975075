"""Rules of quality, end to end: one that tells, one that stops, and what an operator sees and does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.e2e.test_watch import Watched, watched

pytestmark = pytest.mark.timeout(600)
ROWS = 50
TABLES = ("told", "stopped")
CHECK = {"name": "not_negative", "check": "n >= 0"}


@pytest.fixture
def shop(stack: LocalStack, tmp_path: Path) -> Iterator[Watched]:
    def settings(document: dict[str, Any]) -> None:
        told, stopped = document["sources"][0]["tables"]
        told["quality"] = [
            CHECK,
            {"name": "known", "references": {"columns": ["id"], "target": "judged.stopped"}},
            {"name": "some", "rows": {"least": 1}},
        ]
        stopped["quality"] = [CHECK | {"action": "stop"}]

    database = Database(stack.addresses(), "postgres", "judged", 90)
    with watched(stack, tmp_path, database, TABLES, 19000, settings) as made:
        made.stream(TABLES, ROWS)
        yield made


def value(shop: Watched, table: str) -> int:
    """Return ``n`` of the first row in the lake."""
    rows = open_catalog(shop.service.config.catalog).load_table((shop.name, table)).scan("id = 1").to_arrow()
    (n,) = rows["n"].to_pylist()
    return int(n)


def test_rules_tell_or_stop_and_are_over_when_the_rows_are_mended(shop: Watched) -> None:
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = 7 WHERE id = 1" for table in TABLES))
    shop.service.await_equal()
    shop.begin()
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = -1 WHERE id = 1" for table in TABLES))
    shop.await_named("rule_broken")
    shop.await_told("rule_broken")
    found = shop.await_states({"told": "running", "stopped": "stopped"})
    assert "rule 'not_negative' is broken by 1 rows" in found["stopped"]["detail"], found
    assert (value(shop, "told"), value(shop, "stopped")) == (-1, 7)
    assert 'cdc_rule_breaks_total{pipeline="judged",rule="not_negative",table="judged.told"} 1.0' in shop.get(
        "/metrics"
    )

    looked = shop.service.run("quality", "--table", "judged.told", "--json")
    assert looked.returncode == 1, looked.stdout + looked.stderr
    (table,) = json.loads(looked.stdout)["tables"]
    assert [(rule["rule"], rule["rows"], rule["broken"]) for rule in table["rules"]] == [
        ("not_negative", ROWS, 1),
        ("known", ROWS, 0),
        ("some", ROWS, 0),
    ]

    shop.sql(*(f"UPDATE {{s}}.{table} SET n = 8 WHERE id = 1" for table in TABLES))
    shop.await_states(dict.fromkeys(TABLES, "running"))
    shop.service.await_equal()
    assert (value(shop, "told"), value(shop, "stopped")) == (8, 8)
    said = shop.command("quality")
    assert said.count("holds ") == 4, said
    shop.await_over("rule_broken")
    results = open_catalog(shop.service.config.catalog).load_table(("cdc", "quality")).scan().to_arrow().to_pylist()
    told = [(row["rule"], row["broken"]) for row in results if row["target"] == "judged.told"]
    assert sorted(told) == [
        ("known", 0),
        ("known", 0),
        ("not_negative", 0),
        ("not_negative", 1),
        ("some", 0),
        ("some", 0),
    ]
