"""A MySQL source: its declarations, its fitness for reading the binary log, its position."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cdc.config.sources import MySqlSource
from cdc.core.errors import PreflightError
from cdc.core.listing import Kind, ListedTable, Server, UniqueIndex, fits
from cdc.core.names import TableName, quote_table
from cdc.core.preflight import (
    Finding,
    LogRoom,
    Retained,
    SourceColumn,
    SourceTable,
    begin_anew,
    each_declared,
    of_history,
    of_table,
)
from cdc.sources.mysql.connection import SETUP, Connection, connected, rows

_COLUMNS = """
SELECT TABLE_SCHEMA AS ns, TABLE_NAME AS tbl, COLUMN_NAME AS name, LOWER(COLUMN_TYPE) AS type,
       IS_NULLABLE = 'YES' AS nullable, GENERATION_EXPRESSION <> '' AS computed,
       COLUMN_DEFAULT IS NOT NULL OR IS_NULLABLE = 'NO' OR GENERATION_EXPRESSION <> '' AS filled
FROM information_schema.COLUMNS WHERE (TABLE_SCHEMA, TABLE_NAME) IN %(names)s ORDER BY ORDINAL_POSITION
"""

# Prefixes and expressions do not make columns unique.
_UNIQUE = """
SELECT TABLE_SCHEMA AS ns, TABLE_NAME AS tbl, INDEX_NAME AS name,
       GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX SEPARATOR '\\0') AS columns
