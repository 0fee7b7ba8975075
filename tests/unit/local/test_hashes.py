import pytest

from cdc.core.errors import PreflightError
from cdc.local.hashes import digest, read_hashes, verify, write_hashes


@pytest.fixture
def download(tmp_path):
    folder = tmp_path / "worker"
    folder.mkdir()
    (folder / "kafka.jar").write_bytes(b"reviewed")
    write_hashes(tmp_path / "artifacts.sha256", {"worker/kafka.jar": digest(folder / "kafka.jar")})
    return folder


def check(folder):
    manifest = folder.parent / "artifacts.sha256"
    verify(folder, folder.iterdir(), read_hashes(manifest), manifest)


def test_files_with_the_committed_hash_are_accepted(download):
    check(download)


def test_a_changed_file_is_refused_by_name(download):
    (download / "kafka.jar").write_bytes(b"another")
    with pytest.raises(PreflightError, match=r"worker/kafka\.jar.*another SHA-256"):
        check(download)


def test_a_file_without_a_committed_hash_is_refused(download):
    (download / "more.jar").write_bytes(b"smuggled")
    with pytest.raises(PreflightError, match=r"more\.jar.*has no hash"):
        check(download)


def test_a_missing_file_is_noticed(download):
    (download / "kafka.jar").unlink()
    with pytest.raises(PreflightError, match=r"kafka\.jar.*not downloaded"):
        check(download)
