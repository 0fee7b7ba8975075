"""Capture: what keeps a load from beginning, and when the connector has passed a position."""

import re

import pytest

from cdc.connect.render import render, table_pattern
from cdc.core.errors import PreflightError
from cdc.core.names import TableName
from cdc.core.preflight import Retained
from cdc.pipeline.capture import Capture
from tests.fakes.configuration import MYSQL, POSTGRES, configuration
from tests.fakes.connect import FakeClock, FakeConnect, FakeLog, FakeTopics

CUSTOMERS, ITEMS = TableName("public", "customers"), TableName("public", "Order. Items")
LSN = 0x16_0300_2D50


class Rig:
    """A connector that captures two tables and has come to a commit."""

    def __init__(self, source=POSTGRES):
        self.config = configuration(source)
        self.source = self.config.sources[0]
        self.connect, self.topics, self.log, self.clock = FakeConnect(), FakeTopics(), FakeLog(), FakeClock()
        self.capture = Capture(self.connect, self.topics, lambda _source: self.log, table_pattern, clock=self.clock)
        self.connect.put(self.source.name, render(self.source, self.config))
        self.connect.stored[self.source.name] = [{"lsn_commit": LSN}]

    def lacking(self, *tables):
        return self.capture.lacking(self.source, tables or (CUSTOMERS, ITEMS))

    def settled(self):
        """Let so much time pass that a replaced task is surely gone."""
        self.lacking()
        self.clock.sleep(7)
        return self

    def without(self, table):
        """Return the connector's settings as they were before the table came."""
        settings = self.connect.connectors[self.source.name]
        kept = [one for one in settings["table.include.list"].split(",") if one != table_pattern(table)]
        return settings | {"table.include.list": ",".join(kept)}


def test_nothing_is_lacking_once_a_replaced_task_is_surely_gone():
    """S13: a task that left the table out works on while Connect shows the settings of the new one."""
    rig = Rig()
    assert rig.lacking() == {
        CUSTOMERS: "a task that left public.customers out may run for up to 7 s more",
        ITEMS: 'a task that left public."Order. Items" out may run for up to 7 s more',
    }
    rig.clock.sleep(6.9)
    assert rig.lacking().keys() == {CUSTOMERS, ITEMS}
    rig.clock.sleep(0.1)
    assert rig.lacking() == {}


def test_a_connector_that_is_not_there_is_named_with_the_command():
    rig = Rig().settled()
    rig.connect.delete("shop")
    assert rig.lacking(CUSTOMERS) == {CUSTOMERS: "connector 'shop' is not registered: cdc connectors apply shop"}
    assert rig.capture.trouble(rig.source) == "connector 'shop' is not registered: cdc connectors apply shop"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("FAILED", r"connector 'shop' failed: .*PSQLException.*: mend the cause, then cdc connectors restart shop"),
        ("PAUSED", r"connector 'shop' is paused: cdc connectors resume shop"),
        ("STOPPED", r"connector 'shop' is stopped: cdc connectors resume shop"),
    ],
)
def test_a_connector_that_does_not_work_is_trouble(state, reason):
    rig = Rig().settled()
    rig.connect.states.extend([state] * 2)
    assert rig.lacking().keys() == {CUSTOMERS, ITEMS}
    trouble = rig.capture.trouble(rig.source)
    assert trouble
    assert "hunter2" not in trouble
    assert re.fullmatch(reason, trouble)


@pytest.mark.parametrize("state", ["UNASSIGNED", "RESTARTING", "RUNNING"])
def test_what_passes_by_itself_is_no_trouble(state):
    rig = Rig().settled()
    rig.connect.states.append(state)
    assert rig.capture.trouble(rig.source) == ""


def test_a_table_that_the_connector_leaves_out_lacks_it_alone():
    rig = Rig().settled()
    rig.connect.connectors["shop"] = rig.without(ITEMS)
    assert rig.lacking() == {ITEMS: """connector 'shop' leaves public."Order. Items" out: cdc connectors apply shop"""}


def test_a_table_that_came_later_waits_for_its_task_and_for_the_end_of_the_old_one():
    rig = Rig().settled()
    rig.connect.old_tasks["shop"] = [rig.without(ITEMS)]
    assert rig.lacking() == {ITEMS: """the task of connector 'shop' has not begun with public."Order. Items" yet"""}
    del rig.connect.old_tasks["shop"]
    assert rig.lacking() == {ITEMS: 'a task that left public."Order. Items" out may run for up to 7 s more'}
    rig.clock.sleep(7)
    assert rig.lacking() == {}


