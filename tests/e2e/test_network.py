"""The network between the service and its servers: connections that are half open, reset, or slow."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cdc.local.stack import LocalStack
from tests.e2e.databases import Database
from tests.e2e.test_watch import Watched, watched
from tests.proxy import Proxy, proxied

pytestmark = pytest.mark.timeout(1200)
TABLES, ROWS = ("one", "two"), 300
AWAY = {
    "registry": "registry_away",
    "connect": "connect_away",
    "source": "source_away",
    "catalog": "catalog_away",
}


def campaign(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.campaign)


@pytest.fixture(scope="module")
def proxies(stack: LocalStack) -> Iterator[dict[str, Proxy]]:
    at = stack.addresses()
    ports = {
        "registry": port_of(at.registry),
        "connect": port_of(at.connect),
        "catalog": port_of(at.catalog_uri),
        "source": at.postgres_port,
    }
    with ExitStack() as kept:
        yield {name: kept.enter_context(proxied("127.0.0.1", int(port or 0))) for name, port in ports.items()}


@pytest.fixture(scope="module")
def shop(
    stack: LocalStack, proxies: Mapping[str, Proxy], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("network")

    def settings(document: dict[str, Any]) -> None:
        for section, name in (("registry", "url"), ("connect", "url"), ("catalog", "uri")):
            document[section][name] = through(document[section][name], proxies[section])
        document["sources"][0]["port"] = proxies["source"].port

    database = Database(stack.addresses(), "postgres", "network", 89)
    with watched(stack, folder, database, TABLES, 19100, settings) as made:
        made.stream(TABLES, ROWS)
        yield made


def port_of(address: str) -> int:
    found = re.search(r"127\.0\.0\.1:(\d+)", address)
    assert found, address
    return int(found[1])


def through(address: str, proxy: Proxy) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{proxy.port}", address)


@pytest.mark.parametrize("name", [name if name == "catalog" else campaign(name) for name in AWAY])
def test_connections_that_are_half_open_are_named_and_left_behind(
    shop: Watched, proxies: Mapping[str, Proxy], name: str
) -> None:
    """X11, P78: they never answer again, though new ones do: whoever waits for them stalls in silence."""
    number = list(AWAY).index(name)
    shop.begin()
    shop.change(TABLES, [number])
    proxies[name].silence()
    try:
        shop.change(TABLES, [10 + number])
        shop.await_told(AWAY[name], 150)
    finally:
        proxies[name].heal()
    shop.change(TABLES, [20 + number])
    shop.await_over(AWAY[name], 150)
    shop.service.await_equal(240)
    shop.await_over("connector_silent", 10)
    shop.service.check_alive()


def test_connections_that_are_reset_again_and_again_lose_nothing(shop: Watched, proxies: Mapping[str, Proxy]) -> None:
    shop.begin()
    ended = dict.fromkeys(proxies, 0)
    for number in range(30, 50):
        shop.change(TABLES, [number])
        for name, proxy in proxies.items():
            ended[name] += proxy.reset()
        began = time.monotonic()
        shop.await_age(began, 0.5)
    assert all(ended.values()), ended
    shop.service.await_equal(240)
    shop.service.check_alive()


@pytest.mark.campaign
def test_servers_that_are_far_away_are_slow_and_no_trouble(shop: Watched, proxies: Mapping[str, Proxy]) -> None:
    shop.begin()
    try:
        for proxy in proxies.values():
            proxy.delay(0.05)
        for number in range(60, 64):
            shop.change(TABLES, [number])
        shop.service.await_equal(300)
        for trouble in AWAY.values():
            assert f"trouble={trouble}" not in shop.service.said_since_start()[shop.began :]
    finally:
        for proxy in proxies.values():
            proxy.delay(0)
    shop.service.check_alive()
