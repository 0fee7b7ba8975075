"""A Connect cluster and topics in memory, with the failures that matter."""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from cdc.core.errors import CdcError
from cdc.core.names import TableName
from cdc.core.preflight import Retained


class FakeConnect:
    """Connectors run as soon as they are put, unless ``states`` says what the task goes through first."""

    def __init__(self) -> None:
        self.connectors: dict[str, dict[str, str]] = {}
        self.states: deque[str] = deque()
        self.problems: list[tuple[str, str]] = []
        self.trace = "org.x.ConnectException: no\n\tat a\nCaused by: PSQLException: password=hunter2 refused\n\tat b"
        self.calls: list[str] = []
        self.stored: dict[str, list[dict[str, Any]]] = {}
        self.old_tasks: dict[str, list[dict[str, str]]] = {}
        self._state = "RUNNING"

    def tasks(self, name: str) -> list[dict[str, str]]:
        """Tasks run with the connector's settings, unless ``old_tasks`` says otherwise."""
        settings = self.connectors.get(name)
        return self.old_tasks.get(name, [settings] if settings else [])

    def offsets(self, name: str) -> list[dict[str, Any]]:
        return [{"partition": {"server": name}, "offset": offset} for offset in self.stored.get(name, ())]

    def config(self, name: str) -> dict[str, str] | None:
        return self.connectors.get(name)

    def validate(self, settings: Mapping[str, str]) -> list[tuple[str, str]]:
        self.calls.append(f"validate {settings['name']}")
        return self.problems

    def put(self, name: str, settings: Mapping[str, str]) -> None:
        self.calls.append(f"put {name}")
        self.connectors[name] = dict(settings)

    def status(self, name: str) -> dict[str, Any] | None:
        if name not in self.connectors:
            return None
        if self.states:
            self._state = self.states.popleft()
        state = self._state
        task = {"id": 0, "state": state, "worker_id": "w:1"} | ({"trace": self.trace} if state == "FAILED" else {})
        tasks = [] if state == "STOPPED" else [task]
        connector = "RUNNING" if state == "FAILED" else state
        return {"name": name, "connector": {"state": connector, "worker_id": "w:1"}, "tasks": tasks}

    def pause(self, name: str) -> None:
        self._set("pause", name, "PAUSED")

    def resume(self, name: str) -> None:
        self._set("resume", name, "RUNNING")

    def stop(self, name: str) -> None:
        self._set("stop", name, "STOPPED")

    def restart(self, name: str) -> None:
        self._set("restart all of", name, "RUNNING")

    def restart_failed(self, name: str) -> None:
        self._set("restart", name, "RUNNING")

    def delete_offsets(self, name: str) -> None:
        self.calls.append(f"delete offsets {name}")

    def delete(self, name: str) -> bool:
        self.calls.append(f"delete {name}")
        return self.connectors.pop(name, None) is not None

    def _set(self, verb: str, name: str, state: str) -> None:
        self.calls.append(f"{verb} {name}")
        self._state = state


class FakeTopics:
    """Topics as a dictionary of settings."""

    def __init__(self) -> None:
        self.topics: dict[str, dict[str, str]] = {}
        self.partitions: dict[str, int] = {}
        self.records: dict[str, list[bytes]] = {}
        self.newest: dict[str, int] = {}
        self.ids: dict[str, str] = {}

    def end(self, name: str) -> tuple[str, int] | None:
        return (self.ids.get(name, f"id of {name}"), len(self.records[name])) if name in self.records else None

    def values(self, name: str, start: int, end: int) -> list[bytes]:
        return self.records[name][start:end]

    def newest_at(self, name: str) -> int | None:
        return self.newest.get(name)

    def existing(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(names) & self.topics.keys()

    def settings(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        return {name: self.topics[name] for name in names}

    def create(self, name: str, *, partitions: int, replication_factor: int, settings: Mapping[str, str]) -> bool:
        assert replication_factor
        if name in self.topics:
            return False
        self.topics[name] = {"segment.bytes": "1"} | dict(settings)
        self.partitions[name] = partitions
        return True

    def configure(self, name: str, settings: Mapping[str, str]) -> None:
        self.topics[name] |= settings

    def delete(self, names: Collection[str]) -> tuple[str, ...]:
        gone = tuple(sorted(self.existing(names)))
        for name in gone:
            del self.topics[name]
        return gone


class FakeLog:
    """What a database says of its log: whose changes it withholds, who writes, for how long it keeps them."""

    def __init__(self) -> None:
        self.reasons: dict[TableName, str] = {}
        self.open: set[str] = set()
        self.kept: list[Retained] = []
        self.unfit: dict[TableName, CdcError] = {}

    def withheld(self) -> dict[TableName, str]:
        return dict(self.reasons)

    def writers(self, table: TableName) -> frozenset[str]:
        assert table not in self.reasons
        if error := self.unfit.get(table):
            raise error
        return frozenset(self.open)

    def retained(self) -> list[Retained]:
        return list(self.kept)


class FakeClock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
