"""What PostgreSQL's catalog says of tables: kind, columns, unique indexes, replica identity."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from cdc.core.listing import Kind, ListedTable, UniqueIndex
from cdc.core.names import TableName
from cdc.core.preflight import SourceColumn, SourcePartition, SourceTable, of_table
from cdc.sources.postgres.findings import table_findings

# Neither the server's own nor those of extensions, such as PostGIS's spatial_ref_sys.
_ALL = """
SELECT n.nspname AS namespace, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
"""

_TABLES = """
SELECT n.nspname AS namespace, c.relname AS name, c.oid, c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity,
       c.relfilenode::text AS file,
       pg_get_userbyid(c.relowner)::text AS owner,
       (SELECT ARRAY[s.nspname, r.relname]::text[] FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace
        WHERE c.relispartition AND r.oid = pg_partition_root(c.oid)) AS root,
       has_table_privilege(c.oid, 'SELECT') AS readable, has_schema_privilege(n.oid, 'USAGE') AS usable,
       (SELECT r.oid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
        WHERE p.pubname = %(publication)s AND r.prrelid = c.oid) AS membership
FROM unnest(%(namespaces)s::text[], %(names)s::text[]) AS w (namespace, name)
JOIN pg_namespace n ON n.nspname = w.namespace
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

# A row of the catalog is another one, by its xmin, whenever a column's declaration has changed.
# The type of an array has a pair of brackets for each dimension that is declared; the server's own name of it has one.
_COLUMNS = """
SELECT a.attrelid AS oid, a.attname AS name, NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated,
       a.attnum::text AS number, a.xmin::text AS mark,
       a.atthasdef OR a.atthasmissing OR a.attnotnull OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS filled,
       (SELECT json_object_agg(l.oid::text, l.enumlabel) FROM pg_enum l
        WHERE l.enumtypid IN (t.oid, t.typbasetype, t.typelem)) AS labels,
       CASE WHEN t.typtype = 'e' THEN 'enum' WHEN e.typtype = 'e' THEN 'enum[]'
            WHEN t.typtype = 'd' THEN 'domain ' || format_type(t.typbasetype, t.typtypmod)
            ELSE format_type(a.atttypid, a.atttypmod) END || repeat('[]', greatest(a.attndims, t.typndims) - 1) AS type
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

# Enforced on the whole table, over plain columns; INCLUDE columns are no part of the key. What is checked only at the
# end of a transaction is unique all the same, and no replica identity.
_UNIQUE = """
SELECT i.indrelid AS oid, i.indisprimary AND i.indimmediate AS primary, i.indisreplident AS identity,
       i.indimmediate AS immediate, x.relname AS name,
       (SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum)) FROM pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) AS columns
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = ANY (%(oids)s::oid[]) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""

# Those that hold rows, without a lock on any of them. One that was attached after it was made, or lies below one that
# was, may have brought rows; what was truncated has none that anybody has counted.
_PARTITIONS = """
WITH RECURSIVE parts AS (
    SELECT w.oid AS root, i.inhrelid AS relid, age(i.xmin) AS attached
    FROM unnest(%(oids)s::oid[]) AS w (oid) JOIN pg_inherits i ON i.inhparent = w.oid
    UNION ALL
    SELECT p.root, i.inhrelid, least(p.attached, age(i.xmin)) FROM parts p JOIN pg_inherits i ON i.inhparent = p.relid
)
SELECT p.root AS oid, c.oid::text AS number, n.nspname AS namespace, c.relname AS name, c.relfilenode::text AS file,
       c.reltuples <= CASE WHEN current_setting('server_version_num')::int < 140000 THEN 0 ELSE -1 END AS truncated,
       p.attached < age(y.xmin) AND (c.reltuples > 0 OR pg_stat_get_live_tuples(c.oid) > 0) AS full
FROM parts p JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type y ON y.oid = c.reltype WHERE c.relkind <> 'p'
"""

