"""A PostgreSQL source: its declarations, its fitness for logical decoding, its position."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from cdc.config.sources import PostgresSource
from cdc.core.errors import PreflightError, TransientError
from cdc.core.listing import ListedTable, Server
from cdc.core.names import TableName, quote, quote_table
from cdc.core.preflight import (
    Finding,
    LogRoom,
    Retained,
    SourceTable,
    begin_anew,
    check_generated,
    each_declared,
    of_history,
    of_table,
)
from cdc.deadline import deadline
from cdc.sources.postgres.catalog import Declared, all_names, declarations, rows
from cdc.sources.postgres.findings import (
    SETUP,
    by_name,
    deadly,
    kept_seconds,
    published_findings,
    server_findings,
    slot_findings,
    table_findings,
)
from cdc.sources.postgres.setup import publication_sql

ANSWER_SECONDS = 60.0
"""So long a look at the database may take; a silent server does not keep the bounds of single statements."""

_REFUSED = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "not permitted",
    "SSL",
)

_SERVER = """
SELECT current_setting('wal_level') AS wal_level, current_setting('server_encoding') AS encoding,
       current_setting('server_version') AS name, current_setting('max_slot_wal_keep_size') AS keep,
       current_setting('server_version_num')::int AS version,
       r.rolreplication AS replication, r.rolsuper AS superuser
FROM pg_roles r WHERE r.rolname = current_user
"""

_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %(role)s"

_PUBLICATION = """
SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot FROM pg_publication WHERE pubname = %(publication)s
"""

_PUBLISHED = """
SELECT t.schemaname, t.tablename, t.rowfilter, t.attnames::text[] AS columns
FROM pg_publication_tables t WHERE t.pubname = %(publication)s
"""

_POSITION = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn
"""

_MAY_TELL = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS may"

# A primary's timeline is in the names of its files at once, in the control file from the next checkpoint on.
_HISTORY = """
SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END::text AS timeline
"""

_SLOT = "SELECT plugin, database, wal_status, active FROM pg_replication_slots WHERE slot_name = %(slot)s"

# Who writes to a table holds a lock on it, or on the partition that takes the row, until its transaction ends.
_WRITERS = """
SELECT DISTINCT l.virtualtransaction AS writer FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE d.datname = current_database() AND l.locktype = 'relation' AND l.granted
AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
AND (l.relation = %(oid)s OR l.relation IN (SELECT relid FROM pg_partition_tree(%(oid)s)))
"""

# How fast the log grows, on the average since the statistics began, and for how many seconds that is.
_KEPT = """
SELECT s.wal_status, s.safe_wal_size,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       s.confirmed_flush_lsn)::bigint AS behind,
       (w.wal_bytes / greatest(extract(epoch FROM now() - w.stats_reset), 1))::float8 AS bytes_per_second,
       coalesce(extract(epoch FROM now() - w.stats_reset), 0)::float8 AS measured_seconds
FROM pg_replication_slots s, pg_stat_wal w WHERE s.slot_name = %(slot)s
"""


