"""Distributions: what the stack and Spark are made of, downloaded once, verified, unpacked, and found again at once."""

import hashlib
import platform
import re
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.local import system, unpack
from cdc.local.growth import growth_shown
from cdc.local.hashes import digest, read_hashes, verify, write_hashes
from cdc.local.maven import copy_dependencies
from cdc.local.places import REPOSITORY, cache, distributions
from cdc.local.state import locked

POM = REPOSITORY / "debezium" / "pom.xml"
HASHES = REPOSITORY / "debezium" / "artifacts.sha256"
SPARK_POM = REPOSITORY / "deploy" / "spark" / "pom.xml"
SPARK_HASHES = REPOSITORY / "deploy" / "spark" / "jars.sha256"

_LAYOUT = 3
"""Counted up when what is unpacked, or where to, changes."""

_CONVERTER = (*sorted(unpack.CONVERTER.iterdir()), *sorted((unpack.SERVICES / "META-INF" / "services").iterdir()))
_VALUES = tuple(sorted(file for file in unpack.VALUES.rglob("*") if file.is_file()))

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Distribution:
    """One folder of unpacked files, made of one profile of a pom."""

    name: str
    folder: Path
    open: Callable[[Path, Path], None]
    pom: Path = POM
    hashes: Path = HASHES
    megabytes: int = 0
    """About how much there is to download."""
    inputs: tuple[Path, ...] = ()
    """Files of the repository that go into it."""

    def stamp(self) -> str:
        """Return a hash of what the folder is made of: pom, committed hashes, own files, and how it is unpacked."""
        hashes = sorted(item for item in read_hashes(self.hashes).items() if item[0].startswith(f"{self.name}/"))
        texts = [file.read_text(encoding="utf-8") for file in (self.pom, *self.inputs)]
        text = f"{_LAYOUT}\0{self.name}\0{hashes}\0{texts}"
        return hashlib.sha256(text.encode()).hexdigest()

    def ready(self) -> bool:
        """Return whether the folder is there and made of what is committed now."""
        stamp = self.folder / ".stamp"
        return stamp.is_file() and stamp.read_text() == self.stamp()


def distribution(name: str) -> Distribution:
    """Return the distribution ``name``: worker, converter, connectors, registry, postgres, mysql or spark."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    downloads, servers = cache(), distributions()
    known = {
        "worker": Distribution("worker", downloads / "kafka", unpack.copy_jars, megabytes=55),
        "converter": Distribution(
            "converter", downloads / "plugins" / "avro", unpack.converter_plugin, megabytes=20, inputs=_CONVERTER
        ),
        "connectors": Distribution(
            "connectors", downloads / "plugins" / "debezium", unpack.connector_plugins, megabytes=95, inputs=_VALUES
        ),
        "registry": Distribution("registry", downloads / "registry", unpack.unpack_tars, megabytes=142),
        "postgres": Distribution(f"postgres-{machine}", servers / "postgres", unpack.unpack_postgres, megabytes=12),
        "mysql": Distribution(f"mysql-{machine}", servers / "mysql", unpack.unpack_mysql, megabytes=553),
        "spark": Distribution(
            "spark", downloads / "spark" / "jars", unpack.copy_jars, SPARK_POM, SPARK_HASHES, megabytes=60
        ),
    }
    return known[name]


def fetch(names: Collection[str], on_step: OnStep) -> dict[str, Path]:
    """Return the folder of each distribution, downloading and unpacking those that are not ready.

    Idempotent. Raises PreflightError for a failed download and for a file whose hash is not the committed one.
    """
    return {name: bring(distribution(name), on_step) for name in names}


def bring(one: Distribution, on_step: OnStep) -> Path:
    """Return the folder of a distribution, as ``fetch`` does."""
    if not one.ready():
        system.ensure_programs(on_step)
        _check_machine(one)
        with locked(cache() / "fetch.lock", "the download", patient=True):
            if not one.ready():
                on_step(f"fetching {one.name} ({one.megabytes} MB)")
                with growth_shown(cache() / "maven", one.megabytes):
                    _build(one)
    return one.folder


def spark_jars(on_step: OnStep = lambda _: None) -> Path:
    """Return the folder with the jars that Spark needs, fetched if they are not there."""
    return fetch(["spark"], on_step)["spark"]


def rewrite_hashes(names: Collection[str], on_step: OnStep) -> None:
    """Download again and write the committed hashes of these distributions; for a reviewed change of versions."""
    system.ensure_programs(on_step)
    for one in (machine for name in names for machine in _every_machine(distribution(name))):
        on_step(f"hashing {one.name}")
        kept = {name: value for name, value in read_hashes(one.hashes).items() if not name.startswith(f"{one.name}/")}
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            folder = _download(one, Path(scratch))
            kept |= {f"{one.name}/{file.name}": digest(file) for file in folder.iterdir()}
        write_hashes(one.hashes, kept)


def _every_machine(one: Distribution) -> list[Distribution]:
    """Return the distribution for each kind of processor that the pom has a profile for."""
    profiles = re.findall(r"<id>(.+?)</id>", one.pom.read_text(encoding="utf-8"))
    kinds = [profile for profile in profiles if profile.partition("-")[0] == one.name.partition("-")[0]]
    return [replace(one, name=kind) for kind in kinds] or [one]


def _build(one: Distribution) -> None:
    """Verify before unpacking, unpack beside the target, and rename at the end: half a distribution is never seen."""
    cache().mkdir(parents=True, exist_ok=True)
    one.folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=cache(), prefix=".fetch-") as scratch,
        tempfile.TemporaryDirectory(dir=one.folder.parent, prefix=".unpack-") as beside,
    ):
        files = _download(one, Path(scratch))
        verify(files, files.iterdir(), read_hashes(one.hashes), one.hashes)
        target = Path(beside) / "new"
        target.mkdir()
        one.open(files, target)
        unpack.readable_by_all(target)
        (target / ".stamp").write_text(one.stamp())
        if one.folder.exists():
            one.folder.rename(Path(beside) / "old")
        target.rename(one.folder)


def _download(one: Distribution, scratch: Path) -> Path:
    folder = scratch / one.name
    copy_dependencies(one.pom, one.name if one.pom == POM else None, folder)
    return folder


def _check_machine(one: Distribution) -> None:
    if f"<id>{one.name}</id>" not in POM.read_text() and one.pom == POM:
        raise PreflightError(
            f"there is no {one.name.partition('-')[0]} server for {platform.machine()} processors",
            hint="start the stack without it, or use docker-compose.yml",
        )
