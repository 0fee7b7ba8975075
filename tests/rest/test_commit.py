"""The suites of the commit protocol and of the lease once more, on a REST catalog."""

from tests.contract.test_commit import (
    test_a_key_change_was_lost_after_a_crash_between_tombstones_and_publish_s14_p12,
    test_replays_and_crashes,
    test_small_tables_drowned_in_small_files,
    test_what_cannot_be_right_stops_the_table,
    test_what_operators_do_to_a_tables_history,
)
from tests.contract.test_lease import *  # noqa: F403

__all__ = [
    "test_a_key_change_was_lost_after_a_crash_between_tombstones_and_publish_s14_p12",
    "test_replays_and_crashes",
    "test_small_tables_drowned_in_small_files",
    "test_what_cannot_be_right_stops_the_table",
    "test_what_operators_do_to_a_tables_history",
]
