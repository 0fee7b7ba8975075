"""The control table in memory: implements ``cdc.pipeline.control.Control`` and what operators' commands do to it."""

import uuid
from collections.abc import Mapping, Sequence

from cdc.core.control import ControlState, Pause, Stale
from cdc.core.definitions import Definition, DefinitionRow


class MemoryControl:
    """Pauses and moves; ``failures`` are raised by the next reads, in turn."""

    def __init__(self) -> None:
        self.paused: dict[str, Pause] = {}
        self.moves: dict[str, str] = {}
        self.marks: dict[str, Stale] = {}
        self.relations: dict[str, str] = {}
        self.troubles: dict[str, str] = {}
        self.old: dict[str, Stale] = {}
        self.different: dict[str, Stale] = {}
        self.places: dict[str, str] = {}
        self.broken: dict[str, Stale] = {}
        self.failures: list[Exception] = []
        self.reads = 0

    def create(self) -> None:
        pass

    def read(self) -> ControlState:
        self.reads += 1
        if self.failures:
            raise self.failures.pop(0)
        kept = (self.paused, self.moves, self.marks, self.relations, self.troubles, self.old, self.different)
        return ControlState(*map(dict, kept), dict(self.places), dict(self.broken))  # type: ignore[arg-type]

    def pause(self, target: str, who: str, why: str) -> None:
        self.paused[target] = Pause(who, "2026-01-02T00:00:00+00:00", why)

    def resume(self, target: str) -> None:
        self.paused.pop(target, None)

    def moved(self, target: str) -> None:
        self.moves[target] = str(uuid.uuid4())

    def loaded(self, target: str, relation: str = "", since: str = "") -> None:
        for marks in (self.marks, self.old, self.different):
            if str(target) in marks and not marks[str(target)].later(since):
                del marks[str(target)]
        self.relations.pop(str(target), None)
        if relation:
            self.relations[str(target)] = relation
        self.moved(str(target))

    def stale(self, target: str, why: str) -> None:
        self._mark(self.marks, str(target), why)

    def outdated(self, target: str, why: str) -> None:
        self._mark(self.old, str(target), why)

    def differs(self, target: str, why: str) -> None:
        known = self.different.get(str(target))
        self.different[str(target)] = Stale(known.at if known else "2026-01-04T00:00:00+00:00", why)

    def breaks(self, target: str, why: str) -> None:
        self._mark(self.broken, str(target), why)

    def judged(self, target: str, why: str, since: str) -> None:
        known = self.broken.pop(str(target), None)
        if known and known.later(since):
            self.broken[str(target)] = known
        elif why:
            self.broken[str(target)] = Stale(known.at if known else "2026-01-04T00:00:00+00:00", why)

    def equal(self, target: str) -> None:
        self.different.pop(str(target), None)

    @staticmethod
    def _mark(marks: dict[str, Stale], target: str, why: str) -> None:
        at = "2026-01-03T00:00:00+00:00"
        marks[target] = marks[target].again(at, why) if target in marks else Stale(at, why)

    def accept(self, target: str) -> bool:
        return self.old.pop(str(target), None) is not None

    def accept_history(self, target: str, relation: str, why: str) -> None:
        self.marks.pop(str(target), None)
        self.relations[str(target)] = relation
        self.differs(target, why)
        self.moved(str(target))

    def note(
        self,
        *,
        relations: Mapping[str, str] | None = None,
        troubles: Mapping[str, str] | None = None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self.relations.update(relations or {})
        self.troubles.update(troubles or {})
        self.places.update(places or {})


class MemoryLedger:
    """The ledger of definitions in memory: implements ``cdc.pipeline.definitions.Ledger``."""

    def __init__(self) -> None:
        self.rows: list[DefinitionRow] = []
        self.failures: list[Exception] = []

    def known(self, source: str) -> dict[str, Definition]:
        return {row.target: Definition.from_json(row.definition) for row in self.rows if row.source == source}

    def append(self, rows: Sequence[DefinitionRow]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.rows.extend(rows)
