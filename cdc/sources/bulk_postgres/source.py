"""A PostgreSQL database as a load reads it (``cdc.core.load.BulkSource``)."""

from collections.abc import Mapping, Sequence
from typing import Any

from cdc.config.sources import PostgresSource
from cdc.core.fingerprint import KeyRange, RowDigests
from cdc.core.load import Range, RangeReader, TableSize
from cdc.core.names import TableName
from cdc.sources.bulk_postgres import digests, planning
from cdc.sources.bulk_postgres.cuts import numbered
from cdc.sources.bulk_postgres.keys import key_columns, one_of
from cdc.sources.bulk_postgres.reader import PostgresReader
from cdc.sources.bulk_postgres.session import Catalog, Session, relation
from cdc.sources.bulk_postgres.values import Reading, reading

# ``declared`` in the words that cdc.core.source_types knows; ``type`` without lengths, so that no literal is cut off.
_COLUMNS = """
SELECT a.attname AS name, format_type(b.oid, -1) AS type, bn.nspname AS schema,
       bn.nspname = 'pg_catalog' OR b.typtype = 'e' AS known,
       CASE WHEN t.typtype = 'e' THEN 'enum' WHEN e.typtype = 'e' THEN 'enum[]'
            WHEN t.typtype = 'd' THEN 'domain ' || regexp_replace(format_type(b.oid, t.typtypmod), '^.*\\.', '')
            ELSE regexp_replace(format_type(t.oid, a.atttypmod), '^.*\\.', '') END
       || repeat('[]', greatest(a.attndims, t.typndims) - 1) AS declared
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
JOIN pg_namespace bn ON bn.oid = b.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
"""


class PostgresBulk:
    """Reads tables in ranges, from the source's host or from a replica of it; each call connects anew.

    ``statement_timeout`` is in seconds and holds for the reading of one range.
    """

    def __init__(self, source: PostgresSource, *, host: str | None = None, statement_timeout: float = 3600) -> None:
        self._session = Session(source, host or source.host, statement_timeout)

    def size(self, table: TableName) -> TableSize:
        """Return the database's estimate, of all partitions together; bytes with large values, without indexes."""
        with self._session.open(table) as catalog:
            return planning.size(catalog, table, self._session)

    def ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[Range, ...]:
        """Return the parts: by key where rows lie in its order, else by blocks; the same ones while nothing changes."""
        with self._session.open(table) as catalog:
            return numbered(planning.parts(catalog, table, key, rows_per_range, self._session))

    def reader(self, table: TableName, key: Sequence[str], columns: dict[str, str]) -> RangeReader:
        """Return the reader; raises IncompatibleSchema for a type that cannot be read as the stream writes it."""
        with self._session.open(table) as catalog:
            kind = relation(catalog, table, self._session)["relkind"]
            found = self._columns(catalog, table, list(columns))
        readings = [reading(row["name"], row["declared"], columns[row["name"]]) for row in found]
        return PostgresReader(self._session, table, kind == "p", tuple(key), tuple(readings))

    def digests(self, table: TableName, key: Sequence[str], columns: Mapping[str, str]) -> RowDigests:
        """Return how rows are digested; ``columns`` with their Iceberg types, those of the key among them."""
        with self._session.open(table) as catalog:
            kind = relation(catalog, table, self._session)["relkind"]
            found = self._columns(catalog, table, list(columns))
        made = {row["name"]: digests.rendering(row["name"], row["declared"], columns[row["name"]]) for row in found}

        def reader(readings: tuple[Reading, ...]) -> PostgresReader:
            return PostgresReader(self._session, table, kind == "p", tuple(key), readings)

        return RowDigests.of(
            made,
            lambda texts: reader(digests.fingerprint_readings(texts)),
            lambda texts: reader(digests.digest_readings(key, texts)),
        )

    def key_ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[KeyRange, ...]:
        """Return ranges whose bounds mean the same in the lake; one where there are none."""
        with self._session.open(table) as catalog:
            return planning.key_ranges(catalog, table, key, rows_per_range, self._session)

    def part(self, table: TableName, keys: KeyRange) -> Range:
        """Return the rows of a range of keys as a range to be read."""
        return Range(0, table, planning.within(keys), 0, ordered=False)

    def keys(self, table: TableName, key: Sequence[str], values: Sequence[Sequence[Any]]) -> Range:
        """Return the range of the rows with these keys, in whichever partition they are."""
        with self._session.open(table) as catalog:
            columns = key_columns(self._columns(catalog, table, key))
        return Range(0, table, one_of(columns, values), len(values), ordered=False)

    def position(self) -> str:
        """Return the end of the log, as an LSN; on a replica, what it has replayed."""
        with self._session.open() as catalog:
            return catalog.position()

    def _columns(self, catalog: Catalog, table: TableName, names: Sequence[str]) -> list[Mapping[str, Any]]:
        oid = relation(catalog, table, self._session)["oid"]
        known = {row["name"]: row for row in catalog.rows(_COLUMNS, oid=oid)}
        missing = [name for name in names if name not in known]
        if missing:
            raise self._session.refused(table, f"column {missing[0]!r} does not exist")
        return [known[name] for name in names]