class PostgresDatabase:
    """The source, read as the connector's own role in read-only transactions. Safe to use again after an error."""

    def __init__(self, source: PostgresSource) -> None:
        self._source = source

    def table(self, namespace: str, table: str) -> SourceTable:
        """Return the table's declarations; raises PreflightError if it is not there or may not be read."""
        with self._connection() as connection:
            return self._declaration(connection, TableName(namespace, table)).table

    def tables(self, names: Sequence[TableName]) -> dict[TableName, SourceTable | PreflightError]:
        """Return the declarations of tables, or why there are none."""
        with self._connection() as connection:
            found = self._declarations(connection, names)
        return {name: one if isinstance(one, PreflightError) else one.table for name, one in found.items()}

    def listed(self) -> list[ListedTable]:
        """Return all tables, partitions and views of the database, whether the role may read them or not."""
        with self._connection() as connection:
            known = declarations(connection, self._source.publication_name, all_names(connection))
        return [known[name].listed() for name in sorted(known)]

    def server(self, role: str) -> Server:
        """Return the server, and what of a role that captures and of the publication is there already."""
        name = self._source.publication_name
        with self._connection() as connection:
            row, roles = rows(connection, _SERVER)[0], rows(connection, _ROLE, role=role)
            publication = rows(connection, _PUBLICATION, publication=name)
            published = frozenset(TableName(*key) for key in by_name(rows(connection, _PUBLISHED, publication=name)))
        found = tuple(one for one in server_findings(row, role) if one.name not in ("replication_role", "superuser"))
        return Server(f"PostgreSQL {row['name'].split()[0]}", found, bool(roles), published if publication else None)

    def findings(self) -> list[Finding]:
        """Return what is wrong with server, role, slot, publication and those tables that can be looked at."""
        with self._connection() as connection:
            found = [*server_findings(rows(connection, _SERVER)[0], self._source.user)]
            found += slot_findings(rows(connection, _SLOT, slot=self._source.slot_name), self._source)
            found += self._publication_findings(connection)
            tables = self._declarations(connection, [table.source for table in self._source.tables])
        for name, declared in tables.items():
            if not isinstance(declared, PreflightError):  # whoever asks for the declarations is told
                found += of_table(name, self._findings_of(declared))
        return found

    def _findings_of(self, declared: Declared) -> list[Finding]:
        generated = check_generated(declared.table, self._source.excluded_columns)
        return [*table_findings(declared.relation, declared.table.name), *generated]

    def _declaration(self, connection: psycopg.Connection[Any], name: TableName) -> Declared:
        found = self._declarations(connection, [name])[name]
        if isinstance(found, PreflightError):
            raise found
        return found

    def _declarations(
        self, connection: psycopg.Connection[Any], names: Sequence[TableName]
    ) -> dict[TableName, Declared | PreflightError]:
        known, history = declarations(connection, self._source.publication_name, names), _history(connection)
        found = {name: one._replace(table=of_history(one.table, history)) for name, one in known.items()}
        return each_declared(names, lambda name: self._readable(name, found.get(name)))

    def position(self) -> str:
        """Return the end of the log, as an LSN."""
        with self._connection() as connection:
            return str(rows(connection, _POSITION)[0]["lsn"])

    def withheld(self) -> dict[TableName, str]:
        """Return the captured tables whose changes the log does not hand out now, with the reason and the remedy."""
        slot, publication = self._source.slot_name, self._source.publication_name
        with self._connection() as connection:
            slots = rows(connection, _SLOT, slot=slot)
            published = by_name(rows(connection, _PUBLISHED, publication=publication))
        found = [*slot_findings(slots, self._source)]
        if not slots:
            what = f"replication slot {slot!r} does not exist"
            found.append(Finding("slot_missing", what, "if the connector had used it, changes are lost; else wait"))
        reasons = {}
        for table in (table.source for table in self._source.tables):
            for finding in [*found, *published_findings(publication, table, published)][:1]:
                reasons[table] = f"{finding.what}: {finding.hint}"
        return reasons

    def log_findings(self, stored: Mapping[str, Any] | None, *, running: bool) -> list[Finding]:
        """Return what keeps a connector that has stored an offset, or is said to run, from its replication slot."""
        with self._connection() as connection:
            slots = rows(connection, _SLOT, slot=self._source.slot_name)
        if not slots and stored is not None:
            what = f"replication slot {self._source.slot_name!r} does not exist: changes since it was dropped are lost"
            return [Finding("slot_missing", what, begin_anew(self._source.name))]
        idle = running and any(not slot["active"] and slot["wal_status"] != "lost" for slot in slots)
        what = f"nobody reads replication slot {self._source.slot_name!r}, and its connector is said to run"
        return [Finding("slot_idle", what, f"cdc connectors status {self._source.name}")] if idle else []

    def writers(self, table: TableName) -> frozenset[str]:
        """Return the open transactions that have written to the table; raises PreflightError if it is not there."""
        with self._connection() as connection:
            oid = self._declaration(connection, table).relation["oid"]
            return frozenset(row["writer"] for row in rows(connection, _WRITERS, oid=oid))

    def log_room(self, stored: Mapping[str, Any] | None) -> LogRoom:  # noqa: ARG002  # the slot knows
        """Return how far the slot is behind the log, and when it is lost at the rate of late."""
        slots = self._slots_kept()
        return LogRoom(slots[0]["behind"], kept_seconds(slots[0])) if slots else LogRoom()

    def _slots_kept(self) -> list[dict[str, Any]]:
        with self._connection() as connection:
            if rows(connection, _SERVER)[0]["version"] < 140000:
                return []  # no statistics of the log's growth
            return rows(connection, _KEPT, slot=self._source.slot_name)

    def retained(self) -> list[Retained]:
        """Return how long the server keeps its log for the slot, at the rate of late; nothing if it keeps all."""
        slots = self._slots_kept()
        remedy = "raise max_slot_wal_keep_size"
        return [
            Retained(f"replication slot {self._source.slot_name!r}", seconds, remedy)
            for slot in slots
            if (seconds := kept_seconds(slot)) is not None
        ]

    def _publication_findings(self, connection: psycopg.Connection[Any]) -> list[Finding]:
        name = self._source.publication_name
        publication = rows(connection, _PUBLICATION, publication=name)
        if not publication:
            lines = publication_sql(self._source).splitlines()
            statement = " ".join(line for line in lines if line and not line.startswith("--"))
            return [
                Finding("publication", f"publication {name!r} does not exist", f"as the tables' owner: {statement}")
            ]
        found = []
        if not all(publication[0].values()):
            what = f"publication {name!r} leaves out operations, or publishes partitions under their own names"
            options = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
            found.append(Finding("publication_options", what, f"ALTER PUBLICATION {quote(name)} SET ({options})"))
        published = by_name(rows(connection, _PUBLISHED, publication=name))
        found += deadly(name, published)
        for table in self._source.captured:
            found += of_table(table.source, published_findings(name, table.source, published))
        return found

    def _readable(self, name: TableName, declared: Declared | None) -> Declared:
        role = quote(self._source.user)
        if declared is None:
            raise PreflightError(
                f"table {name} does not exist in database {self._source.database!r}",
                hint="correct tables[].source; names are case-sensitive",
            )
        if not (declared.relation["readable"] and declared.relation["usable"]):
            usage = f"GRANT USAGE ON SCHEMA {quote(name.namespace)} TO {role}"
            grant = f"{usage}; GRANT SELECT ON {quote_table(name)} TO {role}"
            raise PreflightError(f"role {self._source.user!r} may not read table {name}", hint=f"as its owner: {grant}")
        return declared

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(**self._parameters()) as connection, deadline(connection.fileno(), ANSWER_SECONDS):
                yield connection
        except psycopg.Error as error:
            raise _translated(self._source, error) from error

    def _parameters(self) -> dict[str, Any]:
        source = self._source
        return {
            "host": source.host,
            "port": source.port,
            "dbname": source.database,
            "user": source.user,
            "password": source.password.reveal(),
            "sslmode": source.sslmode,
            "connect_timeout": 10,
            "application_name": f"cdc preflight {source.name}",
            "options": "-c default_transaction_read_only=on -c statement_timeout=15000",
        }


def _translated(source: PostgresSource, error: psycopg.Error) -> Exception:
    """Return the project's error, or the error itself where it shows a mistake of ours."""
    said = str(error).strip().replace(source.password.reveal() or "\0", "***").splitlines()
    text = [line for line in said if not line[:1].isspace()][-1]  # what is indented only asks back
    message = f"source {source.name!r}: PostgreSQL at {source.host}:{source.port}: {text}"
    if not isinstance(error, (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege)):
        return error
    if isinstance(error, psycopg.OperationalError) and not any(word in text for word in _REFUSED):
        return TransientError(message, hint="is the database up, and host and port right?")
    return PreflightError(message, hint=f"check user, password, database and sslmode; or {SETUP}")


def _history(connection: psycopg.Connection[Any]) -> str:
    """Return which history of which cluster the log is of, nothing where the role may not ask."""
    if not rows(connection, _MAY_TELL)[0]["may"]:
        return ""
    (row,) = rows(connection, _HISTORY)
    return f"system {row['system']}, timeline {row['timeline']}"
