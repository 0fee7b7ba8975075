"""Calls Maven, with exact versions from a pom.

Repositories may lack the checksum files of an artifact (a Debezium plugin has been seen without), so Maven's own
checks warn only; what counts are the committed hashes, which every file is compared with before it is used.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from cdc.core.errors import PreflightError
from cdc.local.places import cache

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*m")


def copy_dependencies(pom: Path, profile: str | None, target: Path) -> None:
    """Resolve the dependencies of a pom, or of one of its profiles, into the folder ``target``.

    Tried three times: a repository may be away for a moment. Raises PreflightError with what Maven said.
    """
    target.mkdir(parents=True, exist_ok=True)
    command = [_maven(), "-B", "-q", "-ntp", "-U", f"-Dmaven.repo.local={cache() / 'maven'}"]
    command += ["-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    command += ["-P", profile] if profile else []
    attempts = Retrying(
        retry=retry_if_exception_type(PreflightError), stop=stop_after_attempt(3), wait=wait_fixed(1), reraise=True
    )
    attempts(_run, command, profile or "the dependencies", pom)


def _run(command: Sequence[str], wanted: str, pom: Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if result.returncode:
        raise PreflightError(
            f"could not resolve {wanted} of {pom}: {reason_of(result.stdout + result.stderr)}",
            hint="check the network and Maven's settings (~/.m2/settings.xml), then run `cdc local fetch` again",
        )


def _maven() -> str:
    path = shutil.which("mvn")
    if path is None:
        raise PreflightError("Maven is not installed", hint="apt-get install maven, or run `cdc local fetch` as root")
    return path


def reason_of(output: str) -> str:
    """Return the first error in what Maven wrote."""
    lines = [line.strip() for line in _TERMINAL_CODES.sub("", output).splitlines()]
    errors = [text for line in lines if (text := line.removeprefix("[ERROR]").strip()) and line.startswith("[ERROR]")]
    return next(iter(errors or [line for line in lines if line][-3:]), "Maven said nothing")
