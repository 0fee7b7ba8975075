"""Calls Maven, with exact versions from a pom and its checksums checked strictly."""

import shutil
import subprocess
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.places import cache


def copy_dependencies(pom: Path, profile: str | None, target: Path) -> None:
    """Resolve the dependencies of a pom, or of one of its profiles, into the folder ``target``.

    Raises PreflightError with the last lines that Maven wrote.
    """
    target.mkdir(parents=True, exist_ok=True)
    command = [_maven(), "-B", "-q", "-ntp", "--strict-checksums", f"-Dmaven.repo.local={cache() / 'maven'}"]
    command += ["-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    command += ["-P", profile] if profile else []
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if result.returncode:
        raise PreflightError(
            f"could not resolve {profile or 'the dependencies'} of {pom}: {_reason(result.stdout + result.stderr)}",
            hint="check the network and Maven's settings (~/.m2/settings.xml), then run `cdc local fetch` again",
        )


def _maven() -> str:
    path = shutil.which("mvn")
    if path is None:
        raise PreflightError("Maven is not installed", hint="apt-get install maven, or run `cdc local fetch` as root")
    return path


def _reason(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("[ERROR]")] or output.splitlines()[-3:]
    return lines[0].removeprefix("[ERROR] ") if lines else "Maven said nothing"
