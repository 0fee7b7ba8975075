"""A source with tables of its own and the service that captures them, asked and told what to do as an operator does."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.e2e.loading import reconfigure
from tests.e2e.service import Service, await_true

ENGINES = ("postgres", pytest.param("mysql", marks=pytest.mark.campaign))
"""Both databases: what is alike in them is tried on the second by ``make test-long``."""

AnyShop = TypeVar("AnyShop", bound="Shop")
Settings = Callable[[dict[str, Any]], None]


def stack_for(request: pytest.FixtureRequest, engine: str) -> LocalStack:
    """Return the stack of the test session, with a server of the engine."""
    stack: LocalStack = request.getfixturevalue("mysql_stack" if engine == "mysql" else "stack")
    return stack


@dataclass
class Shop:
    """A source and its service; tables are named without their schema."""

    database: Database
    service: Service

    @property
    def name(self) -> str:
        return self.database.name

    def capture(self, tables: Sequence[str], rows: int) -> None:
        """Make the tables with their rows, and register the connector."""
        for table in tables:
            self.database.create(table, rows)
        self.database.publish(self.service)
        self.command("connectors", "apply", self.name)

    def stream(self, tables: Sequence[str], rows: int) -> None:
        """Make the tables with their rows, register the connector, and start the service; all of them run then."""
        self.capture(tables, rows)
        self.service.start()
        self.await_states(dict.fromkeys(tables, "running"), rows=rows)

    def change(self, tables: Sequence[str], numbers: Iterable[int]) -> None:
        """Update, delete and insert rows of the tables, other ones for each number."""
        for number in numbers:
            for table in tables:
                self.sql(
                    f"UPDATE {{s}}.{table} SET n = n + 1 WHERE id % 3 = {number % 3}",
                    f"DELETE FROM {{s}}.{table} WHERE id = {number + 1}",
                    f"INSERT INTO {{s}}.{table} (id, name) VALUES ({10_000 + number}, 'new')",
                )

    def sql(self, *statements: str) -> None:
        self.database.sql(*statements)

    def command(self, *arguments: str) -> str:
        done = self.service.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tables(self, *arguments: str, **options: str) -> str:
        """Run ``cdc tables`` for tables of the source: the first argument is the verb."""
        verb, *names = arguments
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return self.command("tables", verb, *(f"{self.name}.{name}" for name in names), *flags)

    def listed(self) -> dict[str, dict[str, Any]]:
        lines = json.loads(self.command("tables", "list", "--json"))
        return {line["source"].removeprefix(f"{self.name}."): line for line in lines}

    def await_states(self, states: Mapping[str, str], rows: int = 0, seconds: float = 180) -> dict[str, dict[str, Any]]:
        """Wait until each table is in its state, with so many rows at least; return what is said of all."""
        found: dict[str, dict[str, Any]] = {}

        def reached(name: str, state: str) -> bool:
            line = found.get(name, {"state": "", "rows": 0})
            return line["state"] == state and (line["rows"] or 0) >= rows

        def all_reached() -> bool:
            self.service.check_alive()
            found.update(self.listed())
            return all(reached(*one) for one in states.items())

        try:
            # each look is a process of its own, which would take a core from what many tables wait for
            await_true(all_reached, seconds, f"tables are {dict(states)}", pause=len(states) / 10)
        except AssertionError:
            print(json.dumps(found, indent=1), self.service.tail(60), sep="\n")
            raise
        return found

    def await_state(self, name: str, state: str, rows: int = 0) -> None:
        self.await_states({name: state}, rows)


@contextmanager
def shop_of(
    kind: type[AnyShop],
    stack: LocalStack,
    folder: Path,
    database: Database,
    tables: Sequence[str],
    settings: Settings,
) -> Iterator[AnyShop]:
    """Make a source that has its schema and no table yet; all of it is gone afterwards."""
    service = Service.create(folder, stack, [database.source(*tables)])
    reconfigure(service, settings)
    database.make()
    try:
        yield kind(database, service)
    finally:
        database.clean(service)
