"""The watch of a source: what it names, whom it tells, and what it restarts."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from cdc.connect.render import render, table_pattern
from cdc.core.errors import PreflightError, TerminalError, TransientError
from cdc.core.names import TableName, heartbeat_topic
from cdc.core.preflight import Finding, LogRoom, SourceColumn, SourceTable
from cdc.core.trouble import from_json
from cdc.pipeline.report import Late
from cdc.pipeline.watch import Watch
from cdc.pipeline.watch_parts import WatchParts
from tests.fakes.configuration import POSTGRES, configuration
from tests.fakes.connect import FakeClock, FakeConnect, FakeTopics
from tests.fakes.control import MemoryControl, MemoryLedger

CUSTOMERS, ITEMS = TableName("public", "customers"), TableName("public", "Order. Items")
KEYS = {CUSTOMERS: ("id",), ITEMS: ("Order No", "line")}


class FakeDatabase:
    """Declares the tables of POSTGRES, but for what a test says."""

    def __init__(self):
        self.errors, self.found, self.ids, self.away, self.log, self.added = {}, [], {}, None, [], {}
        self.room = LogRoom(1000, 86_400.0)

    def table(self, namespace, name):
        raise NotImplementedError

    def tables(self, names):
        if self.away:
            raise self.away
        return {name: self.errors.get(name) or self.declared(name) for name in names}

    def declared(self, name):
        columns = tuple(SourceColumn(c, "bigint", nullable=False, generated=False) for c in KEYS[name])
        columns += tuple(self.added.get(name, ()))
        return SourceTable(name, columns, frozenset({frozenset(KEYS[name])}), None, self.ids.get(name, "1"))

    def findings(self):
        return self.found

    def position(self):
        return "0/1"

    def log_room(self, _stored):
        return self.room

    def log_findings(self, _stored, *, running):  # noqa: ARG002
        return self.log


class Metrics:
    def __init__(self):
        self.shown, self.changes = set(), []

    def schema_changed(self, pipeline, table, changes):
        self.changes.append((pipeline, table, changes))

    def log_room(self, pipeline, behind_bytes, left_seconds):
        self.room = (pipeline, behind_bytes, left_seconds)

    def trouble(self, pipeline, table, name, *, there):
        (self.shown.add if there else self.shown.remove)((pipeline, table, name))


class Rig:
    def __init__(self):
        self.config = configuration(POSTGRES)
        self.source = self.config.sources[0]
        self.connect, self.topics, self.database = FakeConnect(), FakeTopics(), FakeDatabase()
        self.control, self.metrics, self.clock, self.judged = MemoryControl(), Metrics(), FakeClock(), []
        self.ledger, self.history = MemoryLedger(), None
        self.connect.connectors["shop"] = dict(render(self.source, self.config))
        self.connect.stored["shop"] = [{"lsn_commit": 7}]
        self.topics.topics = {self.source.topic_of(table): {} for table in self.source.tables}
        parts = WatchParts(
            self.connect,
            table_pattern,
            lambda source: render(source, self.config),
            lambda _: self.database,
            self.topics,
            self.control,
            self.ledger,
            self.metrics,
            self.judged.append,
            lambda _: self.history,
            lambda _: None,
        )
        self.watch = Watch(self.source, parts, clock=self.clock, now=self.now)

    def now(self):
        return datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=self.clock.now)

    def look(self, times=1):
        """Look so many times, ten seconds apart, and return the names of what is wrong then."""
        for _ in range(times):
            self.watch.look()
            self.clock.sleep(10)
        return [trouble.finding.name for trouble in self.watch.current]

    def noted(self):
        return [trouble.finding.name for trouble in from_json(self.control.troubles["shop"])]

    def target(self, name):
        return next(str(self.source.target_of(table)) for table in self.source.tables if table.source == name)

    def topic(self, name):
        return next(self.source.topic_of(table) for table in self.source.tables if table.source == name)


def test_a_healthy_source_has_no_trouble():
    rig = Rig()
    assert rig.look(3) == []
    assert (rig.judged[-1], rig.noted(), rig.metrics.shown) == ({}, [], set())


@pytest.mark.parametrize(
    ("state", "looks", "name", "hint"),
    [
        ("FAILED", 1, "connector_failed", "cdc connectors restart shop"),
        ("PAUSED", 1, "connector_paused", "cdc connectors resume shop"),
        ("STOPPED", 1, "connector_paused", "cdc connectors resume shop"),
        ("UNASSIGNED", 2, "connector_unassigned", "cdc connectors status shop"),
    ],
)
def test_a_connector_that_does_not_run_is_named_everywhere_by_one_word(state, looks, name, hint):
    """T6: a connector that had FAILED was seen by no status, no health and no metric of the service."""
    rig = Rig()
    rig.connect.states.append(state)
    with capture_logs() as logs:
        assert rig.look(looks) == [name]
    (event,) = [line for line in logs if line["event"] == "trouble"]
    assert (event["trouble"], event["log_level"]) == (name, "error")
    assert hint in event["hint"]
    assert "hunter2" not in str(logs)
    assert rig.metrics.shown == {("shop", "", name)}
    assert rig.noted() == [name]
    rig.connect.states.append("RUNNING")
    with capture_logs() as logs:
        assert rig.look() == []
    assert [(line["event"], line["trouble"]) for line in logs if "trouble" in line] == [("trouble is over", name)]
    assert (rig.metrics.shown, rig.noted()) == (set(), [])


class Stop:
    """An event that is set after so many waits."""

    def __init__(self, looks):
        self.looks, self.waits = looks, []

    def is_set(self):
        return len(self.waits) >= self.looks

    def wait(self, seconds):
        self.waits.append(seconds)


def test_what_may_pass_is_looked_at_again_soon():
    """Kafka that was away was named after 34 seconds, of which ten were spent waiting for the second look."""
    rig, stop = Rig(), Stop(3)
    del rig.connect.connectors["shop"]
    rig.watch.run(stop)
    assert [round(seconds) for seconds in stop.waits] == [3, 10, 10]


def test_a_table_that_was_marked_is_named_soon():
    rig, stop = Rig(), Stop(2)
    rig.look()
    rig.database.added = {ITEMS: [SourceColumn("filled", "int", nullable=False, generated=False, filled=True)]}
    rig.watch.run(stop)
    assert [round(seconds) for seconds in stop.waits] == [3, 10]
    assert [trouble.finding.name for trouble in rig.watch.current] == ["outdated"]


def test_a_connector_that_is_not_there_and_one_that_connect_does_not_tell_of():
    rig = Rig()
    del rig.connect.connectors["shop"]
    assert rig.look() == []
    assert rig.look() == ["connector_missing"]

    def silent(_name):
        raise TransientError("no answer")

    rig.connect.status = silent
    assert rig.look() == []
    assert rig.look() == ["connect_away"]


def test_a_database_that_is_away_stops_no_table_and_one_that_refuses_neither():
    rig = Rig()
    rig.database.errors[ITEMS] = PreflightError("gone")
    rig.look()
    rig.database.away = TransientError("no answer")
    assert rig.look(2) == ["source_away"]
    rig.database.away = PreflightError("password")
    assert rig.look() == ["source_refused"]
    assert len(rig.judged) == 1


def test_an_unfit_table_is_judged_alone_and_pardoned():
    rig = Rig()
    rig.database.found = [Finding("unlogged", "it is", "SET LOGGED", table=ITEMS, gap=True)]
    assert rig.look() == ["unlogged"]
    (topic,) = rig.judged[-1]
    assert topic == rig.topic(ITEMS)
    assert rig.judged[-1][topic].gap
    assert rig.metrics.shown == {("shop", str(ITEMS), "unlogged")}
    rig.database.found = []
    assert rig.look() == []
    assert rig.judged[-1] == {}


def test_a_table_that_was_dropped_and_made_again_is_noticed_after_a_restart_too_until_it_is_loaded():
    """T4: it went on as running, without its changes."""
    rig = Rig()
    rig.look()
    assert rig.control.relations == {rig.target(CUSTOMERS): "1", rig.target(ITEMS): "1"}
    again = Rig()
    again.watch.parts = again.watch.parts._replace(notes=rig.control)
    again.database.ids[ITEMS] = "2"
    assert again.look(3) == ["recreated"]
    finding = again.judged[-1][again.topic(ITEMS)]
    assert (finding.gap, finding.hint) == (True, f"cdc tables reset {again.target(ITEMS)}")
    rig.control.loaded(again.target(ITEMS))
    assert again.look() == []
    assert rig.control.relations[again.target(ITEMS)] == "2"


def test_a_changed_definition_is_told_once_kept_and_marks_the_table_if_rows_may_lack_it():
    """P69: it was told of by nobody, and the target showed old values for ever."""
    rig = Rig()
    rig.look(2)
    assert [(row.target, row.changes) for row in rig.ledger.rows] == [
        (rig.target(CUSTOMERS), ""),
        (rig.target(ITEMS), ""),
    ]
    rig.database.added = {
        CUSTOMERS: [SourceColumn("plain", "text", nullable=True, generated=False)],
        ITEMS: [SourceColumn("filled", "int", nullable=False, generated=False, filled=True)],
    }
    rig.ledger.failures.append(TransientError("the catalog is away"))
    assert rig.look(2) == ["outdated"]
    with capture_logs() as logs:
        assert rig.look() == ["outdated"]
    assert logs == []
    assert [row.silent for row in rig.ledger.rows[2:]] == [False, True]
    assert rig.ledger.rows[2].changes == "column 'plain' (text) was added"
    assert rig.metrics.changes[-2:] == [("shop", rig.target(CUSTOMERS), 1), ("shop", rig.target(ITEMS), 1)]
    (trouble,) = rig.watch.current
    assert "column 'filled' (int) was added" in trouble.finding.what
    assert trouble.finding.hint.startswith(f"cdc tables reset {rig.target(ITEMS)}, or ")
    rig.control.loaded(rig.target(ITEMS), since="2026-01-02T00:00:00+00:00")
    assert rig.look() == ["outdated"]  # it was marked after the load began
    rig.control.loaded(rig.target(ITEMS), since="2026-01-04T00:00:00+00:00")
    assert rig.look() == []


def test_a_change_that_was_made_while_the_service_was_down_is_found():
    rig, again = Rig(), Rig()
    rig.look()
    again.watch.parts = again.watch.parts._replace(notes=rig.control, definitions=rig.ledger)
    again.watch.__post_init__()
    again.database.added = {ITEMS: [SourceColumn("filled", "int", nullable=False, generated=False, filled=True)]}
    assert again.look(2) == ["outdated"]


def test_a_table_that_was_dropped_and_made_again_between_two_looks_is_named_until_it_is_loaded():
    """MySQL gives a table no identity, and the connector reads what was done to it."""
    rig = Rig()
    rig.history = "shop.schema-history"
    made, dropped = (
        {"tableChanges": [{"id": f'"{ITEMS[0]}"."{ITEMS[1]}"', "type": kind}]} for kind in ("CREATE", "DROP")
    )
    made["tableChanges"][0]["table"] = {"columns": []}
    rig.topics.records = {rig.history: [json.dumps(made).encode()]}
    assert rig.look(2) == []
    rig.topics.records[rig.history] += [json.dumps(dropped).encode(), json.dumps(made).encode()]
    assert rig.look(2) == ["recreated"]
    assert rig.judged[-1][rig.topic(ITEMS)].gap
    assert set(rig.control.marks) == {rig.target(ITEMS)}
    rig.control.loaded(rig.target(ITEMS))
    assert rig.look() == []


def test_a_table_that_the_connector_misunderstands_is_set_aside_and_the_way_back_is_told_after_a_restart_too():
    """M15."""
    rig = Rig()
    rig.history = "shop.schema-history"
    change = {"id": f'"{ITEMS[0]}"."{ITEMS[1]}"', "type": "CREATE", "table": {"columns": []}}
    rig.topics.records = {rig.history: [json.dumps({"tableChanges": [change]}).encode()]}
    rig.look()
    altered = {"databaseName": ITEMS[0], "ddl": f"ALTER TABLE `{ITEMS[1]}` ADD g ..", "tableChanges": []}
    rig.topics.records[rig.history].append(json.dumps(altered).encode())
    assert rig.look() == ["recreated"]
    assert rig.connect.connectors["shop"]["table.include.list"] == table_pattern(CUSTOMERS)
    assert set(rig.control.marks) == {rig.target(ITEMS)}
    assert rig.look(2) == ["recreated", "set_aside"]
    again = Rig()
    again.watch.parts = again.watch.parts._replace(notes=rig.control, cluster=rig.connect)
    again.watch.__post_init__()
    assert again.look(2) == ["set_aside"]
    assert "recovery" in again.watch.current[0].finding.hint


def test_a_connector_that_is_said_to_run_and_is_silent_is_named_and_restarted():
    """P78, T8: its producer waited for a topic that was deleted; a load waited for it, and nobody said why."""
    rig = Rig()
    topic = heartbeat_topic("shop")
    rig.topics.topics[topic] = {}
    rig.topics.newest[topic] = int(rig.now().timestamp() * 1000)
    rig.connect.calls.clear()
    assert rig.look(3) == []
    assert rig.look(3) == ["connector_silent"]
    rig.connect.stored["shop"] = [{"lsn": 7, "snapshot": "INITIAL"}]
    assert rig.look() == []
    rig.connect.stored["shop"] = [{"lsn_commit": 7}]
    rig.look(8)
    assert "restart all of shop" in rig.connect.calls
    rig.topics.newest[topic] = int(rig.now().timestamp() * 1000)
    assert rig.look() == []


def test_why_a_table_was_set_aside_was_forgotten_when_connect_did_not_tell_its_settings_once():
    rig = Rig()
    rig.connect.states.append("FAILED")
    rig.connect.trace = f"an error in {ITEMS[0]}.{ITEMS[1]}"
    rig.look()
    assert "set_aside" in rig.look(2)
    config = rig.connect.config

    def silent(_name):
        raise TransientError("no answer")

    rig.connect.config = silent
    rig.look()
    rig.connect.config = config
    assert "set_aside" in rig.look(2)


def test_a_table_that_is_gone_may_come_back_as_another_one_where_the_database_gives_it_no_identity():
    rig = Rig()
    rig.database.ids = {CUSTOMERS: "", ITEMS: "5"}
    rig.look()
    rig.database.errors = {CUSTOMERS: PreflightError("gone"), ITEMS: PreflightError("gone")}
    assert rig.look() == ["table_missing", "table_missing"]
    assert {topic: finding.gap for topic, finding in rig.judged[-1].items()} == {
        rig.topic(CUSTOMERS): True,
        rig.topic(ITEMS): False,
    }


def test_missing_topics_and_what_the_database_says_of_the_log_are_told():
    rig = Rig()
    rig.topics.topics.pop(rig.topic(ITEMS))
    rig.database.log = [Finding("slot_missing", "it is gone", "apply")]
    assert rig.look() == ["slot_missing", "topic_missing"]
    assert rig.judged[-1] == {}


def test_a_connector_that_failed_for_what_was_away_is_restarted_and_another_is_not():
    """M44, K18."""
    rig = Rig()
    rig.connect.trace = "ConnectException: x\nCaused by: EOFException: end\n"
    rig.connect.states.extend(["FAILED"] * 9)
    rig.look(9)
    assert rig.connect.calls == ["restart shop"] * 3  # after 10, 30 and 70 s: pauses of 5, 10, 20 s, a look later each
    rig = Rig()
    rig.connect.trace = "ConnectException: x\nCaused by: PSQLException: password authentication failed\n"
    rig.connect.states.extend(["FAILED"] * 9)
    rig.look(9)
    assert rig.connect.calls == []


def test_a_registry_and_a_catalog_that_are_away_are_named():
    rig = Rig()

    def away():
        raise TransientError("no answer")

    rig.watch.parts = rig.watch.parts._replace(registry=away)
    assert rig.look(2) == ["registry_away"]
    rig.watch.parts = rig.watch.parts._replace(registry=None)
    rig.control.failures = [TransientError("no answer"), ConnectionError("secret")]
    assert rig.look(2) == ["catalog_away"]
    assert "ConnectionError" in str(rig.watch.current[0])
    assert "secret" not in str(rig.watch.current[0])
    assert rig.look() == []


def test_who_only_stands_by_looks_and_tells_and_leaves_the_rest_to_the_other():
    rig = Rig()
    rig.watch.parts = rig.watch.parts._replace(active=lambda: False)
    rig.connect.trace = "EOFException: end"
    rig.connect.states.extend(["FAILED"] * 5)
    assert rig.look(5) == ["connector_failed"]
    assert (rig.connect.calls, rig.control.troubles, rig.control.relations) == ([], {}, {})
    assert rig.metrics.shown == {("shop", "", "connector_failed")}


def test_a_restart_that_is_refused_and_a_catalog_that_is_away_end_no_watch():
    rig = Rig()

    def refused(_name):
        raise TerminalError("no")

    def away(**_):
        raise ConnectionError

    rig.connect.restart_failed = refused
    rig.connect.states.extend(["FAILED"] * 3)
    note, rig.control.note = rig.control.note, away
    rig.control.failures = [ConnectionError()] * 2
    with capture_logs() as logs:
        assert rig.look(3) == ["connector_failed"]
    assert [line["trouble"] for line in logs if line["event"] == "trouble"] == ["connector_failed", "catalog_away"]
    assert "troubles not noted" in [line["event"] for line in logs]
    rig.control.note = note
    rig.look()
    assert rig.noted() == ["connector_failed"]


def test_a_table_whose_value_ends_the_connector_is_set_aside_and_the_connector_goes_on():
    """T1: one value of one table ended the connector, and with it every table of the source."""
    rig = Rig()
    rig.look()
    rig.connect.trace = (
        "org.x.ConnectException: An exception occurred\n\tat a\n"
        "Caused by: io.debezium.DebeziumException: Failed to properly convert data value for 'public.customers.n' of x"
    )
    rig.connect.connectors["shop"]["max.batch.size"] = "7"
    rig.connect.states.extend(["FAILED", "RUNNING"])
    rig.look()
    listed = rig.connect.connectors["shop"]["table.include.list"]
    assert "customers" not in listed
    assert table_pattern(ITEMS) in listed
    assert rig.connect.connectors["shop"]["max.batch.size"] == "7", "what tables do not make stays as it is"
    assert rig.look() == ["set_aside"]
    finding = rig.judged[-1][rig.topic(CUSTOMERS)]
    assert finding.gap
    assert "public.customers.n" in finding.what
    assert finding.hint == "mend the cause, then cdc connectors apply shop"
    rig.connect.connectors["shop"] = dict(render(rig.source, rig.config))
    assert rig.look() == []


def test_a_table_with_old_values_is_told_of_and_goes_on_until_it_is_loaded_anew():
    rig = Rig()
    rig.control.outdated(rig.target(CUSTOMERS), "no event tells what older rows hold in five")
    assert rig.look(2) == ["outdated"]
    assert rig.judged[-1] == {}
    (trouble,) = rig.watch.current
    assert trouble.finding.hint.startswith(f"cdc tables reset {rig.target(CUSTOMERS)}, or ")
    rig.control.loaded(rig.target(CUSTOMERS), "1")
    assert rig.look() == []


def test_a_promoted_replica_went_on_with_positions_of_before_p23():
    """P23, M9, P22: the tables have the ids of before, and what came at their old positions was left out in silence."""
    rig = Rig()
    rig.database.ids = dict.fromkeys(KEYS, "1@system 7, timeline 1")
    assert rig.look() == []
    rig.database.ids = dict.fromkeys(KEYS, "1@system 7, timeline 2")
    assert rig.look() == ["another_history", "another_history"]
    finding = rig.judged[-1][rig.topic(CUSTOMERS)]
    assert finding.gap
    assert "system 7, timeline 2" in finding.what
    assert f"cdc tables accept {rig.target(CUSTOMERS)}" in finding.hint
    assert rig.control.relations[rig.target(CUSTOMERS)] == "1@system 7, timeline 1"
    rig.control.accept_history(rig.target(CUSTOMERS), "1@system 7, timeline 2", "")
    rig.control.loaded(rig.target(ITEMS), "1@system 7, timeline 2")
    assert rig.look() == ["differs"], "an accepted one is to be proved"


def test_a_table_made_anew_in_another_history_is_one_trouble():
    rig = Rig()
    rig.database.ids = dict.fromkeys(KEYS, "1@system 7, timeline 1")
    rig.look()
    rig.database.ids = {CUSTOMERS: "2@system 8, timeline 1", ITEMS: "1@system 7, timeline 1"}
    assert rig.look() == ["recreated"]


def test_what_was_noted_before_histories_were_is_completed_and_no_trouble():
    """X4."""
    rig = Rig()
    rig.look()
    assert rig.control.relations[rig.target(CUSTOMERS)] == "1"
    rig.database.ids = dict.fromkeys(KEYS, "1@system 7, timeline 1")
    assert rig.look() == []
    assert rig.control.relations[rig.target(CUSTOMERS)] == "1@system 7, timeline 1"


def test_a_table_of_a_database_without_ids_may_come_back_as_another_one():
    """MySQL's tables have none: one that is gone may have missed changes when it is there again."""
    rig = Rig()
    rig.database.ids = dict.fromkeys(KEYS, "@server a")
    rig.look()
    rig.database.errors[CUSTOMERS] = PreflightError("it is not there", hint="")
    assert rig.look() == ["table_missing"]
    assert rig.judged[-1][rig.topic(CUSTOMERS)].gap


