"""Control: what operators and services tell each other of sources and tables, kept as properties of one table.

``paused.<target>`` holds who paused a table, when and why. ``moved.<target>`` holds a random id, new whenever somebody
other than the pipeline has moved the table's ``main``. ``stale.<target>`` holds since when and why a table has to be
loaded anew before it may go on; ``outdated.<target>`` the same of one that goes on, and has old values in some columns
meanwhile; ``differs.<target>`` the same of one that a proof has found not to be equal to its source,
``broken.<target>`` of one with rows that break rules of quality;
``relation.<target>`` the identity of the source's table that it was loaded from; ``trouble.<source>`` what
is wrong with a source, as the service saw it last; ``read.<source>.<log>`` how far its watch has read a log of the
source (docs/decisions/0020).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

PAUSED, MOVED, STALE, RELATION, TROUBLE = "paused.", "moved.", "stale.", "relation.", "trouble."
OUTDATED, READ, DIFFERS, BROKEN = "outdated.", "read.", "differs.", "broken."


@dataclass(frozen=True)
class Pause:
    """Who paused a table, when (UTC, ISO 8601) and why."""

    who: str
    at: str
    why: str

    def __str__(self) -> str:
        reason = f": {self.why}" if self.why else ""
        return f"paused by {self.who} at {self.at}{reason}"

    def to_json(self) -> str:
        """Return the form that is kept as a property."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Pause":
        """Return the pause that ``to_json`` wrote; a table that was paused by hand in another form is paused, too."""
        try:
            data = json.loads(text)
            return cls(str(data["who"]), str(data["at"]), str(data["why"]))
        except (ValueError, KeyError, TypeError):
            return cls("somebody", "an unknown time", text)


@dataclass(frozen=True)
class Stale:
    """Why a table has to be loaded anew, and since when (UTC, ISO 8601); ``last`` is when a further reason came."""

    at: str
    why: str
    last: str = ""

    def __str__(self) -> str:
        return f"{self.why}: its rows may be wrong since {self.at}"

    def again(self, at: str, why: str) -> "Stale":
        """Return the mark after another incident, with all reasons."""
        return Stale(self.at, self.why if why in self.why else f"{self.why}; {why}", at)

    def later(self, than: str) -> bool:
        """Return whether a reason came at a moment (UTC, ISO 8601) or later; if that cannot be told, none did."""
        try:
            return datetime.fromisoformat(self.last or self.at) >= datetime.fromisoformat(than)
        except ValueError:
            return False

    def to_json(self) -> str:
        """Return the form that is kept as a property."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Stale":
        """Return the mark that ``to_json`` wrote; one that was set by hand in another form counts, too."""
        try:
            data = json.loads(text)
            return cls(str(data["at"]), str(data["why"]), str(data.get("last", "")))
        except (ValueError, KeyError, TypeError):
            return cls("an unknown time", text)


@dataclass(frozen=True)
class ControlState:
    """The control table as it was read, by target; ``moved`` are ids of moves; ``troubles`` by source, as text.

    ``places`` are by source and log, each as its reader writes it.
    """

    paused: Mapping[str, Pause] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    stale: Mapping[str, Stale] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)
    outdated: Mapping[str, Stale] = field(default_factory=dict)
    differs: Mapping[str, Stale] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, Stale] = field(default_factory=dict)

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> "ControlState":
        """Return the state that a table's properties tell; other properties do not count."""
        return cls(
            {name: Pause.from_json(text) for name, text in _under(PAUSED, properties).items()},
            _under(MOVED, properties),
            {name: Stale.from_json(text) for name, text in _under(STALE, properties).items()},
            _under(RELATION, properties),
            _under(TROUBLE, properties),
            {name: Stale.from_json(text) for name, text in _under(OUTDATED, properties).items()},
            {name: Stale.from_json(text) for name, text in _under(DIFFERS, properties).items()},
            _under(READ, properties),
            {name: Stale.from_json(text) for name, text in _under(BROKEN, properties).items()},
        )


def _under(prefix: str, properties: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): text for name, text in properties.items() if name.startswith(prefix)}
