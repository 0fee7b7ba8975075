"""The proxy of the network tests does to connections what it says, so that those tests can fail."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import Proxy, proxied


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy to a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(100):
                    connection.sendall(data)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        with proxied("127.0.0.1", server.getsockname()[1]) as made:
            yield made
        server.shutdown(socket.SHUT_RDWR)


def connected(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    assert asked(connection) == b"hello"
    return connection


def asked(connection: socket.socket) -> bytes:
    connection.sendall(b"hello")
    return connection.recv(100)


def test_it_passes_bytes_on_and_holds_them_back_for_as_long_as_it_is_told(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.delay(0.1)
        began = time.monotonic()
        assert asked(connection) == b"hello"
        assert time.monotonic() - began >= 0.2


def test_a_half_open_connection_stays_so_and_new_ones_are_healed(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.silence()
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            asked(connection)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2) as new, pytest.raises(TimeoutError):
            asked(new)
        proxy.heal()
        with pytest.raises(TimeoutError):
            asked(connection)
        connected(proxy).close()


def test_a_reset_ends_all_connections_at_once(proxy: Proxy) -> None:
    with connected(proxy) as one, connected(proxy) as other:
        assert proxy.reset() == 2
        for connection in (one, other):
            with pytest.raises(ConnectionResetError):
                asked(connection)
        connected(proxy).close()
