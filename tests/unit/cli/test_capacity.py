"""``cdc capacity``: what it prints, and from where it takes what it is not told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdc.cli.capacity import PAGE, printed
from cdc.core.capacity_units import Costs, described
from cdc.core.errors import ConfigError
from tests.fakes.configuration import MYSQL, POSTGRES

ROOT = Path(__file__).parents[3]


def document(options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(f"{options} --json"))
    return found


def test_tables_sources_and_topics_are_those_of_a_configuration_unless_they_are_given(tmp_path: Path) -> None:
    pattern = {"source": "public.*"}
    sources = [{**POSTGRES, "tables": [*POSTGRES["tables"], pattern]}, MYSQL]
    kafka = {"bootstrap_servers": "kafka:9092", "partitions": 7, "replication_factor": 2, "retention": "1d"}
    rest = {"registry": {"url": "http://r"}, "connect": {"url": "http://c"}}
    catalog = {"type": "rest", "uri": "http://c", "warehouse": "w"}
    path = tmp_path / "cdc.yaml"
    path.write_text(yaml.safe_dump({"kafka": kafka, "catalog": catalog, **rest, "sources": sources}))
    own = document(f"--config {path} --changes 1000")
    assert (own["shape"]["tables"], own["shape"]["sources"], own["kafka"]["partitions"]) == (3, 2, 21)
    assert own["kafka"]["bytes_kept"] == pytest.approx(1000 * Costs().event_bytes * 86_400 * 2)
    given = document(f"--config {path} --tables 5 --sources 1 --unit partitions=1")
    assert (given["shape"]["tables"], given["shape"]["sources"], given["kafka"]["partitions"]) == (5, 1, 5)


def test_what_is_not_known_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="how many tables") as raised:
        printed("--changes 5")
    assert "--tables" in raised.value.hint
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        printed("--tables 1 --unit busy")
    with pytest.raises(ConfigError, match="no unit cost"):
        printed("--tables 1 --unit bus=1")


def test_unit_costs_are_listed_with_their_origins() -> None:
    lines = printed("--units --unit event_bytes=900").splitlines()
    assert len(lines) == len(described(Costs()))
    assert any(line.startswith("event_bytes") and "900" in line and line.endswith("(given)") for line in lines)
    assert json.loads(printed("--units --json"))[0]["name"] == "task_changes"


def test_the_page_shows_what_the_command_prints_today() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- cdc capacity ?(.*?) -->\n```\n(.*?)```\n", page, re.DOTALL)
    assert len(blocks) >= 4, "the page has its blocks"
    for options, shown in blocks:
        assert printed(options) == shown, f"cdc capacity {options}: run `make docs`"


def test_what_was_measured_stands_in_the_evidence_under_the_heading_that_is_named() -> None:
    evidence = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    named = {unit.origin.partition(": ")[2] for unit in described(Costs()) if unit.origin.startswith("measured: ")}
    assert {name for name in named if f"\n## {name}\n" not in evidence} == set()
