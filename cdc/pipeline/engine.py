"""What a pipeline runs on: topics, tables and queries, whatever engine has them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from cdc.core.names import heartbeat_topic
from cdc.core.progress import Progress, TopicState
from cdc.core.stretch import name_of
from cdc.pipeline.table import TableBatch, TableSpec, TargetTable


def capture_id(topics: Mapping[str, TopicState], pipeline: str, places: Mapping[str, str]) -> str:
    """Return what names the stretch of the log that the connector captures now; empty where that is not known.

    ``places`` are those of the control table.
    """
    found = topics.get(heartbeat_topic(pipeline))
    return name_of(places, pipeline, found.topic_id) if found else ""


class Query(Protocol):
    """A running streaming query."""

    def failure(self) -> Exception | None:
        """Return why the query ended; None while it runs."""
        ...

    def stop(self) -> None:
        """End the query; a running batch is abandoned."""
        ...


class Batch(Protocol):
    """A micro-batch: read once, shared by its tables."""

    def topics(self) -> Sequence[str]:
        """Return the topics that it has messages of, those of the fewest first: they wait for no large one."""
        ...

    def of(self, spec: TableSpec) -> AbstractContextManager[TableBatch]:
        """Open one table's share of it, for the calling thread."""
        ...

    def close(self) -> None:
        """Let go of cached data."""
        ...


class Engine(Protocol):
    """What a pipeline runs on: topics, tables and queries."""

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """Return the topics that exist."""
        ...

    def newest_at(self, topic: str) -> datetime | None:
        """Return when the newest message of a topic was written (UTC), None if it has none; raises TransientError."""
        ...

    def table(self, spec: TableSpec) -> AbstractContextManager[TargetTable]:
        """Open a table for the calling thread."""
        ...

    def declared(self, spec: TableSpec) -> Mapping[str, str] | None:
        """Return the columns that the source declares, name -> Iceberg type; None where only events can tell.

        Raises TransientError if the source does not answer, TerminalError if it has no such table.
        """
        ...

    def blocked(self, topics: Sequence[str]) -> Mapping[str, dict[bytes, tuple[int, int]]]:
        """Return per topic the raw keys that wait behind a quarantined message."""
        ...

    def start(
        self, progress: Mapping[str, tuple[Progress, frozenset[int]]], on_batch: Callable[[Batch], None]
    ) -> Query:
        """Start reading every topic at its progress; ``on_batch`` is called for one batch after another."""
        ...
