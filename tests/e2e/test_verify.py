"""Equality is proved while source and stream go on, and rows that are wrong in the lake are named."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cdc.core.proof import Kind
from cdc.lake.pyiceberg_catalog import open_catalog
from tests.e2e.databases import Database
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(900)
ROWS, PLANTED = 30_000, 40
SEED = random.SystemRandom().randrange(10**6)


def settings(document: dict[str, Any]) -> None:
    document["maintenance"] = {"enabled": False}  # the rows that are planted stay where they are
    document["verify"] = {"every": "20s", "rows_per_second": 20_000}


@contextmanager
def changing(database: Database, first: int, last: int) -> Iterator[None]:
    """Change rows of these keys all the time: updates, deletes, inserts and a counter that never rests."""
    stop = threading.Event()
    r = random.Random(SEED)

    def change() -> None:
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            while not stop.wait(0.005):
                for key in sorted(r.sample(range(first, last), 5)):
                    cursor.execute(f"DELETE FROM {database.name}.items WHERE id = {key}")
                    if r.random() < 0.8:
                        values = f"({key}, 'changed {r.random()}', {r.randrange(100)})"
                        cursor.execute(f"INSERT INTO {database.name}.items (id, name, n) VALUES {values}")
                cursor.execute(f"UPDATE {database.name}.items SET n = n + 1 WHERE id = 1")
                connection.commit()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def plant(shop: Shop, keys: range) -> dict[str, tuple[Kind, list[str]]]:
    """Make rows of the lake wrong behind the service's back; returns how each key differs then."""
    planted: dict[str, tuple[Kind, list[str]]] = {}
    table = open_catalog(shop.service.config.catalog).load_table((shop.name, "items"))
    rows = table.scan(row_filter=f"id >= {keys.start} and id < {keys.stop}").to_arrow().to_pylist()
    wrong = []
    for row in rows[:PLANTED]:
        match row["id"] % 4:
            case 0:
                planted[str(row["id"])] = Kind.MISSING, []
                continue
            case 1:
                wrong.append(row | {"name": row["name"] + " "})
                planted[str(row["id"])] = Kind.DIFFERENT, ["name"]
            case 2:
                wrong.append(row | {"n": None, "name": None})
                planted[str(row["id"])] = Kind.DIFFERENT, ["n", "name"]
            case _:
                wrong += [row, row | {"id": row["id"] + 10_000_000}]
                planted[str(row["id"] + 10_000_000)] = Kind.EXTRA, []
    ids = [row["id"] for row in rows[:PLANTED]]
    made = pa.Table.from_pylist(wrong, schema=table.schema().as_arrow())
    with table.transaction() as transaction:
        transaction.delete(f"id in ({', '.join(map(str, ids))})")
        transaction.append(made)
    return planted


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_wrong_is_named_and_what_changes_meanwhile_is_not(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    """M3."""
    print("seed", SEED)
    stack = stack_for(request, engine)
    database = Database(stack.addresses(), engine, f"proved_{engine}", 94)
    with shop_of(Shop, stack, tmp_path, database, ["items"], settings) as shop:
        shop.capture(["items"], ROWS)
        shop.service.start()
        shop.await_state("items", "running", rows=ROWS)
        with changing(database, 20_000, 30_000):
            found = verified(shop, code=0)
            assert found["differences"] == []
            assert found["rows"] > 0.9 * ROWS

        shop.service.await_equal()  # nobody commits while rows are planted
        planted = plant(shop, range(10, 15_000))
        with changing(database, 20_000, 30_000):
            await_true(lambda: "differs" in troubles(shop), 120, "the service has found nothing", pause=2)
            found = verified(shop, code=1)
            named = {one["key"][0]: (Kind(one["kind"]), sorted(one["columns"])) for one in found["differences"]}
            assert named == planted
            assert found["rows_read"] < 2 * found["rows"]
            would = shop.service.run("verify", "--repair", "--dry-run")
            assert "10 missing, 10 extra, 20 different" in would.stdout, would.stdout + would.stderr
            assert f"would read {PLANTED} rows" in would.stdout
            assert "changed 0." not in would.stdout  # what rows hold is shown to those who ask for it

            repaired = shop.service.run("verify", "--repair", "--why", "a test", "--json")
            assert repaired.returncode == 0, repaired.stdout[-3000:] + repaired.stderr
            assert json.loads(repaired.stdout)["tables"][0]["repaired"] == PLANTED
            assert verified(shop, code=0)["differences"] == []
            await_true(lambda: "differs" not in troubles(shop), 60, "what was repaired is still named", pause=2)
            proof = status(shop)["proof"]
            assert proof["equal"]
        await_true(lambda: status(shop)["proof"]["at"] > proof["at"], 120, "the service proves nothing more", pause=2)
        shop.service.await_equal()
        shop.service.check_alive()


def seen(shop: Shop) -> list[dict[str, Any]]:
    return list(json.loads(shop.service.run("status", "--json").stdout))


def status(shop: Shop) -> dict[str, Any]:
    return next(one for one in seen(shop) if one.get("target") == f"{shop.name}.items")


def troubles(shop: Shop) -> set[str]:
    return {one["name"] for one in seen(shop) if one["state"] == "trouble"}


def verified(shop: Shop, code: int) -> dict[str, Any]:
    done = shop.service.run("verify", "--json", "--show-values")
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    assert table["error"] == ""
    return dict(table)
