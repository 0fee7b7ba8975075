"""Rules of quality: what the rows of a table have to be, and what was found of it (docs/decisions/0037)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cdc.core.names import TableName


class Action(StrEnum):
    """What becomes of a batch with rows that break a rule: it is published, and told of, or its table stops."""

    WARN = "warn"
    STOP = "stop"


@dataclass(frozen=True)
class Reference:
    """Columns whose values, none of them NULL, are those of the key of some row of another target."""

    columns: tuple[str, ...]
    table: TableName
    key: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """One rule of one table; exactly one of ``check``, ``unique``, ``references`` and ``rows`` says what it is.

    ``check`` is a predicate in Spark's SQL, ``rows`` the least and the most number of rows.
    """

    name: str
    check: str = ""
    unique: tuple[str, ...] = ()
    references: Reference | None = None
    rows: tuple[int | None, int | None] | None = None
    action: Action = Action.WARN

    @property
    def kind(self) -> str:
        """Return the word that the configuration has for what it is."""
        kinds = {"check": self.check, "unique": self.unique, "references": self.references, "rows": self.rows}
        return next(kind for kind, given in kinds.items() if given)


@dataclass(frozen=True)
class Verdict:
    """What a look at a table's ``rows`` found of a rule: how many break it, or why that cannot be told."""

    rule: Rule
    rows: int
    broken: int = 0
    error: str = ""

    @property
    def holds(self) -> bool:
        """Return whether no row breaks the rule, as far as that could be told."""
        return not self.broken and not self.error

    def __str__(self) -> str:
        """Return the verdict as messages have it; it holds no values of rows."""
        if self.error:
            return f"rule {self.rule.name!r} cannot be evaluated ({self.error})"
        if self.rule.rows is not None:
            return f"rule {self.rule.name!r} is broken: there are {self.rows:,} rows"
        return f"rule {self.rule.name!r} is broken by {self.broken:,} rows"


def checks(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules that rows are judged by one by one."""
    return [rule for rule in rules if rule.check]


def stopping(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the first verdict that keeps a batch from being published, None if there is none."""
    return next((one for one in verdicts if not one.holds and one.rule.action is Action.STOP), None)


def out_of_bounds(rows: int, bounds: tuple[int | None, int | None]) -> int:
    """Return by how many rows a table has too few or too many."""
    least, most = bounds
    return max((least or 0) - rows, 0 if most is None else rows - most, 0)


def broken(verdicts: Sequence[Verdict]) -> Mapping[str, Verdict]:
    """Return the verdicts of the rules that do not hold, by the rules' names."""
    return {one.rule.name: one for one in verdicts if not one.holds}
