import pytest

from cdc.core.errors import PreflightError
from cdc.local.maven import copy_dependencies, reason_of


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("\x1b[0m\x1b[0m[ERROR] no checksums available\n[ERROR] \n[ERROR] Re-run Maven\n", "no checksums available"),
        ("[ERROR] \n[ERROR] second\n", "second"),
        ("java: not found\n\n", "java: not found"),
        ("", "Maven said nothing"),
    ],
)
def test_a_failed_download_said_nothing_of_why(output, reason):
    assert reason_of(output) == reason


@pytest.fixture
def maven(tmp_path, monkeypatch):
    """Put a program ``mvn`` on the path that fails as often as the returned file has lines, and notes its calls."""
    failures, calls = tmp_path / "failures", tmp_path / "calls"
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho call >> "{calls}"\n'
        f'if [ -s "{failures}" ]; then sed -i 1d "{failures}"; echo "[ERROR] repository away"; exit 1; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return failures, calls


@pytest.mark.parametrize(("failing", "tries"), [(0, 1), (1, 2), (2, 3)])
def test_a_repository_that_is_away_for_a_moment_ended_the_set_up(maven, tmp_path, failing, tries):
    failures, calls = maven
    failures.write_text("once\n" * failing)
    copy_dependencies(tmp_path / "pom.xml", "worker", tmp_path / "out")
    assert len(calls.read_text().splitlines()) == tries


def test_a_repository_that_stays_away_is_named(maven, tmp_path):
    maven[0].write_text("always\n" * 9)
    with pytest.raises(PreflightError, match=r"worker of .*: repository away") as raised:
        copy_dependencies(tmp_path / "pom.xml", "worker", tmp_path / "out")
    assert "network" in (raised.value.hint or "")
