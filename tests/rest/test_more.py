"""Crashes, row deltas, maintenance and the service's own tables on a REST catalog."""

import pytest

from tests.contract.test_crashes import (
    test_whoever_comes_after_a_crash_finds_the_table_whole_and_no_reader_saw_it_go_back,
)
from tests.contract.test_maintenance import *  # noqa: F403
from tests.contract.test_row_delta import *  # noqa: F403
from tests.contract.test_status_tables import *  # noqa: F403

__all__ = ["test_whoever_comes_after_a_crash_finds_the_table_whole_and_no_reader_saw_it_go_back"]

pytestmark = pytest.mark.campaign
