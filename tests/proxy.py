"""A proxy between a client and a server on this machine, with the faults of networks: latency, silence, resets."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class _Link:
    """A connection of a client, and that to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    silent: bool = False


class Proxy:
    """Passes bytes on; every method may be called from any thread, and is done when it returns.

    ``silence`` makes connections half open: they stand, take what is sent, and nothing comes through any more, not
    even after ``heal``, which is for new ones. ``reset`` ends all of them at once with a RST.
    """

    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port)
        self._links: set[_Link] = set()
        self._mute = False
        self._latency = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {port}", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def silence(self) -> None:
        """Make every connection half open, new ones included."""
        self._do(self._silence(mute=True))

    def heal(self) -> None:
        """Let new connections be as they should; those that are half open stay so."""
        self._do(self._silence(mute=False))

    def delay(self, seconds: float) -> None:
        """Hold whatever is sent back for so long, both ways."""
        self._latency = seconds

    def reset(self) -> int:
        """End all connections with a RST, and return how many there were."""
        return self._do(self._reset())

    def close(self) -> None:
        """End it with all connections."""
        self._do(self._reset())
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _silence(self, *, mute: bool) -> None:
        self._mute = mute
        for link in self._links if mute else ():
            link.silent = True

    async def _reset(self) -> int:
        ended = list(self._links)
        for link in ended:
            for end in (link.client, link.server):
                with suppress(OSError):
                    end.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                end.transport.abort()
        return len(ended)

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection(*self._at)
        except OSError:
            client.transport.abort()
            return
        link = _Link(client, server, self._mute)
        self._links.add(link)
        try:
            await asyncio.gather(self._pump(link, reader, server), self._pump(link, answers, client))
        finally:
            self._links.discard(link)

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until one side ends; of a half open connection the other side never hears of it."""
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._latency:
                    await asyncio.sleep(self._latency)
                if not link.silent:
                    writer.write(data)
                    await writer.drain()
        if not link.silent:
            writer.close()


@contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy to a server while the block runs."""
    proxy = Proxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
