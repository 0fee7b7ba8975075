"""Registering connectors: what differs between configuration and cluster, and making it so.

Plans are values: decided here from what the parts say, printed by the command line, carried out by ``apply``.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.errors import ConfigError, TerminalError, TransientError
from cdc.core.names import TableName, heartbeat_topic
from cdc.pipeline.aside import narrowed, with_tables_of
from cdc.pipeline.connector_state import ConnectorStatus, parse_status, redacted
from cdc.pipeline.leftovers import Leftover, leftovers, topics_of

Json = Mapping[str, Any]


class ConnectCluster(Protocol):
    """A Kafka Connect cluster. Every call may raise TransientError (no answer) or TerminalError (refused)."""

    def config(self, name: str) -> dict[str, str] | None:
        """Return the settings of a connector, or None if there is none."""

    def validate(self, settings: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what the connector's own class finds wrong: pairs of setting and complaint."""

    def put(self, name: str, settings: Mapping[str, str]) -> None:
        """Create or change the connector; idempotent."""

    def status(self, name: str) -> Json | None:
        """Return the state of connector and tasks in Connect's own words, or None if there is none."""

    def pause(self, name: str) -> None:
        """Ask for the tasks to pause; idempotent, answered before it is done."""

    def resume(self, name: str) -> None:
        """Ask a paused or stopped connector to run; idempotent, answered before it is done."""

    def stop(self, name: str) -> None:
        """Ask for the tasks to end, which deleting offsets needs; idempotent, answered before it is done."""

    def restart(self, name: str) -> None:
        """Restart the connector and all of its tasks."""

    def restart_failed(self, name: str) -> None:
        """Restart the connector and those of its tasks that failed, and no others."""

    def delete_offsets(self, name: str) -> None:
        """Forget where the stopped connector was."""

    def delete(self, name: str) -> bool:
        """Remove the connector; False if there was none."""


