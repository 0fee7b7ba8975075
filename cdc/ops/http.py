"""The HTTP endpoint of the service: /metrics and /health, on a thread of its own, reading only."""

import errno
import json
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from cdc.core.errors import PreflightError
from cdc.ops.health import Health, Report
from cdc.ops.metrics import CONTENT_TYPE, Metrics

_TEXT = "text/plain; charset=utf-8"


class OperationsServer:
    """Serves /metrics, /health, /health/live and /health/ready until closed; also a context manager."""

    def __init__(self, metrics: Metrics, health: Health, host: str = "127.0.0.1", port: int = 9108) -> None:
        self._metrics, self._health = metrics, health
        try:
            self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_QuietHandler)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="operations-http", daemon=True)

    @property
    def address(self) -> str:
        """Return the base address that is served."""
        return f"http://{self._server.server_address[0]!s}:{self._server.server_port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "OperationsServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _send(start, "405 Method Not Allowed", _TEXT, b"only GET\n")
        path = environ.get("PATH_INFO", "").rstrip("/")
        if path == "/metrics":
            return _send(start, "200 OK", CONTENT_TYPE, self._metrics.render())
        reports = self._reports(path)
        if not reports:
            return _send(start, "404 Not Found", _TEXT, b"there is /metrics, /health, /health/live and /health/ready\n")
        return _report(start, reports, as_json="application/json" in environ.get("HTTP_ACCEPT", ""))

    def _reports(self, path: str) -> dict[str, Report]:
        if path == "/health/live":
            return {"live": self._health.live()}
        if path == "/health/ready":
            return {"ready": self._health.ready()}
        return {"live": self._health.live(), "ready": self._health.ready()} if path == "/health" else {}


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request, so that a slow readiness check does not hold up liveness; ends with the process."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's types
        """Ignore clients that go away; nothing of them concerns the data path."""


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # a client that sends nothing does not keep its thread

    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""


def _send(start: StartResponse, status: str, content_type: str, body: bytes) -> list[bytes]:
    start(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [body]


def _report(start: StartResponse, reports: dict[str, Report], *, as_json: bool) -> list[bytes]:
    healthy = all(report.healthy for report in reports.values())
    status = "200 OK" if healthy else "503 Service Unavailable"
    if not as_json:
        return _send(start, status, _TEXT, "".join(report.lines() for report in reports.values()).encode())
    content = {name: {check: reason or "ok" for check, reason in r.results.items()} for name, r in reports.items()}
    return _send(start, status, "application/json", json.dumps({"healthy": healthy, **content}).encode())


def _cannot_listen(host: str, port: int, error: OSError) -> PreflightError:
    taken = error.errno == errno.EADDRINUSE
    reason = "the port is taken" if taken else error.strerror or str(error)
    hint = "set operations.http_port (CDC_OPERATIONS__HTTP_PORT) to a free port, or to 0 to serve nothing"
    return PreflightError(f"could not serve /metrics and /health on {host}:{port}: {reason}", hint=hint)
