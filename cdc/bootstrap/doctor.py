"""Doctor: everything that a configuration needs, looked at side by side; of what runs nothing is changed."""

import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pyiceberg.io import load_file_io

from cdc.bootstrap.databases import source_database
from cdc.bootstrap.declared import settings_of
from cdc.bootstrap.spark import jars_of
from cdc.bootstrap.watches import ANSWER_SECONDS, find_now
from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.connect.client import ConnectClient
from cdc.core.errors import CdcError
from cdc.core.preflight import Finding
from cdc.kafka.registry import SchemaRegistry
from cdc.kafka.topics import KafkaTopics
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.status_reader import has_status
from cdc.local.system import java
from cdc.pipeline.connector_state import redacted
from cdc.spark.class_archive import archive_of
from cdc.spark.master import require_master

JAVA = 17
"""The oldest Java that Spark 4 runs on."""

DISK_BYTES = 1 << 30

Look = Callable[[], tuple[str, Sequence[Finding]]]
"""Returns what is there in a few words, and what is wrong with it; may raise CdcError."""


class Examined(NamedTuple):
    """One thing that was looked at: what is there, and what is wrong with it."""

    what: str
    detail: str
    findings: Sequence[Finding]

    @property
    def fit(self) -> bool:
        """Return whether nothing keeps it from working."""
        return not any(finding.fatal for finding in self.findings)


def examine(config: Config, left_out: Mapping[str, Sequence[Finding]] = {}) -> Iterator[Examined]:
    """Yield what was found, in the order of the list, each as soon as it and those before it are through.

    ``left_out`` are remarks, by source, of tables that are not captured.
    """
    looks = _looks(config, left_out)
    with ThreadPoolExecutor(8, "doctor") as pool:
        futures = {what: pool.submit(_guarded, look, name) for what, (name, look) in looks.items()}
        for what, future in futures.items():
            yield Examined(what, *future.result())


def _looks(config: Config, left_out: Mapping[str, Sequence[Finding]]) -> dict[str, tuple[str, Look]]:
    """Return what is to be looked at, with the name of the trouble that it is not there."""
    connect = ConnectClient(config.connect, timeout=ANSWER_SECONDS)
    kafka = KafkaTopics(config.kafka, timeout=ANSWER_SECONDS)
    looks: dict[str, tuple[str, Look]] = {
        "java": ("java_missing", _java),
        "jars of Spark": ("jars_missing", partial(_jars, config)),
        "checkpoint": ("checkpoint_unwritable", partial(_folder, config.stream.checkpoint)),
        "catalog": ("catalog_away", partial(_catalog, config)),
        "warehouse": ("warehouse_unwritable", partial(_warehouse, config)),
        "kafka": ("kafka_away", lambda: (f"cluster {kafka.cluster_id()}", ())),
        "connect": ("connect_away", lambda: (f"version {connect.version()}", ())),
    }
    if config.registry:
        registry = SchemaRegistry(config.registry)
        looks["registry"] = ("registry_away", lambda: (f"{len(registry.subjects())} subjects", ()))
    if not config.spark.master.startswith("local"):
        looks["Spark"] = ("spark_away", partial(_master, config.spark.master))
    for source in config.sources:
        looks[f"source {source.name}"] = (
            "source_refused",
            partial(_source, config, source, left_out.get(source.name, ())),
        )
        looks[f"connector {source.name}, by its worker"] = (
            "connector_refused",
            partial(_worker, config, source, ConnectClient(config.connect)),
        )
    return looks


def _guarded(look: Look, name: str) -> tuple[str, Sequence[Finding]]:
    try:
        return look()
    except CdcError as error:
        return "", [Finding(name, str(error), error.hint)]
    except Exception as error:  # noqa: BLE001 - whatever keeps one thing from being looked at, the others are
        return "", [Finding(name, " ".join(str(error).split())[:300] or type(error).__name__, "")]


