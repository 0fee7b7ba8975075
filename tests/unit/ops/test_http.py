"""The endpoint over real HTTP on a free port, and the checks behind it."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from cdc.core.errors import PreflightError
from cdc.ops.health import Health
from cdc.ops.http import OperationsServer
from cdc.ops.metrics import Metrics


def well() -> None:
    return


def broken() -> None:
    raise ConnectionError("connection\nrefused")


@pytest.fixture
def health() -> Health:
    return Health(timeout=0.2, keep=0)


@pytest.fixture
def client(health: Health) -> Iterator[httpx.Client]:
    with OperationsServer(Metrics(), health, port=0) as server, httpx.Client(base_url=server.address) as client:
        yield client


def test_metrics_are_served(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "# TYPE cdc_batch_seconds histogram" in answer.text


def test_ready_has_one_line_per_dependency(client: httpx.Client, health: Health) -> None:
    health.add_ready("source shop", well)
    health.add_ready("kafka", broken)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.text == "source shop: ok\nkafka: connection refused\n"


def test_live_does_not_depend_on_the_dependencies(client: httpx.Client, health: Health) -> None:
    health.add_ready("kafka", broken)
    assert client.get("/health/live").status_code == 200
    health.add_live("stream", broken)
    assert client.get("/health/live").status_code == 503


def test_health_is_both_and_json_when_asked(client: httpx.Client, health: Health) -> None:
    health.add_ready("catalog", well)
    answer = client.get("/health", headers={"Accept": "application/json"})
    assert answer.json() == {"healthy": True, "live": {"process": "ok"}, "ready": {"catalog": "ok"}}
    assert client.get("/health").text == "process: ok\ncatalog: ok\n"


def test_a_dependency_that_hangs_fails_without_piling_up_threads_or_blocking_live(
    client: httpx.Client, health: Health
) -> None:
    """X7."""
    release, started = threading.Event(), []

    def hang() -> None:
        started.append(1)
        release.wait(30)

    health.add_ready("registry", hang)
    try:
        for _ in range(3):
            assert "registry: no answer within 0.2 s" in client.get("/health/ready").text
        assert len(started) == 1
        assert client.get("/health/live").status_code == 200
    finally:
        release.set()


def test_results_are_kept_for_a_while_and_told() -> None:
    asked, told = [], []
    health = Health(keep=60, on_result=lambda name, up: told.append((name, up)))
    health.add_ready("connect", lambda: asked.append(1))
    assert health.ready().healthy
    assert health.ready().healthy
    assert (len(asked), told) == (1, [("connect", True)])


def test_other_paths_and_methods_are_refused(client: httpx.Client) -> None:
    assert client.get("/").status_code == 404
    assert client.post("/metrics").status_code == 405


def test_a_taken_port_is_one_clear_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PreflightError, match=f"on 127.0.0.1:{port}: the port is taken") as caught:
            OperationsServer(Metrics(), Health(), port=port)
    assert "operations.http_port" in caught.value.hint


def test_the_port_is_free_after_closing() -> None:
    server = OperationsServer(Metrics(), Health(), port=0)
    port = int(server.address.rpartition(":")[2])
    server.start()
    server.close()
    OperationsServer(Metrics(), Health(), port=port).close()
