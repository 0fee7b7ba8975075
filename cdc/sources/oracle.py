"""An Oracle source: its declarations, its fitness for LogMiner, its position, how far its log reaches back.

The driver is optional (extra ``oracle``). The statements follow the documentation and are held by a parser and by
recorded rows of the catalog; there was no Oracle to try them on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from cdc.config.sources import OracleSource
from cdc.core.errors import CdcError, ConfigError, PreflightError, TransientError
from cdc.core.names import TableName, quote_table
from cdc.core.positions import connector_place
from cdc.core.preflight import (
    Finding,
    LogRoom,
    SourceColumn,
    SourceTable,
    begin_anew,
    each_declared,
    excluded_columns,
    of_table,
)

COLUMNS = """
SELECT column_name AS name, LOWER(data_type) AS type, nullable, virtual_column, data_scale AS scale,
       CASE WHEN default_length > 0 OR nullable = 'N' OR virtual_column = 'YES' THEN 'Y' ELSE 'N' END AS filled
FROM all_tab_cols WHERE owner = :namespace AND table_name = :name AND hidden_column = 'NO' ORDER BY column_id
"""

UNIQUE_KEYS = """
SELECT c.constraint_name AS name, LISTAGG(cc.column_name, CHR(0)) WITHIN GROUP (ORDER BY cc.position) AS columns
FROM all_constraints c JOIN all_cons_columns cc ON cc.owner = c.owner AND cc.constraint_name = c.constraint_name
WHERE c.owner = :namespace AND c.table_name = :name AND c.constraint_type IN ('P', 'U')
AND c.status = 'ENABLED' AND c.validated = 'VALIDATED' GROUP BY c.constraint_name
"""

TABLE = """
SELECT t.iot_type, t.temporary, t.logging, o.object_id FROM all_tables t
JOIN all_objects o ON o.owner = t.owner AND o.object_name = t.table_name AND o.object_type = 'TABLE'
WHERE t.owner = :namespace AND t.table_name = :name
"""

SUPPLEMENTAL = """
SELECT COUNT(*) AS log_groups FROM all_log_groups
WHERE owner = :namespace AND table_name = :name AND log_group_type = 'ALL COLUMN LOGGING'
"""

SERVER = """
SELECT log_mode, force_logging, supplemental_log_data_min, supplemental_log_data_all, current_scn,
       dbid, resetlogs_change# AS incarnation FROM v$database
