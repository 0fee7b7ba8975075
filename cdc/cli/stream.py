"""``cdc stream``: the always-on service."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Annotated

import structlog
import typer

from cdc.bootstrap.spark import begin_spark
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, SourceNames
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.ops.logs import set_up_logs

log = structlog.get_logger()

STOP_SECONDS = 28.0
"""How long a stop may take; supervisors of processes mostly kill after thirty."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("stream")(stream)


def stream(
    config: ConfigPath = DEFAULT_CONFIG,
    source: SourceNames = None,
    standby: Annotated[bool, typer.Option("--standby", help="Wait while another instance holds the lease.")] = False,
) -> None:
    """Merge change events into the lake until told to stop (SIGTERM or Ctrl-C).

    Follows the tables of the configuration file while it runs; SIGHUP makes it look at once. Ends with exit code 0
    after a stop, 1 with one sentence when it cannot go on.
    """
    stop, reload_now, ended = threading.Event(), threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: reload_now.set())

    def load() -> Config:
        return load_config(config, only=source)

    threading.Thread(target=end_in_time, args=(stop, ended), name="stop", daemon=True).start()
    try:
        configured = load()
        set_up_logs(configured.operations.log_format, configured.operations.log_level)
        begin_spark(configured)
        from cdc.bootstrap.service import run_stream  # noqa: PLC0415 - takes a second, in which the JVM starts

        run_stream(configured, stop, standby=standby, reload=load, reload_now=reload_now)
    finally:
        ended.set()


def end_in_time(stop: threading.Event, ended: threading.Event) -> None:
    """End the process when it has not come to its end in time after a stop: some call waits for what does not answer.

    What was abandoned is published by nobody, and the lease runs out by itself.
    """
    stop.wait()
    if not ended.wait(STOP_SECONDS):
        log.error("ended by force", seconds=STOP_SECONDS, hint="what does not answer? see the lines before, cdc doctor")
        end(1)


end: Callable[[int], None] = os._exit
"""Ends the process at once."""
