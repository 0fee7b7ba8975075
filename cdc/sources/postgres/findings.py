"""What is wrong with server, slot, publication and tables, judged from rows of PostgreSQL's catalog."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdc.config.sources import PostgresSource
from cdc.core.names import TableName, quote, quote_table
from cdc.core.preflight import Finding, alike, begin_anew

SETUP = "run sql/sources/postgres/setup.sql as a superuser"


def server_findings(server: Mapping[str, Any], user: str) -> Iterator[Finding]:
    """Yield what is wrong with server and role."""
    if server["wal_level"] != "logical":
        yield Finding(
            "wal_level",
            f"wal_level is {server['wal_level']}",
            "ALTER SYSTEM SET wal_level = 'logical', and restart the server",
        )
    if server["encoding"] != "UTF8":
        yield Finding(
            "encoding",
            f"the database is encoded in {server['encoding']}; Debezium reads UTF8 only",
            "use a UTF8 database",
        )
    if server["version"] < 130000:
        yield Finding("version", f"server version {server['version']} is too old", "PostgreSQL 13 or later")
    if not (server["replication"] or server["superuser"]):
        yield Finding(
            "replication_role", f"role {user!r} lacks REPLICATION", f"{SETUP}, or ALTER ROLE {quote(user)} REPLICATION"
        )
    if server["superuser"]:
        yield Finding("superuser", f"role {user!r} is a superuser, which capture does not need", SETUP, fatal=False)
    if server["keep"] == "-1":
        what = "max_slot_wal_keep_size is unlimited: a stopped connector can fill the server's disk"
        yield Finding(
            "slot_keep_size", what, "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB', by the disk's size", fatal=False
        )


def slot_findings(rows: Sequence[Mapping[str, Any]], source: PostgresSource) -> Iterator[Finding]:
    """Yield what is wrong with the replication slot, if it is there."""
    for slot in rows:
        if slot["wal_status"] == "lost":
            what = f"replication slot {source.slot_name!r} was invalidated: changes are lost"
            yield Finding("slot_lost", what, f"drop it, then {begin_anew(source.name)}")
        if slot["plugin"] != "pgoutput" or slot["database"] != source.database:
            what = f"replication slot {source.slot_name!r} belongs to {slot['plugin']} in database {slot['database']!r}"
            yield Finding("slot_taken", what, "choose another slot")


MEASURED_SECONDS = 600.0
"""From then on the average growth of the log tells something: a server that was just set up writes a lot at once."""


def kept_seconds(slot: Mapping[str, Any]) -> float | None:
    """Return None where nothing limits what is kept, or where the log does not grow as far as is known."""
    if slot["wal_status"] in ("unreserved", "lost"):
        return 0.0
    if slot["safe_wal_size"] is None or not slot["bytes_per_second"] or slot["measured_seconds"] < MEASURED_SECONDS:
        return None
    return max(0.0, float(slot["safe_wal_size"]) / float(slot["bytes_per_second"]))


def by_name(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return rows of published tables by schema and name."""
    return {(row["schemaname"], row["tablename"]): row for row in rows}


def deadly(publication: str, published: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the published tables whose first change ends the connector, whether it captures them or not."""
    for (namespace, name), row in published.items():
        if alike(row["columns"] or ()):
            table = TableName(namespace, name)
            what = f"publication {publication!r} has {table}, whose columns differ in case only: a change of it ends"
            drop = f"ALTER PUBLICATION {quote(publication)} DROP TABLE {quote_table(table)}"
            yield Finding("column_case", f"{what} Debezium's connector", f"as the table's owner: {drop}")


def published_findings(
    publication: str, table: TableName, published: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[Finding]:
    """Yield why a table's changes are not in the publication, or not all of them."""
    row = published.get((table.namespace, table.table))
    if row is None:
        add = f"as the table's owner: ALTER PUBLICATION {quote(publication)} ADD TABLE {quote_table(table)}"
        yield Finding("not_published", f"table {table} is not in publication {publication!r}", add, gap=True)
    elif row["rowfilter"] is not None:
        what = f"publication {publication!r} filters the rows of {table}"
        change = f"ALTER PUBLICATION {quote(publication)}"
        whole = f"{change} DROP TABLE {quote_table(table)}; {change} ADD TABLE {quote_table(table)}"
        yield Finding("row_filter", what, f"as the table's owner: {whole}", gap=True)


def table_findings(relation: Mapping[str, Any], table: TableName) -> Iterator[Finding]:
    """Yield why a relation of the catalog cannot be captured, its key aside."""
    if relation["relkind"] not in "rp":
        what = f"{table} is no ordinary table, so it is not in the log"
        yield Finding("not_a_table", what, "capture the tables behind it", gap=True)
    if relation["relpersistence"] != "p":
        what = f"{table} is unlogged or temporary, so it is not in the log"
        yield Finding("unlogged", what, f"ALTER TABLE {quote_table(table)} SET LOGGED", gap=True)
    if relation["relrowsecurity"]:
        what = f"{table} has row-level security: the snapshot would see only what the policies show"
        yield Finding("row_security", what, "add a policy that shows the role every row, or give the role BYPASSRLS")
