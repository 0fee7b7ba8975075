"""What catalogs and stores raise, as errors of the project: one place of translation for all that pyiceberg does."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pyarrow import ArrowException  # type: ignore[import-untyped]
from pydantic import ValidationError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NotInstalledError,
    OAuthError,
    RESTError,
    ServerError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from pyiceberg.exceptions import ValidationError as BrokenMetadata
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from urllib3.exceptions import HTTPError

from cdc.core.errors import CdcError, ConfigError, PreflightError, TerminalError, TransientError

_PACKAGE = "install what it names beside cdc, or use a catalog of type jdbc or rest"
UP = "is it up, and catalog.uri right?"
_CREDENTIALS = "check the credentials of `catalog` in the configuration; `cdc doctor` tries them"
FILES = "check catalog.warehouse, catalog.properties and the rights on it; `cdc doctor` tries them"
_NONSENSE = (RequestException, RESTError, ValidationError)
_STORE = (OSError, ArrowException)
_KINDS: tuple[tuple[tuple[type[Exception], ...], type[CdcError], str], ...] = (
    ((NotInstalledError, ModuleNotFoundError, NoSuchModuleError), ConfigError, _PACKAGE),
    ((UnauthorizedError, ForbiddenError, OAuthError, SQLAlchemyError), PreflightError, _CREDENTIALS),
    ((NoConnection, Timeout, HTTPError, ServiceUnavailableError, ServerError), TransientError, UP),
    (_NONSENSE, PreflightError, "is catalog.uri the address of an Iceberg catalog of this type?"),
    (_STORE, TerminalError, FILES),
)
"""The first that fits counts: some are bases of others."""
_REFUSED = re.compile(
    r"password authentication failed|Access denied|does not exist|no pg_hba.conf entry|permission denied"
    r"|Unknown database|does not support SSL",
    re.IGNORECASE,
)


Result = TypeVar("Result")


@contextmanager
def lake_errors(doing: str) -> Iterator[None]:
    """Raise what catalogs and stores raise as errors of the project; ``doing`` completes "could not ..".

    Answers that callers ask for, such as that a table does not exist, pass unchanged, and so do mistakes of ours.
    """
    try:
        yield
    except CdcError:
        raise
    except Exception as error:
        known = meaning(doing, error)
        if known is None:
            raise
        raise known from error


def attempted(work: Callable[[], Result]) -> Result | None:
    """Return what is done without Spark; None for an error that nobody knows, for Spark does it then, or tells."""
    try:
        return work()
    except CdcError:
        raise
    except Exception:  # noqa: BLE001 - files, values or properties that pyiceberg reads otherwise, or not at all
        return None


def meaning(doing: str, error: Exception) -> CdcError | None:
    """Return what an error of a catalog, its database or its files means; None for another kind of error."""
    text = f"could not {doing}: {_said(error)}"
    if isinstance(error, OperationalError):  # before its base
        refused = _REFUSED.search(str(error.orig))
        return PreflightError(text, hint=_CREDENTIALS) if refused else TransientError(text, hint=UP)
    if isinstance(error, BrokenMetadata):
        what = f"could not {doing}: the metadata of the table is broken, or newer than this program"
        return TerminalError(what, hint=FILES)
    if isinstance(error, ValueError) and not isinstance(error, (*_NONSENSE, *_STORE)):
        unknown = any(word in str(error) for word in ("Could not initialize FileIO", "Unrecognized filesystem"))
        return ConfigError(text, hint=FILES) if unknown else None
    for kinds, meant, hint in _KINDS:
        if isinstance(error, kinds):
            return meant(text, hint=hint)
    return None


def _said(error: Exception) -> str:
    """Return what an error says in one line: of a chain, what began it; never a statement with its values."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    while isinstance(cause, (NoConnection, HTTPError)) and cause.args and _within(cause):
        cause = _within(cause)
    if isinstance(cause, ValidationError):
        return "the answer is not one that Iceberg knows"
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _within(error: Exception) -> Exception | None:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return reason if isinstance(reason, Exception) else None


class Reading(Catalog):
    """A catalog whose look-ups raise errors of the project; mixed into one of pyiceberg's."""

    def load_table(self, identifier: str | Identifier) -> Table:
        """Return the table; raises NoSuchTableError, and what ``lake_errors`` does."""
        with lake_errors(f'read catalog "{self.name}"'):
            return super().load_table(identifier)  # type: ignore[safe-super]

    def list_tables(self, namespace: str | Identifier) -> Any:  # noqa: ANN401 - a list or an iterator, by version
        """Return the tables of a namespace; raises NoSuchNamespaceError, and what ``lake_errors`` does."""
        with lake_errors(f'read catalog "{self.name}"'):
            return super().list_tables(namespace)  # type: ignore[safe-super]

    def namespace_exists(self, namespace: str | Identifier) -> bool:
        """Return whether there is such a namespace; raises what ``lake_errors`` does."""
        with lake_errors(f'read catalog "{self.name}"'):
            return super().namespace_exists(namespace)  # type: ignore[safe-super]
