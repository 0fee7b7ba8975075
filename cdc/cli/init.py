"""``cdc init``: from the address of a database to a configuration that can run, and the SQL of its administrator."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cdc.bootstrap.init import Wanted, documents, look
from cdc.cli.first_steps import Files, Steps, document_of, told
from cdc.cli.options import DEFAULT_CONFIG, DryRun, Json
from cdc.config.database_url import DatabaseUrl, parse_database_url
from cdc.config.environment import ClientPasswords
from cdc.config.first_services import own_services
from cdc.core.errors import ConfigError
from cdc.core.names import lake_part
from cdc.local.first_services import keep_passwords, role_password, stack_services
from cdc.local.stack import LocalStack

Url = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="The database: postgres://user@host:port/db?sslmode=require, or mysql://.. with ssl_mode."
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Configuration file to write.")]
SqlFolder = Annotated[Path | None, typer.Option("--sql-folder", help="Where the SQL goes; by default beside the file.")]
Name = Annotated[str, typer.Option("--name", help="Name of the source; by default the database's.")]
Role = Annotated[str, typer.Option("--role", help="Role that captures; by default cdc_NAME.")]
Password = Annotated[
    str, typer.Option("--password", help="Where the role's password is; by default ${env:CDC_NAME_PASSWORD}.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--url-password-file",
        help="File with the password of the URL's user; else it is in the URL, PGPASSWORD or MYSQL_PWD, or asked for.",
    ),
]
Local = Annotated[
    str, typer.Option("--local", help="Use Kafka, registry, Connect and catalog of this stack of `cdc local up`.")
]
Kafka = Annotated[str, typer.Option("--kafka", help="Brokers, host:port, with commas.")]
Registry = Annotated[str, typer.Option("--registry", help="Confluent-compatible address of the schema registry.")]
Connect = Annotated[str, typer.Option("--connect", help="Address of Kafka Connect.")]
Catalog = Annotated[str, typer.Option("--catalog", help="Address of the Iceberg catalog: http, jdbc, thrift, or glue.")]
Warehouse = Annotated[str, typer.Option("--warehouse", help="Root of the tables, or the catalog's warehouse name.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]

EXAMPLE = (
    "kafka:9092",
    "http://registry:8081/apis/ccompat/v7",
    "http://connect:8083",
    "http://catalog:8181/iceberg",
)
"""Addresses of Kafka, registry, Connect and catalog as they stand in the other examples."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(  # noqa: PLR0913 - its options
    url: Url,
    *,
    output: Output = DEFAULT_CONFIG,
    sql_folder: SqlFolder = None,
    name: Name = "",
    role: Role = "",
    password: Password = "",
    url_password_file: PasswordFile = None,
    local: Local = "",
    kafka: Kafka = EXAMPLE[0],
    registry: Registry = EXAMPLE[1],
    connect: Connect = EXAMPLE[2],
    catalog: Catalog = EXAMPLE[3],
    warehouse: Warehouse = "lake",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Look at a database and write a configuration for all of its tables, and the SQL that prepares the database.

    Tables that cannot be captured stand in the file as comments, with the reason. The database is only read; the SQL is
    for its administrator to read and run. The URL's password is used for the look and written nowhere.
    """
    stack = LocalStack(local) if local else None
    wanted = _wanted(_with_password(parse_database_url(url), url_password_file), name, role, password, stack)
    folder = output.absolute().parent
    files = Files(output, (sql_folder or output.parent) / f"{wanted.name}-setup.sql")
    if not (force or dry_run):
        files.require_new()
    sections = stack_services(stack) if stack else own_services(kafka, registry, connect, catalog, warehouse, folder)
    found = look(wanted)
    texts = documents(found, sections)
    if not dry_run:
        if stack:
            keep_passwords(stack, wanted.role)
        files.write(*texts)
    open_ = [] if stack else [one for one in (kafka, registry, connect, catalog) if one in EXAMPLE]
    steps = Steps(found, files, open_)
    if as_json:
        typer.echo(json.dumps(document_of(steps, written=not dry_run), indent=2))
    else:
        typer.echo("\n".join(told(steps, texts if dry_run else ())))


def _wanted(url: DatabaseUrl, name: str, role: str, password: str, stack: LocalStack | None) -> Wanted:
    name = name or lake_part(url.database).lstrip("_0123456789")[:31] or "source"
    role = role or f"cdc_{name}"[:32]
    default = f"${{file:{role_password(stack, role)}}}" if stack else f"${{env:CDC_{name.upper()}_PASSWORD}}"
    return Wanted(url, name, role, password or default)


def _with_password(url: DatabaseUrl, file: Path | None) -> DatabaseUrl:
    if file is not None:
        return url._replace(password=_read(file))
    password = url.password or ClientPasswords().of(url.type)
    if not password and sys.stdin.isatty():
        password = typer.prompt(
            f"Password of {url.user} at {url.host}", default="", hide_input=True, show_default=False, err=True
        )
    return url._replace(password=password)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'could not read "{file}": {type(error).__name__}', hint="--url-password-file") from None
