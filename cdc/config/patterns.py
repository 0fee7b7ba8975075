"""Patterns, and keys that nobody configured: what they come to, by what the source's database holds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cdc.config.sources import SourceConfig, TableConfig
from cdc.config.targets import same_target
from cdc.core.listing import Kind, ListedTable, default_key, fits
from cdc.core.names import TableName
from cdc.core.preflight import Finding, check_key

Key = tuple[str, ...]


class Resolved(NamedTuple):
    """A source of named tables alone, and remarks of what its patterns fit and what cannot be captured."""

    source: SourceConfig
    left_out: Sequence[Finding]


def resolve(
    source: SourceConfig,
    listing: Mapping[TableName, ListedTable],
    taken: Mapping[TableName, Key],
    targets: Mapping[TableName, str],
) -> Resolved:
    """Return the source with keys from the listing, and with tables in the place of its patterns.

    A named table without a key stays without. ``taken`` are tables that patterns took in before, with their keys: they
    stay, there or not, for as long as a pattern fits them, and come before others that would have the same target.
    ``targets`` are those in use, each with who uses it.
    """
    used, found, left_out = dict(targets), list[TableConfig](), list[Finding]()
    for name, pattern in _fitting(source, [*sorted(taken), *sorted(listing)]):
        before = taken.get(name, ())
        key = _key_of(listing[name], pattern.key, before) if name in listing else before
        if isinstance(key, Finding):
            left_out.append(_left_out(name, key))
            continue
        table = pattern.model_copy(update={"source": name, "key": key, "exclude": ()})
        target, said = source.target_of(table), f"{name} of {source.name}"
        if used.setdefault(target, said) != said:
            left_out.append(_left_out(name, Finding("not_captured", same_target(target, used[target], said), "")))
        else:
            found.append(table)
    named = [_keyed(table, listing) for table in source.tables if not table.pattern]
    tables = (*named, *sorted(found, key=lambda table: table.source))
    return Resolved(source.model_copy(update={"tables": tables}), left_out)


def _keyed(table: TableConfig, listing: Mapping[TableName, ListedTable]) -> TableConfig:
    if table.key or table.source not in listing:
        return table
    key = default_key(listing[table.source])
    return table if isinstance(key, Finding) else table.model_copy(update={"key": key})


def _fitting(source: SourceConfig, names: Sequence[TableName]) -> Iterator[tuple[TableName, TableConfig]]:
    """Yield the tables that have no entry of their own, each once and with the first pattern that takes it."""
    named = {table.source for table in source.tables}
    patterns = [table for table in source.tables if table.pattern]
    for name in dict.fromkeys(names):
        if name in named:
            continue
        if pattern := next((one for one in patterns if _takes(one, name)), None):
            yield name, pattern


def _takes(pattern: TableConfig, name: TableName) -> bool:
    return fits(pattern.source, name) and not any(fits(one, name) for one in pattern.exclude)


def _key_of(listed: ListedTable, configured: Key, known: Key) -> Key | Finding:
    """Return the key of a table, or what keeps it from being captured; one that has been taken in keeps its key."""
    key = configured or default_key(listed)
    findings = [key] if isinstance(key, Finding) else check_key(listed.table, key)
    unfit = next((finding for finding in [*listed.findings, *findings] if finding.fatal), None)
    return known or unfit if unfit else key


def _left_out(name: TableName, why: Finding) -> Finding:
    hint = why.hint or "exclude it, or name its target in an entry of its own"
    return Finding("not_captured", f"table {name} is not captured: {why.what}", hint, fatal=False, table=name)


def is_whole(table: ListedTable) -> bool:
    """Return whether a relation is taken in by itself: partitions are captured through their table."""
    return table.kind is not Kind.PARTITION
