"""The audit log on a catalog in a file."""

import threading
from pathlib import Path

import pytest

from cdc.core.errors import ConfigError
from cdc.lake.audit import AuditLog
from cdc.lake.pyiceberg_catalog import HadoopReader
from tests.sql_catalog import sql_catalog


def test_rows_are_appended_and_read_newest_first(tmp_path: Path) -> None:
    log = AuditLog(sql_catalog(tmp_path), "cdc")
    assert log.read(10) == []
    log.write("rewind", "shop.customers", "from 2 to 1", "a bad deploy")
    log.write("replay", "shop.orders", "offsets 0 to 9", "", outcome="no-op")
    newest, first = log.read(10)
    assert (first.command, first.target, first.what, first.why, first.outcome) == (
        "rewind",
        "shop.customers",
        "from 2 to 1",
        "a bad deploy",
        "done",
    )
    assert newest.outcome == "no-op"
    assert first.at <= newest.at
    assert first.at.tzinfo is not None
    assert "@" in first.who
    assert log.read(1) == [newest]


def test_operators_who_write_at_the_same_time_all_leave_a_row(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=AuditLog(sql_catalog(tmp_path), "cdc").write, args=("rewind", f"t{n}", "", ""))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row.target for row in AuditLog(sql_catalog(tmp_path), "cdc").read(10)} == {f"t{n}" for n in range(4)}


def test_a_catalog_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hadoop") as refused:
        AuditLog(HadoopReader("lake", str(tmp_path)), "cdc").write("rewind", "t", "", "")
    assert "catalog.type" in refused.value.hint