def test_a_table_that_is_late_is_named_from_the_second_look_on():
    rig = Rig()
    rig.watch.parts = rig.watch.parts._replace(late=lambda: [Late(rig.target(CUSTOMERS), 400.0, 300.0)])
    assert [rig.look(), rig.look()] == [[], ["late"]]
    assert rig.judged[-1] == {}
    (trouble,) = rig.watch.current
    assert trouble.finding.what == f"{rig.target(CUSTOMERS)} is more than 300 s behind its source"
    rig.watch.parts = rig.watch.parts._replace(late=tuple)
    assert rig.look() == []


def test_a_table_whose_rows_break_rules_is_named_until_a_look_finds_that_all_hold():
    rig = Rig()
    for rule in ("amount", "mail", "amount"):
        rig.control.breaks(rig.target(CUSTOMERS), f"rule {rule!r} is broken")
    assert rig.look() == ["rule_broken"]
    assert rig.judged[-1] == {}
    (trouble,) = rig.watch.current
    assert trouble.finding.what == "rule 'amount' is broken; rule 'mail' is broken"
    assert f"cdc quality -t {rig.target(CUSTOMERS)}" in trouble.finding.hint
    rig.control.judged(rig.target(CUSTOMERS), "", "2999-01-01T00:00:00+00:00")
    assert rig.look() == []


