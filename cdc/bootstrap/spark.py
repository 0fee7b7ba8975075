"""Spark's session of a configuration, and what it takes from disk: jars, and the archive of their classes."""

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from cdc.config.models import Config
from cdc.local import artifacts
from cdc.local.places import cache
from cdc.local.state import locked
from cdc.spark import class_archive
from cdc.spark.session import begin_jvm, build_session


def fetch_spark(on_step: Callable[[str], None] = lambda _: None) -> Path:
    """Return the folder with Spark's jars and the archive of their classes, each brought or made if it is not there."""
    jars = artifacts.spark_jars(on_step)
    with locked(cache() / "classes.lock", "the archive of classes", patient=True):
        class_archive.make(jars, on_step)
    return jars


def open_session(config: Config, *, brief: bool = False) -> SparkSession:
    """Return a session of the configuration, in ``brief`` one that is to run for minutes; raises as it does."""
    return build_session(config, jars_of(config), brief=brief)


def begin_spark(config: Config) -> None:
    """Have the JVM of the session start meanwhile."""
    begin_jvm(config, jars_of(config))


def jars_of(config: Config) -> Path:
    """Return the folder that a configuration's Spark takes its jars from."""
    return Path(config.spark.jars) if config.spark.jars else artifacts.distribution("spark").folder
