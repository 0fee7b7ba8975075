"""Stretches: whether a connector has begun anew without its offsets, as its schema history tells."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from cdc.config.sources import SourceConfig
from cdc.core.names import heartbeat_topic
from cdc.core.stretch import Stretch, place_of
from cdc.pipeline.control import Notes
from cdc.pipeline.untold import History

log = structlog.get_logger()


@dataclass(frozen=True)
class Stretches:
    """Follows the schema histories of sources from where they are noted to be read; raises what its parts raise."""

    topics: History
    notes: Notes

    def follow(self, source: SourceConfig, history: str, places: Mapping[str, str]) -> None:
        """Read on in a source's history topic, and note what it tells: whether the connector has begun anew."""
        heartbeat, end = self.topics.end(heartbeat_topic(source.name)), self.topics.end(history)
        known = Stretch.parse(places.get(place_of(source.name)))
        if heartbeat is None or end is None or (heartbeat[0], *end) == (known.heartbeat, known.history, known.read):
            return
        now = self._after(source, known, heartbeat[0], history, end)
        self.notes.note(places={place_of(source.name): now.to_json()})
        if now.name and now.name != known.name:
            log.error("connector has begun anew without its offsets", pipeline=source.name, at=now.name)

    def _after(
        self, source: SourceConfig, known: Stretch, heartbeat: str, history: str, end: tuple[str, int]
    ) -> Stretch:
        start = known.read if end[0] == known.history else 0
        asked = heartbeat != known.heartbeat or source.connector.get("snapshot.mode") == "recovery"
        now = known.after(_records(self.topics, history, start, end[1]), asked=asked)
        name = now.name if heartbeat == known.heartbeat else ""
        return replace(now, heartbeat=heartbeat, history=end[0], read=end[1], name=name)


def _records(topics: History, name: str, start: int, end: int) -> Iterator[dict[str, Any]]:
    for value in topics.values(name, start, end) if start < end else ():
        try:
            record = json.loads(value)
        except ValueError:  # what it means for tables is said elsewhere
            continue
        if isinstance(record, dict):
            yield record
