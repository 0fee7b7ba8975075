"""What preflight says of a MySQL server, from what its statements return."""

import pytest

from cdc.sources.mysql import MySqlDatabase
from tests.fakes.configuration import MYSQL, configuration
from tests.fakes.mysql import FakeMySql


@pytest.fixture
def mysql(monkeypatch):
    made = FakeMySql()
    monkeypatch.setattr("cdc.sources.mysql.database.connected", made.connected)
    return made


def database():
    return MySqlDatabase(configuration(MYSQL).sources[0])


def found():
    """Return names of what is found, and whether it is fatal."""
    return {finding.name: finding.fatal for finding in database().findings()}


@pytest.mark.usefixtures("mysql")
def test_a_server_that_is_fit_has_no_findings():
    assert found() == {}
    assert database().withheld() == {}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("log_bin", "OFF"),
        ("binlog_format", "MIXED"),  # M2
        ("binlog_format", "STATEMENT"),
        ("binlog_row_image", "MINIMAL"),  # M1
        ("binlog_row_image", "NOBLOB"),
        ("binlog_row_value_options", "PARTIAL_JSON"),  # M5
    ],
)
def test_a_log_without_whole_rows_stops_the_source_and_every_load(mysql, variable, value):
    """M1, M2, M5: what such a log leaves out is in no event."""
    mysql.variables[variable] = value
    assert found() == {variable: True}
    assert list(database().withheld()) == [table.source for table in configuration(MYSQL).sources[0].tables]


def test_a_number_that_the_server_has_itself_is_refused(mysql):
    """M40, T7: two readers of one number end each other's connection again and again."""
    mysql.variables["server_id"] = str(MYSQL["server_id"])
    assert found() == {"server_id": True}


@pytest.mark.parametrize(("version", "named"), [("8.0.44", True), ("9.5.0", True), ("9.6.0", False)])
def test_foreign_keys_that_cascade_are_named_as_long_as_the_log_lacks_them(mysql, version, named):
    """M4."""
    mysql.variables["version"] = version
    mysql.cascades = ["fk"]
    assert found() == ({"cascade": True} if named else {})


def test_what_may_go_wrong_later_is_remarked(mysql):
    """M9, M23, M39: a failover without GTIDs, zero dates, an engine without transactions, a log of some hours."""
    mysql.variables |= {"gtid_mode": "OFF", "sql_mode": "", "binlog_expire_logs_seconds": "3600"}
    mysql.table["engine"] = "MyISAM"
    names = ("gtid_mode", "zero_dates", "binlog_expire", "engine")
    assert found() == dict.fromkeys(names, False)


@pytest.mark.parametrize(
    ("granted", "name"),
    [
        ("GRANT RELOAD, REPLICATION CLIENT ON *.*", "replication_slave"),
        ("GRANT RELOAD, REPLICATION SLAVE ON *.*", "replication_client"),
        ("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "flush_tables"),
    ],
)
def test_what_the_user_lacks_is_named(mysql, granted, name):
    """M41: the snapshot of the connector has to lock tables for a moment."""
    mysql.granted = granted
    assert found() == {name: True}


def test_a_log_that_was_purged_beyond_the_connectors_place_is_told(mysql):
    """M6, K17: by GTIDs where there are some, else by the file."""
    mysql.logs = {"binlog.000007": 10}
    assert database().log_findings({"file": "binlog.000007", "pos": 4}, running=True) == []
    (gone,) = database().log_findings({"file": "binlog.000006", "pos": 4}, running=True)
    assert gone.name == "binlog_purged"
    with_gtids = {"file": "binlog.000006", "pos": 4, "gtids": "u:1-5"}
    assert database().log_findings(with_gtids, running=True) == []
    mysql.reaches = 0
    assert [one.name for one in database().log_findings(with_gtids, running=True)] == ["binlog_purged"]


def test_how_far_the_connector_is_behind_went_wrong_at_the_millionth_file_m7(mysql):
    """Names of files are of six digits until there are more: as a text the millionth comes before the others."""
    mysql.logs = {"binlog.999998": 1, "binlog.999999": 20, "binlog.1000000": 300}
    assert database().log_room({"file": "binlog.999999", "pos": 5}).behind_bytes == 315
    assert database().log_room({"file": "binlog.1000000", "pos": 5}).behind_bytes == 295
