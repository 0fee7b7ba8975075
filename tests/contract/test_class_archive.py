"""The archive of classes: Spark's JVM starts from it where it fits, and without it where it does not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from cdc.bootstrap.spark import fetch_spark
from cdc.spark.class_archive import archive_of, make

SESSION = """
import sys
from pathlib import Path
from cdc.config.models import SparkConfig
from cdc.ops.logs import set_up_logs
from cdc.spark.session import spark_session
set_up_logs("json", "INFO")
session = spark_session(SparkConfig(master="local[1]", driver_memory="1g"), Path(sys.argv[1]), brief=True)
print("answer", session.sql("SELECT 40 + 2").collect()[0][0])
"""


def test_the_jvm_starts_from_the_archive(lake: tuple[Any, Any]) -> None:
    session, _ = lake
    pid = session.sparkContext._gateway.proc.pid  # noqa: SLF001
    mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    assert str(archive_of(fetch_spark())) in mapped


def test_an_archive_that_does_not_fit_is_passed_over_in_silence(tmp_path: Path) -> None:
    """A service that is slow to start is one; a service that does not start, or warns each time, is none."""
    for jar in fetch_spark().glob("*.jar"):
        (tmp_path / jar.name).symlink_to(jar)
    archive_of(tmp_path).write_bytes(archive_of(fetch_spark()).read_bytes())  # of a class path elsewhere
    command = [sys.executable, "-c", SESSION, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "answer 42"
    assert "archive" not in (done.stdout + done.stderr).lower()


def test_a_folder_that_cannot_be_written_to_has_no_archive_and_it_is_told_why() -> None:
    told: list[str] = []
    make(Path("/proc/self"), told.append)  # nobody can, not even root
    assert told[-1].startswith("no archive of classes, Spark starts without it: ")


def test_jars_that_no_jvm_starts_with_have_no_archive_and_it_is_told_why(tmp_path: Path) -> None:
    told: list[str] = []
    make(tmp_path, told.append)
    assert (
        told[-1]
        == f"no archive of classes, Spark starts without it: cdc.core.errors.ConfigError: no jars in {tmp_path}"
    )
    assert list(tmp_path.iterdir()) == []
