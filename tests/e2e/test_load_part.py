"""A part of a table is loaded, and what is outside of it comes when it is changed."""

from pathlib import Path
from typing import Any

import pytest

from cdc.bootstrap.at_rest import verify_sources
from cdc.pipeline.verify import TableReport
from tests.e2e.databases import Database
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = [pytest.mark.timeout(600), pytest.mark.campaign]
ROWS, LOADED = 5000, 100
WHERE = f"id <= {LOADED} OR name = '100 %' -- the first"


def settings(document: dict[str, Any]) -> None:
    document["load"] = {"range_bytes": "64k", "auto": False}


def compared(shop: Shop) -> TableReport:
    (table,) = verify_sources(shop.service.config).tables
    return table


@pytest.mark.parametrize("engine", ENGINES)
def test_a_part_is_loaded_and_verified_until_the_whole_is(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    stack = stack_for(request, engine)
    database = Database(stack.addresses(), engine, f"partly_{engine}", 95)
    with shop_of(Shop, stack, tmp_path, database, ["items"], settings) as shop:
        shop.capture(["items"], ROWS)
        load = ("load", "-t", f"{shop.name}.items", "--where")
        refused = shop.service.run(*load, "no_such_column = 1")
        assert refused.returncode == 1, refused.stderr
        assert f"error: {shop.name}.items: " in refused.stderr
        assert "no_such_column" in refused.stderr
        assert "Traceback" not in refused.stderr

        loaded = shop.service.run(*load, WHERE)
        assert loaded.returncode == 0, loaded.stderr
        assert ("REPLICA IDENTITY FULL" in loaded.stdout + loaded.stderr) == (engine == "postgres")
        found = compared(shop)
        assert (found.equal, found.lake_rows, found.outside) == (True, LOADED, ROWS - LOADED)
        assert f"only those that were loaded, where {WHERE}" in shop.command("verify")

        # 6 is inside; 4998 outside, and its event holds all its values; 201 never was in the lake
        shop.sql(
            "UPDATE {s}.items SET n = -1 WHERE id IN (6, 4998)",
            "DELETE FROM {s}.items WHERE id IN (7, 201)",
            "INSERT INTO {s}.items (id, name) VALUES (9001, 'new')",
        )
        shop.service.start()
        await_true(lambda: compared(shop).lake_rows == LOADED + 1 and compared(shop).equal, 120, "changes are in")
        assert compared(shop).outside == ROWS - LOADED - 2

        shop.sql("UPDATE {s}.items SET n = -2 WHERE id = 300")
        shop.tables("reset", "items")
        await_true(lambda: compared(shop).equal and not compared(shop).where, 120, "the whole table is loaded")
        assert compared(shop).lake_rows == ROWS - 1
