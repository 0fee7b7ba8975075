"""Stretches of a source's log that its connector has captured without a gap, and what begins another one (K16).

A connector without its offsets begins where the log ends then, and says nothing. But it writes the definitions of all
tables into its schema history once more, and these records bear the place at which it begins.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

_PLACE = ("file", "pos", "snapshot_scn", "scn")


@dataclass(frozen=True)
class Stretch:
    """The stretch that is captured now, as it is noted.

    ``heartbeat`` is the id of the topic with which a first stretch begins (``heartbeat_topic``), ``name`` tells a later
    one from it. ``history`` is the id of the topic of definitions, which was read to before ``read``; ``began`` the
    place at which the connector began last.
    """

    heartbeat: str = ""
    history: str = ""
    read: int = 0
    began: str = ""
    name: str = ""

    def after(self, records: Iterable[Mapping[str, Any]], *, asked: bool) -> "Stretch":
        """Return the stretch behind further records of the history; ``asked``: definitions were to be written anew."""
        places = [place for record in records if (place := _begun(record))]
        now = replace(self, began=places[-1]) if places else self
        gap = bool(self.began) and now.began != self.began and not asked
        return replace(now, name=now.began) if gap else now

    def to_json(self) -> str:
        """Return the form that the control table keeps."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> "Stretch":
        """Return what ``to_json`` wrote; anything else tells nothing."""
        try:
            return cls(**json.loads(text)) if text else cls()
        except (ValueError, TypeError):
            return cls()


def place_of(source: str) -> str:
    """Return under which name the control table keeps a source's stretch."""
    return f"{source}.stretch"


def name_of(places: Mapping[str, str], source: str, heartbeat: str) -> str:
    """Return what names the stretch that a source's connector captures now, by the notes and its heartbeat topic."""
    known = Stretch.parse(places.get(place_of(source)))
    return f"{heartbeat}@{known.name}" if known.name and known.heartbeat == heartbeat else heartbeat


def _begun(record: Mapping[str, Any]) -> str:
    position = record.get("position") or {}
    return ":".join(str(position[name]) for name in _PLACE if name in position) if position.get("snapshot") else ""
