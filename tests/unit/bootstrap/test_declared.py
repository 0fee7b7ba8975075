"""What the sources declare, put into the configuration."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.bootstrap.declared import Completion
from cdc.bootstrap.specs import spec_of, specs_of
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.connect.render import render
from cdc.core.errors import ConfigError, PreflightError, TransientError
from cdc.core.listing import Kind, ListedTable, UniqueIndex
from cdc.core.names import TableName
from cdc.core.preflight import SourceColumn, SourceTable
from tests.fakes.configuration import MYSQL, POSTGRES, configuration


def listed(name: str, *key: str) -> ListedTable:
    """Return a table of the schema public, with a primary key or without any index."""
    columns = tuple(SourceColumn(column, "bigint", nullable=False, generated=False) for column in ("id", "line", "n"))
    indexes = (UniqueIndex("pkey", key, primary=True),) if key else ()
    table = SourceTable(TableName("public", name), columns, frozenset(frozenset(i.columns) for i in indexes), None)
    return ListedTable(table, Kind.TABLE, indexes)


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
        assert completed.tell().sources[0].tables[0].key == ()
    assert [(entry["log_level"], entry["pipeline"], entry["tables"]) for entry in logs] == [
        ("warning", "shop", ["public.orders"])
    ]
    with pytest.raises(TransientError, match="no answer"):
        completed.strict()


def test_a_database_that_was_away_for_a_moment_took_its_tables_out() -> None:
    rig = Rig(ORDERS, LINES)
    before = rig.keys(WITHOUT)
    rig.away = TransientError("no answer")
    assert rig.keys(WITHOUT) == before
    rig.away, rig.tables = None, (listed("orders"), LINES)  # its primary key was dropped
    assert rig.keys(WITHOUT) == {"public.orders": (), "public.lines": ("n",)}
