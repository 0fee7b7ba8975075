"""Loads in trouble: what is wrong is named, the other tables go on, and the load goes on when the cause is gone."""

import itertools
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cdc.bootstrap.at_rest import verify_sources
from cdc.local.processes import alive
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from tests.e2e.databases import Database
from tests.e2e.loading import LoadRun, reconfigure
from tests.e2e.service import await_true, has_line
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(600)
MISSING = {"postgres": "does not exist", "mysql": "doesn't exist"}
NUMBERS = itertools.count(1)
ROWS = 20_000
SLOW = ("--rows-per-second", "2500")


@contextmanager
def registered(
    request: pytest.FixtureRequest, folder: Path, engine: str, tables: Sequence[str], rows: int = ROWS
) -> Iterator[Shop]:
    """Make tables that are captured and not loaded."""
    stack, number = stack_for(request, engine), next(NUMBERS)
    database = Database(stack.addresses(), engine, f"trouble{number}", 70 + number)
    with shop_of(Shop, stack, folder, database, tables, settings) as shop:
        shop.capture(tables, rows)
        yield shop


def settings(document: dict[str, Any]) -> None:
    document["load"] = {"range_bytes": "512k", "auto": False, "parallel_tables": 2}


def equal_tables(shop: Shop) -> set[str]:
    """Return the tables that are the same in source and lake."""
    found = verify_sources(shop.service.config).tables
    return {one.source.rpartition(".")[2].strip('"') for one in found if one.equal}


