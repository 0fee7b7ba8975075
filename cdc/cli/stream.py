"""``cdc stream``: the always-on service."""

import signal
import threading
from typing import Annotated

import typer

from cdc.bootstrap.service import run_stream
from cdc.cli.options import DEFAULT_CONFIG, ConfigPath, SourceNames
from cdc.config.loader import load_config
from cdc.config.models import Config


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
    stop, reload_now = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: reload_now.set())

    def load() -> Config:
        return load_config(config, only=source)

    run_stream(load(), stop, standby=standby, reload=load, reload_now=reload_now)