def test_a_connector_without_a_task_captures_nothing_yet():
    rig = Rig().settled()
    rig.connect.old_tasks["shop"] = []
    assert "has not begun with public.customers yet" in rig.lacking()[CUSTOMERS]


@pytest.mark.parametrize(
    "stored", [[], [None], [{"lsn": LSN}], [{"lsn": LSN, "lsn_commit": LSN, "snapshot": "INITIAL"}]]
)
def test_without_a_position_of_its_own_a_connector_may_begin_anywhere(stored):
    """P32: a snapshot begins further on than its slot, and what changed between in other tables is not sent (tried)."""
    rig = Rig().settled()
    rig.connect.stored["shop"] = stored
    assert "has stored no position yet" in rig.lacking()[CUSTOMERS]
    assert not rig.capture.passed(rig.source, "0/1")


def test_what_the_database_withholds_is_said():
    rig = Rig().settled()
    rig.log.reasons = {ITEMS: "table is not in publication 'cdc_shop': ALTER PUBLICATION"}
    assert rig.lacking() == {ITEMS: "table is not in publication 'cdc_shop': ALTER PUBLICATION"}


def test_transactions_that_wrote_before_the_table_was_published_have_to_end():
    """What they wrote is not sent though they commit later (tried on 17.6); others that write later may stay open."""
    rig = Rig()
    rig.log.reasons = {CUSTOMERS: "not published"}
    rig.settled()
    assert rig.lacking(CUSTOMERS) == {CUSTOMERS: "not published"}
    rig.log.reasons = {}
    rig.log.open = {"3/17", "4/9"}
    assert rig.lacking(CUSTOMERS)[CUSTOMERS].endswith("have written to it: 2")
    rig.log.open = {"4/9", "5/1"}
    assert rig.lacking(CUSTOMERS)[CUSTOMERS].endswith("have written to it: 1")
    rig.log.open = {"5/1", "5/2"}
    assert rig.lacking(CUSTOMERS) == {}


def test_a_table_that_may_not_be_read_or_is_gone_keeps_no_other_from_its_load():
    """One table without its privilege ended the load of all ten."""
    rig = Rig().settled()
    rig.log.unfit = {CUSTOMERS: PreflightError("role 'cdc' may not read it", hint="GRANT SELECT")}
    assert rig.lacking() == {CUSTOMERS: "role 'cdc' may not read it; GRANT SELECT"}
    rig.log.unfit = {}
    assert rig.lacking() == {}


@pytest.mark.parametrize(("high", "passed"), [("16/3002D4F", True), ("16/3002D50", True), ("16/3002D51", False)])
def test_a_position_is_passed_when_the_stored_one_is_at_or_behind_it(high, passed):
    rig = Rig()
    assert rig.capture.passed(rig.source, high) is passed


def test_mysql_is_passed_only_behind_the_transaction():
    rig = Rig(MYSQL)
    within = {"file": "binlog.000009", "pos": 3289, "event": 2, "row": 1}
    rig.connect.stored["store"] = [within]
    assert not rig.capture.passed(rig.source, "binlog.000009:3503 81a68bbf-e91b-11f1-a4ef-02fc00000001:1-14")
    rig.connect.stored["store"] = [within | {"pos": 3503}]
    assert rig.capture.passed(rig.source, "binlog.000009:3503")
    rig.connect.stored["store"] = [within | {"file": "binlog.000010", "pos": 4}]
    assert rig.capture.passed(rig.source, "binlog.000009:3503")


def test_what_keeps_changes_for_too_short_a_time_is_named():
    rig = Rig()
    rig.log.kept = [Retained("replication slot 'cdc_shop'", 10_000.0, "raise max_slot_wal_keep_size")]
    rig.topics.topics = {"shop.public.customers": {"retention.ms": "4000000"}, "other": {"retention.ms": "1"}}
    assert rig.capture.retention(rig.source, 2000) == []
    short = rig.capture.retention(rig.source, 2001)
    assert [(one.name, one.fatal) for one in short] == [("retention", False)]
    assert "topic 'shop.public.customers' keeps changes for about 4000 s" in short[0].what
    assert len(rig.capture.retention(rig.source, 5001)) == 2
    rig.topics.topics = {"shop.public.customers": {"retention.ms": "-1"}}
    assert [one.hint for one in rig.capture.retention(rig.source, 1e9)] == ["raise max_slot_wal_keep_size"]
