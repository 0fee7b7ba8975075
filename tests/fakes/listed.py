"""What a look at a database may have found."""

from typing import Any

from cdc.bootstrap.init import Found, Wanted
from cdc.config.database_url import parse_database_url
from cdc.core.listing import Kind, ListedTable, Server, UniqueIndex
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceColumn, SourceTable
from cdc.core.proposal import propose

SERVER = Server("PostgreSQL 17.6", ())
PRIMARY = UniqueIndex("pkey", ("id",), primary=True)
CODES = UniqueIndex("by code", ("id",), primary=False)
LATE = UniqueIndex("late", ("id",), primary=False, immediate=False)


def listed(
    name: str,
    schema: str = "public",
    index: UniqueIndex = PRIMARY,
    *,
    identity: frozenset[str] | None = frozenset({"id"}),
    indexed: bool = True,
    generated: tuple[str, ...] = (),
    kind: Kind = Kind.TABLE,
    parent: str = "",
    findings: tuple[Finding, ...] = (),
) -> ListedTable:
    columns = [SourceColumn("id", "bigint", nullable=False, generated=False)]
    columns += [SourceColumn(column, "integer", nullable=True, generated=True) for column in generated]
    table = SourceTable(TableName(schema, name), tuple(columns), frozenset({frozenset(index.columns)}), identity)
    whole = TableName(schema, parent) if parent else None
    return ListedTable(table, kind, (index,) if indexed else (), findings, whole, f"owner of {schema}")


def found(*tables: ListedTable, server: Server = SERVER, **other: Any) -> Found:
    kind = other.pop("kind", "postgres")
    url = parse_database_url(f"{kind}://admin:hidden@db.example.com/my_shop")
    wanted = Wanted(url, "shop", 'r"o', "${env:CDC_SHOP_PASSWORD}")._replace(**other)
    return Found(wanted, server, tables, propose(kind, tables, lambda *_: None))
