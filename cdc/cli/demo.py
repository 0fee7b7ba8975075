"""``cdc demo``: everything at once on this machine, watched live and verified at the end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console

from cdc.bootstrap.at_rest import line, verify_when_caught_up
from cdc.bootstrap.connectors import connectors_of
from cdc.bootstrap.spark import fetch_spark
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.config.sources import MySqlSource, PostgresSource, SourceConfig
from cdc.core.errors import CdcError, ConfigError, PreflightError
from cdc.kafka.topics import KafkaTopics
from cdc.lake.activity import Activity, TableActivity
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.local import artifacts, system
from cdc.local.addresses import Addresses
from cdc.local.demo.shop import Shop
from cdc.local.demo.view import Line, View
from cdc.local.demo.workload import Connection, Workload, apply, connect_mysql, connect_postgres, create_tables
from cdc.local.launching import last_lines
from cdc.local.places import REPOSITORY, stack_folder
from cdc.local.processes import Launch, ProcessId, alive, start, stop
from cdc.local.stack import LocalStack
from cdc.local.state import locked
from cdc.pipeline.verify import VerifyReport
from cdc.sources.postgres import publication_sql
from cdc.spark.session import QUICK_START

CONFIG = REPOSITORY / "config" / "local.yaml"
_SOURCES = {"postgres": "shop", "mysql": "store"}
_TOPICS_SECONDS = 60.0
_FIRST_ROW_SECONDS = 300.0
_CATCH_UP_SECONDS = 180.0
_QUICK = {
    "CDC_OPERATIONS__HTTP_PORT": "0",
    "CDC_STREAM__PARALLEL_TABLES": str(min(4, os.cpu_count() or 1)),
    "CDC_SPARK__PROPERTIES__spark.driver.extraJavaOptions": QUICK_START,
}
"""Settings with which the first rows arrive sooner on a small machine."""


Sources = Annotated[str, typer.Option("--sources", help="Databases to capture, with commas: postgres, mysql.")]
Seconds = Annotated[float, typer.Option("--seconds", envvar="DEMO_SECONDS", min=0, help="End by itself; 0: Ctrl-C.")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, help="Changes a second, per source.")]
Name = Annotated[str, typer.Option("--name", help="Name of the stack that the demo starts.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the workload.")]


def register(app: typer.Typer) -> None:
    """Add ``cdc demo`` to the root command."""
    app.command()(demo)


def demo(
    sources: Sources = "postgres", seconds: Seconds = 0, rate: Rate = 200, seed: Seed = 1, name: Name = "demo"
) -> None:
    """Stream a live workload from real databases into Iceberg, show it, and verify every column of every row.

    Starts a stack of its own (`cdc local status --name demo`) and stops all of it at the end. Exit code 1 on any
    difference.
    """
    engines = [part.strip() for part in sources.split(",") if part.strip()]
    unknown = [engine for engine in engines if engine not in _SOURCES]
    if unknown or not engines:
        raise ConfigError(f'the demo has no source "{sources}"', hint="postgres, mysql or postgres,mysql")
    console = Console(highlight=False, soft_wrap=True)
    with locked(stack_folder(name).with_suffix(".lock"), f'demo "{name}"'):
        run = Demo(name, engines, console)
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell that starts it in the background has SIGINT ignored
            signal.signal(number, run.interrupt)
        try:
            report = run.run(seconds, rate, seed)
        except KeyboardInterrupt:
            run.tidy_up()  # again: the key may have been hit just as the first time began
            console.print("stopped before the verification")
            raise typer.Exit(130) from None
    if not report.equal:
        raise typer.Exit(1)


class Demo:
    """One run of the demo."""

    def __init__(self, name: str, engines: Sequence[str], console: Console) -> None:
        self._engines = engines
        self._console = console
        self._stack = LocalStack(name)
        self._stream: ProcessId | None = None
        self._interrupted = threading.Event()

    def interrupt(self, *_: object) -> None:
        """Handle a signal: remembered as well as raised, since an exception inside a library's callback is lost."""
        self._interrupted.set()
        raise KeyboardInterrupt

    def run(self, seconds: float, rate: float, seed: int) -> VerifyReport:
        """Run from nothing to nothing, and return what the verification found."""
        with self._cleaned_up():
            addresses = self._start_stack()
            config = load_config(CONFIG, addresses.environment(), only=[_SOURCES[e] for e in self._engines])
            shops = [_shop(source, addresses, seed) for source in config.sources]
            self._start_streaming(config, addresses)
            changes = self._watch(config, shops, seconds, rate)
            self._tell(f"{changes} changes made; waiting for the lake, then comparing every column of every row")
            return self._verify(config)

    @contextmanager
    def _cleaned_up(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.tidy_up()

    def tidy_up(self) -> None:
        """Stop everything; from here on nothing may cut that short. Idempotent."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self._tell("stopping everything")
        if self._stream is not None:
            stop([self._stream], signal.SIGTERM, 30)
        self._stack.down()

    def _start_stack(self) -> Addresses:
        self._stack.down(wipe=True)  # what an earlier demo left
        fetch_spark(self._tell)
        return self._stack.up(self._engines, on_step=self._tell)

    def _start_streaming(self, config: Config, addresses: Addresses) -> None:
        """Register the connectors; the service starts as soon as their topics are there."""
        topics = KafkaTopics(config.kafka)
        wanted = [source.topic_of(table) for source in config.sources for table in source.tables]
        registrations = [Registration(config, source.name) for source in config.sources]
        _await(lambda: len(topics.existing(wanted)) == len(wanted), registrations, _TOPICS_SECONDS)
        self._stream = self._start_service(config, addresses)
        for registration in registrations:
            registration.join()
            registration.check()
            self._tell(f"connector {registration.source} runs")

    def _start_service(self, config: Config, addresses: Addresses) -> ProcessId:
        names = [part for source in config.sources for part in ("--source", source.name)]
        command = [sys.executable, "-m", "cdc", "stream", "--config", str(CONFIG), *names]
        environment = addresses.environment() | {
            "HOME": str(Path.home()),
            "PATH": f"{Path(system.java()).parent}:/usr/local/bin:/usr/bin:/bin",
            "CDC_SPARK__JARS": str(artifacts.spark_jars()),
            **_QUICK,
        }
        launch = Launch(command, self._stack.folder, environment)
        return start(launch, self._log, f"{self._stack.folder}:stream")

    @property
    def _log(self) -> Path:
        return self._stack.folder / "logs" / "stream.log"

    def _watch(
        self, config: Config, shops: Sequence[tuple[Callable[[], Connection], Shop]], seconds: float, rate: float
    ) -> int:
        """Run the workload and show the lake until the time is over or Ctrl-C; return the number of changes."""
        activity = Activity(open_catalog(config.catalog), [s.target_of(t) for s in config.sources for t in s.tables])
        view, workloads = View(self._console), [Workload(connect, shop, rate) for connect, shop in shops]
        with ExitStack() as running:
            running.callback(view.close)
            self._await_first_row(activity)
            with suppress(KeyboardInterrupt):
                for workload in workloads:
                    running.enter_context(workload)
                self._show(activity, view, workloads, seconds)
        self._interrupted.clear()
        return sum(workload.changes for workload in workloads)

    def _await_first_row(self, activity: Activity) -> None:
        """Wait for the first rows that are loaded; the workload begins when there is something to see."""
        self._tell("the service starts; the first rows to come are those that it loads")
        deadline = time.monotonic() + _FIRST_ROW_SECONDS
        while not any(look.rows for look in activity.look()):
            self._check(())
            if time.monotonic() > deadline:
                raise PreflightError(
                    f"no row was in the lake after {_FIRST_ROW_SECONDS:.0f} s", hint=f"see {self._log}"
                )
            time.sleep(0.2)
        self._tell(f"first row queryable in the lake {_running_for():.1f} s after the command")

    def _show(self, activity: Activity, view: View, workloads: Sequence[Workload], seconds: float) -> None:
        began = time.monotonic()
        while not seconds or time.monotonic() - began < seconds:
            view.show([_line(look) for look in activity.look()], sum(workload.changes for workload in workloads))
            self._check(workloads)
            time.sleep(1)

    def _check(self, workloads: Sequence[Workload]) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        if self._stream is not None and not alive(self._stream):
            raise PreflightError(
                f"the service ended; the end of {self._log}:\n{last_lines(self._log)}", hint=f"all of it: {self._log}"
            )
        for workload in workloads:
            if workload.error is not None:
                raise PreflightError("the workload ended", hint="cdc local logs --name demo") from workload.error

    def _verify(self, config: Config) -> VerifyReport:
        """Verify until all is equal; give up when the lake has had long enough to catch up."""
        report = verify_when_caught_up(config, _CATCH_UP_SECONDS, lambda: self._check(()))
        for table in report.tables:
            self._console.print(line(table), style="green" if table.equal else "bold red", markup=False)
        return report

    def _tell(self, step: str) -> None:
        self._console.print(f"[{_running_for():5.1f} s] {step}", markup=False)


def _shop(source: SourceConfig, addresses: Addresses, seed: int) -> tuple[Callable[[], Connection], Shop]:
    """Create a source's tables with their first rows, which are loaded."""
    connect = _connector(source, addresses)
    shop = Shop(seed, "`" if source.type == "mysql" else '"')
    with closing(connect()) as connection:
        create_tables(connection, source.type)
        apply(connection, shop.stock())
        if isinstance(source, PostgresSource):
            _publish(source, connection)
    return connect, shop


def _connector(source: SourceConfig, addresses: Addresses) -> Callable[[], Connection]:
    password = addresses.environment()[f"CDC_{source.type.upper()}_OWNER_PASSWORD"]
    if isinstance(source, MySqlSource):
        return lambda: connect_mysql(source.host, source.port, password)
    if isinstance(source, PostgresSource):
        return lambda: connect_postgres(source.host, source.port, password)
    raise ConfigError(f"the demo has no {source.type}", hint="postgres, mysql or postgres,mysql")


def _publish(source: PostgresSource, connection: Connection) -> None:
    try:
        apply(connection, [(publication_sql(source), ())])
    except psycopg.Error as error:
        raise PreflightError("could not create the publication", hint="cdc local logs postgres --name demo") from error


class Registration(threading.Thread):
    """Registers one connector in the background; a daemon, so that Ctrl-C need not wait for it."""

    def __init__(self, config: Config, source: str) -> None:
        super().__init__(name=f"register {source}", daemon=True)
        self.source = source
        self._config = config
        self._error: CdcError | None = None
        self.start()

    def run(self) -> None:
        """Create topics and connector, and wait until its task runs."""
        try:
            connectors = connectors_of(self._config)
            connectors.apply(connectors.plan(self.source))
        except CdcError as error:
            self._error = error

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error


def _await(condition: Callable[[], bool], registrations: Sequence[Registration], seconds: float) -> None:
    """Wait for the condition; raises what a registration failed with before it."""
    deadline = time.monotonic() + seconds
    while not condition():
        for registration in registrations:
            registration.check()
        if time.monotonic() > deadline:
            raise PreflightError(
                f"the topics were not there after {seconds:.0f} s", hint="cdc local logs connect --name demo"
            )
        time.sleep(0.2)


def _line(look: TableActivity) -> Line:
    return Line(str(look.name), look.rows, look.events, look.committed_at, look.lag)


def _running_for() -> float:
    """Return the seconds since this process was started, its own loading included."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - started / 100
