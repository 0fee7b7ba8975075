"""Names of targets: from a template, and told apart."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from cdc.core.names import TableName, lake_part

Named = TypeVar("Named")
"""What has a name."""

_PLACEHOLDERS = ("source", "schema", "table")
_TEMPLATE = re.compile(r"(?:[a-z0-9_]|\{[a-z]+\})+\.(?:[a-z0-9_]|\{[a-z]+\})+")


def check_template(template: str) -> None:
    """Raise ValueError if targets cannot be named by the template."""
    known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
    unknown = [name for name in re.findall(r"\{([^}]*)\}", template) if name not in _PLACEHOLDERS]
    if unknown:
        raise ValueError(f"there is no {{{unknown[0]}}}; known are {known}")
    if not _TEMPLATE.fullmatch(template):
        raise ValueError(f"must be namespace.table, of a-z, 0-9, _ and {known}")
    if "{table}" not in template:
        raise ValueError("must have {table} in it: each table has a target of its own")


def from_template(template: str, source: str, table: TableName) -> TableName:
    """Return the target of a table, in letters that every lake takes."""
    parts = {"source": source, "schema": lake_part(table.namespace), "table": lake_part(table.table)}
    namespace, _, name = template.partition(".")
    return TableName(namespace.format_map(parts), name.format_map(parts))


def default_target(source: str, table: TableName, ordinary: str) -> TableName:
    """Return the target of a table where nobody has named it: the ordinary schema is no part of the name."""
    template = "{source}.{table}" if table.namespace == ordinary else "{source}.{schema}_{table}"
    return from_template(template, source, table)


def pairs_alike(things: Iterable[Named], name: Callable[[Named], Hashable]) -> Iterator[tuple[Named, Named]]:
    """Yield each thing that has a name which another one before it has, behind that one."""
    first: dict[Hashable, Named] = {}
    for thing in things:
        if (before := first.setdefault(name(thing), thing)) is not thing:
            yield before, thing


def same_target(target: TableName, first: str, second: str) -> str:
    """Return what is said of two tables with one target."""
    return (
        f"tables {first} and {second} would both be written to {target}: give one of them another `target`, "
        "or the source a template that tells them apart, such as `targets: '{source}.{schema}_{table}'`"
    )
