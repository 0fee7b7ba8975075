"""The thread that loads what waits, on parts that fail."""

import threading
from typing import Any

import pytest

from cdc.bootstrap import auto_load
from cdc.bootstrap.auto_load import AutoLoads
from tests.fakes.configuration import configuration


def test_a_mistake_in_a_look_did_not_end_the_thread_and_with_it_all_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables stayed `loading` for ever, and the log had one line of it."""
    config = configuration()
    stop, looks = threading.Event(), []

    def is_loaded(*_: Any) -> bool:
        looks.append(1)
        if len(looks) == 1:
            raise KeyError("a mistake")
        stop.set()
        return True

    monkeypatch.setattr(auto_load, "is_loaded", is_loaded)
    monkeypatch.setattr(auto_load, "sibling_session", lambda session, _catalog: session)
    monkeypatch.setattr(auto_load, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(auto_load, "_LOOK_SECONDS", 0.01)
    parts: Any = None
    loads = AutoLoads(config, config.sources[0], parts, parts, stop, parts)
    thread = threading.Thread(target=loads.run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(looks) >= 2
