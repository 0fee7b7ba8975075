"""What preflight says of a PostgreSQL server, from rows as its catalog has them."""

import pytest

from cdc.core.names import TableName
from cdc.sources.postgres.findings import published_findings, server_findings, slot_findings, table_findings
from tests.fakes.configuration import POSTGRES, configuration

SERVER = {
    "wal_level": "logical",
    "encoding": "UTF8",
    "version": 170_006,
    "keep": "51200",
    "replication": True,
    "superuser": False,
}
SLOT = {"plugin": "pgoutput", "database": "shop", "wal_status": "reserved", "active": True}
RELATION = {"relkind": "r", "relpersistence": "p", "relrowsecurity": False}
T = TableName("public", "t")


def names(findings):
    return {finding.name: finding.fatal for finding in findings}


@pytest.mark.parametrize(
    ("told", "name", "fatal"),
    [
        ({"wal_level": "replica"}, "wal_level", True),  # P78
        ({"replication": False}, "replication_role", True),
        ({"encoding": "LATIN1"}, "encoding", True),  # P64
        ({"version": 120_022}, "version", True),
        ({"keep": "-1"}, "slot_keep_size", False),  # P21
    ],
)
def test_a_server_that_is_not_fit_for_logical_decoding_is_told_why(told, name, fatal):
    """P21, P64, P78."""
    assert names(server_findings(SERVER, "cdc")) == {}
    assert names(server_findings(SERVER | told, "cdc")) == {name: fatal}


def test_a_slot_that_is_lost_or_of_somebody_else_is_told():
    """P18."""
    source = configuration(POSTGRES).sources[0]
    assert names(slot_findings([SLOT], source)) == {}
    (lost,) = slot_findings([SLOT | {"wal_status": "lost"}], source)
    assert (lost.name, lost.fatal) == ("slot_lost", True)
    assert "cdc connectors remove shop --offsets" in lost.hint
    for taken in ({"plugin": "wal2json"}, {"database": "another"}):
        assert names(slot_findings([SLOT | taken], source)) == {"slot_taken": True}


def test_tables_of_which_the_publication_lacks_rows_may_have_missed_changes():
    """P17, P74: not published, or by a condition."""
    (missing,) = published_findings("p", T, {})
    (filtered,) = published_findings("p", T, {("public", "t"): {"rowfilter": "(id > 0)"}})
    assert [(one.name, one.fatal, one.gap) for one in (missing, filtered)] == [
        ("not_published", True, True),
        ("row_filter", True, True),
    ]
    assert names(published_findings("p", T, {("public", "t"): {"rowfilter": None}})) == {}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"relkind": "f"}, "not_a_table"),  # P76: a foreign table
        ({"relkind": "v"}, "not_a_table"),
        ({"relpersistence": "u"}, "unlogged"),
        ({"relpersistence": "t"}, "unlogged"),
        ({"relrowsecurity": True}, "row_security"),  # P74
    ],
)
def test_relations_that_are_not_whole_in_the_log_are_refused(told, name):
    """P74, P76."""
    assert names(table_findings(RELATION, T)) == names(table_findings(RELATION | {"relkind": "p"}, T)) == {}
    assert names(table_findings(RELATION | told, T)) == {name: True}
