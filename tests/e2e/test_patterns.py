"""Tables by pattern: what is there, what comes later while the service runs, and what cannot be captured."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.databases import Database
from tests.e2e.service import has_line
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = [pytest.mark.timeout(600), pytest.mark.campaign]
ROWS = 1_000


def settings(document: dict[str, Any]) -> None:
    document["stream"]["reload_interval"] = "2s"
    (source,) = document["sources"]
    source["tables"] = [{"source": f"{source['name']}.*", "exclude": [f"{source['name']}.tmp_*"]}]


@pytest.fixture(scope="module", params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    stack, folder = stack_for(request, request.param), tmp_path_factory.mktemp("patterns")
    database = Database(stack.addresses(), request.param, f"pattern_{request.param}", 70)
    with shop_of(Shop, stack, folder, database, (), settings) as made:
        made.sql(
            "CREATE TABLE {s}.keyless (n int)",
            "CREATE VIEW {s}.seen AS SELECT * FROM {s}.keyless",
            "CREATE TABLE {s}.tmp_1 (id int PRIMARY KEY)",
        )
        made.capture(("first", "second"), ROWS)
        made.service.start()
        yield made


def test_a_pattern_takes_in_what_is_there_and_what_comes_later(shop: Shop) -> None:
    """One process all the while; what cannot be captured is listed, and takes nothing with it."""
    shop.await_states({"first": "running", "second": "running"}, ROWS)
    assert set(shop.listed()) == {"first", "second"}
    for table in ("keyless", "seen"):
        assert has_line(shop.service.log, f"table {shop.name}.{table} is not captured")
    assert f"table {shop.name}.keyless is not captured" in shop.service.run("doctor").stdout

    shop.database.create("later", ROWS)
    shop.database.publish_also("later")
    shop.await_states({"later": "running"}, ROWS)
    shop.sql(
        "UPDATE {s}.later SET n = n + 1 WHERE id % 3 = 0",
        "DELETE FROM {s}.later WHERE id % 5 = 0",
        "UPDATE {s}.first SET n = n + 1 WHERE id % 7 = 0",
    )
    shop.service.await_equal()

    shop.sql(
        "ALTER TABLE {s}.keyless ADD COLUMN id int NOT NULL, ADD PRIMARY KEY (id)",
        "INSERT INTO {s}.keyless VALUES (5, 1)",
    )
    shop.database.publish_also("keyless")
    shop.await_states({"keyless": "running"}, 1)
    shop.service.await_equal()
    assert shop.service.log.read_text(errors="replace").count("lease taken") == 1  # never started again
