"""The compose file's PostgreSQL in a container of its own; skipped, and said so, where there is no container engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from tests.e2e.service import await_true

ROOT = Path(__file__).parents[2]
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["postgres"]
SECRET = "f0e1d2c3"


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[str, int]]:
    try:
        DockerClient()
    except DockerException:
        pytest.skip("no container engine on this machine")
    container = DockerContainer(SERVICE["image"]).with_command(SERVICE["command"]).with_exposed_ports(5432)
    container.with_envs(**dict.fromkeys(SERVICE["environment"], SECRET))
    for volume in SERVICE["volumes"]:
        host, inside = volume.split(":")[:2]
        if host.startswith("."):
            container.with_volume_mapping(str(ROOT / host), inside)
    with container:
        yield container.get_container_host_ip(), int(container.get_exposed_port(5432))


def connect(at: tuple[str, int], user: str, database: str) -> psycopg.Connection:
    return psycopg.connect(host=at[0], port=at[1], user=user, dbname=database, password=SECRET, connect_timeout=5)


def test_the_compose_database_is_ready_for_capturing(postgres: tuple[str, int]) -> None:
    """The official image, set up by the project's own SQL: the capturing role replicates and is no superuser."""

    def up() -> bool:
        try:
            with connect(postgres, "cdc", "shop") as connection:
                return connection.execute("SHOW wal_level").fetchone() == ("logical",)
        except psycopg.OperationalError:
            return False

    await_true(up, 120, "the capturing role can log in")
    with connect(postgres, "cdc", "shop") as connection:
        role = connection.execute(
            "SELECT rolreplication, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert role == (True, False, False, False)
    with connect(postgres, "catalog", "catalog") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