def test_three_of_ten_tables_cannot_be_loaded_and_seven_are(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """What was right when the connector was registered: a privilege, a unique key, the table itself."""
    names = [f"t{n}" for n in range(10)]
    with registered(request, tmp_path, "postgres", names, rows=500) as shop:
        shop.sql("REVOKE SELECT ON {s}.t3 FROM cdc", "ALTER TABLE {s}.t5 DROP CONSTRAINT t5_pkey", "DROP TABLE {s}.t7")
        done = shop.service.run("load")
        assert done.returncode == 1
        assert "t3: role 'cdc' may not read" in done.stderr
        assert f"GRANT SELECT ON {shop.name}.t3" in done.stderr.replace('"', "")
        assert "t5: key (id)" in done.stderr
        assert "is not unique" in done.stderr
        assert "t7: table" in done.stderr
        assert "does not exist" in done.stderr
        assert done.stderr.count("error: ") == 3
        assert "Traceback" not in done.stderr

        shop.sql("GRANT SELECT ON {s}.t3 TO cdc", "ALTER TABLE {s}.t5 ADD PRIMARY KEY (id)")
        again = shop.service.run("load")
        assert (again.returncode, again.stderr.count("error: ")) == (1, 1), again.stderr
        assert equal_tables(shop) == set(names) - {"t7"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_that_vanishes_during_its_load(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    with registered(request, tmp_path, engine, ("vanishing", "staying")) as shop:
        run = LoadRun(shop.service, SLOW)
        process = run.start()
        await_commit(run, process, f"{shop.name}.vanishing")
        shop.sql("DROP TABLE {s}.vanishing")
        assert process.wait(240) == 1, run.tail()
        assert f"error: {shop.name}.vanishing: " in run.tail()
        assert MISSING[engine] in run.tail()
        assert "Traceback" not in run.log.read_text()
        assert equal_tables(shop) == {"staying"}


@pytest.mark.campaign  # MySQL's connector takes a minute and a half to notice, and 48 s more until it tells its place
@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_source_that_restarts_during_a_load(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    """The stack's PostgreSQL holds the catalog too: lake and source are gone at the same time."""
    with registered(request, tmp_path, engine, ("items",)) as shop:
        run = LoadRun(shop.service, SLOW)
        process = run.start()
        await_commit(run, process, f"{shop.name}.items")
        crash(stack_for(request, engine), engine)
        shop.sql("UPDATE {s}.items SET n = n + 1 WHERE id < 1000")
        restart_connector(shop)
        assert process.wait(240) == 0, run.tail()
        assert all(times == 1 for ranges in run.committed_ranges().values() for times in ranges.values())
        shop.service.start()
        shop.service.await_equal()


@pytest.mark.campaign
def test_a_slot_that_is_lost_during_a_load(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """P18, P19: the load begins anew with the connector, and a table that was loaded before stops until it is reset."""
    with registered(request, tmp_path, "postgres", ("before", "items")) as shop:
        assert shop.service.run("load", "-t", f"{shop.name}.before").returncode == 0
        shop.service.start()
        shop.await_state("before", "running", ROWS)
        run = LoadRun(shop.service, ("-t", f"{shop.name}.items", *SLOW))
        process = run.start()
        await_commit(run, process, f"{shop.name}.items")
        lose_slot(shop)
        assert process.wait(300) == 0, run.tail()
        assert "began anew while" in run.log.read_text(errors="replace")
        found = shop.await_states({"before": "stopped", "items": "running"})
        assert "begun anew without its offsets" in found["before"]["detail"]
        shop.tables("reset", "before")
        shop.await_state("before", "running")
        shop.service.await_equal()


def lose_slot(shop: Shop) -> None:
    """Lose what the slot holds, with changes in it, and register the connector anew."""
    shop.command("connectors", "remove", shop.name)  # a paused one keeps the slot in use

    def dropped() -> bool:
        shop.database.drop_slot()
        return not shop.database.slots()

    await_true(dropped, 60, "the slot is dropped")
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = n + 1 WHERE id < 1000" for table in ("before", "items")))
    refused = shop.service.run("connectors", "apply", shop.name)
    assert refused.returncode == 1, refused.stdout  # not silently from where the new slot begins
    shop.command("connectors", "remove", shop.name, "--offsets")
    shop.command("connectors", "apply", shop.name)


def test_a_full_disk(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """S25: it is named, and the load goes on behind its last commit when there is room; the lease is on that disk."""
    with registered(request, tmp_path, "postgres", ("items",)) as shop, small_disk(tmp_path / "lake") as disk:
        # a catalog of its own: what else the tests have in theirs lies elsewhere
        reconfigure(shop.service, lambda c: c["catalog"].update(name="small", warehouse=str(disk)))
        run = LoadRun(shop.service)
        process = run.start()
        await_true(lambda: "No space left" in run.log.read_text(errors="replace"), 90, "the disk is full")
        subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
        if process.wait(240) != 0:  # it could not keep its lease
            run.finish()
        assert "Traceback" not in run.log.read_text(errors="replace")
        assert all(times == 1 for ranges in run.committed_ranges().values() for times in ranges.values())
        assert equal_tables(shop) == {"items"}


def await_commit(run: LoadRun, process: subprocess.Popen[bytes], table: str) -> None:
    """Wait until some of a table's ranges are in its shadow, and others are still to be read."""

    def committed() -> bool:
        assert process.poll() is None, run.tail()
        return has_line(run.log, "ranges committed", table)

    await_true(committed, 90, f"ranges of {table} are committed")


def crash(stack: LocalStack, engine: str) -> None:
    """End a database at once, as a crash does, and start it again."""
    process = read_state(stack.folder).processes[engine]
    os.kill(process.pid, signal.SIGQUIT if engine == "postgres" else signal.SIGKILL)
    await_true(lambda: not alive(process), 30, f"{engine} has ended")
    stack.up(["postgres", "mysql"] if engine == "mysql" else ["postgres"])


def restart_connector(shop: Shop) -> None:
    """Restart what failed, as the hint says, once the database answers."""

    def restarted() -> bool:
        return shop.service.run("connectors", "restart", shop.name).returncode == 0

    await_true(restarted, 120, "the connector runs again")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system that holds a few megabytes."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
