"""Writing to the lake with pyiceberg: which catalogs can, and what became of a commit as errors of the project."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
    WaitingForLockException,
)
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import Timeout
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from cdc.core.errors import CdcError, CommitConflict, CommitStateUnknown, ConfigError, TerminalError, TransientError
from cdc.lake.foreign import UP, lake_errors


def writable(catalog: Catalog) -> Catalog:
    """Return the catalog; raises ConfigError if only Spark can write to it."""
    if isinstance(catalog, NoopCatalog):
        raise ConfigError(
            f'catalog "{catalog.name}" is of type hadoop, and operators\' commands cannot write to it',
            hint="catalog.type jdbc, rest, glue or hive; a hadoop catalog is for trying things out",
        )
    return catalog


RETRY_SECONDS = 30.0


def repeated(*errors: type[CdcError]) -> Retrying:
    """Return the attempts of a change that is made again after these errors, for half a minute."""
    return Retrying(
        retry=retry_if_exception_type(errors),
        stop=stop_after_delay(RETRY_SECONDS),
        wait=wait_exponential_jitter(multiplier=0.05, max=2),
        reraise=True,
    )


@contextmanager
def commit_errors(doing: str) -> Iterator[None]:
    """Raise what pyiceberg and its catalogs raise as errors of the project; others pass unchanged."""
    with lake_errors(doing), _answers(doing):
        yield


@contextmanager
def _answers(doing: str) -> Iterator[None]:
    """Raise what only a commit can be answered."""
    try:
        yield
    except (CommitFailedException, WaitingForLockException, IntegrityError) as error:
        raise CommitConflict(f"could not {doing}: another writer was first") from error
    except (CommitStateUnknownException, OperationalError, NoConnection, Timeout) as error:
        raise CommitStateUnknown(f"could not {doing}: the catalog's answer was lost", hint=UP) from error
    except (ServiceUnavailableError, ServerError, DBAPIError) as error:
        raise TransientError(f"could not {doing}: {type(error).__name__}", hint=UP) from error
    except NoSuchTableError as error:
        raise TerminalError(f"could not {doing}: there is no such table", hint="has `cdc stream` run?") from error
