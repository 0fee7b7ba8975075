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
    assert kept_seconds(_slot(status, safe, rate)) == expected


@pytest.mark.parametrize(("status", "expected"), [("reserved", None), ("unreserved", 0.0)])
def test_a_server_that_was_just_set_up_is_not_said_to_lose_its_log_within_minutes(status, expected):
    """The first minute's average, initdb and a first load, is no rate of a later hour; what is lost is lost."""
    assert kept_seconds(_slot(status, 1000, 10.0, measured=599)) == expected


def _slot(status: str, safe: int | None, rate: float, measured: float = 600.0) -> dict[str, object]:
    numbers = {"safe_wal_size": safe, "bytes_per_second": rate, "measured_seconds": measured}
    return {"wal_status": status, **numbers}
