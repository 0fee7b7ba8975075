"""Spark in one process writes local files by Java itself."""

import stat
from pathlib import Path
from typing import Any


def test_local_files_are_written_without_a_process_for_each_permission(lake: tuple[Any, Any], tmp_path: Path) -> None:
    """Twenty processes for each file of a checkpoint made a micro-batch a tenth of a second longer."""
    session, _ = lake
    jvm = session._jvm  # noqa: SLF001
    settings = session._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
    path = jvm.org.apache.hadoop.fs.Path(f"file:{tmp_path}/file")
    files = path.getFileSystem(settings)
    assert files.getClass().getSimpleName() == "BareLocalFileSystem"
    files.create(path, True).close()
    files.setPermission(path, jvm.org.apache.hadoop.fs.permission.FsPermission("640"))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    manager = jvm.org.apache.spark.sql.execution.streaming.checkpointing.CheckpointFileManager
    assert manager.create(path, settings).getClass().getSimpleName() == "FileSystemBasedCheckpointFileManager"
