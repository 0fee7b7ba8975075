"""The ledger of definitions and its fake alike."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdc.core.definitions import Definition, DefinitionRow
from cdc.core.preflight import SourceColumn, SourcePartition
from cdc.lake.definitions import DefinitionLedger
from tests.fakes.control import MemoryLedger
from tests.sql_catalog import sql_catalog

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(params=["fake", "real"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Return a function that opens the ledger as another process does."""
    fake = MemoryLedger()
    return (lambda: fake) if request.param == "fake" else (lambda: DefinitionLedger(sql_catalog(tmp_path), "cdc"))


def definition(file: str) -> Definition:
    column = SourceColumn("e", "enum", nullable=True, generated=False, number="2", labels={"9": "größer, 'größer'"})
    return Definition("7:1", file, {"e": column}, {"4": SourcePartition("public.p", "5", truncated=True)})


def row(source: str, target: str, minutes: int, file: str) -> DefinitionRow:
    at = AT + timedelta(minutes=minutes)
    return DefinitionRow(at, source, "public.t", target, "", silent=False, definition=definition(file).to_json())


def test_the_newest_definition_of_each_target_is_what_is_known(opened: Callable[[], Any]) -> None:
    assert opened().known("shop") == {}
    opened().append([row("shop", "shop.a", 0, "1"), row("shop", "shop.b", 0, "2"), row("other", "other.a", 9, "3")])
    opened().append([row("shop", "shop.a", 1, "4")])
    assert opened().known("shop") == {"shop.a": definition("4"), "shop.b": definition("2")}


def test_a_row_that_another_version_wrote_counts_for_nothing(tmp_path: Path) -> None:
    """X4."""
    ledger = DefinitionLedger(sql_catalog(tmp_path), "cdc")
    ledger.append([row("shop", "shop.a", 0, "1")._replace(definition='{"v": 9}')])
    assert ledger.known("shop") == {}
