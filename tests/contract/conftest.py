"""One Spark session for all contract tests: starting one costs more than most tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lake import LakeTable, start_session
from tests.oracle import Connector, Registry, connector


@pytest.fixture(scope="package")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A session and the configuration of a lake in a folder."""
    session, config = start_session(tmp_path_factory.mktemp("lake"))
    yield session, config
    session.stop()


@pytest.fixture(scope="package")
def new_table(lake: tuple[Any, Any]) -> Callable[..., LakeTable]:
    """Return a function that makes a target table; every name is used once."""
    return lambda name, columns, **options: LakeTable(*lake, columns, name=name, **options)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """The registry of what Debezium's own classes write for Oracle."""
    one = Registry()
    yield one
    one.close()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connector]:
    """The process that Debezium's own classes for Oracle run in."""
    with connector(tmp_path_factory.mktemp("oracle")) as one:
        yield one
