"""Another configuration while the service runs."""

import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.bootstrap.reload import Reloader, needs_restart
from cdc.bootstrap.specs import specs_of
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.errors import ConfigError, TransientError
from tests.fakes.configuration import MYSQL, POSTGRES, configuration


def changed(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(source), **fields}


MORE = changed(POSTGRES, tables=[*POSTGRES["tables"], {"source": "public.invoices", "key": ["id"]}])
FEWER = changed(POSTGRES, tables=POSTGRES["tables"][:1])


class Rig:
    """A reloader whose configuration is what the test says, and what it handed on."""

    def __init__(self) -> None:
        self.found: Config | Exception = configuration(POSTGRES, MYSQL)
        self.taken: list[tuple[str, list[str]]] = []
        self.failures: list[Exception] = []
        self.held: list[Config] = []
        self.reloader = Reloader(configuration(POSTGRES, MYSQL), self._reload, self._take_up, self.held.append)

    def _reload(self) -> Config:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def _take_up(self, config: Config, source: SourceConfig) -> None:
        if self.failures:
            raise self.failures.pop(0)
        assert source in config.sources
        self.taken.append((source.name, [spec.target.table for spec in specs_of(source)]))

    def look(self, found: Config | Exception) -> list[str]:
        """Let the reloader find this; return what it logged."""
        self.found = found
        with capture_logs() as logs:
            self.reloader.look()
        return [f"{entry['log_level']}: {entry['event']}" for entry in logs]


def test_nothing_new_is_nothing_to_do() -> None:
    rig = Rig()
    assert rig.look(configuration(POSTGRES, MYSQL)) == []
    assert rig.taken == []


def test_tables_that_come_and_go_reach_their_own_pipeline_once() -> None:
    """X1."""
    rig = Rig()
    for _ in range(2):
        rig.look(configuration(MORE, MYSQL))
    rig.look(configuration(FEWER, MYSQL))
    assert rig.taken == [("shop", ["customers", "order__items", "invoices"]), ("shop", ["customers"])]


def test_who_reads_first_rows_is_taken_up_too() -> None:
    rig = Rig()
    rig.look(configuration(changed(POSTGRES, snapshot="connector"), MYSQL))
    assert [name for name, _ in rig.taken] == ["shop"]


def test_a_file_that_is_wrong_is_told_once_and_the_former_holds() -> None:
    rig = Rig()
    wrong = ConfigError("configuration has 1 problem:\n  kafka: is missing")
    assert rig.look(wrong) == ["error: configuration not taken up"]
    assert rig.look(wrong) == []
    assert rig.look(ConfigError("another one")) == ["error: configuration not taken up"]
    assert rig.look(ValueError("a bug")) == ["error: configuration not taken up"]
    assert rig.look(configuration(MORE, MYSQL)) == ["info: configuration taken up"]
    assert rig.look(wrong) == ["error: configuration not taken up"], "it was right in between"


def test_what_needs_a_restart_is_named_once_and_tables_are_taken_up_all_the_same() -> None:
    rig = Rig()
    new = configuration(changed(MORE, host="elsewhere"), MYSQL, stream={"trigger": "2s"})
    assert rig.look(new) == ["warning: configuration needs a restart", "info: configuration taken up"]
    assert rig.look(new) == []
    assert len(rig.taken) == 1


@pytest.mark.parametrize(
    ("new", "sections"),
    [
        (configuration(MORE, MYSQL), []),
        (configuration(POSTGRES, MYSQL, spark={"master": "local[1]"}), ["spark"]),
        (configuration(changed(POSTGRES, format="json"), MYSQL), ["sources.shop.format"]),
        (configuration(changed(POSTGRES, password="${env:OTHER}"), MYSQL), ["sources.shop.password"]),
        (configuration(POSTGRES), ["sources.store (removed)"]),
        (configuration(POSTGRES, MYSQL, changed(MYSQL, name="new", server_id=9, database="a", tables=[
            {"source": "a.b", "key": ["id"]}])), ["sources.new (added)"]),
    ],
)  # fmt: skip
def test_all_but_the_tables_needs_a_restart(new: Config, sections: list[str]) -> None:
    assert needs_restart(configuration(POSTGRES, MYSQL), new) == sections


def test_sources_that_come_or_go_are_left_to_the_restart() -> None:
    rig = Rig()
    assert rig.look(configuration(MORE)) == ["warning: configuration needs a restart", "info: configuration taken up"]
    assert [name for name, _ in rig.taken] == ["shop"]


def test_a_target_that_goes_to_another_source_waits_until_the_former_has_gone() -> None:
    """M45: the source that is removed still writes to it until the restart."""
    rig = Rig()
    heir = changed(POSTGRES, tables=[{"source": "public.customers", "key": ["id"], "target": "store.c"}])
    logs = rig.look(configuration(heir))
    assert logs == ["warning: configuration needs a restart"] * 2
    assert rig.taken == []


def test_what_could_not_be_taken_up_is_tried_again() -> None:
    rig = Rig()
    rig.failures = [TransientError("catalog away"), TransientError("catalog away")]
    assert rig.look(configuration(MORE, MYSQL)) == ["error: configuration of source 'shop' not taken up"]
    assert rig.look(configuration(MORE, MYSQL)) == []
    assert rig.look(configuration(MORE, MYSQL)) == ["info: configuration taken up"]


@pytest.fixture
def running() -> Iterator[tuple[Rig, threading.Event]]:
    rig, ended, now = Rig(), threading.Event(), threading.Event()
    thread = threading.Thread(target=rig.reloader.run, args=(ended, now, 3600.0), daemon=True)
    thread.start()
    yield rig, now
    ended.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_signal_makes_it_look_at_once(running: tuple[Rig, threading.Event]) -> None:
    rig, now = running
    looked = threading.Event()
    reload = rig._reload  # noqa: SLF001

    def noted() -> Config:
        looked.set()
        return reload()

    rig.reloader._reload = noted  # noqa: SLF001
    now.set()
    assert looked.wait(10)


def test_after_each_look_it_is_told_which_configuration_holds() -> None:
    rig = Rig()
    rig.failures.append(TransientError("away"))
    rig.look(configuration(MORE, MYSQL))
    rig.look(configuration(MORE, MYSQL))
    assert [len(config.sources[0].tables) for config in rig.held] == [2, 3]


def test_a_mistake_in_a_look_did_not_end_the_thread_that_follows_the_configuration() -> None:
    rig, ended, now = Rig(), threading.Event(), threading.Event()
    looks: list[int] = []

    def held(_config: Config) -> None:
        looks.append(1)
        if len(looks) == 1:
            raise KeyError("a mistake")
        ended.set()

    rig.reloader._looked = held  # noqa: SLF001 - as what a pattern brings in may be mistaken
    thread = threading.Thread(target=rig.reloader.run, args=(ended, now, 0.01), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
