"""A first configuration: look at a database, and write what cdc and its administrator need."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import SecretStr, ValidationError

from cdc.bootstrap.databases import listed_tables
from cdc.config.database_url import DatabaseUrl
from cdc.config.first import Section, render_config
from cdc.config.models import Config
from cdc.config.problems import problems_of
from cdc.config.sources import MySqlSource, PostgresSource, SourceSection
from cdc.config.values import Secret
from cdc.connect.render import pattern, table_pattern
from cdc.core.errors import ConfigError, PreflightError
from cdc.core.listing import ListedTable, Server
from cdc.core.preflight import SourceColumn
from cdc.core.proposal import Proposed, Unfit, propose
from cdc.sources.bulk_mysql.columns import read_of
from cdc.sources.bulk_mysql.declared import Declared
from cdc.sources.bulk_postgres.values import reading
from cdc.sources.mysql import MySqlDatabase
from cdc.sources.mysql import setup_sql as mysql_setup
from cdc.sources.postgres import PostgresDatabase
from cdc.sources.postgres import setup_sql as postgres_setup

HINT = "--name, --password and the addresses of the servers are taken as they are given"

REFUSED = "correct user, password or database in the address; it may end with ?sslmode=require (ssl_mode=required)"


class Wanted(NamedTuple):
    """What is asked for: the database, the source's name, the role that captures, and where its password is."""

    url: DatabaseUrl
    name: str
    role: str
    password: str


@dataclass(frozen=True)
class Found:
    """What a look at a database found."""

    wanted: Wanted
    server: Server
    listed: Sequence[ListedTable]
    tables: Sequence[Proposed | Unfit]

    @property
    def captured(self) -> list[Proposed]:
        """Return the tables that can be captured."""
        return [one for one in self.tables if isinstance(one, Proposed)]

    @property
    def unfit(self) -> list[Unfit]:
        """Return the others."""
        return [one for one in self.tables if isinstance(one, Unfit)]


def look(wanted: Wanted) -> Found:
    """Look at the database as the user of its address.

    Raises PreflightError if that is refused or no table can be captured, TransientError if nobody answers, ConfigError
    for Oracle.
    """
    source = _source_to_look_at(wanted)
    readable = _read_by_postgres if isinstance(source, PostgresSource) else _read_by_mysql
    try:
        server, listed = _server(source, wanted.role), listed_tables(source)
    except PreflightError as error:
        raise PreflightError(str(error), hint=REFUSED) from None
    found = Found(wanted, server, listed, propose(wanted.url.type, listed, readable))
    if not found.captured:
        raise _nothing(found)
    return found


def documents(found: Found, sections: Mapping[str, Section]) -> tuple[str, str]:
    """Return the configuration and the SQL of the source's administrator; the first passes ``cdc config check``."""
    url = found.wanted.url
    head = f"Written by `cdc init` for {found.server.version} at {url.host}:{url.port}, database {url.database}."
    head += " Every field is described in docs/configuration.md."
    left_out = ((one.name, column) for one in found.captured for column in one.left_out)
    excluded = ",".join(rf"{table_pattern(name)}\.{pattern(column)}" for name, column in left_out)
    text = render_config(head, sections, _source_section(found.wanted), found.tables, excluded)
    source = _checked(text).sources[0]
    if isinstance(source, PostgresSource):
        return text, postgres_setup(source, found.server, found.captured, found.listed)
    if isinstance(source, MySqlSource):
        return text, mysql_setup(source)
    raise ConfigError(f"no set-up is written for {source.type}", hint=f"sql/sources/{source.type} has its grants")


def _checked(text: str) -> Config:
    data = yaml.safe_load(text)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n  ".join(["nothing was written:", *problems_of(error, data)]), hint=HINT) from None


def _source_to_look_at(wanted: Wanted) -> PostgresSource | MySqlSource:
    """Return the database as the user of the address sees it; which tables it has is what is asked."""
    url = wanted.url
    if url.type == "oracle":
        what = "Oracle databases are not looked at: there was none to try it on"
        raise ConfigError(what, hint="config/production.yaml has such a source, sql/sources/oracle its grants")
    secret = Secret("", SecretStr(url.password))
    own: Any = _source_section(wanted) | {"user": url.user, "password": secret, "tables": ()}
    return (PostgresSource if url.type == "postgres" else MySqlSource).model_construct(**own)


def _server(source: PostgresSource | MySqlSource, role: str) -> Server:
    return (
        PostgresDatabase(source).server(role) if isinstance(source, PostgresSource) else MySqlDatabase(source).server()
    )


def _source_section(wanted: Wanted) -> dict[str, object]:
    url = wanted.url
    section: dict[str, object] = {
        "name": wanted.name,
        "type": url.type,
        "host": url.host,
        "port": url.port,
        "database": url.database,
        "user": wanted.role,
        "password": wanted.password,
    }
    if url.type == "postgres":
        return section | {"sslmode": _tls(url, PostgresSource, "sslmode", ("disable", "verify-full"))}
    # Any number that no server and no replica has; the same one for the same source.
    number = 10**6 + zlib.crc32(f"{url.host} {wanted.name}".encode()) % 10**6
    tls = _tls(url, MySqlSource, "ssl_mode", ("disabled", "verify_identity"))
    return section | {"ssl_mode": tls, "server_id": number}


def _tls(url: DatabaseUrl, kind: type[SourceSection], field: str, defaults: tuple[str, str]) -> str:
    """Return how the connection is encrypted; by default not at all on this machine, and to the full elsewhere."""
    known = get_args(kind.model_fields[field].annotation)
    if url.tls and url.tls not in known:
        raise ConfigError(f"the address of the database has no known {field}", hint=f"one of {', '.join(known)}")
    return url.tls or defaults[not url.loopback]


def _read_by_postgres(column: SourceColumn, target: str) -> object:
    return reading(column.name, column.type, target)


def _read_by_mysql(column: SourceColumn, target: str) -> object:
    kind = column.type.partition("(")[0].split(" ")[0]
    return read_of(Declared(column.name, kind, column.type, column.nullable, None, None, None), target)


def _nothing(found: Found) -> PreflightError:
    why = "".join(f"\n  {one.finding.name}: {one.finding.what}" for one in found.unfit[:20])
    what = f"none of the {len(found.tables)} tables in database {found.wanted.url.database!r} can be captured{why}"
    return PreflightError(what, hint="is it the right database? docs/troubles.md says what helps, by the word in front")
