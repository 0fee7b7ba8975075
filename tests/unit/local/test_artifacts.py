import re

import pytest

from cdc.core.errors import ConfigError, PreflightError
from cdc.local import artifacts
from cdc.local.artifacts import HASHES, POM, SPARK_HASHES, SPARK_POM, Distribution
from cdc.local.hashes import read_hashes, write_hashes
from cdc.local.places import stack_folder


def test_every_profile_has_committed_hashes():
    profiles = set(re.findall(r"<id>(.+?)</id>", POM.read_text()))
    assert {name.partition("/")[0] for name in read_hashes(HASHES)} == profiles
    assert read_hashes(SPARK_HASHES)


@pytest.mark.parametrize("pom", [POM, SPARK_POM])
def test_versions_are_exact(pom):
    versions = re.findall(r"<(?:version|[a-z0-9.]+\.version)>(.+?)</", pom.read_text())
    assert versions
    assert not [one for one in versions if re.search(r"SNAPSHOT|LATEST|RELEASE|[\[\](),]", one)]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A distribution of one file, and a stand-in for Maven that writes what ``made.content`` says."""
    monkeypatch.setattr(artifacts, "cache", lambda: tmp_path / "cache")
    manifest = tmp_path / "artifacts.sha256"
    one = Distribution("worker", tmp_path / "out", artifacts.unpack.copy_jars, hashes=manifest)
    content = {"bytes": b"reviewed", "calls": 0}

    def copy(_pom, _profile, folder):
        folder.mkdir(parents=True)
        (folder / "kafka.jar").write_bytes(content["bytes"])
        content["calls"] += 1

    monkeypatch.setattr(artifacts, "copy_dependencies", copy)
    monkeypatch.setattr(artifacts, "distribution", lambda _name: one)
    (tmp_path / "cache").mkdir()
    artifacts.rewrite_hashes(["worker"], lambda _: None)
    content["calls"] = 0
    return one, content


def test_a_distribution_is_fetched_once(made):
    one, content = made
    for _ in range(2):
        artifacts.fetch(["worker"], lambda _: None)
    assert content["calls"] == 1
    assert (one.folder / "kafka.jar").read_bytes() == b"reviewed"


def test_a_file_that_is_not_the_reviewed_one_is_never_used(made):
    one, content = made
    content["bytes"] = b"another"
    with pytest.raises(PreflightError, match="SHA-256"):
        artifacts.fetch(["worker"], lambda _: None)
    assert not one.folder.exists()


def test_changed_hashes_make_a_distribution_stale(made):
    one, _ = made
    artifacts.fetch(["worker"], lambda _: None)
    write_hashes(one.hashes, {"worker/kafka.jar": "0" * 64})
    assert not one.ready()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "-x", "x" * 42])
def test_a_stack_s_name_cannot_point_elsewhere(name):
    with pytest.raises(ConfigError):
        stack_folder(name)
