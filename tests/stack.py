"""Fixtures that give tests a real stack of their own: started once a session, wiped at its end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.bootstrap.spark import fetch_spark
from cdc.local.stack import LocalStack, all_stacks

PREFIX = "test-"


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A stack with PostgreSQL that is up, and what `cdc stream` needs beside it."""
    fetch_spark()
    _wipe_left_over()
    own = LocalStack(f"{PREFIX}{os.getpid()}")
    own.up(["postgres"])
    yield own
    own.down(wipe=True)


@pytest.fixture(scope="session")
def mysql_stack(stack: LocalStack) -> LocalStack:
    """The same stack with MySQL too."""
    stack.up(["postgres", "mysql"])
    return stack


@pytest.fixture
def second_stack() -> Iterator[LocalStack]:
    """A further stack, not started; whatever a test does to it, nothing of it is left."""
    own = LocalStack(f"{PREFIX}{os.getpid()}-b")
    yield own
    own.down(wipe=True)


def _wipe_left_over() -> None:
    """Wipe the stacks of earlier runs that were killed; a run that still goes on keeps its own."""
    for one in all_stacks():
        run = one.name.removeprefix(PREFIX).partition("-")[0]
        if one.name.startswith(PREFIX) and not Path(f"/proc/{run}").exists():
            one.down(wipe=True)
