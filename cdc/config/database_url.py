"""Addresses of source databases as one line: ``postgres://user:password@host:port/database?sslmode=require``."""

from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cdc.core.errors import ConfigError

HINT = "postgres://user@host:5432/database or mysql://user@host:3306/database, odd characters as %40"
_TYPES = {"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql", "oracle": "oracle"}
_PORTS = {"postgres": 5432, "mysql": 3306, "oracle": 1521}
_TLS = {"sslmode", "ssl_mode", "ssl-mode"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class DatabaseUrl(NamedTuple):
    """Where a database is and who looks at it; ``tls`` is empty where the address does not say."""

    type: str
    host: str
    port: int
    database: str
    user: str
    password: str = ""
    tls: str = ""

    @property
    def loopback(self) -> bool:
        """Return whether it is on this machine."""
        return self.host in _LOOPBACK

    def __repr__(self) -> str:
        return f"DatabaseUrl({self.type}, {self.host}, {self.port}, {self.database}, {self.user})"


def parse_database_url(text: str) -> DatabaseUrl:
    """Return the parts of an address; raises ConfigError, which never shows it, for there may be a password in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigError("the address of the database has no such form", hint=HINT) from None
    if parts.scheme not in _TYPES:
        raise ConfigError("the address of the database begins with no known scheme", hint=HINT)
    lacking = [name for name, value in (("host", parts.hostname), ("user", parts.username)) if not value]
    if lacking or not parts.path.strip("/"):
        raise ConfigError(f"the address of the database has no {(*lacking, 'database')[0]}", hint=HINT)
    kind, database = _TYPES[parts.scheme], unquote(parts.path[1:])
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return DatabaseUrl(kind, parts.hostname or "", port or _PORTS[kind], database, user, password, _tls(parts))


def _tls(parts: SplitResult) -> str:
    options = dict(parse_qsl(parts.query))
    unknown = [name for name in options if name not in _TLS]
    if unknown or parts.fragment:
        raise ConfigError(
            "the address of the database has an option that is not known", hint="sslmode (MySQL: ssl_mode) is"
        )
    return next(iter(options.values()), "")
