"""The use cases of connectors with their real parts."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from cdc.bootstrap.declared import settings_of
from cdc.config.models import Config
from cdc.config.sources import MySqlSource, OracleSource, PostgresSource, SourceConfig
from cdc.connect.client import ConnectClient
from cdc.connect.render import history_topic, render, table_pattern
from cdc.core.errors import CdcError
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.kafka.topics import KafkaTopics
from cdc.pipeline.capture import Capture, CaptureSource
from cdc.pipeline.control import Notes
from cdc.pipeline.register import Connectors
from cdc.pipeline.stretches import Stretches
from cdc.sources.mysql import MySqlDatabase
from cdc.sources.postgres import PostgresDatabase


def connectors_of(config: Config, *, ask: bool = True) -> Connectors:
    """Return the connectors of a configuration, against its Connect and Kafka clusters.

    Unless it may ask the sources, settings that only they can tell are not complete.
    """
    return Connectors(
        config,
        lambda source: settings_of(source, config) if ask else render(source, config),
        ConnectClient(config.connect),
        KafkaTopics(config.kafka),
    )


_WATCH_SECONDS = 60.0


def watched_capture(config: Config, stop: threading.Event) -> Capture:
    """Return what is known of the connectors, asked from now on in a thread: some of it takes seconds to be sure of.

    What starts beside it, such as a JVM, takes as long.
    """
    capture = capture_of(config)

    def watch() -> None:
        deadline = time.monotonic() + _WATCH_SECONDS
        while time.monotonic() < deadline and not stop.wait(1.0):
            for source in config.sources:
                with suppress(CdcError):
                    capture.lacking(source, [table.source for table in source.tables])

    threading.Thread(target=watch, name="capture", daemon=True).start()
    return capture


def places_now(config: Config, source: SourceConfig, notes: Notes) -> Mapping[str, str]:
    """Return how far logs of a source were read, after a look at whether its connector has begun anew (K16)."""
    if topic := history_topic(source):
        Stretches(KafkaTopics(config.kafka), notes).follow(source, topic, notes.read().places)
    return notes.read().places


def capture_of(config: Config) -> Capture:
    """Return what is known of the capture of a configuration's sources; keep it, since it remembers."""
    return Capture(ConnectClient(config.connect), KafkaTopics(config.kafka), capture_source, table_pattern)


def capture_source(source: SourceConfig) -> CaptureSource | None:
    """Return the database, asked for its log as the connector's role; None where its log is not known."""
    match source:
        case PostgresSource():
            return PostgresDatabase(source)
        case MySqlSource():
            return MySqlDatabase(source)
        case OracleSource():
            return None


@dataclass(frozen=True)
class SourceCapture:
    """The capture of one source; its calls are those of ``Capture``."""

    capture: Capture
    source: SourceConfig

    def lacking(self, table: TableName) -> str:
        """Return why changes of a table may not be in its topic from now on; empty if they will be."""
        return self.capture.lacking(self.source, [table]).get(table, "")

    def passed(self, high: str) -> bool:
        """Return whether all changes committed at or before a position are in the topics."""
        return self.capture.passed(self.source, high)

    def trouble(self) -> str:
        """Return what is wrong with the connector, empty if it runs."""
        return self.capture.trouble(self.source)

    def retention(self, seconds: float) -> list[Finding]:
        """Return what does not keep changes for so long."""
        return self.capture.retention(self.source, seconds)
