"""The configured catalog as pyiceberg is told of it."""

from pathlib import Path

import pytest
from pyiceberg.exceptions import NoSuchTableError

from cdc.config.services import HadoopCatalog, JdbcCatalog
from cdc.core.errors import ConfigError
from cdc.lake.pyiceberg_catalog import open_catalog, sql_address


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("jdbc:postgresql://h:5433/catalog", "postgresql+psycopg://u@h:5433/catalog"),
        ("jdbc:postgresql://h/catalog?sslmode=require", "postgresql+psycopg://u@h/catalog?sslmode=require"),
        ("jdbc:mysql://h:3306/catalog", "mysql+pymysql://u@h:3306/catalog"),
    ],
)
def test_jdbc_address(uri: str, expected: str) -> None:
    assert sql_address(JdbcCatalog(type="jdbc", uri=uri, username="u", warehouse="w")) == expected


@pytest.mark.parametrize("uri", ["postgresql://h/c", "jdbc:oracle://h/c"])
def test_address_of_another_kind_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"catalog\.uri"):
        sql_address(JdbcCatalog(type="jdbc", uri=uri, warehouse="w"))


def test_hadoop_table_that_is_not_there(tmp_path: Path) -> None:
    catalog = open_catalog(HadoopCatalog(type="hadoop", warehouse=f"file://{tmp_path}"))
    with pytest.raises(NoSuchTableError, match=r"shop\.orders"):
        catalog.load_table(("shop", "orders"))
