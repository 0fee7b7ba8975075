"""What `cdc init` says at its end."""

import json
from pathlib import Path

from cdc.cli.first_steps import Files, Steps, document_of, told
from cdc.core.listing import Kind, Server
from cdc.core.preflight import Finding
from tests.fakes.listed import found, listed

HERE = Files(Path("cdc.yaml"), Path("shop-setup.sql"))
FILE = "${file:/run/it's}"


def said(steps: Steps) -> list[str]:
    return list(told(steps, ()))


def commands(steps: Steps) -> list[str]:
    lines = said(steps)
    return [line.strip() for line in lines[lines.index("next:") + 1 :]]


def test_what_is_captured_and_what_is_not_is_named() -> None:
    view = listed("seen", kind=Kind.VIEW, findings=(Finding("not_a_table", "it is a view", "look behind it"),))
    lines = said(Steps(found(listed("orders", generated=("total",)), view), HERE))
    assert lines[0] == "PostgreSQL 17.6 at db.example.com:5432, database my_shop: 1 of 2 tables are captured"
    assert "  public.orders: key id, without total" in lines
    assert "  not_a_table: it is a view; look behind it" in lines
    assert "wrote cdc.yaml and shop-setup.sql" in lines


def test_the_next_commands_are_complete_and_hold_no_password() -> None:
    assert commands(Steps(found(listed("orders"), password=FILE), HERE)) == [
        "psql postgres://admin@db.example.com:5432/my_shop --file shop-setup.sql",
        "cdc doctor",
        "cdc connectors apply",
        "cdc stream",
        "cdc status --watch",
        "cdc verify",
    ]


def test_a_password_in_the_environment_has_to_be_chosen_first() -> None:
    files = Files(Path("a b.yaml"), Path("a b.sql"))
    first, second, third, *_ = commands(Steps(found(listed("orders")), files))
    assert first.startswith("export CDC_SHOP_PASSWORD=")
    assert second.endswith(" --file 'a b.sql'")
    assert third == "cdc doctor --config 'a b.yaml'"


def test_mysql_gets_the_password_before_its_statements() -> None:
    steps = Steps(found(listed("orders", "my_shop"), kind="mysql", server=Server("MySQL 8", ()), password=FILE), HERE)
    assert commands(steps)[0] == (
        """{ echo "SET @password = '$(cat '/run/it'"'"'s')';"; cat shop-setup.sql; } | """
        "mysql --host db.example.com --port 3306 --user admin --password"
    )


def test_what_nobody_has_chosen_is_said() -> None:
    wrong = Finding("wal_level", "wal_level is replica", "set it")
    lines = said(
        Steps(found(listed("orders"), server=Server("PostgreSQL 17.6", (wrong,), role=True)), HERE, ["kafka:9092"])
    )
    assert "wrong: wal_level is replica; set it" in lines
    assert any("kafka:9092 are examples" in line for line in lines)
    assert any("is there already; its password has to be the one in ${env:CDC_SHOP_PASSWORD}" in line for line in lines)


def test_machines_are_told_the_same() -> None:
    document = document_of(Steps(found(listed("orders"), listed("none", indexed=False)), HERE), written=True)
    assert json.loads(json.dumps(document))["files"] == ["cdc.yaml", "shop-setup.sql"]
    assert [one["table"] for one in document["captured"]] == ["public.orders"]
    assert [(one["table"], one["name"]) for one in document["unfit"]] == [("public.none", "key_not_unique")]
