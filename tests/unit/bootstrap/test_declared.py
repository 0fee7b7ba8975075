"""What the sources declare, put into the configuration."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.bootstrap.declared import Completion, as_declared
from cdc.bootstrap.specs import spec_of, specs_of
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.connect.render import render
from cdc.core.errors import ConfigError, PreflightError, TransientError
from cdc.core.listing import Kind, ListedTable, UniqueIndex
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceColumn, SourceTable
from tests.fakes.configuration import MYSQL, POSTGRES, configuration


def listed(
    name: str, *key: str, schema: str = "public", kind: Kind = Kind.TABLE, unfit: str = "", in_log: bool = True
) -> ListedTable:
    """Return a table, with a primary key or without any index; its log may lack the key."""
    columns = tuple(SourceColumn(column, "bigint", nullable=False, generated=False) for column in ("id", "line", "n"))
    indexes = (UniqueIndex("pkey", key, primary=True),) if key else ()
    unique, identity = frozenset(frozenset(index.columns) for index in indexes), None if in_log else frozenset[str]()
    findings = (Finding(unfit, f"{name} is {unfit}", "mend it"),) if unfit else ()
    return ListedTable(SourceTable(TableName(schema, name), columns, unique, identity), kind, indexes, findings)


class Rig:
    """A completion over databases that hold what the test says, and are away when it says so."""

    def __init__(self, *tables: ListedTable) -> None:
        self.tables: Sequence[ListedTable] = tables
        self.away: PreflightError | TransientError | None = None
        self.asked: list[str] = []
        self.completion = Completion(self._listed)

    def _listed(self, source: SourceConfig) -> Sequence[ListedTable]:
        self.asked.append(source.name)
        if self.away:
            raise self.away
        return self.tables

    def keys(self, config: Config) -> dict[str, tuple[str, ...]]:
        return {str(t.source): t.key for s in self.completion.of(config).config.sources for t in s.tables}


def source(*tables: dict[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(POSTGRES), "tables": list(tables)}


WITHOUT = configuration(source({"source": "public.orders"}, {"source": "public.lines", "key": ["n"]}))
ORDERS, LINES = listed("orders", "id"), listed("lines", "id", "line")


def test_a_key_that_is_not_configured_is_the_primary_key() -> None:
    assert Rig(ORDERS, LINES).keys(WITHOUT) == {"public.orders": ("id",), "public.lines": ("n",)}


def test_who_configures_every_key_is_asked_nothing() -> None:
    rig = Rig()
    config = configuration(POSTGRES, MYSQL)
    assert rig.completion.of(config).strict() == config
    assert rig.asked == []


def test_a_table_without_a_key_is_not_captured_and_takes_nothing_with_it() -> None:
    config = Rig(listed("orders"), LINES).completion.of(WITHOUT).strict()
    (shop,) = config.sources
    assert [spec.target.table for spec in specs_of(shop)] == ["lines"]
    settings = render(shop, config)
    assert settings["table.include.list"] == r"public\.lines"
    assert settings["message.key.columns"] == r"public\.lines:n"
    with pytest.raises(PreflightError, match="orders has no key"):
        spec_of(shop, shop.tables[0])


def test_a_connector_of_no_table_would_capture_all_of_them() -> None:
    config = Rig().completion.of(configuration(source({"source": "public.orders"}))).strict()
    with pytest.raises(ConfigError, match="no table with a key yet"):
        render(config.sources[0], config)


def test_a_source_that_is_away_is_told_and_its_tables_wait() -> None:
    rig = Rig(ORDERS, LINES)
    rig.away = TransientError("source 'shop': no answer", hint="is it up?")
    completed = rig.completion.of(WITHOUT)
    with capture_logs() as logs:
        assert rig.completion.tell(completed).sources[0].tables[0].key == ()
    said = [(entry["log_level"], entry["pipeline"], entry["error"], entry["hint"]) for entry in logs]
    assert said == [("warning", "shop", "source 'shop': no answer", "is it up?")]
    with pytest.raises(TransientError, match="no answer"):
        completed.strict()


def test_a_database_that_was_away_for_a_moment_took_its_tables_out() -> None:
    rig = Rig(ORDERS, LINES)
    before = rig.keys(WITHOUT)
    rig.away = TransientError("no answer")
    assert rig.keys(WITHOUT) == before
    rig.away, rig.tables = None, (listed("orders"), LINES)  # its primary key was dropped
    assert rig.keys(WITHOUT) == {"public.orders": (), "public.lines": ("n",)}


def test_arrays_of_several_dimensions_are_text_and_so_are_those_that_are_named() -> None:
    tables = (
        {"source": "public.orders", "key": ["id"], "text": ["named", "n"]},
        {"source": "public.lines", "key": ["n"]},
    )
    config = configuration(source(*tables))
    kinds = {"grid": "integer[][]", "named": "integer[]", "list": "integer[]", "n": "integer"}
    columns = tuple(SourceColumn(name, kind, nullable=True, generated=False) for name, kind in kinds.items())
    (shop,) = config.sources
    orders, lines = as_declared(shop, [ORDERS.table._replace(columns=columns)]).tables
    assert (orders.text, lines.text) == (("grid", "named"), ())
    away = as_declared(shop, [])
    assert away == shop


EVERYTHING = configuration(
    source(
        {"source": "public.*", "exclude": ["public.tmp_*", "public.secrets"], "partition_by": ["bucket(4, id)"]},
        {"source": "public.lines", "key": ["n"], "target": "sales.lines"},
        {"source": "sales.*"},
    )
)


def names(config: Config) -> list[str]:
    return [str(table.source) for table in config.sources[0].tables]


def test_a_pattern_is_all_tables_that_it_fits_but_for_those_with_an_entry_of_their_own() -> None:
    rig = Rig(ORDERS, LINES, listed("tmp_1", "id"), listed("secrets", "id"), listed("orders", "id", schema="sales"))
    completed = rig.completion.of(EVERYTHING)
    (shop,) = completed.strict().sources
    assert [(str(shop.target_of(table)), table.key, table.partition_by) for table in shop.tables] == [
        ("sales.lines", ("n",), ()),
        ("shop.orders", ("id",), ("bucket(4, id)",)),
        ("shop.sales_orders", ("id",), ()),
    ]
    assert completed.left_out == {"shop": []}
    assert len(shop.captured) == 3


def test_what_cannot_be_captured_is_named_with_its_reason_and_takes_nothing_with_it() -> None:
    rig = Rig(
        ORDERS,
        listed("log"),
        listed("seen", kind=Kind.VIEW, unfit="not_a_table"),
        listed("mute", "id", in_log=False),
        listed("orders_2025", "id", kind=Kind.PARTITION),  # captured through its table
    )
    completed = rig.completion.of(EVERYTHING)
    assert names(completed.config) == ["public.lines", "public.orders"]
    found = [(str(one.table), one.name, one.fatal) for one in completed.left_out["shop"]]
    assert found == [(f"public.{name}", "not_captured", False) for name in ("log", "mute", "seen")]
    assert "table public.log is not captured: " in completed.left_out["shop"][0].what
    with capture_logs() as logs:
        rig.completion.tell(completed)
        rig.completion.tell(rig.completion.of(EVERYTHING))
    assert [entry["table"] for entry in logs] == ["public.log", "public.mute", "public.seen"]  # once


def test_a_table_whose_target_another_one_has_is_left_out() -> None:
    rig = Rig(ORDERS, listed("sales_orders", "id"), listed("orders", "id", schema="sales"))
    completed = rig.completion.of(EVERYTHING)
    assert names(completed.config) == ["public.lines", "public.orders", "public.sales_orders"]
    (remark,) = completed.left_out["shop"]
    assert "public.sales_orders of shop and sales.orders of shop would both be written to" in remark.what
    late = Rig(listed("orders", "id", schema="sales"))
    late.completion.of(EVERYTHING)
    late.tables = rig.tables
    assert names(late.completion.of(EVERYTHING).config) == ["public.lines", "public.orders", "sales.orders"]


def test_what_comes_later_is_taken_in_and_what_went_stays_to_be_missed() -> None:
    rig = Rig(ORDERS)
    assert names(rig.completion.of(EVERYTHING).config) == ["public.lines", "public.orders"]
    rig.tables = (listed("invoices", "id"),)
    assert names(rig.completion.of(EVERYTHING).config) == ["public.lines", "public.invoices", "public.orders"]
    rig.tables = (listed("invoices"), ORDERS)  # its primary key was dropped, for the watch to find
    assert rig.keys(EVERYTHING) == {"public.lines": ("n",), "public.invoices": ("id",), "public.orders": ("id",)}
    rig.away = TransientError("no answer")
    assert names(rig.completion.of(EVERYTHING).config) == ["public.lines", "public.invoices", "public.orders"]
    fewer = configuration(source({"source": "public.inv*"}))
    assert names(rig.completion.of(fewer).config) == ["public.invoices"]


def test_a_source_of_patterns_that_is_away_at_the_start_has_no_tables_yet() -> None:
    rig = Rig(ORDERS)
    rig.away = TransientError("no answer")
    config = configuration(source({"source": "public.*"}))
    assert names(rig.completion.of(config).config) == []
    rig.away = None
    assert names(rig.completion.of(config).config) == ["public.orders"]
