"""MySQL of the stack: a second source to capture, started only when it is asked for."""

import os
import shutil
from pathlib import Path
from string import Template

import pymysql
from pymysql.constants import CLIENT

from cdc.core.errors import PreflightError
from cdc.core.names import quote
from cdc.local.places import REPOSITORY
from cdc.local.ports import LOOPBACK, answers
from cdc.local.processes import Launch, own, run
from cdc.local.site import Server, Site
from cdc.local.system import libaio

SETUP = REPOSITORY / "sql" / "sources" / "mysql" / "setup.sql"
_SETTINGS = """\
[mysqld]
bind-address = 127.0.0.1
port = {port}
socket = mysql.sock
mysqlx = OFF
server-id = 1
log-bin = binlog
binlog-format = ROW
binlog-row-image = FULL
gtid-mode = ON
enforce-gtid-consistency = ON
binlog-expire-logs-seconds = 604800
default-time-zone = +00:00
innodb-buffer-pool-size = 128M
secure-file-priv = NULL
"""


def _prepare(site: Site) -> None:
    folder, data = site.folder / "mysql", site.folder / "mysql" / "data"
    own(folder)
    _link_libaio(folder)
    settings = folder / "my.cnf"
    settings.write_text(_SETTINGS.format(port=site.ports["mysql"]), encoding="utf-8")
    own(settings)
    if not (folder / "initialised").exists():
        shutil.rmtree(data, ignore_errors=True)
        own(data)
        _initialise(site, folder)
        (folder / "initialised").touch()


def _initialise(site: Site, folder: Path) -> None:
    """Make the data folder, root with its password from the first moment; the file with it is gone afterwards."""
    statements = folder / "first.sql"
    with os.fdopen(os.open(statements, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{site.secrets['mysql_root']}';\n")
    own(statements)
    try:
        code = run(_launch_as(site, "--initialize-insecure", f"--init-file={statements}"), site.log("mysql"))
    finally:
        statements.unlink()
    if code:
        raise PreflightError(f"could not initialise MySQL, code {code}", hint=f"see {site.log('mysql')}")


def _link_libaio(folder: Path) -> None:
    """Offer libaio under the name that the server was linked with, where the system calls it otherwise."""
    library, link = libaio(), folder / "lib" / "libaio.so.1"
    link.parent.mkdir(mode=0o755, exist_ok=True)
    if library is not None and library.name != link.name and not link.is_symlink():
        link.symlink_to(library)


def _launch_as(site: Site, *options: str) -> Launch:
    folder, base = site.folder / "mysql", site.distributions["mysql"]
    command = [str(base / "bin" / "mysqld"), f"--defaults-file={folder / 'my.cnf'}", f"--basedir={base}"]
    libraries = {"LD_LIBRARY_PATH": f"{base / 'lib' / 'private'}:{folder / 'lib'}"}
    return Launch([*command, f"--datadir={folder / 'data'}", *options], folder, libraries, unprivileged=True)


def connect(site: Site) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """Return a connection of root, each statement its own transaction."""
    return pymysql.connect(
        host=LOOPBACK,
        port=site.ports["mysql"],
        user="root",
        password=site.secrets["mysql_root"],
        connect_timeout=2,
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )


def _healthy(site: Site) -> bool:
    if not answers(site.ports["mysql"]):
        return False
    try:
        with connect(site) as connection:
            connection.ping()
    except (pymysql.MySQLError, OSError):
        return False
    return True


def _settle(site: Site) -> None:
    """Make the database, the application's user, and the user that captures."""
    owner = site.secrets["mysql_owner"]
    with connect(site) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {quote('shop', '`')}")
        cursor.execute(f"CREATE USER IF NOT EXISTS 'shop_owner'@'%' IDENTIFIED BY '{owner}'")
        cursor.execute("GRANT ALL ON `shop`.* TO 'shop_owner'@'%'")
        if not cursor.execute("SELECT 1 FROM mysql.user WHERE user = 'cdc'"):
            _apply(cursor, _setup(site))


def _apply(cursor: pymysql.cursors.Cursor, statements: str) -> None:
    cursor.execute(statements)
    while cursor.nextset():
        pass


def _setup(site: Site) -> str:
    values = {"role": "cdc", "database": "shop", "password": site.secrets["mysql"]}
    return Template(SETUP.read_text(encoding="utf-8")).substitute(values)


SERVER = Server(
    name="mysql",
    ports={"mysql": 3306},
    distributions=("mysql",),
    prepare=_prepare,
    launch=_launch_as,
    healthy=_healthy,
    settle=_settle,
)
