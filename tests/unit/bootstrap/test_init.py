"""The files of a first configuration: valid, complete, and safe whatever the names are."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from cdc.bootstrap.init import Found, documents
from cdc.config.first_services import own_services
from cdc.config.models import Config
from cdc.core.errors import ConfigError
from cdc.core.listing import Kind, Server
from cdc.core.names import TableName
from cdc.core.preflight import Finding, check_generated
from cdc.core.proposal import Proposed
from tests.fakes.listed import CODES, LATE, found, listed


def files(what: Found) -> tuple[Config, str, str]:
    services = own_services("k:9", "http://r/apis/ccompat/v7", "http://c", "http://i", "lake", Path("/x"))
    config, sql = documents(what, services)
    return Config.model_validate(yaml.safe_load(config)), config, sql


def statements(sql: str) -> list[str]:
    return [line for line in sql.splitlines() if line and not line.startswith("--")]


ODD = ('a"b', "new\nline", "co,mma", "Item No", "ünï", "a.b", "#hash", "${x}", "$$", "yes", "it's")


def test_odd_names_survive_both_files() -> None:
    config, text, sql = files(found(*(listed(name, generated=("so, odd",)) for name in ODD)))
    assert {table.source.table for table in config.sources[0].tables} == set(ODD)
    assert "hidden" not in text + sql
    assert not re.search(r"\$\{(role|database|schema|owner|publication|tables|password)\}", sql)
    assert 'CREATE ROLE "r""o" ' in sql
    assert ":'password'" in sql


def test_generated_columns_are_left_out_as_preflight_wants_it() -> None:
    tables = [listed(name, generated=("so, odd", "total")) for name in ("plain", "Order. Items")]
    config, _, _ = files(found(*tables))
    setting = config.sources[0].connector["column.exclude.list"]
    for table in tables:
        assert check_generated(table.table, setting) == []


def test_tables_of_the_same_name_get_targets_of_their_own() -> None:
    config, _, _ = files(found(listed("orders"), listed("orders", "sales"), listed("Orders", "sales")))
    source = config.sources[0]
    targets = [str(source.target_of(table)) for table in source.tables]
    assert targets == ["shop.orders", "shop.sales_orders", "shop.sales_orders_2"]


def test_what_is_not_captured_stands_in_the_file_with_its_reason() -> None:
    view = listed("seen\nDROP", kind=Kind.VIEW, findings=(Finding("not_a_table", "it is\na view", "what\nis behind"),))
    config, text, _ = files(found(listed("orders"), view))
    assert [str(table.source) for table in config.sources[0].tables] == ["public.orders"]
    assert "# not_a_table: it is a view; what is behind" in text


def test_grants_are_made_for_each_schema_and_its_owner() -> None:
    _, _, sql = files(found(listed("orders"), listed("stock", "sales")))
    for schema in ("public", "sales"):
        assert f'GRANT USAGE ON SCHEMA "{schema}" TO "r""o";' in statements(sql)
        assert any(f'FOR ROLE "owner of {schema}" IN SCHEMA "{schema}"' in line for line in statements(sql))
    assert statements(sql)[-2].startswith('CREATE PUBLICATION "cdc_shop" FOR TABLE "public"."orders", "sales"."stock"')
    assert statements(sql)[:3] == [r"\set ON_ERROR_STOP on", r"\getenv password CDC_SHOP_PASSWORD", "BEGIN;"]


def test_keys_that_the_log_lacks_are_put_into_it() -> None:
    tables = [
        listed("none", identity=frozenset()),
        listed("codes", index=CODES, identity=frozenset()),
        listed("late", index=LATE, identity=frozenset()),
        listed("whole", index=CODES, identity=frozenset()),
        listed("part", index=CODES, kind=Kind.PARTITION, parent="whole"),
        listed("fine"),
    ]
    _, _, sql = files(found(*tables))
    assert [line for line in statements(sql) if "REPLICA IDENTITY" in line] == [
        'ALTER TABLE "public"."none" REPLICA IDENTITY DEFAULT;',
        'ALTER TABLE "public"."codes" REPLICA IDENTITY USING INDEX "by code";',
        'ALTER TABLE "public"."late" REPLICA IDENTITY FULL;',
        'ALTER TABLE "public"."whole" REPLICA IDENTITY FULL;',
        'ALTER TABLE "public"."part" REPLICA IDENTITY FULL;',
    ]


def test_a_role_and_a_publication_that_are_there_are_not_made_again() -> None:
    server = Server("PostgreSQL 17.6", (), role=True, published=frozenset({TableName("public", "orders")}))
    _, _, sql = files(found(listed("orders"), listed("late"), server=server))
    assert not [line for line in statements(sql) if line.startswith(("CREATE ROLE", "CREATE PUBLICATION"))]
    assert 'ALTER PUBLICATION "cdc_shop" ADD TABLE "public"."late";' in statements(sql)


def test_a_password_in_a_file_is_read_by_psql_itself() -> None:
    path = "/run/it's/here"
    _, _, sql = files(found(listed("orders"), password=f"${{file:{path}}}"))
    assert rf"\set password `cat {shlex.quote(path)}`" in sql


def test_mysql_takes_the_password_from_a_variable() -> None:
    config, _, sql = files(found(listed("orders", "my_shop"), kind="mysql", server=Server("MySQL 8", ()), role="it's"))
    assert config.sources[0].type == "mysql"
    assert statements(sql)[:4] == [
        "SET @statement = CONCAT('CREATE USER IF NOT EXISTS ''it''''s''@''%'' IDENTIFIED BY ', QUOTE(@password), "
        "' WITH MAX_USER_CONNECTIONS 10');",
        "PREPARE made FROM @statement;",
        "EXECUTE made;",
        "DEALLOCATE PREPARE made;",
    ]
    assert r"GRANT SELECT ON `my\_shop`.* TO 'it''s'@'%';" in statements(sql)


@pytest.mark.parametrize("wrong", [{"name": "No"}, {"password": "hidden"}])
def test_what_is_no_configuration_is_refused_and_no_secret_shown(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        files(found(listed("orders"), **wrong))
    assert "hidden" not in str(refused.value)


def test_a_table_without_remarks_is_two_lines() -> None:
    what = found(listed("orders"))
    assert isinstance(what.tables[0], Proposed)
    _, text, _ = files(what)
    assert text.endswith("    tables:\n      - source: public.orders\n        key: [id]\n")