FROM information_schema.STATISTICS WHERE (TABLE_SCHEMA, TABLE_NAME) IN %(names)s AND NON_UNIQUE = 0
GROUP BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME HAVING SUM(SUB_PART IS NOT NULL) = 0 AND SUM(COLUMN_NAME IS NULL) = 0
"""

_TABLES = """
SELECT TABLE_SCHEMA AS ns, TABLE_NAME AS tbl, TABLE_TYPE AS type, ENGINE AS engine FROM information_schema.TABLES
WHERE (TABLE_SCHEMA, TABLE_NAME) IN %(names)s
"""

_ALL = """
SELECT TABLE_SCHEMA AS ns, TABLE_NAME AS tbl FROM information_schema.TABLES
WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY TABLE_SCHEMA, TABLE_NAME
"""

_CASCADES = """
SELECT CONSTRAINT_SCHEMA AS ns, TABLE_NAME AS tbl, CONSTRAINT_NAME AS name
FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE (CONSTRAINT_SCHEMA, TABLE_NAME) IN %(names)s
AND (DELETE_RULE IN ('CASCADE', 'SET NULL') OR UPDATE_RULE IN ('CASCADE', 'SET NULL'))
"""

_REACHES = "SELECT GTID_SUBSET(@@GLOBAL.gtid_purged, %(gtids)s) AS reaches"

_HISTORY = "SELECT @@GLOBAL.server_uuid AS uuid"

_NEEDED = {
    "log_bin": ("ON", "start the server with --log-bin"),
    "binlog_format": ("ROW", "SET PERSIST binlog_format = ROW"),
    "binlog_row_image": ("FULL", "SET PERSIST binlog_row_image = FULL"),
    "binlog_row_value_options": ("", "SET PERSIST binlog_row_value_options = ''"),
}
_VARIABLES = (*_NEEDED, "gtid_mode", "server_id", "binlog_expire_logs_seconds", "sql_mode", "version")
_DAY = 86_400


class MySqlDatabase:
    """The source, read as the connector's own user in read-only transactions. Safe to use again after an error."""

    def __init__(self, source: MySqlSource) -> None:
        self._source = source

    def table(self, namespace: str, table: str) -> SourceTable:
        """Return the table's declarations; raises PreflightError if it is not there or may not be read."""
        name = TableName(namespace, table)
        found = self.tables([name])[name]
        if isinstance(found, PreflightError):
            raise found
        return found

    def tables(self, names: Sequence[TableName]) -> dict[TableName, SourceTable | PreflightError]:
        """Return the declarations of tables, or why there are none, in four statements however many there are."""
        with connected(self._source) as connection:
            kinds, columns, unique = (_of_tables(connection, one, names) for one in (_TABLES, _COLUMNS, _UNIQUE))
            history = f"server {rows(connection, _HISTORY)[0]['uuid']}"

        def declared(name: TableName) -> SourceTable:
            self._require(name, kinds[name])
            return of_history(_declared(name, columns[name], _indexes(unique[name])), history)

        return each_declared(names, declared)

    def listed(self) -> list[ListedTable]:
        """Return all that the user may look at of the source's own database and of those that its tables name."""
        named = (self._source.database, *(table.source.namespace for table in self._source.tables))
        databases = [TableName(name, "*") for name in named]
        with connected(self._source) as connection:
            every = [TableName(row["ns"], row["tbl"]) for row in rows(connection, _ALL)]
            names = [name for name in every if any(fits(database, name) for database in databases)]
            kinds, columns, unique = (_of_tables(connection, one, names) for one in (_TABLES, _COLUMNS, _UNIQUE))
            found = self._all_table_findings(connection, names, kinds)

        def listed(name: TableName) -> ListedTable:
            indexes = _indexes(unique[name])
            kind = Kind.TABLE if kinds[name][0]["type"] == "BASE TABLE" else Kind.VIEW
            own = tuple(finding for finding in found if finding.table == name)
            return ListedTable(_declared(name, columns[name], indexes), kind, indexes, own)

        return [listed(name) for name in names]

    def server(self) -> Server:
        """Return the server, its user's privileges aside."""
        with connected(self._source) as connection:
            variables = _variables(connection)
        return Server(f"MySQL {variables['version']}", tuple(_server_findings(variables, self._source)))

    def findings(self) -> list[Finding]:
        """Return what is wrong with server, user and those tables that can be looked at."""
        names = [table.source for table in self._source.tables]
        with connected(self._source) as connection:
            variables = _variables(connection)
            found = [*_server_findings(variables, self._source), *self._grant_findings(connection)]
            return found + self._all_table_findings(connection, names, _of_tables(connection, _TABLES, names))

    def _all_table_findings(
        self,
        connection: Connection,
        names: Sequence[TableName],
        kinds: Mapping[TableName, Sequence[Mapping[str, Any]]],
    ) -> list[Finding]:
        cascades = _of_tables(connection, _CASCADES, names)
        cascades_are_logged = _version(_variables(connection)) >= (9, 6)
        found: list[Finding] = []
        for name in names:
            for kind in kinds[name]:  # of one that is not there whoever asks for the declarations is told
                found += of_table(name, _table_findings(kind, name))
            if not cascades_are_logged:
                found += of_table(name, _cascade_findings(cascades[name], name))
        return found

    def position(self) -> str:
        """Return the end of the log: file, position and, if there are any, GTIDs."""
        with connected(self._source) as connection:
            statement = "SHOW BINARY LOG STATUS" if _version(_variables(connection)) >= (8, 2) else "SHOW MASTER STATUS"
            found = rows(connection, statement)
        if not found:
            raise PreflightError(f"source {self._source.name!r} writes no binary log", hint=_NEEDED["log_bin"][1])
        gtids = found[0]["Executed_Gtid_Set"].replace("\n", "")
        return f"{found[0]['File']}:{found[0]['Position']}" + (f" {gtids}" if gtids else "")

    def withheld(self) -> dict[TableName, str]:
        """Return the captured tables whose changes the log does not hold in full, with the reason and the remedy."""
        with connected(self._source) as connection:
            found = [finding for finding in _server_findings(_variables(connection), self._source) if finding.fatal]
        return {table.source: f"{found[0].what}: {found[0].hint}" for table in self._source.tables if found}

    def log_findings(self, stored: Mapping[str, Any] | None, *, running: bool) -> list[Finding]:  # noqa: ARG002
        """Return whether the binary log no longer reaches back to a connector's stored offset."""
        if not stored or not stored.get("file"):
            return []
        with connected(self._source) as connection:
            if gtids := stored.get("gtids"):
                reaches = rows(connection, _REACHES, gtids=gtids)[0]["reaches"]
            else:
                reaches = stored["file"] in {row["Log_name"] for row in rows(connection, "SHOW BINARY LOGS")}
        what = f"the binary log was purged beyond the place of connector {self._source.name!r}: changes are lost"
        return [] if reaches else [Finding("binlog_purged", what, begin_anew(self._source.name))]

    def log_room(self, stored: Mapping[str, Any] | None) -> LogRoom:
        """Return how far a connector's stored offset is behind the binary log; it is purged by age, not by size."""
        if not stored or not stored.get("file"):
            return LogRoom()
        with connected(self._source) as connection:
            logs = {str(row["Log_name"]): int(row["File_size"]) for row in rows(connection, "SHOW BINARY LOGS")}
        if stored["file"] not in logs:
            return LogRoom()
        later = sum(size for name, size in logs.items() if _number(name) >= _number(stored["file"]))
        return LogRoom(max(0, later - int(stored.get("pos") or 0)))

    def writers(self, table: TableName) -> frozenset[str]:  # noqa: ARG002  # the log holds transactions from commit on
        """Return nothing: a transaction that commits while the connector reads is read whole."""
        return frozenset()

    def retained(self) -> list[Retained]:
        """Return how long the server keeps its binary logs; nothing if it never purges them."""
        with connected(self._source) as connection:
            seconds = int(_variables(connection).get("binlog_expire_logs_seconds", "0"))
        return [Retained("the binary log", float(seconds), "raise binlog_expire_logs_seconds")] if seconds else []

    def _grant_findings(self, connection: Connection) -> Iterator[Finding]:
        granted = " ".join(str(value) for row in rows(connection, "SHOW GRANTS") for value in row.values())
        everything = "ALL PRIVILEGES ON *.*" in granted
        for names in (("REPLICATION SLAVE",), ("REPLICATION CLIENT",), ("FLUSH_TABLES", "RELOAD")):
            if not everything and not any(name in granted for name in names):
                what = f"user {self._source.user!r} lacks {names[0]}"
                yield Finding(names[0].lower().replace(" ", "_"), what, f"{SETUP}, or GRANT {names[0]} ON *.* TO it")
        if everything:
            what = f"user {self._source.user!r} has all privileges, which capture does not need"
            yield Finding("superuser", what, SETUP, fatal=False)

    def _require(self, name: TableName, kinds: Sequence[Mapping[str, Any]]) -> None:
        if not kinds:
            raise PreflightError(
                f"table {name} does not exist, or user {self._source.user!r} may not read it",
                hint=f"correct tables[].source, or GRANT SELECT ON {quote_table(name, '`')} TO it",
            )


