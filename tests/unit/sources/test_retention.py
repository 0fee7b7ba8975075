"""For how long PostgreSQL keeps its log for a slot."""

import pytest

from cdc.sources.postgres.findings import kept_seconds


@pytest.mark.parametrize(
    ("status", "safe", "rate", "expected"),
    [
        ("reserved", 1000, 10.0, 100.0),
        ("extended", -5, 10.0, 0.0),
        ("reserved", None, 10.0, None),
        ("reserved", 1000, 0.0, None),
        ("unreserved", 1000, 10.0, 0.0),
        ("lost", None, 10.0, 0.0),
    ],
)
def test_what_is_kept_lasts_as_long_as_the_log_grows(status, safe, rate, expected):
    assert kept_seconds({"wal_status": status, "safe_wal_size": safe, "bytes_per_second": rate}) == expected
