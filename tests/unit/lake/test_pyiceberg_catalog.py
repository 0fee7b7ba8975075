"""The configured catalog as pyiceberg is told of it."""

from pathlib import Path

import pytest
import requests
from pyarrow import ArrowInvalid
from pyiceberg.exceptions import NoSuchTableError, ServiceUnavailableError, UnauthorizedError
from sqlalchemy.exc import OperationalError

from cdc.config.addresses import DATABASES
from cdc.config.services import HadoopCatalog, JdbcCatalog
from cdc.core.errors import CdcError, ConfigError, PreflightError, TerminalError, TransientError
from cdc.lake.foreign import lake_errors
from cdc.lake.pyiceberg_catalog import _DRIVERS, open_catalog, sql_address


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("jdbc:postgresql://h:5433/catalog", "postgresql+psycopg://u@h:5433/catalog?connect_timeout=5"),
        (
            "jdbc:postgresql://h/catalog?sslmode=require",
            "postgresql+psycopg://u@h/catalog?connect_timeout=5&sslmode=require",
        ),
        ("jdbc:mysql://h:3306/catalog", "mysql+pymysql://u@h:3306/catalog?connect_timeout=5&read_timeout=30"),
    ],
)
def test_jdbc_address(uri: str, expected: str) -> None:
    assert sql_address(JdbcCatalog(type="jdbc", uri=uri, username="u", warehouse="w")) == expected


def test_every_database_that_the_configuration_allows_can_be_read() -> None:
    assert set(_DRIVERS) == set(DATABASES)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.exceptions.ConnectionError("refused"), TransientError),
        (requests.exceptions.InvalidURL("no host"), PreflightError),
        (UnauthorizedError("no"), PreflightError),
        (ServiceUnavailableError("later"), TransientError),
        (OperationalError("SELECT 'row'", None, Exception("password authentication failed")), PreflightError),
        (OperationalError("SELECT 'row'", None, Exception("Connection refused")), TransientError),
        (ModuleNotFoundError("No module named 'thrift'"), ConfigError),
        (PermissionError(13, "Permission denied", "/w"), TerminalError),
        (ArrowInvalid("no parquet"), TerminalError),
    ],
)
def test_what_a_catalog_raises_is_told_in_our_words(error: Exception, kind: type[CdcError]) -> None:
    """S24."""
    with pytest.raises(kind) as caught, lake_errors("read catalog"):
        raise error
    assert caught.value.hint
    assert str(caught.value).startswith("could not read catalog: ")
    assert "row" not in str(caught.value)


def test_a_mistake_of_ours_and_an_answer_pass_unchanged() -> None:
    for error in (KeyError("ours"), NoSuchTableError("none")):
        with pytest.raises(type(error)), lake_errors("read catalog"):
            raise error


def test_hadoop_table_that_is_not_there(tmp_path: Path) -> None:
    catalog = open_catalog(HadoopCatalog(type="hadoop", warehouse=f"file://{tmp_path}"))
    with pytest.raises(NoSuchTableError, match=r"shop\.orders"):
        catalog.load_table(("shop", "orders"))
