"""What an administrator of PostgreSQL runs before a source is captured: role, grants, replica identity, publication."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cdc.config.sources import PostgresSource
from cdc.core.listing import Kind, ListedTable, Server, UniqueIndex
from cdc.core.names import TableName, quote, quote_table
from cdc.core.proposal import Proposed
from cdc.core.setup import PASSWORD, comment, filled

FOLDER = Path(__file__).resolve().parents[3] / "sql" / "sources" / "postgres"


def publication_sql(source: PostgresSource) -> str:
    """Return the statement that makes the source's publication, for the owner of the tables to run.

    Tables without a key are not in it: an application could not update them any more.
    """
    text = (FOLDER / "publication.sql").read_text(encoding="utf-8")
    text = text.replace("${publication}", _inside(source.publication_name))
    if tables := ", ".join(quote_table(table.source) for table in source.captured):
        return text.replace("${tables}", tables)
    return text.replace("FOR TABLE ${tables} ", "")  # an empty one, for tables that come later


def setup_sql(
    source: PostgresSource, server: Server, proposed: Sequence[Proposed], listed: Iterable[ListedTable]
) -> str:
    """Return statements for psql, in one transaction; the password comes from where the configuration refers to."""
    parts = [
        comment(f"What PostgreSQL has to have for the capture of source {source.name}."),
        f"-- As a superuser: psql --file THIS_FILE, connected to {comment(source.database, '').strip()}",
        f"\\set ON_ERROR_STOP on\n{_password(source)}\nBEGIN;",
        *_roles(source, server, proposed),
        *_identities(proposed, [one for one in listed if one.kind is Kind.PARTITION]),
        *_publication(source, server, proposed),
        "COMMIT;",
    ]
    return "\n\n".join(parts) + "\n"


def _password(source: PostgresSource) -> str:
    name = source.password.name
    if source.password.kind == "env":
        return f"\\getenv password {name}"
    return f"\\set password `cat {shlex.quote(name)}`"


def _roles(source: PostgresSource, server: Server, proposed: Iterable[Proposed]) -> Iterator[str]:
    role = {"role": _inside(source.user), "database": _inside(source.database)}
    spaces = dict.fromkeys((one.name.namespace, one.listed.owner) for one in proposed)
    each = [{"schema": _inside(schema), "owner": _inside(owner)} for schema, owner in spaces]
    for paragraph in filled((FOLDER / "setup.sql").read_text(encoding="utf-8"), role, each):
        if server.role and paragraph.startswith("CREATE ROLE"):
            yield comment(f"Role {source.user} is there already; its password and attributes stay as they are.")
        else:
            yield paragraph.replace(f"'{PASSWORD}'", ":'password'")


def _identities(proposed: Iterable[Proposed], partitions: Sequence[ListedTable]) -> Iterator[str]:
    for one in proposed:
        if one.mend:
            own = [partition.name for partition in partitions if partition.parent == one.name]
            yield "\n".join([comment(one.mend[0].what), *_identity(one.name, one.key, own)])


def _identity(table: TableName, key: UniqueIndex, partitions: Sequence[TableName]) -> list[str]:
    """Return the statements that put a key into the log; each partition has an identity, and indexes, of its own."""
    if key.primary:
        identity = "DEFAULT"
    elif key.immediate and not partitions:
        identity = f"USING INDEX {quote(key.name)}"
    else:
        identity = "FULL"
    return [f"ALTER TABLE {quote_table(name)} REPLICA IDENTITY {identity};" for name in (table, *partitions)]


def _publication(source: PostgresSource, server: Server, proposed: Iterable[Proposed]) -> Iterator[str]:
    if server.published is None:
        lines = publication_sql(source).splitlines()
        yield "\n".join(line for line in lines if not line.startswith("--"))
    elif missing := [one.name for one in proposed if one.name not in server.published]:
        tables = ", ".join(map(quote_table, missing))
        yield f"ALTER PUBLICATION {quote(source.publication_name)} ADD TABLE {tables};"


def _inside(name: str) -> str:
    return name.replace('"', '""')
