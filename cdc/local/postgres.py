"""PostgreSQL of the stack: a source to capture, and the lake's catalog."""

import os
import shutil
import signal
from pathlib import Path
from string import Template

import psycopg

from cdc.core.errors import PreflightError
from cdc.core.names import quote
from cdc.local.places import REPOSITORY
from cdc.local.ports import LOOPBACK
from cdc.local.processes import Launch, own, run
from cdc.local.site import Server, Site

SETUP = REPOSITORY / "sql" / "sources" / "postgres" / "setup.sql"
_SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = logical
max_replication_slots = 20
max_wal_senders = 20
max_slot_wal_keep_size = 4GB
password_encryption = scram-sha-256
shared_buffers = 128MB
log_min_duration_statement = -1
log_timezone = 'UTC'
timezone = 'UTC'
"""


def _prepare(site: Site) -> None:
    folder, data = site.folder / "postgres", site.folder / "postgres" / "data"
    own(folder)
    if not (data / "cdc.conf").exists():
        shutil.rmtree(data, ignore_errors=True)
        _initialise(site, data)
    (data / "cdc.conf").write_text(_SETTINGS + f"port = {site.ports['postgres']}\n", encoding="utf-8")
    own(data / "cdc.conf")


def _initialise(site: Site, data: Path) -> None:
    """Run initdb; the password goes through a file that is gone afterwards, never through arguments."""
    password = data.parent / "password"
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(site.secrets["postgres_admin"])
    own(password)
    options = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
    try:
        code = run(_launch_as(site, ["bin/initdb", "-D", str(data), *options]), site.log("postgres"))
    finally:
        password.unlink()
    if code:
        raise PreflightError(f"initdb ended with code {code}", hint=f"see {site.log('postgres')}")
    with (data / "postgresql.conf").open("a") as file:
        file.write("\ninclude 'cdc.conf'\n")


def _launch_as(site: Site, arguments: list[str]) -> Launch:
    program = site.distributions["postgres"] / arguments[0]
    return Launch([str(program), *arguments[1:]], site.folder / "postgres", unprivileged=True)


def _launch(site: Site) -> Launch:
    return _launch_as(site, ["bin/postgres", "-D", str(site.folder / "postgres" / "data")])


def connect(site: Site, database: str) -> psycopg.Connection:
    """Return a connection of the superuser, each statement its own transaction."""
    return psycopg.connect(
        host=LOOPBACK,
        port=site.ports["postgres"],
        user="postgres",
        password=site.secrets["postgres_admin"],
        dbname=database,
        connect_timeout=2,
        autocommit=True,
    )


def _healthy(site: Site) -> bool:
    try:
        with connect(site, "postgres") as connection:
            connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _settle(site: Site) -> None:
    """Make the databases and the roles of application and catalog, then the role that captures."""
    with connect(site, "postgres") as admin:
        for database, role, secret in (("shop", "shop_owner", "postgres_owner"), ("catalog", "catalog", "catalog")):
            if not _exists(admin, b"SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                admin.execute(f"CREATE ROLE {quote(role)} LOGIN PASSWORD '{site.secrets[secret]}'".encode())
            if not _exists(admin, b"SELECT 1 FROM pg_database WHERE datname = %s", database):
                admin.execute(f"CREATE DATABASE {quote(database)} OWNER {quote(role)}".encode())
            admin.execute(f"REVOKE ALL ON DATABASE {quote(database)} FROM PUBLIC".encode())
    with connect(site, "shop") as shop:
        if not _exists(shop, b"SELECT 1 FROM pg_roles WHERE rolname = %s", "cdc"):
            with shop.transaction():
                shop.execute(_setup(site).encode())


def _exists(connection: psycopg.Connection, query: bytes, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None


def _setup(site: Site) -> str:
    values = {"role": "cdc", "database": "shop", "schema": "public", "owner": "shop_owner"}
    return Template(SETUP.read_text(encoding="utf-8")).substitute(values, password=site.secrets["postgres"])


SERVER = Server(
    name="postgres",
    ports={"postgres": 5432},
    distributions=("postgres",),
    prepare=_prepare,
    launch=_launch,
    healthy=_healthy,
    settle=_settle,
    stop=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint, exits
)
