"""One Spark session for all contract tests: starting one costs more than most tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lake import LakeTable, start_session


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
