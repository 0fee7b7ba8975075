"""Images and compose file cannot be run everywhere; that they are sound and pin the same versions is checked here."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from cdc.cli.reference import commands
from cdc.config.loader import load_config

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
NAMESPACE = "{http://maven.apache.org/POM/4.0.0}"


def pom(path: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / path).getroot()


def pinned(name: str, file: str = "requirements.txt") -> str:
    found = re.search(rf"^{re.escape(name)}(?:\[.*?\])?==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
    assert found, f"{name} is not in {file}"
    return found[1]


WORKER = {e.tag.removeprefix(NAMESPACE): e.text for e in pom("debezium/pom.xml").find(f"{NAMESPACE}properties") or []}
SPARK = {
    d.findtext(f"{NAMESPACE}artifactId"): d.findtext(f"{NAMESPACE}version")
    for d in pom("deploy/spark/pom.xml").iter(f"{NAMESPACE}dependency")
}


@pytest.mark.parametrize(
    ("service", "property_", "parts"),
    [
        ("kafka", "kafka.version", 3),
        ("registry", "apicurio.version", 4),
        ("mysql", "mysql.version", 3),
        ("postgres", "postgres.version", 2),
    ],
)
def test_images_have_the_versions_of_the_pom(service: str, property_: str, parts: int) -> None:
    tag = SERVICES[service]["image"].rpartition(":")[2]
    assert tag == ".".join((WORKER[property_] or "").split(".")[:parts])


def test_every_image_is_pinned() -> None:
    for name, service in SERVICES.items():
        assert "build" in service or re.search(r":\d", service["image"]), name


def test_spark_in_python_and_its_jars_are_of_one_release() -> None:
    assert pinned("pyspark") == SPARK["spark-sql-kafka-0-10_2.13"]
    spark_line = ".".join(pinned("pyspark").split(".")[:2])
    assert f"iceberg-spark-runtime-{spark_line}_2.13" in SPARK
    assert (SPARK["spark-avro_2.13"] or "").startswith(spark_line)


def test_both_locks_pin_the_same_versions_with_hashes_and_name_no_host() -> None:
    texts = {file: (ROOT / file).read_text() for file in ("requirements.txt", "requirements-dev.txt")}
    names = re.findall(r"^([a-z0-9-]+)(?:\[.*?\])?==", texts["requirements.txt"], re.MULTILINE)
    assert len(names) > 20
    for name in names:
        assert pinned(name) == pinned(name, "requirements-dev.txt")
    for text in texts.values():
        assert "://" not in text
        assert len(re.findall(r"^[a-z].*==", text, re.MULTILINE)) <= text.count("--hash=sha256:")


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert pinned("pyiceberg") == (re.search(r"pyiceberg\[.*?\]==([\d.]+)", project) or [""])[1]
    assert pinned("pyspark") == (re.search(r"pyspark==([\d.]+)", project) or [""])[1]


def test_ports_are_published_on_loopback_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_dependencies_exist_and_have_health_checks() -> None:
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            assert name in SERVICES
            assert condition["condition"] != "service_healthy" or "healthcheck" in SERVICES[name]


def test_mounted_files_and_built_targets_exist() -> None:
    stages = set(re.findall(r"^FROM .* AS (\w+)$", DOCKERFILE, re.MULTILINE))
    for service in SERVICES.values():
        assert service.get("build", {"target": "service"})["target"] in stages
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_what_the_images_copy_exists() -> None:
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        for name in [word for word in line.split() if not word.startswith("--")][:-1]:
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("stage", ["connect", "service"])
def test_images_do_not_run_as_root(stage: str) -> None:
    body = DOCKERFILE.partition(f" AS {stage}\n")[2].partition("\nFROM ")[0]
    assert re.search(r"^USER [1-9]\d*$", body, re.MULTILINE)


@pytest.mark.parametrize(("service", "source"), [("cdc", "shop"), ("cdc-store", "store")])
def test_the_service_runs_with_the_local_configuration(service: str, source: str) -> None:
    environ = {k: re.sub(r"\$\{.*\}", "secret", str(v)) for k, v in SERVICES[service]["environment"].items()}
    config = load_config(ROOT / "config" / "local.yaml", environ, only=[source])
    assert config.kafka.bootstrap_servers == "kafka:9092"
    assert config.sources[0].host in SERVICES
    assert SERVICES[service]["command"] == ["stream", "--source", source]


def test_the_services_commands_exist_with_their_options() -> None:
    known = dict(commands())
    for name in ("connectors", "cdc", "connectors-store", "cdc-store"):
        words = ["cdc", *SERVICES[name]["command"]]
        path = max((path for path in known if " ".join(words).startswith(path)), key=len)
        options = {option for parameter in known[path].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_the_worker_image_fills_every_placeholder() -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", (ROOT / "debezium" / "worker.properties").read_text()))
    filled = set(re.findall(r"\\\$\{(\w+)\}", (ROOT / "deploy" / "connect" / "entrypoint.sh").read_text()))
    assert wanted == filled


def test_databases_are_set_up_with_the_repositorys_sql_and_every_placeholder_filled() -> None:
    for engine in ("postgres", "mysql"):
        sql = (ROOT / "sql" / "sources" / engine / "setup.sql").read_text()
        script = (ROOT / "deploy" / "compose" / f"{engine}.sh").read_text()
        for name in set(re.findall(r"\$\{(\w+)\}", sql)):
            assert f"${{{name}}}" in script, f"{engine}: {name}"
