"""Rules of quality compiled to Spark: of a batch's rows, and of a whole table (docs/decisions/0037)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from cdc.core.errors import CdcError
from cdc.core.names import TableName, quote
from cdc.core.quality import Reference, Rule, Verdict, checks, out_of_bounds

FEW = 20_000
"""So many rows may be brought to the driver."""

AGAIN_SECONDS = 5.0
"""From a look at rows that refer to none to the next one."""


def judged(rows: DataFrame, rules: Sequence[Rule], count: int, *, few: bool) -> list[Verdict]:
    """Return what the ``check`` rules say of ``count`` rows; one that cannot be evaluated hides no other.

    Of ``few`` rows those that break a rule are brought to the driver: of rows that are there already, without a job.
    """
    wanted = checks(rules)
    try:
        counts = _counts(rows, [rule.check for rule in wanted], few=few)
    except (PySparkException, Py4JJavaError) as error:
        if len(wanted) == 1:
            return [Verdict(wanted[0], count, error=_named(error))]
        return [verdict for rule in wanted for verdict in judged(rows, [rule], count, few=few)]
    return [Verdict(rule, count, broken) for rule, broken in zip(wanted, counts, strict=True)]


def _counts(rows: DataFrame, predicates: Sequence[str], *, few: bool) -> list[int]:
    if not predicates:
        return []
    flags = [_broken(predicate).alias(f"r{number}") for number, predicate in enumerate(predicates)]
    flagged = rows.select(*flags)
    names = [f"r{number}" for number in range(len(predicates))]
    if few:
        found = flagged.where(" OR ".join(names)).collect()
        return [sum(row[name] for row in found) for name in names]
    told = flagged.agg(*(f.count_if(name).alias(name) for name in names)).collect()[0]
    return [int(told[name]) for name in names]


def _broken(predicate: str) -> Column:
    """Return whether a row breaks a rule; parentheses keep a predicate from being anything else."""
    return f.coalesce(~f.expr(f"({predicate})"), f.lit(False))


@dataclass(frozen=True)
class Look:
    """A look at a whole table by its rules; ``read`` gives a table of the lake as it is at the call.

    Tables are published one by one. So a row that refers to none is looked at again after a pause, and counts if it
    still does: what it refers to may have been on its way, or it may be gone itself.
    """

    name: TableName
    read: Callable[[TableName], DataFrame]
    pause: Callable[[float], object] = time.sleep

    def run(self, rules: Sequence[Rule]) -> list[Verdict]:
        """Return what the rules say, in their order."""
        rows = self.read(self.name)
        count = rows.count()
        single = {verdict.rule.name: verdict for verdict in judged(rows, rules, count, few=False)}
        return [single.get(rule.name) or self._judged(rows, rule, count) for rule in rules]

    def _judged(self, rows: DataFrame, rule: Rule, count: int) -> Verdict:
        if rule.rows is not None:
            return Verdict(rule, count, out_of_bounds(count, rule.rows))
        try:
            broken = self._lost(rows, rule.references) if rule.references else _shared(rows, rule.unique)
        except CdcError as error:  # the table that it refers to is not there
            return Verdict(rule, count, error=str(error))
        except (PySparkException, Py4JJavaError) as error:
            return Verdict(rule, count, error=_named(error))
        return Verdict(rule, count, broken)

    def _lost(self, rows: DataFrame, reference: Reference) -> int:
        lost = _without(rows, self.read(reference.table), reference)
        count = lost.count()
        if not 0 < count <= FEW:
            return count
        seen = lost.sparkSession.createDataFrame(lost.distinct().toArrow(), lost.schema)
        self.pause(AGAIN_SECONDS)
        again = _without(self.read(self.name), self.read(reference.table), reference)
        return int(again.join(f.broadcast(seen), lost.columns, "left_semi").count())


def _shared(rows: DataFrame, columns: Sequence[str]) -> int:
    """Return how many rows share their values in these columns with another one."""
    groups = _known(rows, columns).groupBy(*(f.col(_q(name)) for name in columns)).count().where("count > 1")
    return int(groups.agg(f.coalesce(f.sum("count"), f.lit(0)).alias("n")).collect()[0]["n"])


def _without(rows: DataFrame, others: DataFrame, reference: Reference) -> DataFrame:
    """Return the values with which rows refer to none of the others."""
    names = [f"c{number}" for number in range(len(reference.columns))]
    ours = _known(rows, reference.columns).select(*_renamed(reference.columns, names))
    return ours.join(others.select(*_renamed(reference.key, names)), names, "left_anti")


def _renamed(columns: Sequence[str], names: Sequence[str]) -> list[Column]:
    return [f.col(_q(column)).alias(name) for column, name in zip(columns, names, strict=True)]


def _known(rows: DataFrame, columns: Sequence[str]) -> DataFrame:
    for name in columns:
        rows = rows.where(f.col(_q(name)).isNotNull())
    return rows


def _q(name: str) -> str:
    return quote(name, "`")


def _named(error: PySparkException | Py4JJavaError) -> str:
    """Return Spark's name of an error, without what it says: that may quote a value."""
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    return condition or type(error).__name__
