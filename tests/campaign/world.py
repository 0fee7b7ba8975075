"""A source with the campaign's tables and its service, on a stack of its own, to which actions are done."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from cdc.bootstrap.spark import fetch_spark
from cdc.local.stack import LocalStack
from tests.campaign.actions import Action, Change
from tests.campaign.commands import SHAKEN, Commands
from tests.campaign.comparing.differences import Comparison
from tests.campaign.faults import Faults
from tests.campaign.judge import AWAY, Judge, all_equal, said_of
from tests.campaign.runner import Finding
from tests.campaign.statements import add_column, create, statements
from tests.campaign.tables import BY_NAME, NAME, TABLES, Added, added
from tests.e2e.databases import Database
from tests.e2e.shop import Shop, shop_of

EQUAL_WITHIN = 300.0
"""Seconds in which the lake must have become equal, everything running and nothing changing."""
BACK_WITHIN = 200.0
"""Seconds in which a database that was killed must be back."""
LOST = (psycopg.OperationalError, pymysql.OperationalError, pymysql.InterfaceError)
REFUSED = (psycopg.IntegrityError, pymysql.IntegrityError)
BEGUN = ("asking for the lease", "Traceback (most recent call last)")
"""What a service has not said whose start was refused in an orderly way."""
FILLED = 60
"""Changes with which each table is filled before it is captured."""


class Ground:
    """The world of a campaign; see ``runner.World``."""

    def __init__(self, shop: Shop, stack: LocalStack) -> None:
        self._shop, self._engine = shop, shop.database.engine
        self._faults = Faults(stack, self._engine, shop.service)
        self._commands = Commands(shop.service)
        self._judge = Judge(shop.database, shop.service.config.catalog.name)
        self._added: dict[str, list[Added]] = {table.name: [] for table in TABLES}
        self._owed: set[str] = set()
        """Tables that have to be loaded anew: a column was added with a default, of which no event tells (T10)."""
        self.counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Make the tables, fill and capture them, and wait until they are in the lake."""
        database = self._shop.database
        database.sql(*(statement for table in TABLES for statement in create(table, self._engine)))
        for table in TABLES:
            self._transact([Change("insert", table.name, number) for number in range(FILLED // 10)])
            database.analyze(table.name)
        database.publish(self._shop.service)
        self._shop.command("connectors", "apply", NAME)
        self._shop.service.start()
        self.settle()

    def act(self, action: Action) -> None:
        self._check_service()
        getattr(self, f"_do_{action.kind}")(action)
        threading.Event().wait(action.rest)

    def settle(self) -> None:
        self._faults.over()
        self._end_command()
        self._load_owed()
        self._await_equal()

    def end(self) -> None:
        """Let go of everything that runs; idempotent."""
        self._commands.kill()
        with suppress(BaseException):
            self._faults.over()

    def verified(self) -> None:
        """Ask the pipeline's own comparison too; raises Finding if it does not say what this campaign's says."""
        done = self._shop.service.run("verify")
        if done.returncode:
            raise Finding(f"all is equal, and `cdc verify` says otherwise:\n{done.stdout}{done.stderr}")

    def without_service(self, *statements: str) -> list[Comparison]:
        """Change the source with nobody to apply it, and return how the tables compare: what the judge has to find."""
        self._shop.service.kill()
        self._shop.database.sql(*statements)
        return self._judge.compared()

    def _do_compare(self, _: Action) -> None:
        self.settle()

    def _do_transaction(self, action: Action) -> None:
        self._transact(action.changes, action.undone, committed=action.committed)

    def _do_burst(self, action: Action) -> None:
        for change in action.changes:
            self._transact([change])

    def _do_truncate(self, action: Action) -> None:
        self._transact([Change("truncate", action.target, 0), *action.changes])

    def _do_kill(self, action: Action) -> None:
        self._faults.kill(action.target)

    def _do_pause(self, action: Action) -> None:
        self._faults.pause(action.target, action.seconds)

    def _do_add(self, action: Action) -> None:
        column = added(self._engine, action.seed, action.number)
        if self._executed([(add_column(BY_NAME[action.target], column), ())]):
            self._added[action.target].append(column)
            self._owed |= {action.target} if column.default else set()

    def _do_reload(self, action: Action) -> None:
        self._end_command()
        self._commands.start("load", "--reload", "--tables", f"{NAME}.{action.target}", "--why", "campaign")

    def _do_maintain(self, action: Action) -> None:
        self._end_command()
        self._commands.start("maintain", f"{NAME}.{action.target}", "--why", "campaign")

    def _do_replay(self, action: Action) -> None:
        self._end_command()
        start = "earliest" if action.part < 0.4 else self._checkpoint(action)
        if start:
            options = ("--table", f"{NAME}.{action.target}", "--from", start, "--why", "campaign")
            self._commands.start("replay", *options)

    def _do_rewind(self, action: Action) -> None:
        self._end_command()
        to = self._checkpoint(action)
        options = ("rewind", "--table", f"{NAME}.{action.target}", "--to", to, "--yes", "--json")
        plan: Any = self._commands.ask(*options, "--dry-run") if to else None
        if plan is None or plan["loads"]:  # what a load has set right would be given up
            self.counts["rewinds left out"] += 1
            return
        done = self._commands.ask(*options, "--why", "campaign")
        self.counts["rewinds" if done is not None else "rewinds that failed"] += 1

    def _checkpoint(self, action: Action) -> str:
        """Return a checkpoint since the last load that can be had by a rewind, an empty text if nobody can tell one."""
        listed: Any = self._commands.ask("checkpoint", "list", "-t", f"{NAME}.{action.target}", "-n", "60", "--json")
        since = takewhile(lambda one: one["kind"] != "load", listed or ())
        found = [one["table_snapshot"] for one in since if one["reach"].startswith("rewind")]
        return found[int(action.part * len(found))] if found else ""

    def _end_command(self) -> bool:
        done = self._commands.end(self._last_fault())
        self.counts["commands that failed for a fault"] += not done
        return done

    def _last_fault(self) -> float:
        return time.monotonic() if self._faults.going_on() else self._faults.last

    def _load_owed(self) -> None:
        """Load the tables anew of which the service says that they are outdated, as an operator does."""
        deadline = time.monotonic() + EQUAL_WITHIN
        while self._owed:
            self._end_command()
            tables = [part for name in sorted(self._owed) for part in ("--tables", f"{NAME}.{name}")]
            self._commands.start("load", "--reload", *tables, "--why", "campaign")
            if self._end_command():
                self._owed.clear()
            elif time.monotonic() > deadline:
                raise Finding(f"{self._owed} could not be loaded anew within {EQUAL_WITHIN:.0f} s")

    def _transact(self, changes: Sequence[Change], undone: Sequence[Change] = (), *, committed: bool = True) -> None:
        made = [statement for change in changes for statement in self._statements(change)]
        if undone:
            taken = [statement for change in undone for statement in self._statements(change)]
            made = [*made, ("SAVEPOINT s", ()), *taken, ("ROLLBACK TO SAVEPOINT s", ())]
        self._executed(made, committed=committed)

    def _statements(self, change: Change) -> list[Any]:
        return statements(change, self._engine, self._added[change.table])

    def _executed(self, made: Sequence[tuple[str, Any]], *, committed: bool = True) -> bool:
        """Return whether the statements are committed for certain; nobody counts on those that are not."""
        try:
            with closing(self._connected()) as connection, connection.cursor() as cursor:
                for sql, values in made:
                    cursor.execute(sql, values or None)
                _ = connection.commit() if committed else connection.rollback()
        except REFUSED:
            self.counts["transactions refused"] += 1
        except LOST:
            self.counts["transactions lost with their connection"] += 1
        else:
            return committed
        return False

    def _connected(self) -> Any:
        """Return a connection to the source, however long it takes to be back."""
        deadline = time.monotonic() + BACK_WITHIN
        while True:
            try:
                return self._shop.database.connect()
            except LOST as error:
                if time.monotonic() > deadline:
                    raise Finding(f"the database is not back after {BACK_WITHIN:.0f} s: {error}") from error
                time.sleep(0.2)

    def _check_service(self) -> None:
        """Start the service again if it has ended at its start because a server was away, as it may (decision 21)."""
        service = self._shop.service
        if (code := service.ended()) is None:
            return
        said = service.said_since_start()
        if code != 1 or any(text in said for text in BEGUN) or not self._faults.recent(SHAKEN):
            raise Finding(f"the service has ended by itself with code {code}:\n{service.tail(60)}")
        self.counts["starts that failed for a fault"] += 1
        service.kill()
        service.start()

    def _await_equal(self) -> None:
        began, compared = time.monotonic(), []
        while True:
            self._check_service()
            with suppress(*AWAY):
                compared = self._judge.compared()
                self.counts["looks"] += 1
                if all_equal(compared):
                    break
            if time.monotonic() - began > EQUAL_WITHIN:
                self.counts["differences"] += sum(len(one.differences) for one in compared)
                raise Finding(f"not equal after {EQUAL_WITHIN:.0f} s\n{said_of(compared)}\n{self._status()}")
            time.sleep(0.5)
        self.counts["comparisons"] += 1
        self.counts["rows compared"] += sum(one.source_rows for one in compared)
        print(f"  equal after {time.monotonic() - began:.1f} s: {sum(one.source_rows for one in compared)} rows")

    def _status(self) -> str:
        """Return what the service says of itself, for whoever looks for the cause."""
        said = [self._shop.service.run(*command) for command in (("status",), ("tables", "list"))]
        return "\n".join([*(one.stdout + one.stderr for one in said), self._shop.service.tail(60)])


@contextmanager
def ground(stack: LocalStack, engine: str, folder: Path) -> Iterator[Ground]:
    """Start a stack, and take it away afterwards; the tables are in the lake when this yields."""
    fetch_spark()
    try:
        stack.up(["postgres", engine])
        database = Database(stack.addresses(), engine, NAME, 99)
        with shop_of(Shop, stack, folder, database, [table.name for table in TABLES], _configured) as shop:
            made = Ground(shop, stack)
            try:
                made.begin()
                yield made
            finally:
                made.end()
    finally:
        stack.down(wipe=True)


def _configured(document: dict[str, Any]) -> None:
    """Name the key of each table, which is not everywhere ``id``, and how it is written."""
    for table, configured in zip(TABLES, document["sources"][0]["tables"], strict=True):
        configured["key"] = list(table.key)
        if table.deltas:
            configured["properties"] = {"write.merge.mode": "merge-on-read"}
