"""Accept: take tables for right that are marked as outdated, or whose source has another history (decision 0034)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cdc.core.control import ControlState
from cdc.core.identity import Identity
from cdc.core.names import TableName
from cdc.pipeline.pause import Audit
from cdc.pipeline.symptoms import another_history

UNPROVED = "it was accepted in another history of its source, and is not proved since"


class Marks(Protocol):
    """The control table as it is accepted in; every call is atomic."""

    def read(self) -> ControlState:
        """Return what stands there now; raises TransientError."""
        ...

    def accept(self, target: str) -> bool:
        """Take away the mark of a table that has old values."""
        ...

    def accept_history(self, target: str, relation: str, why: str) -> None:
        """Take the history that a source has now for a table's own; it is stale no more, and not proved."""
        ...


class Epochs(Protocol):
    """Begins epochs of tables."""

    def raise_(self, target: TableName) -> object:
        """Let every change that comes be newer than all that a table has."""
        ...


@dataclass(frozen=True)
class Accepted:
    """What became of one table: what it was marked for and is no more, or why it was left as it is."""

    target: str
    mark: str = ""
    left: str = ""

    @property
    def changed(self) -> bool:
        """Return whether anything had to change."""
        return bool(self.mark)


@dataclass(frozen=True)
class Accepting:
    """The parts; ``identity`` asks the source which table a target's is now, as text."""

    marks: Marks
    epochs: Callable[[], Epochs]
    identity: Callable[[TableName], str]
    audit: Audit

    def accept(self, targets: Iterable[TableName], why: str) -> list[Accepted]:
        """Accept those of the tables that can be; raises what the parts do, behind what is done by then."""
        state = self.marks.read()
        return [self._one(state, target, why) for target in targets]

    def _one(self, state: ControlState, target: TableName, why: str) -> Accepted:
        name = str(target)
        if name in state.stale:
            return self._history(state, target, why)
        if name not in state.outdated:
            return Accepted(name, left="neither outdated nor stopped by another history of its source")
        self.marks.accept(name)
        return self._told(name, str(state.outdated[name]), why)

    def _history(self, state: ControlState, target: TableName, why: str) -> Accepted:
        name, now = str(target), self.identity(target)
        if not only_another_history(state.stale[name].why, state.relations, name, now):
            return Accepted(name, left=f"to be loaded anew: {state.stale[name]}; cdc tables reset {name}")
        self.epochs().raise_(target)  # first: a table that is let in again without it would leave changes out
        self.marks.accept_history(name, now, UNPROVED)
        return self._told(name, str(state.stale[name]), why)

    def _told(self, target: str, mark: str, why: str) -> Accepted:
        self.audit.write("tables accept", target, f"accepted: {mark}", why)
        return Accepted(target, mark)


def only_another_history(mark: str, relations: Mapping[str, str], target: str, now: str) -> bool:
    """Return whether a table is stale for nothing but a history that its source has still."""
    before, present = Identity.parse(relations.get(target, "")), Identity.parse(now)
    return (
        present.another_history(before)
        and not present.another_relation(before)
        and mark == another_history(before, present)
    )