def test_a_table_that_a_proof_found_to_differ_is_named_until_one_finds_it_equal():
    rig = Rig()
    rig.control.differs(rig.target(CUSTOMERS), "3 of its rows are not the source's: 3 missing, at 0/1")
    assert rig.look() == ["differs"]
    assert rig.judged[-1] == {}
    (trouble,) = rig.watch.current
    assert trouble.finding.what == "3 of its rows are not the source's: 3 missing, at 0/1"
    assert f"cdc verify -t {rig.target(CUSTOMERS)} --repair" in trouble.finding.hint
    rig.control.equal(rig.target(CUSTOMERS))
    assert rig.look() == []


def test_a_place_in_the_log_that_is_about_to_be_lost_is_named_before_it_is():
    """P21."""
    rig = Rig()
    assert rig.look() == []
    assert rig.metrics.room == ("shop", 1000, 86_400.0)
    rig.database.room = LogRoom(10**9, 1200.0)
    assert rig.look() == ["log_short"]
    assert "20 minutes" in rig.watch.current[0].finding.what


def test_no_table_is_set_aside_where_a_server_was_away_or_none_would_be_left():
    rig = Rig()
    rig.connect.trace = "ConnectException: connection to 127.0.0.1 refused while reading public.customers"
    rig.connect.states.append("FAILED")
    rig.look(2)
    both = "DebeziumException: public.customers and public.Order. Items"
    rig.connect.trace = both
    rig.look(2)
    assert rig.connect.connectors["shop"] == render(rig.source, rig.config)


