"""Committed SHA-256 hashes of everything that is downloaded, in the format of ``sha256sum``."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.places import cache


def read_hashes(manifest: Path) -> dict[str, str]:
    """Return the hash of each ``folder/file`` that the manifest names."""
    if not manifest.is_file():
        return {}
    lines = (line.split(maxsplit=1) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name: digest for digest, name in lines}


def write_hashes(manifest: Path, hashes: Mapping[str, str]) -> None:
    """Write the manifest, sorted by name; ``sha256sum -c`` reads it."""
    manifest.write_text("".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)), encoding="utf-8")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, files: Iterable[Path], expected: Mapping[str, str], manifest: Path) -> None:
    """Compare the files with the hashes of ``folder/``; raises PreflightError naming the first that differs."""
    found = {f"{folder.name}/{file.name}": file for file in files}
    wanted = {name for name in expected if name.startswith(f"{folder.name}/")}
    for name in sorted(wanted | set(found)):
        _verify_one(name, found.get(name), expected.get(name), manifest)


def _verify_one(name: str, file: Path | None, expected: str | None, manifest: Path) -> None:
    if file is None:
        problem = "was not downloaded"
    elif expected is None:
        problem = "has no hash"
    elif digest(file) != expected:
        problem = "has another SHA-256 than the committed one: it is not the file that was reviewed, and is not used"
    else:
        return
    hint = (
        f"delete it from {cache() / 'maven'} and fetch again; "
        f"after a change of versions: `cdc local fetch --write-hashes`, then review {manifest.name}"
    )
    raise PreflightError(f'download "{name}" {problem} ({manifest})', hint=hint)