class TopicAdmin(Protocol):
    """The topics of a Kafka cluster. Every call may raise TransientError or TerminalError."""

    def existing(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the topics that exist."""

    def settings(self, names: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Return all settings in force of each existing topic."""

    def create(self, name: str, *, partitions: int, replication_factor: int, settings: Mapping[str, str]) -> bool:
        """Create the topic; False if it exists."""

    def configure(self, name: str, settings: Mapping[str, str]) -> None:
        """Set these settings of an existing topic; idempotent."""

    def delete(self, names: Collection[str]) -> Collection[str]:
        """Delete those of the topics that exist, and return their names."""


class Change(NamedTuple):
    """A setting that differs; None stands for not set. Secrets are not shown."""

    key: str
    old: str | None
    new: str | None


class TopicPlan(NamedTuple):
    """What is to be done to a topic."""

    name: str
    action: Literal["create", "configure", "unchanged"]
    partitions: int
    replication_factor: int
    settings: Mapping[str, str]
    changes: tuple[Change, ...]


class ConnectorPlan(NamedTuple):
    """What is to be done to a connector and its topics."""

    name: str
    action: Literal["create", "update", "unchanged"]
    settings: Mapping[str, str]
    changes: tuple[Change, ...]
    topics: tuple[TopicPlan, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.action == "unchanged" and all(topic.action == "unchanged" for topic in self.topics)


class Connectors:
    """The use cases of registering connectors."""

    def __init__(  # the parts, by role
        self,
        config: Config,
        render: Callable[[SourceConfig], Mapping[str, str]],
        cluster: ConnectCluster,
        topics: TopicAdmin,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._render = render
        self._cluster = cluster
        self._topics = topics
        self._clock = clock
        self._sleep = sleep

    def source(self, name: str) -> SourceConfig:
        """Return the source with that name; raises ConfigError if there is none."""
        for source in self._config.sources:
            if source.name == name:
                return source
        names = ", ".join(source.name for source in self._config.sources)
        raise ConfigError(f"no source is named {name!r}", hint=f"the configuration has: {names}")

    def plan(self, name: str, without: Collection[TableName] = (), *, tables_only: bool = False) -> ConnectorPlan:
        """Return the difference between configuration and cluster, tables left out; changes nothing.

        Of a connector that is registered only the settings that tables make may be asked to differ.
        """
        source = self.source(name)
        kept = [table for table in source.tables if table.source not in without]
        settings = dict(self._render(narrowed(source, kept)))
        present = self._cluster.config(name)
        if present and tables_only:
            settings = with_tables_of(present, settings)
        changes = differences(present or {}, settings)
        action: Literal["create", "update", "unchanged"] = (
            "create" if present is None else "update" if changes else "unchanged"
        )
        return ConnectorPlan(name, action, settings, changes, self._plan_topics(source, settings))

    def apply(self, plan: ConnectorPlan, *, timeout: float = 90.0, settle: float = 2.0) -> ConnectorStatus:
        """Carry the plan out and wait until the tasks have run for ``settle`` seconds; idempotent.

        Nothing is changed if the connector's own class refuses the settings (ConfigError). A failed task raises
        TerminalError with the beginning of its trace; TransientError if it does not run within ``timeout`` seconds.
        """
        self._validate(plan)
        self._apply_topics(plan.topics)
        if plan.action != "unchanged":
            self._cluster.put(plan.name, plan.settings)
        elif self.status(plan.name).failed:
            self._cluster.restart_failed(plan.name)
        return self._wait_running(plan.name, timeout, settle)

    def status(self, name: str) -> ConnectorStatus:
        """Return the state of the connector and its tasks; a connector that is not there is ``MISSING``."""
        return parse_status(name, self._cluster.status(name))

    def pause(self, name: str, *, timeout: float = 30.0) -> ConnectorStatus:
        """Pause and wait until it is so; the source keeps its log meanwhile."""
        self._present(name)
        self._cluster.pause(name)
        return self._wait(name, lambda s: s.state == "PAUSED" and all(t.state == "PAUSED" for t in s.tasks), timeout)

    def resume(self, name: str, *, timeout: float = 90.0, settle: float = 2.0) -> ConnectorStatus:
        """Resume and wait until the tasks run."""
        self._present(name)
        self._cluster.resume(name)
        self._wait(name, lambda s: s.state != "PAUSED", timeout)
        return self._wait_running(name, timeout, settle)

    def restart(
        self, name: str, *, whole: bool = False, attempts: int = 5, timeout: float = 60.0, settle: float = 2.0
    ) -> ConnectorStatus:
        """Restart what failed, and only that, up to ``attempts`` times with growing pauses.

        One that runs may be silent all the same: it is restarted as a ``whole`` if that is wanted. One that rests goes
        on to do so.
        """
        self._present(name)
        if not (present := self.status(name)).failed:
            if present.resting or not whole:
                return present
            self._cluster.restart(name)
            return self._wait_running(name, timeout, settle)
        retrying = Retrying(
            stop=stop_after_attempt(attempts),
            wait=wait_exponential(multiplier=1, max=30),
            retry=retry_if_exception_type(TerminalError),
            sleep=self._sleep,
        )
        try:
            return retrying(self._restart_once, name, timeout, settle)
        except RetryError as error:
            raise error.last_attempt.exception() or error from error

    def remove(self, name: str, *, offsets: bool = False, timeout: float = 60.0) -> tuple[Leftover, ...]:
        """Remove the connector, and where it was if ``offsets``; returns what stays behind. Idempotent."""
        registered = self._cluster.config(name)
        settings = registered or self._render(self.source(name))
        if registered is not None:
            if offsets:
                self._forget(name, timeout)
            self._cluster.delete(name)
        return self.leftovers(name, settings, offsets=offsets)

    def leftovers(
        self, name: str, settings: Mapping[str, str] | None = None, *, offsets: bool = False
    ) -> tuple[Leftover, ...]:
        """Return what would stay behind if the connector were removed now; changes nothing.

        Of a connector that is registered its own settings tell, so its source need not be configured any more.
        """
        settings = settings or self._cluster.config(name) or self._render(self.source(name))
        present = self._topics.existing(topics_of(settings))
        return leftovers(name, settings, present, self._config, offsets=offsets)

    def _plan_topics(self, source: SourceConfig, settings: Mapping[str, str]) -> tuple[TopicPlan, ...]:
        wanted = _topics(source, self._config, settings)
        present = self._topics.settings(self._topics.existing([topic.name for topic in wanted]))
        return tuple(_compared(topic, present.get(topic.name)) for topic in wanted)

    def _validate(self, plan: ConnectorPlan) -> None:
        if problems := self._cluster.validate(plan.settings):
            listed = "; ".join(f"{key}: {redacted(text)}" for key, text in problems)
            raise ConfigError(
                f"connector {plan.name!r} is refused by its class: {listed}",
                hint="correct the source in the configuration",
            )

    def _apply_topics(self, topics: Sequence[TopicPlan]) -> None:
        for topic in topics:
            if topic.action == "create":
                self._topics.create(
                    topic.name,
                    partitions=topic.partitions,
                    replication_factor=topic.replication_factor,
                    settings=topic.settings,
                )
            elif topic.action == "configure":
                self._topics.configure(topic.name, topic.settings)

    def _present(self, name: str) -> None:
        self.source(name)
        if self._cluster.status(name) is None:
            raise TerminalError(f"connector {name!r} is not registered", hint=f"cdc connectors apply {name}")

    def _restart_once(self, name: str, timeout: float, settle: float) -> ConnectorStatus:
        self._cluster.restart_failed(name)
        self._wait(name, lambda s: not s.failed, timeout)
        return self._wait_running(name, timeout, settle)

    def _forget(self, name: str, timeout: float) -> None:
        self._cluster.stop(name)
        self._wait(name, lambda s: s.state == "STOPPED" and not s.tasks, timeout)
        self._topics.delete([heartbeat_topic(name)])  # first: tables loaded before must not go on behind the gap
        self._cluster.delete_offsets(name)

    def _wait_running(self, name: str, timeout: float, settle: float) -> ConnectorStatus:
        """Wait until everything ran for a while: a task reports that it runs before it has reached the database."""
        since: float | None = None

        def steady(status: ConnectorStatus) -> bool:
            nonlocal since
            if status.failed:
                raise TerminalError(
                    f"connector {name!r} failed: {status.trace}",
                    hint=f"mend the cause, then cdc connectors restart {name}",
                )
            since = (since if since is not None else self._clock()) if status.running else None
            return status.resting or (since is not None and self._clock() - since >= settle)

        return self._wait(name, steady, timeout)

    def _wait(self, name: str, reached: Callable[[ConnectorStatus], bool], timeout: float) -> ConnectorStatus:
        deadline = self._clock() + timeout
        while True:
            status = self.status(name)
            if reached(status):
                return status
            if self._clock() >= deadline:
                raise TransientError(
                    f"connector {name!r} is still {status.state} after {timeout:g} s", hint="look into the worker's log"
                )
            self._sleep(0.25)


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    """Return the settings that differ, by name, secrets not shown."""
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return tuple(Change(key, redacted(old.get(key), key), redacted(new.get(key), key)) for key in keys)


def _compared(topic: TopicPlan, present: Mapping[str, str] | None) -> TopicPlan:
    if present is None:
        return topic
    changes = tuple(
        Change(key, present.get(key), value) for key, value in topic.settings.items() if present.get(key) != value
    )
    return topic._replace(action="configure" if changes else "unchanged", changes=changes)


def _topics(source: SourceConfig, config: Config, settings: Mapping[str, str]) -> tuple[TopicPlan, ...]:
    """Return every topic that the connector writes to, as it must be.

    Never compacted: compaction removes the changes in between, and with them values that later ones leave out.
    Past definitions of tables are read from the beginning at every start, so they are kept for ever, in one partition.
    """
    kept = {
        "cleanup.policy": "delete",
        "retention.ms": settings["topic.creation.default.retention.ms"],
        "retention.bytes": "-1",
        "compression.type": "producer",
        # With three replicas an acknowledged message outlives any one of them (acks=all).
        "min.insync.replicas": str(max(1, config.kafka.replication_factor - 1)),
        "max.message.bytes": settings["producer.override.max.request.size"],
    }
    for_ever = kept | {"retention.ms": "-1"}
    replicas = config.kafka.replication_factor

    def topic(name: str, partitions: int, values: Mapping[str, str]) -> TopicPlan:
        return TopicPlan(name, "create", partitions, replicas, values, ())

    topics = [topic(source.topic_of(table), config.kafka.partitions, kept) for table in source.captured]
    topics.append(topic(heartbeat_topic(source.name), 1, kept))
    if history := settings.get("schema.history.internal.kafka.topic"):
        topics += [topic(history, 1, for_ever), topic(source.name, 1, kept)]
    return tuple(topics)
