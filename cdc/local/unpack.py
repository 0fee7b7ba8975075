"""Unpacks the archives that servers come in, only the parts that are needed."""

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.places import REPOSITORY
from cdc.local.system import java

SERVICES = REPOSITORY / "debezium" / "services"
CONVERTER = REPOSITORY / "connectors" / "converter"
VALUES = REPOSITORY / "connectors" / "values"
"""Converters of values, a folder for each connector that has some; ``services`` in it names what Connect looks for."""
_BUILD_ONLY = ("ecj-", "connect-api-", "kafka-clients-")
MYSQL_PROGRAMS = ("bin/mysqld", "bin/mysql")
MYSQL_FOLDERS = ("lib/private/", "lib/plugin/component", "share/")
"""What a server needs of MySQL's distribution: a fraction of its size."""


def unpack_tars(archives: Path, target: Path) -> None:
    """Unpack every ``.tar.gz`` in a folder."""
    for archive in sorted(archives.glob("*.tar.gz")):
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")


def copy_jars(archives: Path, target: Path) -> None:
    """Copy every jar in a folder."""
    for jar in sorted(archives.glob("*.jar")):
        shutil.copy2(jar, target / jar.name)


def connector_plugins(archives: Path, target: Path) -> None:
    """Unpack the connectors, and put our own converters of values beside those that have some."""
    unpack_tars(archives, target)
    for sources in sorted(folder for folder in VALUES.iterdir() if folder.is_dir()):
        plugin = target / f"debezium-connector-{sources.name}"
        with tempfile.TemporaryDirectory(dir=archives) as classes:
            _compile(sources, [archives, plugin], Path(classes))
            _pack(plugin / "cdc-values.jar", [Path(classes), sources / "services"])


def converter_plugin(archives: Path, target: Path) -> None:
    """Make a plugin folder of Apicurio's jars and of one more: our own converters, and the file that names them."""
    folder = target / "apicurio"
    folder.mkdir()
    for jar in archives.glob("*.jar"):
        if not jar.name.startswith(_BUILD_ONLY):
            shutil.copy2(jar, folder / jar.name)
    with tempfile.TemporaryDirectory(dir=archives) as classes:
        _compile(CONVERTER, [archives], Path(classes))
        _pack(folder / "cdc-converter.jar", [SERVICES, Path(classes)])


def _compile(sources: Path, libraries: Sequence[Path], classes: Path) -> None:
    """Compile the classes of a folder with the compiler and the jars of others."""
    jars = [jar for folder in libraries for jar in sorted(folder.glob("*.jar"))]
    (compiler,) = (jar for jar in jars if jar.name.startswith("ecj-"))
    compile_java(sources, compiler, jars, classes)


def compile_java(sources: Path, compiler: Path, jars: Sequence[Path], classes: Path) -> None:
    """Compile the classes of a folder; raises PreflightError with what the compiler says."""
    path = ":".join(map(str, jars))
    command = [java(), "-jar", str(compiler), "-17", "-nowarn", "-cp", path, "-d", str(classes), str(sources)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if result.returncode:
        raise PreflightError(
            f"could not compile {sources}: {result.stderr.strip()}", hint="`java -version`: 17 or later"
        )


def _pack(jar: Path, folders: Sequence[Path]) -> None:
    with zipfile.ZipFile(jar, "w") as zipped:
        for root in folders:
            for file in sorted(path for path in root.rglob("*") if path.is_file()):
                zipped.write(file, file.relative_to(root))


def unpack_postgres(archives: Path, target: Path) -> None:
    """Unpack PostgreSQL: a ``.txz`` inside a jar."""
    (jar,) = archives.glob("*.jar")
    with zipfile.ZipFile(jar) as zipped:
        (name,) = (name for name in zipped.namelist() if name.endswith(".txz"))
        with zipped.open(name) as inner, tarfile.open(fileobj=inner, mode="r|xz") as tar:
            tar.extractall(target, filter="tar")


def unpack_mysql(archives: Path, target: Path) -> None:
    """Unpack the server and client out of MySQL's distribution."""
    (archive,) = archives.glob("*.zip")
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            needed = info.filename in MYSQL_PROGRAMS or info.filename.startswith(MYSQL_FOLDERS)
            if needed and not info.is_dir():
                _write(zipped, info, target)


def _write(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    file = target / info.filename
    if not file.resolve().is_relative_to(target.resolve()):
        raise ValueError(f"{info.filename!r} points outside of the archive")
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = info.external_attr >> 16
    if mode & 0o170000 == 0o120000:
        file.symlink_to(zipped.read(info).decode())
        return
    with zipped.open(info) as inner, file.open("wb") as outer:
        shutil.copyfileobj(inner, outer, 1 << 20)
    file.chmod(0o755 if mode & 0o111 or info.filename in MYSQL_PROGRAMS else 0o644)


def readable_by_all(folder: Path) -> None:
    """Let every user read and enter what was unpacked, whatever the umask; nothing in it is secret."""
    chmod = shutil.which("chmod") or "/bin/chmod"
    subprocess.run([chmod, "-R", "a+rX,go-w", str(folder)], check=True)  # noqa: S603 - our own path
