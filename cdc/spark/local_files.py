"""Local files for a Spark that runs in one process: checkpoints, and tables whose warehouse is a folder."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

_JARS = ("hadoop-bare-naked-local-fs-", "globalmentor-core-")
_CLASS_PATH = "spark.driver.extraClassPath"

_SETTINGS = {
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}


def local_file_settings(jars: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with which local files are written by Java itself; none without the jars for it.

    What is ``chosen`` wins.

    Hadoop's own way starts a process for each permission that it sets or reads, some five for a file and twenty for
    one of a checkpoint, which take 25 and 50 ms. The jars are on the class path before Spark has looked at its own.
    """
    needed = [jar for jar in jars if PurePath(jar).name.startswith(_JARS)]
    if len(needed) < len(_JARS):
        return {}
    path = [*needed, chosen[_CLASS_PATH]] if _CLASS_PATH in chosen else needed
    return {**{name: chosen.get(name, value) for name, value in _SETTINGS.items()}, _CLASS_PATH: ":".join(path)}
