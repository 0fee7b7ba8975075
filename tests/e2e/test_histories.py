"""Another history of the source: a server in the place of the first, whose positions mean something else (0034).

PostgreSQL is promoted to a new timeline on its own data; MySQL's data get another server's identity and binary logs
that are numbered from the beginning, with the GTIDs of before, as a replica in its place has them.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.local.processes import alive
from cdc.local.stack import LocalStack
from cdc.local.state import read_state
from tests.e2e.databases import Database
from tests.e2e.service import await_true
from tests.e2e.shop import ENGINES, stack_for
from tests.e2e.test_watch import Watched, watched

pytestmark = pytest.mark.timeout(900)
ROWS = 200
TABLES = ("accepted", "loaded")


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    stack = stack_for(request, request.param)
    database = Database(stack.addresses(), request.param, f"history_{request.param}", 93)
    with watched(stack, tmp_path, database, TABLES, 18700, lambda _document: None) as made:
        made.stream(TABLES, ROWS)
        yield made


def stop(stack: LocalStack, server: str) -> Path:
    """Have a server end in order, and return its data folder."""
    process = read_state(stack.folder).processes[server]
    os.kill(process.pid, signal.SIGINT if server == "postgres" else signal.SIGTERM)
    await_true(lambda: not alive(process), 60, f"{server} has ended")
    return stack.folder / server / "data"


def promote(shop: Watched) -> None:
    """Have PostgreSQL recover from an archive that has nothing: at its end a new timeline begins."""
    data = stop(shop.stack, "postgres")
    sign = data / "recovery.signal"
    sign.touch()
    os.chown(sign, data.stat().st_uid, data.stat().st_gid)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\nhot_standby = off\n")
    shop.stack.up(["postgres"])


def replace_server(shop: Watched) -> None:
    """Give MySQL's data another server, whose first binary log has the last transactions, with the GTIDs of before."""
    data = stop(shop.stack, "mysql")
    (data / "auto.cnf").unlink()
    *older, last = sorted(data.glob("binlog.[0-9]*"))
    for log in older:
        log.unlink()
    last.rename(data / "binlog.000001")
    (data / "binlog.index").write_text("./binlog.000001\n")
    shop.stack.up(["postgres", "mysql"])


def test_changes_of_a_server_in_the_place_of_the_first_were_left_out_p23_m9(shop: Watched) -> None:
    """P23, M8, M9, P22: their positions are below those that the lake has, so each was taken for an old one."""
    if shop.database.engine == "mysql":
        for _ in range(5):
            shop.database.sql("FLUSH BINARY LOGS", role="root")
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = n + 1" for table in TABLES))
    shop.service.await_equal()
    shop.begin()
    promote(shop) if shop.database.engine == "postgres" else replace_server(shop)
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = n + 10 WHERE id <= 50" for table in TABLES))
    shop.await_named("another_history", 120)
    found = shop.await_states(dict.fromkeys(TABLES, "stopped"))
    assert f"cdc tables accept {shop.name}.accepted" in found["accepted"]["detail"], found
    shop.sql(*(f"DELETE FROM {{s}}.{table} WHERE id > 150" for table in TABLES))

    assert shop.tables("accept", "accepted", why="nothing is lost").splitlines()[0] == f"accepted {shop.name}.accepted"
    shop.tables("reset", "loaded")
    shop.await_over("another_history")
    shop.await_states(dict.fromkeys(TABLES, "running"))
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = n + 100 WHERE id BETWEEN 40 AND 60" for table in TABLES))
    await_true(lambda: shop.named("differs") != [], 60, "what was accepted is to be proved")
    repaired = shop.service.run("verify", "--repair", "--why", "changes between the switch and the stop")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    shop.await_over("differs")
    shop.service.await_equal()
    shop.sql(*(f"UPDATE {{s}}.{table} SET n = -n" for table in TABLES))
    shop.service.await_equal()