def test_a_table_that_the_connector_leaves_out_is_named_from_the_second_look_on():
    rig = Rig()
    rig.connect.connectors["shop"]["table.include.list"] = table_pattern(ITEMS)
    assert rig.look() == []
    assert rig.look() == ["left_out"]
    assert rig.judged[-1][rig.topic(CUSTOMERS)].hint == "cdc connectors apply shop"


def test_a_connector_that_has_yet_to_be_told_that_an_array_is_text_is_named_and_the_table_goes_on():
    rig = Rig()
    grid = SourceColumn("grid", "integer[][]", nullable=True, generated=False)
    customers = rig.database.declared(CUSTOMERS)
    rig.database.errors[CUSTOMERS] = customers._replace(columns=(*customers.columns, grid))
    assert rig.look() == ["sent_as_list"]
    assert rig.judged[-1] == {}
    assert rig.watch.current[0].finding.hint == "cdc connectors apply shop, then cdc tables reset public.customers"
    rig.connect.connectors["shop"]["values.text"] = table_pattern((*CUSTOMERS, "grid"))
    assert rig.look() == []
    rig.connect.connectors["shop"]["values.text"] = ""
    left_out = {"column.exclude.list": table_pattern((*CUSTOMERS, "grid"))}
    rig.watch.reconfigure(rig.source.model_copy(update={"connector": left_out}))
    assert rig.look() == []
    rig.watch.reconfigure(rig.source)
    del rig.connect.connectors["shop"]
    assert "sent_as_list" not in rig.look(2)


def test_text_that_names_no_array_stops_its_table_alone():
    rig = Rig()
    customers, items = rig.source.tables
    named = rig.source.model_copy(update={"tables": (customers.model_copy(update={"text": ("id",)}), items)})
    rig.watch.reconfigure(named)
    assert rig.look() == ["text_column"]
    assert list(rig.judged[-1]) == [rig.topic(CUSTOMERS)]


def test_a_table_that_is_not_in_the_schema_history_ends_the_connector_and_the_hint_says_what_helps():
    """Its database was granted after the connector had begun; a restart does not help."""
    rig = Rig()
    rig.connect.states.append("FAILED")
    rig.connect.trace = "x: Encountered change event for table b.old whose schema isn't known to this connector"
    assert rig.look() == ["connector_failed"]
    hint = rig.watch.current[0].finding.hint
    assert "snapshot.mode: recovery" in hint
    assert "cdc connectors restart" not in hint
