"""Control: what operators and other commands tell a running pipeline of its tables, kept as properties of one table.

``paused.<target>`` holds who paused a table, when and why. ``moved.<target>`` holds a random id, new whenever somebody
other than the pipeline has moved the table's ``main``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

PAUSED, MOVED = "paused.", "moved."


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
class ControlState:
    """The control table as it was read: target -> its pause, and target -> the id of its newest move from outside."""

    paused: Mapping[str, Pause] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> "ControlState":
        """Return the state that a table's properties tell; other properties do not count."""
        return cls(
            {name: Pause.from_json(text) for name, text in _under(PAUSED, properties).items()},
            _under(MOVED, properties),
        )


def _under(prefix: str, properties: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): text for name, text in properties.items() if name.startswith(prefix)}
