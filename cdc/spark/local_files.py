"""Local files for a Spark that runs in one process: checkpoints, and tables whose warehouse is a folder."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

_JARS = ("hadoop-bare-naked-local-fs-", "globalmentor-core-")
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
    one of a checkpoint, which take 25 and 50 ms. The jars have to be on the class path of the JVM itself.
    """
    if sum(PurePath(jar).name.startswith(_JARS) for jar in jars) < len(_JARS):
        return {}
    return {name: chosen.get(name, value) for name, value in _SETTINGS.items()}
