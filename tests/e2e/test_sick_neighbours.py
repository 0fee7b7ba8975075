"""One source with thirty healthy tables and a sick one of each kind beside them: the healthy ones never notice.

Each sick table is named, with its cause, within a minute, and is brought back by mending what its hint says. The
seconds are printed.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc.bootstrap.at_rest import verify_sources
from tests.e2e.databases import Database
from tests.e2e.loading import reconfigure
from tests.e2e.service import await_true
from tests.e2e.shop import Shop, shop_of, stack_for

pytestmark = [pytest.mark.timeout(900), pytest.mark.campaign]
HEALTHY = tuple(f"healthy_{n:02}" for n in range(30))
NAMED_SECONDS = 60.0


@dataclass(frozen=True)
class Sick:
    """A table that cannot be captured: how it is made, the word for it, and what makes it well."""

    made: tuple[str, ...]
    name: str
    mended: tuple[str, ...]


PLAIN = "(id bigint PRIMARY KEY, name text, n int)"
POSTGRES = {
    "missing": Sick((), "table_missing", (f"CREATE TABLE {{s}}.missing {PLAIN}", "{publish}")),
    "seen": Sick(("CREATE VIEW {s}.seen AS SELECT 1 AS id",), "not_a_table", ()),
    "unlogged": Sick((f"CREATE UNLOGGED TABLE {{s}}.unlogged {PLAIN}",), "unlogged", ()),
    "keyless": Sick(
        ("CREATE TABLE {s}.keyless (id bigint, name text)", "{publish}"),
        "key_nullable",
        ("ALTER TABLE {s}.keyless ADD PRIMARY KEY (id)",),
    ),
    "hidden": Sick(
        (f"CREATE TABLE {{s}}.hidden {PLAIN}", "{publish}", "REVOKE ALL ON {s}.hidden FROM cdc"),
        "table_missing",
        ("GRANT SELECT ON {s}.hidden TO cdc",),
    ),
    "private": Sick((f"CREATE TABLE {{s}}.private {PLAIN}",), "not_published", ("{publish}",)),
    "secured": Sick(
        (f"CREATE TABLE {{s}}.secured {PLAIN}", "{publish}", "ALTER TABLE {s}.secured ENABLE ROW LEVEL SECURITY"),
        "row_security",
        ("ALTER TABLE {s}.secured DISABLE ROW LEVEL SECURITY",),
    ),
    "nameless": Sick(
        (f"CREATE TABLE {{s}}.nameless {PLAIN}", "{publish}", "ALTER TABLE {s}.nameless REPLICA IDENTITY NOTHING"),
        "key_not_in_identity",
        ("ALTER TABLE {s}.nameless REPLICA IDENTITY DEFAULT",),
    ),
    '"li\nne"': Sick((f'CREATE TABLE {{s}}."li\nne" {PLAIN}', "{publish}"), "table_name", ()),
    "twins": Sick(('CREATE TABLE {s}.twins (id bigint PRIMARY KEY, "A" int, a int)',), "column_case", ()),
}
MYSQL = {
    "missing": Sick((), "table_missing", (f"CREATE TABLE {{s}}.missing {PLAIN}",)),
    "seen": Sick(("CREATE VIEW {s}.seen AS SELECT 1 AS id",), "not_a_table", ()),
    "keyless": Sick(
        ("CREATE TABLE {s}.keyless (id bigint, name text)",),
        "key_nullable",
        ("ALTER TABLE {s}.keyless ADD PRIMARY KEY (id)",),
    ),
    "padded": Sick(
        ("CREATE TABLE {s}.padded (id bigint PRIMARY KEY, name text, d decimal(10,2) unsigned zerofill)",),
        "zerofill",
        ("{load}",),
    ),
    "child": Sick(
        (
            "CREATE TABLE {s}.parent (id bigint PRIMARY KEY)",
            "CREATE TABLE {s}.child (id bigint PRIMARY KEY, p bigint, "
            "CONSTRAINT up FOREIGN KEY (p) REFERENCES {s}.parent (id) ON DELETE CASCADE)",
        ),
        "cascade",
        ("ALTER TABLE {s}.child DROP FOREIGN KEY up",),
    ),
}


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_thirty_tables_do_not_notice_their_sick_neighbours(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    """P7, P74, M4, T1, T2."""
    stack = stack_for(request, engine)
    kinds: Mapping[str, Sick] = MYSQL if engine == "mysql" else POSTGRES
    database = Database(stack.addresses(), engine, f"ward_{engine}", 98)
    with shop_of(Shop, stack, tmp_path, database, [*HEALTHY, *kinds], padded_by_connector) as shop:
        for table in HEALTHY:
            database.create(table, 50)
        if engine == "postgres":
            published = ", ".join(f"{{s}}.{name}" for name in HEALTHY)
            shop.sql(
                f"CREATE PUBLICATION cdc_{shop.name} FOR TABLE {published} WITH (publish_via_partition_root = true)"
            )
        for name, sick in kinds.items():
            carry_out(shop, name, sick.made)
        applied = shop.service.run("connectors", "apply", shop.name)
        assert applied.returncode == 1, applied.stdout + applied.stderr
        assert f"error: table {shop.name}." in applied.stderr, applied.stderr
        shop.service.start()
        began = time.monotonic()
        shop.await_states(dict.fromkeys(kinds, "stopped"), seconds=NAMED_SECONDS + 30)
        print(f"{engine}: {len(kinds)} sick tables are stopped after {time.monotonic() - began:.1f} s")
        shop.await_states(dict.fromkeys(HEALTHY, "running"), rows=50, seconds=300)
        change(shop)
        found = shop.listed()
        assert {name for name in kinds if found[name]["state"] == "stopped"} == set(kinds), found
        named: dict[str, str] = {}
        for one in troubles(shop):
            named.setdefault(one["table"].removeprefix(f"{shop.name}."), one["name"])  # what is told first
        assert named == {name: sick.name for name, sick in kinds.items()}
        await_healthy_equal(shop)
        mend(shop, kinds)


def padded_by_connector(document: dict[str, Any], snapshot: str = "connector") -> None:
    """Let the connector read the first rows of the table that ends its snapshot."""
    for table in document["sources"][0]["tables"]:
        if table["source"].endswith(".padded"):
            table["snapshot"] = snapshot


def troubles(shop: Shop) -> list[dict[str, Any]]:
    found = json.loads(shop.service.run("status", "--json").stdout)
    return [one for one in found if one.get("state") == "trouble" and one["table"]]


def carry_out(shop: Shop, table: str, statements: tuple[str, ...]) -> None:
    for statement in statements:
        if statement == "{publish}":
            shop.database.publish_also(table)
        elif statement == "{load}":
            reconfigure(shop.service, lambda document: padded_by_connector(document, "load"))
        else:
            shop.sql(statement)


def change(shop: Shop) -> None:
    for table in HEALTHY:
        shop.sql(
            f"UPDATE {{s}}.{table} SET n = n + 1 WHERE id % 3 = 0",
            f"DELETE FROM {{s}}.{table} WHERE id % 7 = 1",
            f"INSERT INTO {{s}}.{table} (id, name) VALUES (1000, 'new')",
        )


def await_healthy_equal(shop: Shop) -> None:
    """Every column of every row of the healthy tables is equal in source and lake."""
    config = shop.service.config
    (source,) = config.sources
    healthy = tuple(table for table in source.tables if table.source.table in HEALTHY)
    only = config.model_copy(update={"sources": (source.model_copy(update={"tables": healthy}),)})

    def equal() -> bool:
        shop.service.check_alive()
        report = verify_sources(only)
        assert len(report.tables) == len(HEALTHY)
        return report.equal

    await_true(equal, 240, "the healthy tables are equal")


def mend(shop: Shop, kinds: Mapping[str, Sick]) -> None:
    """Mend each as its hint says; what has missed changes, or may have, is loaded anew."""
    well = [name for name, sick in kinds.items() if sick.mended]
    for name in well:
        carry_out(shop, name, kinds[name].mended)
    shop.service.run("connectors", "apply", shop.name)  # exit code 1: some stay as they are
    shop.sql(*(f"INSERT INTO {{s}}.{name} (id) VALUES (77)" for name in well))
    began = time.monotonic()

    def back() -> bool:
        shop.service.check_alive()
        found = shop.listed()
        for name in well:
            if "cdc tables reset" in (found[name]["detail"] or ""):
                shop.service.run("tables", "reset", f"{shop.name}.{name}")
        return all(found[name]["state"] == "running" and (found[name]["rows"] or 0) > 0 for name in well)

    try:
        await_true(back, 300, "what was mended is back")
    except AssertionError:
        print({name: shop.listed()[name] for name in well}, shop.service.tail(40), sep="\n")
        raise
    print(f"{shop.database.engine}: {len(well)} tables are back after {time.monotonic() - began:.1f} s")