"""

LOGS = """
SELECT MIN(first_change#) AS oldest FROM (
    SELECT MIN(first_change#) AS first_change# FROM v$log UNION ALL
    SELECT MIN(first_change#) AS first_change# FROM v$archived_log WHERE name IS NOT NULL AND deleted = 'NO'
    AND status = 'A' AND resetlogs_change# = (SELECT resetlogs_change# FROM v$database)
)
"""

STATEMENTS = (COLUMNS, UNIQUE_KEYS, TABLE, SUPPLEMENTAL, SERVER, LOGS)

_UNSUPPORTED = ("bfile", "long", "long raw", "urowid", "vector", "sdo_geometry", "boolean")
_LARGE = ("clob", "nclob", "blob", "xmltype")
_INTERVAL_DIGITS = 6
_SETUP = "run sql/sources/oracle/setup.sql and tables.sql"


class OracleDatabase:
    """The source, read as the connector's own user. Safe to use again after an error."""

    def __init__(self, source: OracleSource) -> None:
        self._source = source

    def table(self, namespace: str, table: str) -> SourceTable:
        """Return the table's declarations; raises PreflightError if it is not there or may not be read."""
        with self._connection() as connection:
            return self._declared(connection, TableName(namespace, table))

    def tables(self, names: Sequence[TableName]) -> dict[TableName, SourceTable | PreflightError]:
        """Return the declarations of tables, or why there are none."""
        with self._connection() as connection:
            return each_declared(names, lambda name: self._declared(connection, name))

    def _declared(self, connection: Any, table: TableName) -> SourceTable:  # noqa: ANN401
        relation = self._relation(connection, *table)
        server = _rows(connection, SERVER)[0]
        columns = _rows(connection, COLUMNS, namespace=table.namespace, name=table.table)
        unique = _rows(connection, UNIQUE_KEYS, namespace=table.namespace, name=table.table)
        declared = tuple(
            SourceColumn(c["name"], c["type"], c["nullable"] == "Y", c["virtual_column"] == "YES", c["filled"] == "Y")
            for c in columns
        )
        keys = frozenset(frozenset(row["columns"].split("\0")) for row in unique)
        # RESETLOGS takes changes back that may have been delivered: then the table is another one, as it is if it was
        # dropped and made again.
        identity = f"{server['dbid']}/{server['incarnation']}/{relation['object_id']}"
        # With supplemental logging of all columns, which findings() demands, the log holds the whole old row.
        return SourceTable(table, declared, keys, None, identity)

    def findings(self) -> list[Finding]:
        """Return what is wrong with server and those tables that can be looked at."""
        with self._connection() as connection:
            server = _rows(connection, SERVER)[0]
            found = [*_server_findings(server)]
            for table in (table.source for table in self._source.tables):
                with suppress(PreflightError):  # whoever asks for the declarations is told
                    found += of_table(table, self._findings_of(connection, table, server))
        return found

    def _findings_of(self, connection: Any, table: TableName, server: Mapping[str, Any]) -> list[Finding]:  # noqa: ANN401
        names = {"namespace": table.namespace, "name": table.table}
        found = [*_table_findings(self._relation(connection, *table), table)]
        if server["supplemental_log_data_all"] != "YES":
            found += _logging_findings(_rows(connection, SUPPLEMENTAL, **names)[0], table)
        left_out = excluded_columns(self._declared(connection, table), self._source.excluded_columns)
        captured = [row for row in _rows(connection, COLUMNS, **names) if row["name"] not in left_out]
        return [*found, *_column_findings(captured, table, self._source)]

    def position(self) -> str:
        """Return the current SCN."""
        with self._connection() as connection:
            return str(_rows(connection, SERVER)[0]["current_scn"])

    def log_room(self, stored: Mapping[str, Any] | None) -> LogRoom:  # noqa: ARG002
        """Return nothing: how far the logs reach back is not looked at yet."""
        return LogRoom()

    def log_findings(self, stored: Mapping[str, Any] | None, *, running: bool) -> list[Finding]:  # noqa: ARG002
        """Return whether the redo logs no longer hold the place of a connector's stored offset, or do not yet again."""
        place = None if stored is None else connector_place("oracle", stored)
        if place is None:
            return []
        with self._connection() as connection:
            current = int(_rows(connection, SERVER)[0]["current_scn"])
            oldest = _rows(connection, LOGS)[0]["oldest"]
        name = self._source.name
        if place[0] > current:
            what = f"the database is at SCN {current}, and connector {name!r} has come to {place[0]}: it was set back"
            return [Finding("log_set_back", what, begin_anew(name))]
        if oldest is not None and place[0] < int(oldest) - 1:  # the place is what was read last, the log begins behind
            what = f"the redo logs begin at SCN {oldest}, behind the place of connector {name!r}: changes are lost"
            return [Finding("redo_purged", what, begin_anew(name))]
        return []

    def _relation(self, connection: Any, namespace: str, table: str) -> Mapping[str, Any]:  # noqa: ANN401
        rows = _rows(connection, TABLE, namespace=namespace, name=table)
        if not rows:
            raise PreflightError(
                f"table {TableName(namespace, table)} does not exist, or user {self._source.user!r} may not read it",
                hint="correct tables[].source (upper case unless created in quotes), or run its tables.sql",
            )
        return rows[0]

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        driver = _driver()
        source = self._source
        try:
            with driver.connect(
                user=source.user,
                password=source.password.reveal(),
                host=source.host,
                port=source.port,
                service_name=source.pdb or source.database,
                tcp_connect_timeout=10,
            ) as connection:
                connection.call_timeout = 15_000
                yield connection
        except driver.Error as error:
            raise _translated(source, error) from error


def _driver() -> Any:  # noqa: ANN401  # an optional module
    try:
        return import_module("oracledb")
    except ImportError as error:
        raise ConfigError("the Oracle driver is not installed", hint="pip install 'cdc[oracle]'") from error


def _rows(connection: Any, statement: str, **values: object) -> list[dict[str, Any]]:  # noqa: ANN401
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [description[0].lower() for description in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _server_findings(server: Mapping[str, Any]) -> Iterator[Finding]:
    if server["log_mode"] != "ARCHIVELOG":
        yield Finding(
            "log_mode", f"the database is in {server['log_mode']} mode", "ALTER DATABASE ARCHIVELOG, while mounted"
        )
    if server["supplemental_log_data_min"] == "NO":
        yield Finding(
            "supplemental_log", "minimal supplemental logging is off", "ALTER DATABASE ADD SUPPLEMENTAL LOG DATA"
        )
    if server["force_logging"] != "YES":
        what = "unlogged loads are allowed, and would be missed"
        yield Finding("force_logging", what, "ALTER DATABASE FORCE LOGGING", fatal=False)


def _table_findings(relation: Mapping[str, Any], table: TableName) -> Iterator[Finding]:
    if relation["iot_type"]:
        yield Finding(
            "index_organised", f"{table} is index-organised, which LogMiner does not read", "do not capture it"
        )
    if relation["temporary"] == "Y":
        yield Finding("temporary", f"{table} is temporary, so it is not in the log", "do not capture it")
    if len(table.table.encode()) > 30:
        yield Finding(
            "long_name", f"the name of {table} is longer than 30 bytes, which LogMiner leaves out", "rename it"
        )


def _logging_findings(groups: Mapping[str, Any], table: TableName) -> Iterator[Finding]:
    if not groups["log_groups"]:
        what = f"{table} is logged without its unchanged columns, which are not known then"
        remedy = f"ALTER TABLE {quote_table(table)} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS"
        yield Finding("supplemental_columns", what, remedy, gap=True)


def _column_findings(columns: Sequence[Mapping[str, Any]], table: TableName, source: OracleSource) -> Iterator[Finding]:
    for column in columns:
        name, kind, scale = column["name"], column["type"], column["scale"]
        if column["virtual_column"] == "YES":
            what = f"column {name!r} of {table} is virtual, and virtual columns are not in the log"
            yield Finding("unsupported_column", what, "exclude it (column.exclude.list)")
        if kind in _UNSUPPORTED or (kind in _LARGE and not source.large_objects):
            what = f"column {name!r} of {table} is {kind}, which the connector leaves out"
            hint = "exclude it (column.exclude.list), or for large objects set lob.enabled and log.mining.strategy"
            yield Finding("unsupported_column", what, hint)
        if kind.startswith("interval day") and (scale or 0) > _INTERVAL_DIGITS:
            what = f"column {name!r} of {table} is {kind}: Debezium reads more than six digits as other seconds"
            yield Finding("unsupported_column", what, "exclude it (column.exclude.list), or declare it .. TO SECOND(6)")
        if len(name.encode()) > 30:
            what = f"the name of column {name!r} of {table} is longer than 30 bytes, which LogMiner leaves out"
            yield Finding("long_name", what, "rename it")


def _translated(source: OracleSource, error: Exception) -> CdcError:
    code = getattr(error.args[0], "full_code", "") if error.args else ""
    text = str(error).replace(source.password.reveal() or "\0", "***").splitlines()[0]
    message = f"source {source.name!r}: Oracle at {source.host}:{source.port}: {text}"
    if code in ("ORA-01017", "ORA-01031", "ORA-00942", "ORA-28000", "ORA-12514"):
        return PreflightError(message, hint=f"check user, password, database and pdb; or {_SETUP}")
    return TransientError(message, hint="is the database up, and host and port right?")
