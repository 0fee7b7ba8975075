"""Trouble: findings that last. What begins, what is over, and since when (docs/decisions/0017)."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cdc.core.names import TableName, parse_table_name
from cdc.core.preflight import Finding


class Place(NamedTuple):
    """What is wrong, and of which table; of the source itself, without one."""

    name: str
    table: TableName | None


@dataclass(frozen=True)
class Trouble:
    """A fatal finding, and when it was seen first (UTC)."""

    finding: Finding
    since: datetime

    @property
    def place(self) -> Place:
        """Return what tells it from other troubles of its source."""
        return Place(self.finding.name, self.finding.table)

    def __str__(self) -> str:
        of = f"{self.finding.table}: " if self.finding.table else ""
        return f"{self.finding.name}: {of}{self.finding.said} (since {self.since:%Y-%m-%d %H:%M:%SZ})"


class Turn(NamedTuple):
    """What a look has changed: all troubles now, those that have begun, and those that are over."""

    now: Mapping[Place, Trouble]
    begun: tuple[Trouble, ...]
    over: tuple[Trouble, ...]


@dataclass
class Troubles:
    """Follows the findings of one source from look to look.

    A finding whose name is among the ``passing`` ones is a trouble from the second look on that has it.
    """

    passing: Collection[str] = ()

    def __post_init__(self) -> None:
        self._now: dict[Place, Trouble] = {}
        self._unsure: dict[Place, Trouble] = {}

    @property
    def unsure(self) -> bool:
        """Return whether the last look has found something that is a trouble only if the next one finds it, too."""
        return bool(self._unsure)

    def follow(self, findings: Iterable[Finding], at: datetime) -> Turn:
        """Take the findings of a look; the first of those with the same place counts."""
        seen: dict[Place, Trouble] = {}
        for finding in findings:
            trouble = Trouble(finding, at)
            if finding.fatal and trouble.place not in seen:
                known = self._now.get(trouble.place) or self._unsure.get(trouble.place)
                seen[trouble.place] = Trouble(finding, known.since) if known else trouble
        unsure = {p: t for p, t in seen.items() if p.name in self.passing and p not in self._now | self._unsure}
        now = {place: trouble for place, trouble in seen.items() if place not in unsure}
        begun = tuple(trouble for place, trouble in now.items() if place not in self._now)
        over = tuple(trouble for place, trouble in self._now.items() if place not in seen)
        self._now, self._unsure = now, unsure
        return Turn(now, begun, over)


def to_json(troubles: Iterable[Trouble]) -> str:
    """Return the form in which the control table keeps the troubles of a source."""
    return json.dumps([as_dict(one) for one in troubles], separators=(",", ":"), ensure_ascii=False)


def as_dict(trouble: Trouble) -> dict[str, str | None]:
    """Return a trouble as JSON has it: the table in the form that the configuration has, the time in ISO 8601."""
    finding = trouble.finding
    return {
        "name": finding.name,
        "table": None if finding.table is None else str(finding.table),
        "what": finding.what,
        "hint": finding.hint,
        "since": trouble.since.isoformat(),
    }


def from_json(text: str) -> list[Trouble]:
    """Return the troubles that ``to_json`` wrote."""
    return [
        Trouble(
            Finding(one["name"], one["what"], one["hint"], table=one["table"] and parse_table_name(one["table"])),
            datetime.fromisoformat(one["since"]),
        )
        for one in json.loads(text)
    ]
