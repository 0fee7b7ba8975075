"""Tables that come while the service runs, and their connector."""

from typing import Any

from structlog.testing import capture_logs

from cdc.config.models import Config
from cdc.connect.render import render, table_pattern
from cdc.core.errors import TransientError
from cdc.core.names import TableName
from cdc.pipeline.enrol import Enrolment
from cdc.pipeline.register import Connectors
from tests.fakes.configuration import MYSQL, POSTGRES, configuration
from tests.fakes.connect import FakeConnect, FakeTopics


def with_tables(*names: str) -> Config:
    return configuration({**POSTGRES, "tables": [{"source": f"public.{name}", "key": ["id"]} for name in names]})


class Rig:
    """A service's look at its connector."""

    def __init__(self, *registered: str) -> None:
        self.connect, self.topics = FakeConnect(), FakeTopics()
        self.stale: list[TableName] = []
        self.enrolment = Enrolment(self.connectors, table_pattern, lambda _config, _source: self.stale)
        self.down: TransientError | None = None
        self.planned = 0
        if registered:
            self.register(*registered)
        self.planned = 0

    def connectors(self, config: Config) -> Connectors:
        if self.down:
            raise self.down
        self.planned += 1
        seconds = iter(range(10**6))
        return Connectors(
            config,
            lambda source: render(source, config),
            self.connect,
            self.topics,
            clock=lambda: float(next(seconds)),
            sleep=lambda _: None,
        )

    def register(self, *names: str) -> None:
        connectors = self.connectors(with_tables(*names))
        connectors.apply(connectors.plan("shop"))

    def look(self, *names: str) -> list[tuple[str, Any]]:
        config = with_tables(*names)
        with capture_logs() as logs:
            self.enrolment.look(config, config.sources[0])
        return [(entry["event"], entry.get("hint")) for entry in logs]

    @property
    def registered(self) -> str:
        return self.connect.connectors["shop"]["table.include.list"]


def test_a_table_that_came_later_is_registered_once() -> None:
    rig = Rig("a")
    assert rig.look("a", "b") == [("tables registered", None)]
    assert rig.registered == r"public\.a,public\.b"
    assert rig.topics.existing(["shop.public.b"])
    assert rig.look("a", "b") == []
    assert rig.look("a") == []  # what went needs nothing
    assert rig.planned == 1


def test_other_differences_are_left_to_a_person() -> None:
    rig = Rig("a", "b")
    rig.connect.connectors["shop"]["max.batch.size"] = "1"
    rig.topics.topics["shop.public.a"]["retention.ms"] = "1"
    calls = list(rig.connect.calls)
    assert rig.look("a") == []
    assert rig.connect.calls == calls
    assert rig.look("a", "b", "c") == [("tables registered", None)]
    assert rig.connect.connectors["shop"]["max.batch.size"] == "1"
    assert rig.topics.topics["shop.public.a"]["retention.ms"] == "1"


def test_a_connector_is_registered_for_the_first_time_by_a_person() -> None:
    rig = Rig()
    assert rig.look("a") == []
    assert rig.connect.connectors == {}
    rig.register("a")
    assert rig.look("a", "b") == [("tables registered", None)]


def test_what_fails_is_told_once_and_tried_again() -> None:
    rig = Rig("a")
    rig.down = TransientError("Connect is away", hint="start it")
    assert rig.look("a", "b") == [("tables not registered", "start it")]
    assert rig.look("a", "b") == []
    rig.down = None
    assert rig.look("a", "b") == [("tables registered", None)]


def test_a_table_that_was_set_aside_is_not_taken_in_again_by_itself():
    """It has ended the connector once; a person mends the cause and applies."""
    rig = Rig("a", "b")
    rig.connect.connectors["shop"]["table.include.list"] = r"public\.a"
    rig.stale = [TableName("public", "b"), TableName("public", "a")]
    rig.look("a", "b", "c")
    assert rig.registered == r"public\.a,public\.c"


def test_a_database_that_is_new_to_a_connector_is_left_to_a_person() -> None:
    """Tables that its user could not see when it began are not in its history: their first change would end it."""
    rig = Rig()
    before, after = (
        configuration({**MYSQL, "tables": [{"source": f"{database}.a", "key": ["id"]} for database in databases]})
        for databases in (("my-shop",), ("my-shop", "archive"))
    )
    connectors = rig.connectors(before)
    connectors.apply(connectors.plan("store"))
    with capture_logs() as logs:
        rig.enrolment.look(after, after.sources[0])
    assert logs[0]["error"] == "databases are new to connector 'store': archive"
    assert "cdc connectors apply store" in logs[0]["hint"]
    assert "archive" not in rig.connect.connectors["store"]["table.include.list"]
