"""Unpacks the archives that servers come in, only the parts that are needed."""

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local.places import REPOSITORY
from cdc.local.system import java

SERVICES = REPOSITORY / "debezium" / "services"
CONVERTER = REPOSITORY / "connectors" / "converter" / "NullKeepingAvroConverter.java"
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


def converter_plugin(archives: Path, target: Path) -> None:
    """Make a plugin folder of Apicurio's jars and of one more: our own converter, and the file that names both."""
    folder = target / "apicurio"
    folder.mkdir()
    for jar in archives.glob("*.jar"):
        if not jar.name.startswith(_BUILD_ONLY):
            shutil.copy2(jar, folder / jar.name)
    with tempfile.TemporaryDirectory(dir=archives) as classes:
        _compile_converter(archives, Path(classes))
        with zipfile.ZipFile(folder / "cdc-converter.jar", "w") as zipped:
            for root in (SERVICES, Path(classes)):
                for file in sorted(path for path in root.rglob("*") if path.is_file()):
                    zipped.write(file, file.relative_to(root))


def _compile_converter(jars: Path, classes: Path) -> None:
    (compiler,) = jars.glob("ecj-*.jar")
    libraries = ":".join(str(jar) for jar in jars.glob("*.jar"))
    command = [java(), "-jar", str(compiler), "-17", "-nowarn", "-cp", libraries, "-d", str(classes), str(CONVERTER)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if result.returncode:
        raise PreflightError(
            f"could not compile {CONVERTER}: {result.stderr.strip()}", hint="`java -version`: 17 or later"
        )


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
