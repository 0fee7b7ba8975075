from pathlib import Path

import pytest

from cdc.config.environment import ClientPasswords, Environment
from cdc.local import places


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_folders_are_in_the_home_by_default(home):
    assert Environment().cache == home / ".cache"
    assert Environment().data == home / ".local" / "share"


def test_downloads_went_to_the_home_although_the_user_keeps_caches_elsewhere(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    monkeypatch.setattr(places, "as_root", lambda: False)
    assert places.cache() == Path("/srv/cache/cdc")
    assert places.stacks() == Path("/srv/data/cdc/stacks")


def test_a_relative_folder_counts_as_not_set(monkeypatch, home):
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert Environment().cache == home / ".cache"


def test_passwords_are_those_of_the_databases_own_clients(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "of postgres")
    monkeypatch.delenv("MYSQL_PWD", raising=False)
    assert [ClientPasswords().of(engine) for engine in ("postgres", "mysql", "oracle")] == ["of postgres", "", ""]
    assert "of postgres" not in repr(ClientPasswords())
