"""Equality is proved while source and stream go on, and rows that are wrong in the lake are named."""

import json
import random
import threading
import time
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
def changing(database: Database, first: int, last: int, *, restless: bool = False) -> Iterator[None]:
    """Change rows of these keys all the time: updates, deletes, inserts; and a row that never rests if that is asked.

    A proof looks at such a row as often as it looks at any, so it takes its time.
    """
    stop = threading.Event()
    r = random.Random(SEED)

    def change() -> None:
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            while not stop.wait(0.02):
                for key in sorted(r.sample(range(first, last), 5)):
                    cursor.execute(f"DELETE FROM {database.name}.items WHERE id = {key}")
                    if r.random() < 0.8:
                        values = f"({key}, 'changed {r.random()}', {r.randrange(100)})"
                        cursor.execute(f"INSERT INTO {database.name}.items (id, name, n) VALUES {values}")
                if restless:
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
        with changing(database, 20_000, 30_000, restless=True):
            found = verified(shop, code=0)
            assert found["differences"] == []
            assert found["unsettled"] >= 1
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


@contextmanager
def copied(shop: Shop) -> Iterator[str]:
    """Make another table with the rows of ours, but for the three of the lowest keys, in a wider type."""
    catalog = open_catalog(shop.service.config.catalog)
    rows = catalog.load_table((shop.name, "items")).scan().to_arrow().sort_by("id")
    rows = rows.drop_columns([name for name in rows.column_names if name.startswith("_cdc_")])
    wider = pa.schema([field.with_type(pa.int64()) if field.name == "id" else field for field in rows.schema])
    first, second = rows.slice(1, 2).to_pylist()
    wrong = pa.Table.from_pylist([first | {"name": first["name"] + " "}, second, second], schema=wider)
    name = (f"old_{shop.name}", "items")
    catalog.create_namespace_if_not_exists(name[0])
    table = catalog.create_table(name, wider)
    try:
        table.append(pa.concat_tables([rows.slice(3).cast(wider), wrong]))
        yield ".".join(name)
    finally:
        catalog.drop_table(name)
        catalog.drop_namespace(name[0])


@pytest.mark.campaign
@pytest.mark.parametrize("engine", ENGINES)
def test_another_table_is_compared_and_a_paused_one_is_not_waited_for(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    stack, rows = stack_for(request, engine), 3_000
    database = Database(stack.addresses(), engine, f"beside_{engine}", 95)
    with shop_of(Shop, stack, tmp_path, database, ["items"], settings) as shop:
        shop.capture(["items"], rows)
        shop.service.start()
        shop.await_state("items", "running", rows=rows)
        shop.service.await_equal()
        page = tmp_path / "proof.html"
        with copied(shop) as other:
            chosen = ("--against", other, "--table", f"{shop.name}.items", "--behind", "1", "--html", str(page))
            done = shop.service.run("verify", *chosen, "--json", "--show-values")
            assert done.returncode == 1, done.stdout[-3000:] + done.stderr
            (table,) = json.loads(done.stdout)["tables"]
            kinds = sorted((one["kind"], one["columns"]) for one in table["differences"])
            assert kinds == [("different", ["name"]), ("duplicate", []), ("extra", [])]
            assert (table["source"], table["rows"], table["error"]) == (f"lake:{other}", rows, "")
        assert f"DIFFERS: {shop.name}.items" in page.read_text()
        config = shop.service.config
        proofs = open_catalog(config.catalog).load_table((config.metadata_namespace, "verifications"))
        kept = (
            proofs.scan(row_filter=f"target = '{shop.name}.items' and source = 'lake:{other}'").to_arrow().to_pylist()
        )
        assert [(one["source"], one["equal"], one["duplicate"]) for one in kept] == [(f"lake:{other}", False, 1)]

        shop.tables("pause", "items", why="a deploy")
        shop.sql(f"UPDATE {database.name}.items SET n = n + 1 WHERE id = 10")
        began = time.monotonic()
        done = shop.service.run("verify")
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"`cdc tables resume {shop.name}.items` lets it go on; then `cdc verify` again" in done.stdout
        assert "is paused by" in done.stderr  # while it waits
        assert time.monotonic() - began < 120  # most of it is the start of Spark
        shop.tables("resume", "items")
        assert verified(shop, code=0)["differences"] == []
        shop.service.check_alive()


def verified(shop: Shop, code: int) -> dict[str, Any]:
    done = shop.service.run("verify", "--json", "--show-values")
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    assert table["error"] == ""
    return dict(table)
