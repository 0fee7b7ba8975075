import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cdc.core.errors import ConfigError, PreflightError
from cdc.core.progress import PartitionProgress, Progress, Ranges
from cdc.spark.class_archive import archive_of
from cdc.spark.jvm import LOG_OPTION, arguments
from cdc.spark.local_files import local_file_settings
from cdc.spark.master import require_master
from cdc.spark.session import (
    INTERPRETED_ROWS,
    SETTINGS,
    SessionPool,
    Siblings,
    build_session,
    catalog_properties,
    session_settings,
)
from cdc.spark.source import OffsetLog, starting_offsets
from tests.fakes.configuration import CANARY, configuration

BASE = {"warehouse": "w", "cache-enabled": "false"}
USER = {"username": "u", "password": "${env:P}"}


@pytest.mark.parametrize(
    ("catalog", "expected"),
    [
        (
            {"type": "rest", "uri": "http://c", "credential": "${env:C}", "token": "${env:T}"},
            {"uri": "http://c", "credential": CANARY, "token": CANARY},
        ),
        (
            {"type": "jdbc", "uri": "jdbc:postgresql://db/c", **USER},
            {
                "uri": "jdbc:postgresql://db/c",
                "jdbc.schema-version": "V1",
                "jdbc.user": "u",
                "jdbc.password": CANARY,
                "jdbc.socketTimeout": "60",
            },
        ),
        ({"type": "glue", "region": "eu-west-1"}, {"client.region": "eu-west-1"}),
        ({"type": "hive", "uri": "thrift://m:9083"}, {"uri": "thrift://m:9083"}),
        ({"type": "hadoop"}, {}),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else None,
)
def test_catalogs_in_the_words_of_iceberg(catalog: dict[str, Any], expected: dict[str, str]) -> None:
    """S6."""
    config = configuration(catalog={**catalog, "warehouse": "w", "properties": {"io-impl": "x"}})
    properties = catalog_properties(config.catalog)
    assert properties == {"type": catalog["type"], **BASE, **expected, "io-impl": "x"}


def test_optional_parts_of_a_catalog_stay_out() -> None:
    rest = configuration(catalog={"type": "rest", "uri": "http://c", "warehouse": "w"})
    assert set(catalog_properties(rest.catalog)) == {"type", "warehouse", "cache-enabled", "uri"}
    jdbc = configuration(catalog={"type": "jdbc", "uri": "jdbc:postgresql://h/c", "warehouse": "w"})
    assert "jdbc.password" not in catalog_properties(jdbc.catalog)


def test_a_session_without_jars_is_refused_before_java_starts(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="no jars in"):
        build_session(configuration(), tmp_path)


def test_what_a_value_becomes_is_settled_for_every_session() -> None:
    """P67, S38, S39: UTC, exact names, errors instead of nulls, and the calendar of the sources."""
    settled = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.caseSensitive": "true",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    }
    assert SETTINGS.items() >= settled.items()
    for name, value in settled.items():
        assert configuration(spark={"properties": {name: value.lower()}}).spark.properties == {name: value.lower()}
        with pytest.raises(ValidationError, match=f"must leave {name} at {value}: values would be falsified"):
            configuration(spark={"properties": {name: "another"}})


JARS = ["/jars/globalmentor-core-0.7.3.jar", "/jars/hadoop-bare-naked-local-fs-0.1.0.jar", "/jars/other.jar"]


def test_local_files_need_no_process_each_where_the_jars_for_it_are() -> None:
    settings = local_file_settings(JARS, {})
    assert settings["spark.hadoop.fs.file.impl"].endswith("BareLocalFileSystem")
    assert local_file_settings(JARS, {"spark.hadoop.fs.file.impl": "own"})["spark.hadoop.fs.file.impl"] == "own"
    assert local_file_settings(JARS[1:], {}) == {}, "jars of an older release"


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """A folder of two jars."""
    for name in ("a.jar", "b.jar"):
        (tmp_path / name).touch()
    return tmp_path


def test_jars_are_on_the_class_path_where_tasks_run_in_the_driver_and_sent_to_executors_elsewhere(jars: Path) -> None:
    """What Spark loads by itself is in no archive of classes, and copied once more."""
    own = {"spark.driver.extraClassPath": "/own", "spark.jars": "/more.jar"}
    here = session_settings(configuration(spark={"properties": own}).spark, jars)
    assert here["spark.driver.extraClassPath"] == f"{jars}/a.jar:{jars}/b.jar:/own"
    assert here["spark.jars"] == "/more.jar"
    there = session_settings(configuration(spark={"master": "yarn", "properties": {}}).spark, jars)
    assert there["spark.jars"] == f"{jars}/a.jar,{jars}/b.jar"
    assert "spark.driver.extraClassPath" not in there


def test_an_archive_of_classes_is_used_once_it_is_there(jars: Path) -> None:
    config = configuration(spark={"properties": {"spark.driver.extraJavaOptions": "-Dx=1"}}).spark
    assert "Archive" not in session_settings(config, jars)["spark.driver.extraJavaOptions"]
    archive_of(jars).touch()
    options = session_settings(config, jars)["spark.driver.extraJavaOptions"]
    assert f"-XX:SharedArchiveFile={archive_of(jars)}" in options
    assert "-Dx=1" in options
    (jars / "c.jar").touch()
    assert "Archive" not in session_settings(config, jars)["spark.driver.extraJavaOptions"], "it is of other jars"


SETTINGS_WITH_A_SECRET = {
    "spark.authenticate.secret": CANARY,
    "spark.hadoop.fs.s3a.secret.key": CANARY,
    "spark.executor.extraJavaOptions": "-Dx=1",
    "spark.driver.host": "driver.example.com",
    "spark.pyspark.python": "/opt/cdc/bin/python",
    "spark.hadoop.fs.file.impl": "org.example.Own",
}


@pytest.mark.parametrize("master", ["local[*]", "spark://m:7077", "yarn", "k8s://https://k"])
def test_settings_that_may_be_secrets_are_no_arguments_of_a_process(master: str, jars: Path) -> None:
    config = configuration(spark={"master": master, "properties": SETTINGS_WITH_A_SECRET, "driver_memory": "3g"})
    settings = session_settings(config.spark, jars)
    assert settings["spark.authenticate.secret"] == CANARY
    shown = arguments(settings)
    assert CANARY not in "".join(shown.values())
    assert (shown["spark.master"], shown["spark.driver.memory"]) == (master, "3g")
    paths = shown["spark.driver.extraClassPath"].split(":") if master == "local[*]" else shown["spark.jars"].split(",")
    assert paths == [f"{jars}/a.jar", f"{jars}/b.jar"]
    assert LOG_OPTION in shown["spark.driver.extraJavaOptions"]
    assert shown["spark.hadoop.fs.file.impl"] == "org.example.Own", (
        "`spark-submit` keeps the first file system it makes"
    )


def test_executors_elsewhere_reach_the_driver_and_log_no_values_of_rows(jars: Path) -> None:
    here = session_settings(configuration(spark={"properties": {}}).spark, jars)
    assert (here["spark.driver.host"], here["spark.driver.bindAddress"]) == ("127.0.0.1", "127.0.0.1")
    assert here["spark.executor.killOnFatalError.depth"] == "0"
    there = session_settings(configuration(spark={"master": "spark://m:7077", "properties": {}}).spark, jars)
    assert not {"spark.driver.host", "spark.driver.bindAddress", "spark.executor.killOnFatalError.depth"} & set(there)
    assert there["spark.executor.extraJavaOptions"] == LOG_OPTION
    own = session_settings(configuration(spark={"master": "yarn", "properties": SETTINGS_WITH_A_SECRET}).spark, jars)
    assert own["spark.executor.extraJavaOptions"] == f"{LOG_OPTION} -Dx=1"
    assert (own["spark.driver.host"], own["spark.pyspark.python"]) == ("driver.example.com", "/opt/cdc/bin/python")


def test_a_master_that_does_not_answer_is_named_before_java_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert require_master(f"spark://127.0.0.1:1,127.0.0.1:{port}") == f"127.0.0.1:{port}"
    for address in (f"127.0.0.1:{port}", "127.0.0.1", "no port:x"):
        with pytest.raises(PreflightError, match="does not answer") as raised:
            require_master(f"spark://{address}")
        assert "spark.master" in raised.value.hint
    assert [require_master(other) for other in ("local[*]", "yarn", "k8s://https://k")] == ["", "", ""]


class MemorySession:
    """Settings of a Spark session and its siblings."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}

    @property
    def conf(self) -> "MemorySession":
        return self

    def newSession(self) -> "MemorySession":  # noqa: N802 - Spark's name
        return MemorySession()

    @property
    def sparkContext(self) -> "MemorySession":  # noqa: N802 - Spark's name
        return self

    def setLocalProperty(self, name: str, value: str) -> None:  # noqa: N802 - Spark's name
        self.settings[name] = value

    def get(self, name: str) -> str | None:
        return self.settings.get(name)

    def set(self, name: str, value: str) -> None:
        self.settings[name] = value


def test_every_loan_of_a_session_is_set_up_for_its_number_of_rows() -> None:
    """Small batches compiled 150 classes each time, whose code was thrown away after one use."""
    pool = SessionPool(MemorySession(), configuration().catalog, 1)  # type: ignore[arg-type]
    modes = []
    for rows in (0, INTERPRETED_ROWS, INTERPRETED_ROWS + 1, 5):
        with pool.borrow(lambda rows=rows: rows, "topic") as session:  # type: ignore[misc]
            modes.append(session().conf.get("spark.sql.codegen.factoryMode"))
    assert modes == ["NO_CODEGEN", "NO_CODEGEN", "FALLBACK", "NO_CODEGEN"]


def test_sessions_that_are_free_are_lent_again() -> None:
    """S6: two hundred loads had a session each, with two connections to the catalog: its database refused more."""
    siblings = Siblings(MemorySession(), configuration().catalog)  # type: ignore[arg-type]
    with siblings.lend() as first, siblings.lend() as second:
        assert first is not second
    with siblings.lend() as one, siblings.lend() as other:
        assert {id(one), id(other)} == {id(first), id(second)}


def test_work_without_spark_waits_for_no_session() -> None:
    pool = SessionPool(MemorySession(), configuration().catalog, 1)  # type: ignore[arg-type]
    with pool.borrow(lambda: 0, "a") as first, pool.borrow(lambda: 0, "b"), pool.borrow(lambda: 0, "c"):
        held = first()
        assert first() is held
    with pool.borrow(lambda: 0, "d") as later:
        assert later() is held, "it was given back"


def test_every_partition_starts_at_its_next_offset() -> None:
    """A partition that the table does not know is new, and is read from its beginning."""
    known = Progress("a", "id", {0: PartitionProgress(7), 1: PartitionProgress(0)})
    text = starting_offsets({"a": (known, frozenset({0, 1, 2})), "b": (Progress("b", "id"), frozenset({0}))})
    assert text == '{"a": {"0": 7, "1": 0, "2": -2}, "b": {"0": -2}}'


def test_the_ranges_of_a_batch_are_known_from_the_offsets_before_it(tmp_path: Path) -> None:
    """As Spark notes them: a version, what it knows of the batch, the offsets; not after a gap."""
    (tmp_path / "offsets").mkdir()
    log = OffsetLog(str(tmp_path))

    def batch(number: int, offsets: str) -> Ranges | None:
        (tmp_path / "offsets" / str(number)).write_text(f'v1\n{{"batchTimestampMs":0}}\n{offsets}')
        return log.ranges_of(number)

    assert batch(0, '{"a":{"0":5,"1":7}}') is None, "where the query began is not there"
    assert batch(1, '{"a":{"0":8,"1":7},"b":{"0":1}}') is None, "a topic that was not there"
    assert batch(2, '{"a":{"0":10,"1":17},"b":{"0":2}}') == {"a": {0: (8, 10), 1: (7, 17)}, "b": {0: (1, 2)}}
    assert batch(4, '{"a":{"0":10,"1":17},"b":{"0":2}}') is None
    assert batch(5, '{"a":{"0":11,"1":17},"b":{"0":2}}') == {"a": {0: (10, 11), 1: (17, 17)}, "b": {0: (2, 2)}}
    assert batch(6, "-") is None
    assert log.ranges_of(7) is None
    assert OffsetLog("s3://bucket/checkpoint").ranges_of(0) is None


def test_the_first_batch_of_a_query_begins_where_spark_notes_that_the_query_does(tmp_path: Path) -> None:
    """There the beginning of a partition is a number; a zero byte comes first."""
    (tmp_path / "offsets").mkdir()
    (tmp_path / "sources" / "0").mkdir(parents=True)
    (tmp_path / "sources" / "0" / "0").write_text('\0v1\n{"a":{"0":5,"1":0}}')
    (tmp_path / "offsets" / "0").write_text('v1\n{"batchTimestampMs":0}\n{"a":{"0":6,"1":0}}')
    assert OffsetLog(str(tmp_path)).ranges_of(0) == {"a": {0: (5, 6), 1: (0, 0)}}
