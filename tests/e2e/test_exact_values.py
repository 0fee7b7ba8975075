"""Types that Debezium leaves out, falsifies or fails on: by load, snapshot and stream every value is the source's.

P40, P41, P42, P44, M27; what cannot be carried ends no connector, and its row is named.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.databases import Database
from tests.e2e.loading import reconfigure
from tests.e2e.service import await_true, has_line
from tests.e2e.shop import Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(600)
WAYS = ("loaded", "snapped")
"""Who reads the first rows: the service, or the connector."""

POSTGRES_TYPES = (
    "CREATE TYPE {s}.mood AS ENUM ('sad', 'ok', 'so, so', 'back\\slash')",
    "CREATE TYPE {s}.spot AS (x int, note text)",
    "CREATE TYPE {s}.floats AS RANGE (subtype = float8)",
    "CREATE DOMAIN {s}.span AS int4multirange",
    "CREATE DOMAIN {s}.line AS int[]",
    "CREATE DOMAIN {s}.grid AS int[][]",
)
POSTGRES = {
    # column: its type, and values that are told apart
    "vb": ("bit varying(70)", ["B'0010'", "B'0'", "B''", f"B'{'01' * 35}'"]),
    "d": ("date", ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'1500-02-28'"]),
    "n": ("numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "1.50"]),
    "spot": ("{s}.spot", ["ROW(1, 'a, \"b\"')::{s}.spot", "ROW(NULL, '')::{s}.spot", "ROW(2, NULL)::{s}.spot"]),
    "spots": ("{s}.spot[]", ["ARRAY[ROW(1, 'a\"\\,')::{s}.spot, NULL]", "'{}'", "ARRAY[ROW(NULL, '{}')::{s}.spot]"]),
    "fr": ("{s}.floats", ["'[1.5,2.5)'", "'empty'", "'(,3]'"]),
    "mr": ("int4multirange", ["'{[1,3),[5,9)}'", "'{}'", "'{(,)}'"]),
    "dm": ("{s}.span", ["'{[1,3)}'", "'{}'", "'{[7,8)}'"]),
    "frs": ("{s}.floats[]", ["ARRAY['[1,2)'::{s}.floats, NULL]", "'{}'", "ARRAY['empty'::{s}.floats]"]),
    "nums": ("numeric[]", ["ARRAY['NaN', NULL, 'Infinity', 1.50]::numeric[]", "'{}'", "ARRAY[-0.10]::numeric[]"]),
    "sized": ("numeric(10,2)[]", ["ARRAY[1.5, NULL]", "'{}'", "ARRAY['NaN']::numeric(10,2)[]"]),
    "moods": ("{s}.mood[]", ["ARRAY['sad', NULL, 'so, so']::{s}.mood[]", "'{}'", "ARRAY['back\\slash']::{s}.mood[]"]),
    "b3": ("bit(3)[]", ["ARRAY[B'010', NULL]", "'{}'", "ARRAY[B'111']"]),
    "vbs": ("varbit[]", ["ARRAY[B'0010', B'', NULL]", "'{}'", "ARRAY[B'1']"]),
    "ivs": ("interval[]", ["ARRAY['1 day 02:00:00.5', '-3 mons', NULL]::interval[]", "'{}'", "ARRAY['0']::interval[]"]),
    "cash": ("money[]", ["ARRAY[1.25::money, NULL]", "'{}'", "ARRAY[(-3)::money]"]),
    "dots": ("point[]", ["ARRAY['(1,2)'::point, NULL]", "'{}'", "ARRAY['(0.1,-5)'::point]"]),
    "boxes": ("box[]", ["ARRAY['(1,2),(0,0)'::box, '(3,3),(1,1)'::box]", "'{}'", "ARRAY[NULL::box]"]),
    "docs": ("xml[]", ["ARRAY['<a b=\"1\"/>'::xml, NULL]", "'{}'", "ARRAY['<c>,{}</c>'::xml]"]),
    "tms": ("time[]", ["ARRAY['24:00', '01:02:03.000004', NULL]::time[]", "'{}'", "ARRAY['00:00']::time[]"]),
    "ttz": ("timetz", ["'24:00+00'", "'24:00+02'", "'23:00-01'", "'10:00:00.5+05:30:15'"]),
    "ttzs": ("timetz[]", ["ARRAY['10:00:00.5+02', NULL]::timetz[]", "'{}'", "ARRAY['24:00+00', '24:00-01']::timetz[]"]),
    "ds": ("date[]", ["ARRAY['infinity', NULL, '1500-02-28']::date[]", "'{}'", "ARRAY['-infinity']::date[]"]),
    "tss": (
        "timestamp[]",
        ["ARRAY['1500-02-28 01:02:03.000004', NULL]::timestamp[]", "'{}'", "ARRAY['infinity']::timestamp[]"],
    ),
    "tzs": (
        "timestamptz[]",
        ["ARRAY['2024-06-30 12:00:00.000001+02', NULL]::timestamptz[]", "'{}'", "ARRAY['-infinity']::timestamptz[]"],
    ),
    "rs": ("real[]", ["ARRAY['NaN', '-Infinity', 1.5, NULL]::real[]", "'{}'", "ARRAY[3.4e38]::real[]"]),
    "f8s": ("float8[]", ["ARRAY['Infinity', 5e-324, NULL]::float8[]", "'{}'", "ARRAY[0.1]::float8[]"]),
    "bs": ("boolean[]", ["ARRAY[true, NULL, false]", "'{}'", "ARRAY[false]"]),
    "i2": ("smallint[]", ["ARRAY[-32768, NULL]::smallint[]", "'{}'", "'[0:1]={1,2}'"]),
    "ts": ("text[]", ["ARRAY['a,b', '\"', '\\', NULL, 'NULL', '', '{}']", "'{}'", "ARRAY['ü']"]),
    "us": ("uuid[]", ["ARRAY[NULL, '00000000-0000-0000-0000-000000000001']::uuid[]", "'{}'", "ARRAY[NULL]::uuid[]"]),
    "js": ("jsonb[]", ["ARRAY['{\"a\": [1, null]}', NULL]::jsonb[]", "'{}'", "ARRAY['\"x\"']::jsonb[]"]),
    "by": ("bytea[]", ["ARRAY['\\x00ff'::bytea, ''::bytea, NULL]", "'{}'", "ARRAY['\\x22'::bytea]"]),
    "nm": ("name[]", ["ARRAY['a', NULL]::name[]", "'{}'", "ARRAY['b c']::name[]"]),
    "lsn": ("pg_lsn[]", ["ARRAY['0/1'::pg_lsn, NULL]", "'{}'", "ARRAY['F/0'::pg_lsn]"]),
    # arrays of several dimensions, and one that the configuration names, as text
    "xi": ("int[][]", ["'{{1,2},{3,NULL}}'", "'[0:1][5:6]={{1,2},{3,4}}'", "'{}'", "'{5}'", "'[2:3]={1,2}'"]),
    "xt": ("text[][]", ["ARRAY[['a,b', '\"'], ['\\', NULL]]", '\'{{NULL,"NULL",""}}\'', "ARRAY['{', '[1]']"]),
    "xn": ("numeric(10,2)[][][]", ["'{{{NaN,1.5}},{{NULL,-0.1}}}'", "'{}'"]),
    "xf": ("float8[][]", ["'{{Infinity,5e-324},{NaN,0.1}}'", "'{{-0,1e22}}'"]),
    "xr": ("real[][]", ["'{{0.1,-Infinity}}'", "'{{16777217,1e-45}}'"]),
    "xb": ("boolean[][]", ["'{{t,f},{NULL,t}}'", "'{}'"]),
    "xd": ("date[][]", ["'{{infinity,-infinity},{0044-03-15 BC,NULL}}'", "'{{1500-02-28}}'"]),
    "xts": ("timestamp[][]", ["'{{infinity,1500-02-28 01:02:03.000004}}'", "'{}'"]),
    "xtz": ("timestamptz[][]", ["'{{2024-06-30 12:00:00.5+02},{-infinity}}'", "'{{0044-03-15 12:00+00 BC}}'"]),
    "xtt": ("timetz[][]", ["'{{24:00+02,24:00+00}}'", "'{{10:00+05:30:15}}'"]),
    "xiv": ("interval[][]", ["'{{1 day 02:00:00.5,-3 mons}}'", "'{{0}}'"]),
    "xby": ("bytea[][]", ["ARRAY[['\\x00ff'::bytea], [''::bytea]]", "'{}'"]),
    "xj": ("jsonb[][]", ["ARRAY[['{\"a\": [1, \"x\"]}'::jsonb, 'null']]", "'{}'"]),
    "xm": ("{s}.mood[][]", ["ARRAY[['sad', 'so, so'], [NULL, 'back\\slash']]::{s}.mood[][]", "'{}'"]),
    "xs": ("{s}.spot[][]", ["ARRAY[[ROW(1, 'a\"\\,')::{s}.spot, NULL]]", "'{}'"]),
    "xx": ("box[][]", ["ARRAY[['(1,2),(0,0)'::box], ['(3,3),(1,1)'::box]]", "'{}'"]),
    "ln": ("{s}.line", ["'{1,2}'", "'{}'", "'{NULL,3}'"]),
    "gr": ("{s}.grid", ["'{{1,2},{3,4}}'", "'{}'", "'[0:0]={7}'"]),
    "named": ("int[]", ["'{{1,2},{3,4}}'", "'{1}'", "'[0:1]={1,2}'", "'{}'"]),
}
LARGE = {
    # arrays that are large enough to lie out of line, so that an update of another column leaves them out (P2)
    "l_n": ("numeric[]", "(SELECT array_agg(x * 1.5 + {k}) FROM generate_series(1, 3000) x)"),
    "l_r": ("real[]", "(SELECT array_agg(x + {k}) FROM generate_series(1, 3000) x)"),
    "l_b": ("boolean[]", "(SELECT array_agg(x % 3 = {k} % 3) FROM generate_series(1, 9000) x)"),
    "l_ts": (
        "timestamp[]",
        "(SELECT array_agg('2024-01-01'::timestamp + {k} * x * interval '1 s') FROM generate_series(1, 3000) x)",
    ),
    "l_i": ("smallint[]", "(SELECT array_agg((x + {k})::smallint) FROM generate_series(1, 9000) x)"),
    "l_m": ("{s}.mood[]", "(SELECT array_agg('ok'::{s}.mood) FROM generate_series(1, 9000) x WHERE {k} > 0)"),
    "l_x": ("int[][]", "(SELECT ARRAY[array_agg(x), array_agg(x + {k})] FROM generate_series(1, 3000) x)"),
    "l_s": ("{s}.spot", "ROW({k}, repeat('xyz{k}', 3000))::{s}.spot"),
    "l_v": ("bit varying", "repeat('01{k}', 9000)::bit varying"),
}


def postgres_row(key: int, round_: int) -> str:
    small = (values[(key + round_) % len(values)] for _, values in POSTGRES.values())
    bit = str(key % 2)
    return ", ".join([str(key), str(round_), *small, *(made.replace("{k}", bit) for _, made in LARGE.values())])


def as_text(document: dict[str, Any]) -> None:
    for table in document["sources"][0]["tables"]:
        table["text"] = ["named"]


def rows(table: str, keys: range, round_: int) -> str:
    return f"INSERT INTO {{s}}.{table} VALUES " + ", ".join(f"({postgres_row(key, round_)})" for key in keys)


def both_ways(document: dict[str, Any]) -> None:
    for table in document["sources"][0]["tables"]:
        table["snapshot"] = "connector" if table["source"].endswith("snapped") else "load"


def quarantined(shop: Shop) -> list[dict[str, object]]:
    return json.loads(shop.command("quarantine", "list", "--json"))


@pytest.mark.parametrize("form", ["avro", pytest.param("json", marks=pytest.mark.campaign)])
def test_every_value_of_postgres_is_as_the_server_prints_it(
    request: pytest.FixtureRequest, tmp_path: Path, form: str
) -> None:
    """P2, P37, P39, P51, P58, P59, P62, K15, T3, T11, T14, T15."""
    stack = stack_for(request, "postgres")
    database = Database(stack.addresses(), "postgres", "exact_pg", 96)
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in {**POSTGRES, **LARGE}.items())

    def settings(document: dict[str, Any]) -> None:
        document["sources"][0]["format"] = form
        both_ways(document)
        as_text(document)

    with shop_of(Shop, stack, tmp_path, database, WAYS, settings) as shop:
        shop.sql(*POSTGRES_TYPES)
        for way in WAYS:
            made = f"CREATE TABLE {{s}}.{way} (id int PRIMARY KEY, round int, {columns})"
            external = ", ".join(f"ALTER {name} SET STORAGE EXTERNAL" for name in LARGE)
            shop.sql(made, f"ALTER TABLE {{s}}.{way} {external}", rows(way, range(1, 5), 0))
        database.publish(shop.service)
        shop.command("connectors", "apply", shop.name)
        shop.service.start()
        shop.await_states(dict.fromkeys(WAYS, "running"), rows=4)
        shop.service.await_equal()
        for way in WAYS:
            shop.sql(
                rows(way, range(5, 9), 1),
                f"INSERT INTO {{s}}.{way} (id, round) VALUES (9, 0)",
                f"UPDATE {{s}}.{way} SET round = 2 WHERE id IN (2, 5)",
                f"DELETE FROM {{s}}.{way} WHERE id = 3",
            )
        shop.service.await_equal()
        shop.sql(
            "INSERT INTO {s}.loaded (id, i2) VALUES (20, '{{1,2},{3,4}}')", "INSERT INTO {s}.loaded (id) VALUES (21)"
        )
        await_true(lambda: len(quarantined(shop)) == 1, 60, "an array of arrays is in the quarantine")
        assert "column i2 does not fit a list: `text: [i2]`" in json.dumps(quarantined(shop))
        shop.sql("DELETE FROM {s}.loaded WHERE id = 20")
        shop.await_states(dict.fromkeys(WAYS, "running"))


@pytest.mark.campaign
@pytest.mark.parametrize("form", ["avro", "json"])
def test_a_list_whose_values_have_several_dimensions_is_made_text(
    request: pytest.FixtureRequest, tmp_path: Path, form: str
) -> None:
    """What was declared with one dimension, and what was added while the connector runs: named, and mended by reset."""
    stack = stack_for(request, "postgres")
    database = Database(stack.addresses(), "postgres", f"made_text_{form}", 95)

    def settings(document: dict[str, Any]) -> None:
        document["sources"][0]["format"] = form
        document["stream"]["reload_interval"] = "2s"

    def named(document: dict[str, Any]) -> None:
        document["sources"][0]["tables"][0]["text"] = ["m"]

    with shop_of(Shop, stack, tmp_path, database, ("grids", "calm"), settings) as shop:
        for table in ("grids", "calm"):
            shop.sql(
                f"CREATE TABLE {{s}}.{table} (id int PRIMARY KEY, m int[])",
                f"INSERT INTO {{s}}.{table} VALUES (1, '{{1}}')",
            )
        database.publish(shop.service)
        shop.command("connectors", "apply", shop.name)
        shop.service.start()
        shop.await_states({"grids": "running", "calm": "running"}, rows=1)
        shop.sql("INSERT INTO {s}.grids VALUES (2, '{{1,2},{3,4}}')")
        await_true(lambda: len(quarantined(shop)) == 1, 60, "an array of arrays is in the quarantine")
        reconfigure(shop.service, named)
        await_true(lambda: has_line(shop.service.log, "sent_as_list"), 60, "the connector has yet to be told")
        shop.command("connectors", "apply", shop.name)
        shop.sql("INSERT INTO {s}.grids VALUES (3, '{5}')", "INSERT INTO {s}.calm VALUES (3, '{5}')")
        found = shop.await_states({"grids": "stopped", "calm": "running"})
        assert "cdc tables reset" in found["grids"]["detail"]
        shop.tables("reset", "grids", why="a test")
        shop.await_states({"grids": "running"}, rows=3)
        shop.sql("INSERT INTO {s}.grids VALUES (4, '[0:0]={7}')")
        shop.service.await_equal()
        assert not quarantined(shop)


MYSQL = {
    "j": (
        "json",
        [
            "JSON_OBJECT('t', CAST('-12:00:01' AS TIME), 'u', CAST('838:59:58.999999' AS TIME(6)))",
            "JSON_ARRAY(CAST('2024-02-29 01:02:03.5' AS DATETIME(6)), CAST('2024-02-29' AS DATE), NULL, true)",
            "CAST(CAST('-00:00:00.5' AS TIME(6)) AS JSON)",
            "JSON_OBJECT('b', x'00ff10', 'd', 1.50, 'e', 1e-7, 's', 'a\"\\\\\u00fc', 'n', 18446744073709551615)",
            "'\"just text\"'",
            "'null'",
        ],
    ),
    "z": ("decimal(8,2) unsigned zerofill", ["1.5", "0", "999999.99"]),
    "e": ("enum('a', 'b,c', 'd''e', 'f\\\\g')", ["'a'", "'b,c'", "'d''e'", "'f\\\\g'"]),
    "s": ("set('x', 'y z')", ["'x,y z'", "''", "'y z'"]),
    "y": ("year", ["2024", "0", "1901"]),
    "b": ("boolean", ["7", "0", "1"]),
    "bt": ("bit(12)", ["b'1'", "b'0'", "b'101010101010'"]),
}


def mysql_rows(table: str, keys: range, round_: int, extra: str = "") -> str:
    def row(key: int) -> str:
        return ", ".join([str(key), str(round_), *(v[(key + round_) % len(v)] for _, v in MYSQL.values())]) + extra

    return f"INSERT INTO {{s}}.{table} VALUES " + ", ".join(f"({row(key)})" for key in keys)


@pytest.mark.campaign
def test_every_value_of_mysql_is_as_the_server_prints_it(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """M19, M35, T20."""
    stack = stack_for(request, "mysql")
    database = Database(stack.addresses(), "mysql", "exact_my", 97)
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in MYSQL.items())

    with shop_of(Shop, stack, tmp_path, database, WAYS, both_ways) as shop:
        for way in WAYS:
            kinds = columns if way == "loaded" else columns.replace(" zerofill", "")  # the driver fails on it
            shop.sql(
                f"CREATE TABLE {{s}}.{way} (id int PRIMARY KEY, round int, {kinds})", mysql_rows(way, range(1, 8), 0)
            )
        shop.command("connectors", "apply", shop.name)
        shop.service.start()
        shop.await_states(dict.fromkeys(WAYS, "running"), rows=7)
        shop.service.await_equal()
        for way in WAYS:
            shop.sql(
                mysql_rows(way, range(11, 19), 1),
                f"UPDATE {{s}}.{way} SET round = 2 WHERE id IN (2, 5)",
                f"ALTER TABLE {{s}}.{way} ADD COLUMN later BOOLEAN",
                mysql_rows(way, range(21, 24), 2, ", 7"),
                f"DELETE FROM {{s}}.{way} WHERE id = 3",
            )
        shop.service.await_equal()
