"""What the logs of a source tell beside its events: marks, and how far each log is read, over restarts and crashes."""

import json

import pytest

from cdc.core.errors import TransientError
from cdc.core.names import TableName
from cdc.core.xa import LogEvent
from cdc.pipeline.untold import PAGES, Untold
from tests.fakes.configuration import POSTGRES, configuration
from tests.fakes.connect import FakeTopics
from tests.fakes.control import MemoryControl

CUSTOMERS, ITEMS = TableName("public", "customers"), TableName("public", "Order. Items")
TOPIC, XID = "shop.schema-history", "X'61',X'',1"
COLUMN = {"name": "n", "typeName": "INT", "typeExpression": "INT", "optional": True}


def ddl(kind, table=CUSTOMERS, *columns, statement=""):
    table_ = {"columns": [COLUMN, *columns]}
    change = {"type": kind, "id": f'"{table[0]}"."{table[1]}"'} | ({} if kind == "DROP" else {"table": table_})
    return json.dumps({"ddl": statement, "tableChanges": [change]}).encode()


class FakeLog:
    """A binary log of two files; ``count`` goes up as a test says."""

    def __init__(self):
        self.files, self.count, self.page = {"binlog.1": [], "binlog.2": []}, 0, 2

    def add(self, *infos, file="binlog.2", count=1):
        for info in infos:
            kind = "Table_map" if info.startswith("table_id") else "Query"
            place = 4 + len(self.files[file])
            self.files[file].append(LogEvent(file, place, kind, place + 1, info))
        self.count += count

    def prepared(self):
        return self.count

    def end(self):
        file = max(self.files)
        return file, 4 + len(self.files[file])

    def events(self, file, position):
        if file not in self.files:
            return [], None
        found = self.files[file][position - 4 :][: self.page]
        later = [name for name in self.files if name > file]
        if len(found) < self.page and later:
            return found, (min(later), 4)
        return found, (file, position + len(found))


class Rig:
    def __init__(self):
        self.source = configuration(POSTGRES).sources[0]
        self.topics, self.control, self.log = FakeTopics(), MemoryControl(), FakeLog()
        self.topics.records[TOPIC] = [ddl("CREATE"), ddl("CREATE", ITEMS)]
        self.left_out = {}
        self.restart()

    def restart(self):
        self.untold = Untold(self.topics, self.control, lambda _source, causes: self.left_out.update(causes))

    def read(self):
        self.untold.follow_history(self.source, TOPIC, self.control.read().places)
        self.untold.follow_transactions(self.source, self.log, self.control.read().places)

    def names(self, marks):
        targets = {str(self.source.target_of(table)): table.source for table in self.source.tables}
        return {targets[name] for name in marks}


def test_what_stands_in_the_history_at_the_first_look_was_known_to_the_loads():
    rig = Rig()
    rig.topics.records[TOPIC] += [ddl("DROP"), ddl("CREATE")]
    rig.read()
    assert (rig.control.marks, rig.control.old) == ({}, {})
    assert rig.control.places["shop.history"] == f"id of {TOPIC}:4"


def test_ddl_that_was_read_while_the_service_was_down_marks_its_table():
    rig = Rig()
    rig.read()
    rig.topics.records[TOPIC] += [
        ddl("DROP"),
        ddl("CREATE"),
        ddl("ALTER", ITEMS, statement="ALTER .. DROP n, ADD n int"),
    ]
    rig.restart()
    rig.read()
    assert (rig.names(rig.control.marks), rig.names(rig.control.old)) == ({CUSTOMERS}, {ITEMS})
    assert rig.control.places["shop.history"] == f"id of {TOPIC}:5"


def test_a_crash_before_the_place_is_noted_marks_again_and_loses_nothing():
    rig = Rig()
    rig.read()
    rig.topics.records[TOPIC].append(ddl("DROP"))

    def away(**_):
        raise TransientError("the catalog is away")

    rig.control.note = away
    with pytest.raises(TransientError):
        rig.read()
    del rig.control.note
    rig.control.marks.clear()
    rig.restart()
    rig.read()
    assert rig.names(rig.control.marks) == {CUSTOMERS}


def test_a_mark_that_could_not_be_set_was_lost():
    """The record was taken, and the place noted with the next look."""
    rig = Rig()
    rig.read()
    rig.log.add(*prepared())
    rig.topics.records[TOPIC].append(ddl("DROP"))
    rig.log.add(f"XA ROLLBACK {XID}")
    stale, outdated = rig.control.stale, rig.control.outdated

    def away(*_):
        raise TransientError("the catalog is away")

    rig.control.stale = rig.control.outdated = away
    for follow in (
        lambda places: rig.untold.follow_history(rig.source, TOPIC, places),
        lambda places: rig.untold.follow_transactions(rig.source, rig.log, places),
    ):
        with pytest.raises(TransientError):
            follow(rig.control.read().places)
    rig.control.stale, rig.control.outdated = stale, outdated
    rig.read()
    assert (rig.names(rig.control.marks), rig.names(rig.control.old)) == ({CUSTOMERS}, {CUSTOMERS})


