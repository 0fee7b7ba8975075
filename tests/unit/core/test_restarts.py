"""Which failures of a connector are tried again, and when; the traces are Debezium's and Connect's own."""

import pytest

from cdc.core.restarts import LONGEST, TRIES, Restarts, lasts, may_pass

AWAY = (
    "io.debezium.DebeziumException: Failed to read next byte from position 1234 | Caused by: java.io.EOFException",
    "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer."
    " This connector will be stopped. | Caused by: CommunicationsException: Communications link failure",
    "org.postgresql.util.PSQLException: FATAL: terminating connection due to administrator command",
    "org.postgresql.util.PSQLException: FATAL: the database system is starting up",
    "org.postgresql.util.PSQLException: Connection to 127.0.0.1:5432 refused. Check that the hostname is right",
    "org.apache.kafka.common.errors.TimeoutException: Topic shop.a not present in metadata after 60000 ms.",
    'org.postgresql.util.PSQLException: ERROR: replication slot "cdc_shop" is active for PID 4711',
    "org.apache.kafka.connect.errors.ConnectException: schema registry http://registry:8081 did not answer, tried for"
    " 60 s; connection timed out, at last: status 503",
)
FINAL = (
    "io.debezium.DebeziumException: The connector is trying to read binlog starting at .., but this is no longer"
    " available on the server. Reconfigure the connector to use a snapshot when needed.",
    'org.postgresql.util.PSQLException: ERROR: can no longer get changes from replication slot "cdc_shop"',
    'org.postgresql.util.PSQLException: FATAL: password authentication failed for user "cdc"',
    "io.debezium.DebeziumException: The db history topic is missing. | Caused by: IOException: connection reset",
    "org.apache.kafka.connect.errors.ConnectException: schema registry http://registry:8081: access denied (401); see"
    " registry.username and registry.password",
)
UNKNOWN = "java.lang.NegativeArraySizeException: -3"


@pytest.mark.parametrize("trace", AWAY)
def test_what_was_away_is_tried_for_ever_with_growing_pauses(trace):
    """M44, T6: a restart of MySQL that took 16 s ended a pipeline for good."""
    restarts = Restarts()
    times = [now for now in map(float, range(3000)) if restarts.due(trace, now)]
    assert len(times) > 10
    pauses = [later - sooner for sooner, later in zip([0.0, *times], times, strict=False)]
    assert pauses[:4] == [5, 11, 21, 41]  # the first look after a restart begins the next pause
    assert max(pauses) <= LONGEST + 1


@pytest.mark.parametrize("trace", FINAL)
def test_what_another_try_cannot_help_is_left_alone(trace):
    assert lasts(trace)
    restarts = Restarts()
    assert not any(restarts.due(trace, float(now)) for now in range(10_000))


def test_what_nobody_knows_is_tried_three_times_and_again_once_it_was_well():
    """K18, X9."""
    restarts = Restarts()
    assert sum(restarts.due(UNKNOWN, float(now)) for now in range(10_000)) == TRIES
    restarts.well()
    assert sum(restarts.due(UNKNOWN, float(now)) for now in range(10_000)) == TRIES
    assert not may_pass(UNKNOWN)
