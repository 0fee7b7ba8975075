"""Symptoms: what the state of a connector, and the identities of tables, mean; pure."""

from collections.abc import Mapping, Sequence

from cdc.config.sources import SourceConfig
from cdc.core.control import Stale
from cdc.core.identity import Identity
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.pipeline.connector_state import ConnectorStatus
from cdc.pipeline.report import Late


def connector_findings(status: ConnectorStatus) -> list[Finding]:
    """Return what is wrong with a connector, by the state that Connect tells."""
    name = status.name
    if status.state == "MISSING":
        what = f"connector {name!r} is not registered"
        return [Finding("connector_missing", what, f"cdc connectors apply {name}")]
    if status.failed:
        what = f"connector {name!r} failed: {status.trace}"
        return [Finding("connector_failed", what, mend(name, status.trace))]
    if status.resting:
        what = f"connector {name!r} is {status.state.lower()}"
        return [Finding("connector_paused", what, f"cdc connectors resume {name}")]
    if not status.running:
        what = f"connector {name!r} has no task that runs"
        return [Finding("connector_unassigned", what, f"cdc connectors status {name}; it may pass by itself")]
    return []


SILENT_SECONDS = {"postgres": 30.0, "mysql": 120.0, "oracle": 300.0}
"""How long a connector may write no heartbeat. MySQL's hears of an idle server every 48 seconds, Oracle's mines for
minutes."""


def silent(source: SourceConfig, seconds: float) -> list[Finding]:
    """Return whether a connector that is said to run has written no heartbeat for too long."""
    recovers = source.connector.get("snapshot.mode") == "recovery"
    if recovers or seconds <= max(SILENT_SECONDS[source.type], 10 * source.heartbeat.total_seconds()):
        return []
    what = (
        f"connector {source.name!r} is said to run, and has written nothing for {seconds:.0f} s, not even a heartbeat"
    )
    return [Finding("connector_silent", what, f"cdc connectors restart {source.name}")]


_MISUNDERSTOOD = ("whose schema isn't known to this connector", "a statement that Debezium cannot read")


def misunderstood(trace: str) -> bool:
    """Return whether a connector does not know how a table is defined, and has to be told."""
    return any(words in trace for words in _MISUNDERSTOOD)


def mend(name: str, trace: str, command: str = "") -> str:
    """Return what helps: MySQL's connector notes only once, when it is new, the tables that its user may see then."""
    if "RecordTooLarge" in trace or "is too large: it has" in trace:
        return f"raise kafka.max_message, then cdc connectors apply {name}"
    if not misunderstood(trace):
        return f"mend the cause, then {command or f'cdc connectors restart {name}'}"
    mode = "`connector: {snapshot.mode: recovery}` of the source"
    again = f"{mode}, cdc connectors apply {name}, and when it runs take that out again and apply once more"
    unread = "; if it cannot read SHOW CREATE TABLE either, change the table, or take it out of the configuration"
    return again + unread if "cannot read" in trace else again


def gone(source: SourceConfig, findings: Sequence[Finding], known: Mapping[str, str]) -> list[Finding]:
    """Return the findings; a table without a known identity that is not there may come back as another one."""
    named = {
        table.source for table in source.tables if Identity.parse(known.get(str(source.target_of(table)), "")).relation
    }
    return [f._replace(gap=(f.name == "table_missing" and f.table not in named) or f.gap) for f in findings]


def outdated(source: SourceConfig, marks: Mapping[str, Stale]) -> list[Finding]:
    """Return the tables that go on with old values in some columns; ``marks`` by target."""
    return [
        Finding(
            "outdated",
            str(marks[target]),
            f"cdc tables reset {target}, or if no row is another one cdc tables accept {target}",
            table=name,
            stops=False,
        )
        for name, target in _marked(source, marks)
    ]


def differing(source: SourceConfig, marks: Mapping[str, Stale]) -> list[Finding]:
    """Return the tables of which the last proof has found rows that are not the source's; ``marks`` by target."""
    hint = "`cdc verify -t {0} --show-values` names them, `cdc verify -t {0} --repair` reads them again"
    return [
        Finding("differs", marks[target].why, hint.format(target), table=name, stops=False)
        for name, target in _marked(source, marks)
    ]


def broken(source: SourceConfig, marks: Mapping[str, Stale]) -> list[Finding]:
    """Return the tables with rows that break rules of quality; ``marks`` by target."""
    hint = "`cdc quality -t {0}` counts the rows, and ends this when every rule holds"
    return [
        Finding("rule_broken", marks[target].why, hint.format(target), table=name, stops=False)
        for name, target in _marked(source, marks)
    ]


def _marked(source: SourceConfig, marks: Mapping[str, Stale]) -> list[tuple[TableName, str]]:
    """Return the tables that have marks, with their targets."""
    named = [(table.source, str(source.target_of(table))) for table in source.tables]
    return [(name, target) for name, target in named if target in marks]


def late(source: SourceConfig, tables: Sequence[Late]) -> list[Finding]:
    """Return the tables that are later than they may be."""
    named = {str(source.target_of(table)): table.source for table in source.tables}
    return [
        Finding(
            "late",
            f"{one.target} is more than {one.allowed:g} s behind its source",  # not by how much: it would be news
            "`cdc status --why` tells how its batches are applied, and how long they take; `freshness` is the bound",
            table=named[one.target],
            stops=False,
        )
        for one in tables
        if one.target in named
    ]


def recreated(source: SourceConfig, relations: Mapping[TableName, str], known: Mapping[str, str]) -> list[Finding]:
    """Return the tables that are others than those which their targets have rows of, or of another history."""
    noted = [(table.source, source.target_of(table)) for table in source.tables]
    found = [
        (name, target, Identity.parse(known[str(target)]), Identity.parse(relations[name]))
        for name, target in noted
        if str(target) in known and name in relations
    ]
    others = [
        Finding(
            "recreated",
            f"table {name} is another one than before: dropped and made again, renamed, or published anew",
            f"cdc tables reset {target}",
            table=name,
            gap=True,
        )
        for name, target, before, now in found
        if now.another_relation(before)
    ]
    return others + [
        Finding(
            "another_history",
            another_history(before, now),
            f"cdc tables reset {target}, or if the switch has lost nothing cdc tables accept {target}",
            table=name,
            gap=True,
        )
        for name, target, before, now in found
        if now.another_history(before) and not now.another_relation(before)
    ]


def another_history(before: Identity, now: Identity) -> str:
    """Return what is said of a table whose database has another history: a promoted replica, a restored backup."""
    return f"the database is {now.history}, and the rows are of {before.history}: positions mean something else in it"
