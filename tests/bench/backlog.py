"""A source whose tables are loaded and whose changes wait: in the topics, or still in the database's log."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cdc.connect.client import ConnectClient
from cdc.kafka.topics import KafkaTopics
from cdc.local.processes import wait
from tests.bench.changes import TRANSACTION, Keys, at_once, changes, make
from tests.bench.shapes import Shape, create
from tests.e2e.shop import Shop

QUIET = 3.0
"""Seconds without a message after which the topics are complete, if there are enough messages."""

TIMEOUT = 3600.0
CHUNK = 100_000
"""Changes of one table in one go; of fewer, if there are more tables, so that all change all the time."""


@dataclass(frozen=True)
class Backlog:
    """The tables of a shop, and where their changes are."""

    shop: Shop
    shape: Shape
    kafka: Path
    """Kafka's data."""

    def prepare(self, seed: int) -> None:
        """Make the tables, capture them, and let the service load them; it is stopped afterwards.

        A row of each is changed before, so that the tables are in use: the first change of a large one makes its index.
        """
        shop, shape = self.shop, self.shape
        for number, name in enumerate(shape.names):
            shop.sql(*create(f"{{s}}.{name}", shape.columns, shape.rows, seed + number))
            shop.database.analyze(name)
        shop.database.publish(shop.service)
        shop.command("connectors", "apply", shop.name)
        shop.service.start()
        states = dict.fromkeys(shape.names, "running")
        shop.await_states(states, rows=shape.rows, seconds=300 + 15 * len(states))
        shop.sql(*(f"UPDATE {{s}}.{name} SET id = id WHERE id = 1" for name in shape.names))
        applied = wait(lambda: shop.service.log.read_text().count("batch applied") >= len(shape.names), 300)
        assert applied, f"no change has come:\n{shop.service.tail()}"
        code = shop.service.stop()
        assert code == 0, f"the service ended with {code}:\n{shop.service.tail()}"

    def hold(self) -> None:
        """Stop the connector, so that changes stay in the database's log."""
        self._cluster.stop(self.shop.name)

        def stopped() -> bool:
            found = self._cluster.status(self.shop.name) or {"connector": {}, "tasks": ()}
            return found["connector"].get("state") == "STOPPED" and not found["tasks"]

        assert wait(stopped, 60), "the connector does not stop"

    def release(self) -> None:
        """Let the connector go on."""
        self._cluster.resume(self.shop.name)

    def change(self, keys: Keys, seed: int) -> int:
        """Make all changes in the database; returns how many."""
        columns, rows = self.shape.columns, self.shape.rows
        if self.shape.one_transaction:
            self.shop.sql(*at_once(f"{{s}}.{self.shape.names[0]}", columns, rows, self.shape.changes, seed))
            return self.shape.changes
        each = self.shape.changes // self.shape.tables
        with closing(self.shop.database.connect()) as connection:
            connection.autocommit = True
            connection.execute("SET synchronous_commit = off")
            connection.execute("CREATE TEMPORARY TABLE plan (n bigint PRIMARY KEY, op text, id bigint)")
            for table, chunk in self._chunks(each, keys, seed):
                with connection.cursor().copy("COPY plan FROM STDIN") as copy:
                    copy.write("".join(f"{n}\t{op}\t{key}\n" for n, op, key in chunk))
                connection.execute(make(f"{self.shop.name}.{table}", columns, seed))
                connection.execute("TRUNCATE plan")
        return each * self.shape.tables

    def await_topics(self, count: int) -> float:
        """Wait until the changes are in the topics; returns the seconds until the last one was."""
        topics, names = KafkaTopics(self.shop.service.config.kafka), self._topics()
        began = at = time.monotonic()
        last = -1
        while time.monotonic() < began + TIMEOUT:
            marks = (mark for one in topics.describe(names).values() for mark in one.watermarks.values())
            if (now := sum(mark.high for mark in marks)) != last:
                last, at = now, time.monotonic()
            elif now >= count and time.monotonic() - at > QUIET:
                return at - began
            time.sleep(0.5)
        raise TimeoutError(f"{last} of {count} messages")

    def bytes(self) -> int:
        """Return the bytes of the topics' logs on disk."""
        return sum(log.stat().st_size for name in self._topics() for log in self.kafka.glob(f"{name}-*/*.log"))

    def _topics(self) -> list[str]:
        (source,) = self.shop.service.config.sources
        return [source.topic_of(table) for table in source.tables]

    def _chunks(self, each: int, keys: Keys, seed: int) -> Iterator[tuple[str, Iterator[tuple[int, str, int]]]]:
        size = max(TRANSACTION, CHUNK // self.shape.tables // TRANSACTION * TRANSACTION)
        plans = {name: changes(each, self.shape.rows, keys, seed + n) for n, name in enumerate(self.shape.names)}
        for low in range(0, each, size):
            for name, plan in plans.items():
                part = slice(low, low + size)
                operations, found = plan.operations[part].tolist(), plan.keys[part].tolist()
                yield name, zip(range(low, low + len(found)), operations, found, strict=True)

    @property
    def _cluster(self) -> ConnectClient:
        return ConnectClient(self.shop.service.config.connect)
