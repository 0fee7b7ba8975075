"""Partition terms: how the configuration writes them, and how a table shows them."""

import re
from typing import NamedTuple

from cdc.core.names import quote

_TERM = re.compile(r"\s*(?:([A-Za-z]+)\s*\(\s*(?:(\d+)\s*,\s*)?)?(`(?:[^`]|``)+`|[^`(),\s]+)\s*(\)?)\s*")
_TIMES = {f"{unit}{plural}": unit for unit in ("year", "month", "day", "hour") for plural in ("", "s")}
_SIZED = ("bucket", "truncate")


class PartitionTerm(NamedTuple):
    """A transform of Iceberg's, its argument (0: it has none) and its column."""

    transform: str
    argument: int
    column: str

    def __str__(self) -> str:
        """Return the term as it is told to people, and compared."""
        if self.transform == "identity":
            return self.column
        return f"{self.transform}({f'{self.argument}, ' if self.argument else ''}{self.column})"

    def sql(self) -> str:
        """Return the term in Spark's SQL."""
        column = quote(self.column, "`")
        if self.transform == "identity":
            return column
        if self.argument:
            return f"{self.transform}({self.argument}, {column})"
        return f"{self.transform}s({column})"


def parse_term(text: str) -> PartitionTerm:
    """Return a term: a column, ``bucket(16, id)``, ``truncate(4, name)``, ``year|month|day|hour(at)``.

    Columns with spaces, commas or parentheses stand in backticks. Raises ValueError.
    """
    match = _TERM.fullmatch(text)
    if match is None or bool(match[1]) != bool(match[4]):
        raise ValueError(f"{text!r} is no partition term: write a column, bucket(16, id), truncate(4, name) or day(at)")
    name, argument = (match[1] or "identity").lower(), int(match[2] or 0)
    column = match[3][1:-1].replace("``", "`") if match[3].startswith("`") else match[3]
    if name in _SIZED and argument:
        return PartitionTerm(name, argument, column)
    if not argument and (name == "identity" or name in _TIMES):
        return PartitionTerm(_TIMES.get(name, name), 0, column)
    raise ValueError(f"{text!r} is no partition term: {name} is unknown, or has {'one' if argument else 'no'} argument")


def shown_term(transform: str, column: str) -> str:
    """Return a partition field of a table as ``PartitionTerm`` shows it; ``transform`` as Iceberg writes it."""
    name, _, argument = transform.rstrip("]").partition("[")
    return str(PartitionTerm(name, int(argument or 0), column))
