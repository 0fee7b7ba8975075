"""House rules that a tool can check: layers, sizes, and who may touch what."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(ROOT.glob("cdc/**/*.py"))
LONG = {
    "cdc/pipeline/stream.py": "one run of a pipeline, whose steps share what is held, stopped and begun again",
    "cdc/pipeline/load.py": "one load from its plan to the swap, whose steps share the plan and the shadow",
}
"""Modules of more than 400 lines, each with the reason."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_layers_and_contracts_hold(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("lint-imports")
    command = [script, "--cache-dir", tmp_path, "--config", "pyproject.toml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_modules_are_short_and_say_what_they_are_for(module: Path) -> None:
    lines = module.read_text().splitlines()
    assert len(lines) <= 400 or relative(module) in LONG
    assert not lines or re.match(r'(# ruff: .*|r?""".+)', lines[0])


def test_no_module_is_called_utilities() -> None:
    names = {module.stem for module in MODULES} | {module.parent.name for module in MODULES}
    assert not names & {"utils", "util", "common", "helpers", "helper", "misc", "base"}


def test_nothing_names_a_package_registry() -> None:
    hosts = re.compile(
        r"pypi\.org|pythonhosted|repo1?\.maven|maven\.org|mavenCentral|files\.python|registry\.npmjs", re.IGNORECASE
    )
    skipped = {".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__", ".hypothesis"}
    for path in ROOT.rglob("*"):
        text = path.is_file() and not skipped & set(path.parts) and path.suffix not in {".pyc", ".jar", ".parquet"}
        if text and path != Path(__file__):
            assert not hosts.search(path.read_text(errors="ignore")), relative(path)


def test_there_are_no_mocks() -> None:
    forbidden = re.compile(r"\bunittest\.mock\b|\bMagicMock\b")
    for path in ROOT.glob("tests/**/*.py"):
        if path != Path(__file__):
            assert not forbidden.search(path.read_text()), relative(path)
