"""Servers on this machine that misbehave: they close, keep silent, refuse, or answer with nonsense."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

Answer = Callable[[socket.socket], None]


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """Answer every connection on a port of the loopback address while the block runs."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

        def handle(client: socket.socket) -> None:
            with suppress(OSError), closing(client):
                client.settimeout(30)
                answer(client)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def close(_client: socket.socket) -> None:
    """Hang up at once."""


def keep_silent(client: socket.socket) -> None:
    """Take what comes and say nothing."""
    while client.recv(4096):
        pass


def http(status: str, body: str = "{}", kind: str = "application/json") -> Answer:
    """Answer every request alike."""

    def answer(client: socket.socket) -> None:
        while client.recv(65536):
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(f"{head}{body}".encode())

    return answer


def refuse_as_postgres(client: socket.socket) -> None:
    """Refuse the password, as PostgreSQL does."""
    (length,) = struct.unpack("!i", client.recv(4))
    client.recv(length - 4)
    fields = b"SFATAL\0VFATAL\0C28P01\0M" + b'password authentication failed for user "cdc"\0\0'
    client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)


def refuse_as_mysql(client: socket.socket) -> None:
    """Refuse whoever comes, as MySQL does."""
    text = b"\xff" + struct.pack("<H", 1045) + b"Access denied for user 'cdc'@'localhost' (using password: YES)"
    client.sendall(struct.pack("<I", len(text))[:3] + b"\0" + text)
