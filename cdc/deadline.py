"""Deadlines for connections whose other end may fall silent without closing them.

A server that was stopped, or a network that has forgotten a connection, answers nothing and ends nothing. Where a
driver knows no bound for an answer, whoever waits for one would wait for ever.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import dup
from threading import Timer


class Deadline:
    """Shuts a socket down after some seconds, unless it is called off: who reads from it then fails at once."""

    def __init__(self, fileno: int, seconds: float) -> None:
        self._socket = socket.socket(fileno=dup(fileno))  # its own, so that the number may be another file's by then
        self._timer = Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Call it off; idempotent."""
        self._timer.cancel()
        self._socket.close()

    def _shut(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def deadline(fileno: int, seconds: float) -> Iterator[None]:
    """Bound the time that the block may use a socket."""
    kept = Deadline(fileno, seconds)
    try:
        yield
    finally:
        kept.cancel()
