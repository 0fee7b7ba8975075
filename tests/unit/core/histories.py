"""Histories of tables made by hand: one commit after another, a minute apart."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cdc.core.history import TableHistory, Version
from cdc.core.names import TableName
from cdc.core.progress import PartitionProgress, Progress, TopicState

TARGET = TableName("shop", "customers")
TOPIC = "shop.public.customers"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def progress(*offsets: int, epoch: int = 0) -> Progress:
    """Return progress with these next offsets, partition after partition."""
    return Progress(TOPIC, "id", {p: PartitionProgress(n, epoch, streaming=True) for p, n in enumerate(offsets)})


def topic(*marks: tuple[int, int], topic_id: str = "id") -> TopicState:
    """Return a topic with these watermarks."""
    return TopicState(topic_id, dict(enumerate(marks)))


def batch(*offsets: int, events: int = 3, token: int = 7, **more: str) -> dict[str, str]:
    """Return the summary of a batch that brings the table to these offsets."""
    return {
        "cdc.progress": progress(*offsets).to_json(),
        "cdc.token": str(token),
        "cdc.pipeline": "shop",
        "cdc.events": str(events),
        "cdc.first_position": f"first {offsets}",
        "cdc.last_position": f"last {offsets}",
        "spark.merge-into.num-target-rows-inserted": "2",
        "spark.merge-into.num-target-rows-updated": "1",
        "operation": "overwrite",
        **more,
    }


def fence(token: int = 7) -> dict[str, str]:
    """Return the summary of a fence."""
    return {"cdc.fence": "true", "cdc.token": str(token), "cdc.pipeline": "shop"}


def history(*summaries: Mapping[str, str], first: int = 101, **more: object) -> TableHistory:
    """Return a history of commits numbered 101, 102 .., each the parent of the next; the last one is ``main``."""
    ids = range(first, first + len(summaries))
    versions = {
        number: Version(number, number - 1 if number > first else None, START + timedelta(minutes=n), 0, summary)
        for n, (number, summary) in enumerate(zip(ids, summaries, strict=True))
    }
    log = tuple((version.at, number) for number, version in versions.items())
    made = TableHistory(TARGET, ids[-1], versions, log, schemas={0: {"id": 1, "n": 2}})
    return replace(made, **more)  # type: ignore[arg-type]


def without(made: TableHistory, *expired: int) -> TableHistory:
    """Return the history after snapshots were expired."""
    return replace(made, versions={n: v for n, v in made.versions.items() if n not in expired})