def test_a_table_that_the_connector_misunderstands_is_left_out_before_the_place_is_noted():
    rig = Rig()
    rig.read()
    unread = {"databaseName": "public", "ddl": "ALTER TABLE customers ADD g ..", "tableChanges": []}
    rig.topics.records[TOPIC].append(json.dumps(unread).encode())

    def away(*_):
        raise TransientError("Connect is away")

    rig.untold.leave_out = away
    with pytest.raises(TransientError):
        rig.read()
    rig.restart()
    rig.read()
    assert set(rig.left_out) == {CUSTOMERS}


def test_a_record_that_is_not_understood_keeps_no_other_from_being_read():
    rig = Rig()
    rig.read()
    rig.topics.records[TOPIC] += [b"", b"[1]", b'{"tableChanges": [{"type": "DROP"}]}', ddl("DROP")]
    rig.read()
    assert rig.names(rig.control.marks) == {CUSTOMERS}
    assert rig.control.places["shop.history"] == f"id of {TOPIC}:6"


def test_the_place_in_a_log_without_xa_transactions_follows_its_files():
    rig = Rig()
    rig.read()
    rig.log.files["binlog.3"] = []
    rig.read()
    assert rig.control.places["shop.log"] == "binlog.3:4:0"


def test_a_history_that_was_made_anew_is_taken_as_known():
    rig = Rig()
    rig.read()
    rig.topics.end = lambda name: ("another", len(rig.topics.records[name]))
    rig.topics.records[TOPIC] += [ddl("DROP"), ddl("CREATE")]
    rig.read()
    assert rig.control.marks == {}
    rig.topics.records[TOPIC].append(ddl("DROP"))
    rig.read()
    assert rig.names(rig.control.marks) == {CUSTOMERS}


def prepared(table="public.customers"):
    return f"XA START {XID}", f"table_id: 1 ({table})", f"XA END {XID}", f"XA PREPARE {XID}"


def test_a_log_without_xa_transactions_is_never_read():
    rig = Rig()
    rig.log.events = None
    for _ in range(3):
        rig.read()
        rig.log.add("BEGIN", "table_id: 1 (public.customers)", count=0)
    assert rig.control.old == {}


def test_the_table_of_a_transaction_that_is_rolled_back_is_marked_over_files_pages_and_looks():
    """M38."""
    rig = Rig()
    rig.read()
    rig.log.add(*prepared())
    rig.read()
    assert rig.control.old == {}
    rig.log.files["binlog.3"] = []
    rig.log.add("BEGIN", "table_id: 1 (public.other)", "COMMIT", f"XA ROLLBACK {XID}", file="binlog.3")
    rig.read()
    assert rig.names(rig.control.old) == {CUSTOMERS}
    assert "rolled back" in next(iter(rig.control.old.values())).why


@pytest.mark.parametrize("down_before_prepare", [True, False])
def test_a_transaction_that_ends_after_a_restart(down_before_prepare):
    rig = Rig()
    rig.read()
    if down_before_prepare:
        rig.restart()
    rig.log.add(*prepared())
    if not down_before_prepare:
        rig.read()
    rig.restart()
    rig.log.add(f"XA ROLLBACK {XID}")
    rig.read()
    assert rig.names(rig.control.old) == {CUSTOMERS}


def test_one_that_was_prepared_before_the_first_look_may_have_changed_any_table():
    rig = Rig()
    rig.log.add(*prepared())
    rig.read()
    rig.log.add(f"XA COMMIT {XID}")
    rig.read()
    assert rig.names(rig.control.old) == {CUSTOMERS, ITEMS}


def test_a_log_that_was_purged_before_it_was_read_may_have_had_any():
    rig = Rig()
    rig.read()
    rig.restart()
    rig.log.files = {"binlog.8": []}
    rig.log.add("BEGIN", file="binlog.8")
    rig.read()
    assert rig.names(rig.control.old) == {CUSTOMERS, ITEMS}


def test_a_long_log_is_read_over_several_looks():
    rig = Rig()
    rig.read()
    rig.log.add(*["BEGIN"] * (3 * PAGES), *prepared(), f"XA ROLLBACK {XID}")
    looks = 0
    while not rig.control.old:
        rig.read()
        looks += 1
    assert looks == 2