def _of_tables(
    connection: Connection, statement: str, names: Sequence[TableName]
) -> dict[TableName, list[dict[str, Any]]]:
    """Return the rows of a statement by table; names are those asked for, whatever case the server has."""
    asked = {tuple(part.lower() for part in name): name for name in names}
    found: dict[TableName, list[dict[str, Any]]] = {name: [] for name in names}
    for row in rows(connection, statement, names=tuple(map(tuple, names))) if names else ():
        name = TableName(row["ns"], row["tbl"])
        known = name if name in found else asked.get((row["ns"].lower(), row["tbl"].lower()))
        if known:
            found[known].append(row)
    return found


def _number(log: str) -> int:
    """Return the number of a file of the binary log; as texts they compare up to six digits only."""
    return int(log.rpartition(".")[2])


def _indexes(unique: Iterable[Mapping[str, Any]]) -> tuple[UniqueIndex, ...]:
    return tuple(UniqueIndex(i["name"], tuple(i["columns"].split("\0")), i["name"] == "PRIMARY") for i in unique)


def _declared(name: TableName, columns: Iterable[Mapping[str, Any]], indexes: Iterable[UniqueIndex]) -> SourceTable:
    found = (
        SourceColumn(c["name"], c["type"], bool(c["nullable"]), bool(c["computed"]), bool(c["filled"])) for c in columns
    )
    # With binlog_row_image = FULL, which findings() demands, the log holds the whole old row.
    return SourceTable(name, tuple(found), frozenset(frozenset(index.columns) for index in indexes), None)


def _variables(connection: Connection) -> dict[str, str]:
    found = rows(connection, "SHOW GLOBAL VARIABLES WHERE Variable_name IN %(names)s", names=_VARIABLES)
    return {row["Variable_name"]: row["Value"] for row in found}


def _version(variables: Mapping[str, str]) -> tuple[int, int]:
    major, minor = variables["version"].split(".")[:2]
    return int(major), int(minor)


def _server_findings(variables: Mapping[str, str], source: MySqlSource) -> Iterator[Finding]:
    for name, (wanted, remedy) in _NEEDED.items():
        if (value := variables.get(name, wanted)) != wanted:
            yield Finding(name, f"{name} is {value!r}, not {wanted!r}: changes would be incomplete or missing", remedy)
    if variables["server_id"] == str(source.server_id):
        what = f"server_id {source.server_id} is the server's own"
        yield Finding("server_id", what, "choose a number that no server or replica has")
    if variables.get("gtid_mode") != "ON":
        what = "gtid_mode is off: after a failover the position cannot be found again"
        yield Finding("gtid_mode", what, "enable gtid_mode and enforce_gtid_consistency", fatal=False)
    if 0 < int(variables.get("binlog_expire_logs_seconds", "0")) < _DAY:
        what = "the binary log is purged within a day: a connector that is down for longer loses changes"
        yield Finding("binlog_expire", what, "SET PERSIST binlog_expire_logs_seconds = 604800", fatal=False)
    if "NO_ZERO_DATE" not in variables.get("sql_mode", ""):
        what = "zero dates are allowed: in columns that are NOT NULL they arrive as 1970-01-01"
        yield Finding(
            "zero_dates", what, "add NO_ZERO_DATE and NO_ZERO_IN_DATE to sql_mode, or allow NULL", fatal=False
        )


def _table_findings(relation: Mapping[str, Any], table: TableName) -> Iterator[Finding]:
    if relation["type"] != "BASE TABLE":
        yield Finding(
            "not_a_table", f"{table} is a view, so it is not in the log", "capture the tables behind it", gap=True
        )
    elif relation["engine"] != "InnoDB":
        what = f"{table} is kept by {relation['engine']}, which has no transactions: a snapshot of it is not consistent"
        yield Finding("engine", what, f"ALTER TABLE {quote_table(table, '`')} ENGINE = InnoDB", fatal=False)


def _cascade_findings(rows: Sequence[Mapping[str, Any]], table: TableName) -> Iterator[Finding]:
    for row in rows:
        what = f"foreign key {row['name']!r} of {table} cascades, and before MySQL 9.6 what it does is not in the log"
        yield Finding(
            "cascade", what, "delete and update the rows yourself (ON DELETE RESTRICT), or do not capture the table"
        )