def _java() -> tuple[str, Sequence[Finding]]:
    program = java()
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - found in PATH
    found = re.search(r'version "(\d+)', answer.stderr)
    version = int(found[1]) if found else 0
    what = f"{program} is version {version}, and Spark needs {JAVA} or later"
    hint = f"install Java {JAVA} or 21, and have it first in PATH"
    return f"{program}, version {version}", [] if version >= JAVA else [Finding("java_missing", what, hint)]


def _jars(config: Config) -> tuple[str, Sequence[Finding]]:
    folder = jars_of(config)
    jars = list(folder.glob("*.jar"))
    what, hint = f"no jars in {folder}", "cdc local fetch, or set spark.jars to a directory of them"
    archive = "" if archive_of(folder).is_file() else ", without an archive of their classes: Spark starts slowly"
    return f"{len(jars)} in {folder}{archive}", [] if jars else [Finding("jars_missing", what, hint)]


def _master(master: str) -> tuple[str, Sequence[Finding]]:
    found = require_master(master)
    return f"a master answers at {found}" if found else f"{master} (not looked at)", ()


def _folder(address: str) -> tuple[str, Sequence[Finding]]:
    path = local_path(address)
    if path is None:
        return f"{address} (not of this machine, not looked at)", ()
    probe = path / f".cdc-doctor-{uuid.uuid4()}"
    path.mkdir(parents=True, exist_ok=True)
    probe.touch()
    probe.unlink()
    free = shutil.disk_usage(path).free
    return f"{path}, {free / 1e9:,.1f} GB free", low_disk(path, free)


def _catalog(config: Config) -> tuple[str, Sequence[Finding]]:
    used = has_status(open_catalog(config.catalog), config.metadata_namespace)
    return f"{config.catalog.type} catalog {config.catalog.name}{'' if used else ', no service has used it yet'}", ()


def _warehouse(config: Config) -> tuple[str, Sequence[Finding]]:
    address = config.catalog.warehouse or ""
    if local_path(address) is None and "://" not in address:
        return "known to the catalog alone, not looked at", ()
    file = f"{address.rstrip('/')}/.cdc-doctor-{uuid.uuid4()}"
    files = load_file_io(dict(config.catalog.properties), file)
    with files.new_output(file).create() as output:
        output.write(b"cdc")
    files.delete(file)
    path = local_path(address)
    return f"{address}, a file was written and removed", low_disk(path, shutil.disk_usage(path).free) if path else ()


def _source(config: Config, source: SourceConfig, left_out: Sequence[Finding]) -> tuple[str, Sequence[Finding]]:
    found = [
        *left_out,
        *(f._replace(fatal=f.fatal and f.name != "connector_missing") for f in find_now(config, source)),
    ]
    away = any(finding.name in ("source_away", "source_refused") for finding in found)
    return "" if away else f"{source.type}, log at {source_database(source).position().partition(' ')[0]}", found


def _worker(config: Config, source: SourceConfig, connect: ConnectClient) -> tuple[str, Sequence[Finding]]:
    """Let the worker do what it would do first: resolve the secrets, and let the connector's class see the database."""
    settings = settings_of(source, config)
    kind = settings["connector.class"]
    if kind not in connect.plugins():
        what = f"the worker has no plugin with {kind}"
        return "", [Finding("connector_refused", what, "install Debezium's connector where plugin.path points")]
    problems = connect.validate(settings)
    hint = "correct the source; addresses and secrets are those that the worker sees"
    return kind.rpartition(".")[2], [
        Finding("connector_refused", f"{key}: {redacted(text)}", hint) for key, text in problems
    ]


def low_disk(path: Path, free: int) -> list[Finding]:
    """Return whether so many bytes are too few to work with."""
    if free >= DISK_BYTES:
        return []
    what = f"{path} has {free / 1e6:,.0f} MB left"
    return [Finding("disk_low", what, "make room: a commit that fails for it is tried again", fatal=False)]


def local_path(address: str) -> Path | None:
    """Return the directory of this machine behind an address, None if it lies elsewhere."""
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or not parts.path.startswith("/"):
        return None
    return Path(parts.path)
