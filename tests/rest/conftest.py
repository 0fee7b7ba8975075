"""A lake in Iceberg's own REST catalog, for the suites of the commit protocol."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lake import LakeTable, start_session
from tests.rest_catalog import rest_catalog


@pytest.fixture(scope="package")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A session and the configuration of a lake whose catalog is a server."""
    folder = tmp_path_factory.mktemp("rest")
    with rest_catalog(folder) as server:
        catalog = {"type": "rest", "uri": server.address, "warehouse": f"{folder}/warehouse"}
        session, config = start_session(folder, catalog)
        yield session, config
        session.stop()


@pytest.fixture(scope="package")
def new_table(lake: tuple[Any, Any]) -> Callable[..., LakeTable]:
    """Return a function that makes a target table; every name is used once."""
    return lambda name, columns, **options: LakeTable(*lake, columns, name=name, **options)
