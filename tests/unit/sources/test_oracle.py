"""What preflight says of an Oracle database, from rows as its dictionary has them; there is no Oracle to ask."""

import sys

import pytest

from cdc.core.errors import PreflightError, TransientError
from cdc.core.identity import Identity
from cdc.core.names import TableName
from cdc.sources.oracle import SUPPLEMENTAL, OracleDatabase
from tests.fakes.configuration import ORACLE, configuration
from tests.fakes.oracle import FakeOracle


@pytest.fixture
def oracle(monkeypatch):
    made = FakeOracle()
    monkeypatch.setitem(sys.modules, "oracledb", made)
    return made


def found(**connector):
    """Return names of what is found, and whether it is fatal."""
    source = configuration(ORACLE | {"connector": connector}).sources[0]
    return {finding.name: finding.fatal for finding in OracleDatabase(source).findings()}


@pytest.mark.usefixtures("oracle")
def test_a_database_that_is_fit_has_no_findings():
    assert found() == {}


def test_updates_without_their_unchanged_columns_would_be_written_as_null(oracle):
    """O14, O15: supplemental logging of the primary key alone does not do."""
    oracle.all_columns_logged = 0
    assert found() == {"supplemental_columns": True}
    assert "log_group_type = 'ALL COLUMN LOGGING'" in SUPPLEMENTAL
    oracle.all_columns_logged = 1
    oracle.server["supplemental_log_data_min"] = "NO"
    assert found() == {"supplemental_log": True}


@pytest.mark.parametrize("kind", ["bfile", "long", "long raw", "urowid", "vector", "sdo_geometry", "boolean"])
def test_columns_that_logminer_leaves_out_silently_are_named(oracle, kind):
    """O25."""
    oracle.columns["C"] = kind
    assert found() == {"unsupported_column": True}


@pytest.mark.parametrize("kind", ["clob", "nclob", "blob", "xmltype"])
def test_large_objects_are_refused_unless_they_are_mined(oracle, kind):
    """O16, O26: without ``lob.enabled`` their columns have no values."""
    oracle.columns["C"] = kind
    assert found() == {"unsupported_column": True}
    assert found(**{"lob.enabled": "true", "log.mining.strategy": "redo_log_catalog"}) == {}


def test_tables_that_logminer_does_not_read_are_named(oracle):
    """O27."""
    oracle.table["iot_type"] = "IOT"
    assert found() == {"index_organised": True}
    oracle.table |= {"iot_type": None, "temporary": "Y"}
    assert found() == {"temporary": True}


def test_names_that_logminer_leaves_out_are_counted_in_bytes(oracle):
    """O28."""
    oracle.columns = {"ID": "number", "Ä" * 15: "number"}
    assert found() == {}
    oracle.columns = {"ID": "number", "Ä" * 16: "number"}
    assert found() == {"long_name": True}


def test_loads_that_are_not_logged_are_remarked_and_logs_that_are_not_archived_fatal(oracle):
    """O29."""
    oracle.server["force_logging"] = "NO"
    assert found() == {"force_logging": False}
    oracle.server["log_mode"] = "NOARCHIVELOG"
    assert found() == {"log_mode": True, "force_logging": False}


@pytest.mark.usefixtures("oracle")
def test_a_position_is_exact_beyond_53_bits():
    """O1."""
    assert OracleDatabase(configuration(ORACLE).sources[0]).position() == "9007199254740993"


def test_a_database_whose_logs_were_reset_has_another_history(oracle):
    """O32: change numbers are used again, also behind a flashback or a switch that lost some."""
    database, name = OracleDatabase(configuration(ORACLE).sources[0]), TableName("SALES", "ORDERS")
    ids = [database.table(*name).id]
    for changed in ({"resetlogs": 2}, {"dbid": 8}):
        oracle.server |= changed
        ids.append(database.table(*name).id)
    before, *others = map(Identity.parse, ids)
    assert [one.another_history(before) for one in others] == [True, True]
    (declared,) = database.tables([name]).values()
    assert declared.id == ids[-1]


@pytest.mark.parametrize(("code", "kind"), [("ORA-01017", PreflightError), ("ORA-12541", TransientError)])
def test_what_another_try_helps_is_told_from_what_it_does_not(oracle, code, kind):
    oracle.failure = code
    with pytest.raises(kind, match=f"source 'erp'.*{code}"):
        found()
