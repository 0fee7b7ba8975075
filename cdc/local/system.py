"""System packages that downloads cannot bring: Java, Maven, and two libraries of MySQL."""

import ctypes.util
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.places import as_root

_LIBRARIES = Path("/usr/lib")


def ensure_programs(on_step: Callable[[str], None]) -> None:
    """See that Java 17 and Maven are installed, with apt-get where that is possible; raises PreflightError if not."""
    packages = [name for program, name in _PROGRAMS if shutil.which(program) is None]
    _install(packages, on_step)


def java() -> str:
    """Return the path of ``java``; raises PreflightError if there is none."""
    path = shutil.which("java")
    if path is None:
        raise PreflightError("Java is not installed", hint="apt-get install openjdk-17-jre-headless")
    return path


def ensure_mysql_libraries(on_step: Callable[[str], None]) -> None:
    """See that libaio and libnuma are installed; raises PreflightError naming the packages if they cannot be."""
    packages = [_aio_package()] if libaio() is None else []
    packages += ["libnuma1"] if ctypes.util.find_library("numa") is None else []
    _install(packages, on_step)


def libaio() -> Path | None:
    """Return the file of libaio under either of its names (Ubuntu 24.04 renamed it), or None."""
    found = sorted(_LIBRARIES.glob("*-linux-gnu/libaio.so.1")) + sorted(_LIBRARIES.glob("*-linux-gnu/libaio.so.1t64"))
    return found[0] if found else None


_PROGRAMS = (("java", "openjdk-17-jre-headless"), ("mvn", "maven"))


def _aio_package() -> str:
    apt_cache = shutil.which("apt-cache")
    if apt_cache is None:
        return "libaio1"
    shown = subprocess.run([apt_cache, "show", "libaio1t64"], capture_output=True, check=False)  # noqa: S603
    return "libaio1t64" if shown.returncode == 0 else "libaio1"


def _install(packages: Sequence[str], on_step: Callable[[str], None]) -> None:
    if not packages:
        return
    listed = " ".join(packages)
    become = _become()
    if become is None:
        raise PreflightError(
            f"not installed: {listed}", hint=f"as root: apt-get install --no-install-recommends {listed}"
        )
    on_step(f"installing {listed}")
    subprocess.run([*become, "update", "-qq"], capture_output=True, check=False)  # noqa: S603 - installing tells
    command = [*become, "install", "-qq", "-y", "--no-install-recommends", *packages]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["apt-get said nothing"])[-1]
        raise PreflightError(f"could not install {listed}: {reason}", hint=f"as root: apt-get install {listed}")


def _become() -> list[str] | None:
    """Return how to call apt-get as root, or None if that needs a password or is not there."""
    apt, sudo = shutil.which("apt-get"), shutil.which("sudo")
    if apt is None:
        return None
    if as_root():
        return [apt]
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
    return [sudo, "-n", apt] if allowed else None
