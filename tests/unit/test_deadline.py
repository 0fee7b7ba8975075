"""Deadlines: whoever waits for a silent peer fails, and nobody else is harmed."""

import socket
import time

import pytest

from cdc.deadline import Deadline, deadline


def test_whoever_waits_for_a_silent_peer_fails_when_the_time_is_over() -> None:
    one, other = socket.socketpair()
    with one, other, deadline(one.fileno(), 0.2):
        one.settimeout(10)
        began = time.monotonic()
        assert one.recv(1) == b"", "it reads the end of the connection"
        assert 0.1 < time.monotonic() - began < 5


def test_a_connection_that_answers_in_time_goes_on() -> None:
    one, other = socket.socketpair()
    with one, other:
        with deadline(one.fileno(), 0.1):
            pass
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(1)
        other.sendall(b"x")
        assert one.recv(1) == b"x"


def test_a_file_that_has_the_number_of_a_closed_socket_is_not_touched() -> None:
    first, _ = socket.socketpair()
    bound = Deadline(first.fileno(), 0.2)
    number = first.fileno()
    first.close()
    one, other = socket.socketpair()
    with one, other:
        assert number in (one.fileno(), other.fileno())
        one.settimeout(0.5)
        with pytest.raises(TimeoutError):
            one.recv(1)
    bound.cancel()
    bound.cancel()