_KINDS = {"v": Kind.VIEW, "m": Kind.VIEW, "f": Kind.FOREIGN}


class Declared(NamedTuple):
    """A table: its entry in the catalog, its declarations, and its unique indexes."""

    relation: Mapping[str, Any]
    table: SourceTable
    indexes: tuple[UniqueIndex, ...]

    def listed(self) -> ListedTable:
        """Return the table as a listing shows it."""
        root = self.relation["root"]
        kind = Kind.PARTITION if root else _KINDS.get(self.relation["relkind"], Kind.TABLE)
        findings = tuple(of_table(self.table.name, table_findings(self.relation, self.table.name)))
        parent = TableName(*root) if root else None
        return ListedTable(self.table, kind, self.indexes, findings, parent, self.relation["owner"])


def rows(connection: psycopg.Connection[Any], statement: str, **values: object) -> list[dict[str, Any]]:
    """Return the rows of a statement, each by the names of its columns."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()


def all_names(connection: psycopg.Connection[Any]) -> list[TableName]:
    """Return the names of all tables, partitions and views of the database, in their order."""
    return [TableName(row["namespace"], row["name"]) for row in rows(connection, _ALL)]


def declarations(
    connection: psycopg.Connection[Any], publication: str, names: Sequence[TableName]
) -> dict[TableName, Declared]:
    """Return what the catalog tells of those tables that are there, in four statements however many there are."""
    spaces, tables = [name.namespace for name in names], [name.table for name in names]
    relations = rows(connection, _TABLES, namespaces=spaces, names=tables, publication=publication)
    oids = [row["oid"] for row in relations]
    columns, unique = (_by_oid(rows(connection, one, oids=oids)) for one in (_COLUMNS, _UNIQUE))
    parted = [row["oid"] for row in relations if row["relkind"] == "p"]
    partitions = _by_oid(rows(connection, _PARTITIONS, oids=parted) if parted else ())
    found = (_declared(row, columns[row["oid"]], unique[row["oid"]], partitions[row["oid"]]) for row in relations)
    return {one.table.name: one for one in found}


def _declared(
    relation: Mapping[str, Any],
    columns: Iterable[Mapping[str, Any]],
    unique: Sequence[Mapping[str, Any]],
    partitions: Iterable[Mapping[str, Any]],
) -> Declared:
    declared = tuple(_column(column) for column in columns)
    indexes = tuple(UniqueIndex(i["name"], tuple(i["columns"]), i["primary"], i["immediate"]) for i in unique)
    keys = frozenset(frozenset(index.columns) for index in indexes)
    # Taken out of the publication and put back, a table has another membership, and changes were missed.
    id_ = f"{relation['oid']}:{relation['membership'] or ''}"
    name = TableName(relation["namespace"], relation["name"])
    identity, parts = _identity(relation["relreplident"], unique), dict(map(_partition, partitions))
    return Declared(relation, SourceTable(name, declared, keys, identity, id_, relation["file"], parts), indexes)


def _column(row: Mapping[str, Any]) -> SourceColumn:
    filled = row["filled"] and not row["generated"]
    marks = (row["number"], row["mark"], row["labels"] or {})
    return SourceColumn(row["name"], row["type"], row["nullable"], row["generated"], filled, *marks)


def _partition(row: Mapping[str, Any]) -> tuple[str, SourcePartition]:
    name = str(TableName(row["namespace"], row["name"]))
    return row["number"], SourcePartition(name, row["file"], row["truncated"], row["full"])


def _by_oid(found: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    by_oid: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in found:
        by_oid[row["oid"]].append(row)
    return by_oid


def _identity(kind: str, unique: Sequence[Mapping[str, Any]]) -> frozenset[str] | None:
    if kind == "f":
        return None
    wanted = {"d": "primary", "i": "identity"}.get(kind)
    return next((frozenset(index["columns"]) for index in unique if wanted and index[wanted]), frozenset())
