"""``cdc capacity``: what a number of tables and changes needs, worked out from unit costs."""

import io
import json
import re
import shlex
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.options import Json
from cdc.config.loader import load_config
from cdc.config.models import Config
from cdc.core.capacity import Need, Shape, need
from cdc.core.capacity_units import Costs, described
from cdc.core.errors import ConfigError

PAGE = Path("docs/capacity.md")
_BLOCK = re.compile(r"(<!-- cdc capacity ?(.*?) -->\n```\n).*?(```\n)", re.DOTALL)

Tables = Annotated[int | None, typer.Option("--tables", min=1, help="Tables; by default those of --config.")]
Changes = Annotated[float, typer.Option("--changes", min=0.001, help="Changes a second, of all tables together.")]
Interval = Annotated[
    float, typer.Option("--interval", min=0.1, help="Seconds between two commits of a table that changes all the time.")
]
Sources = Annotated[int | None, typer.Option("--sources", min=1, help="Databases; by default those of --config, or 1.")]
Small = Annotated[
    float, typer.Option("--small", min=0, max=1, help="Share of the tables with at most 20,000 rows and 1 MiB.")
]
Units = Annotated[
    list[str] | None, typer.Option("--unit", help="A unit cost of your own, NAME=VALUE; may be given again.")
]
ShowUnits = Annotated[bool, typer.Option("--units", help="List the unit costs instead, each with its origin.")]
OfConfig = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration whose tables, sources and topics are meant.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capacity")(capacity)


def capacity(  # noqa: PLR0913 - its options
    tables: Tables = None,
    changes: Changes = 1000,
    interval: Interval = 60,
    sources: Sources = None,
    small: Small = 0,
    unit: Units = None,
    config: OfConfig = None,
    *,
    units: ShowUnits = False,
    as_json: Json = False,
) -> None:
    """Say what so many tables and changes need: tasks, partitions, services, cores, memory, commits, files.

    Worked out from unit costs that were measured, set or assumed; docs/capacity.md has them, the formulae and their
    limits. Nothing is asked or changed.
    """
    own = None if config is None else load_config(config, secrets=False)
    costs = Costs().given({**_settings(own), **_values(unit or [])})
    if units:
        typer.echo(json.dumps([asdict(one) for one in described(costs)], indent=2) if as_json else units_text(costs))
        return
    found = need(Shape(tables or _tables(own), changes, interval, sources or _sources(own), small), costs)
    typer.echo(json.dumps(document(found), indent=2) if as_json else text(found))


def _tables(config: Config | None) -> int:
    count = sum(not table.pattern for source in config.sources for table in source.tables) if config else 0
    if not count:
        raise ConfigError("how many tables is not known", hint="give --tables, or a --config that names its tables")
    return count


def _sources(config: Config | None) -> int:
    return len(config.sources) if config else 1


def _settings(config: Config | None) -> dict[str, float]:
    if config is None:
        return {}
    kafka = config.kafka
    found = {"partitions": kafka.partitions, "replicas": kafka.replication_factor}
    return {**found, "retention": kafka.retention.total_seconds()}


def _values(texts: list[str]) -> dict[str, float]:
    try:
        return {name.strip(): float(value) for name, _, value in (one.partition("=") for one in texts)}
    except ValueError:
        raise ConfigError(
            "a --unit is not NAME=VALUE with a number", hint="`cdc capacity --units` lists them"
        ) from None


def document(found: Need) -> dict[str, object]:
    """Return what is needed as JSON has it; rates are a second's, sizes bytes."""
    return {**asdict(found), "limiting": found.limiting.name}


def text(found: Need) -> str:
    """Return what is needed as lines."""
    shape, connect, kafka, spark = found.shape, found.connect, found.kafka, found.spark
    lines = {
        "load": f"{_many(shape.tables, 'table')} of {_many(shape.sources, 'database')}, {shape.changes:,.0f} "
        f"changes/s, a commit every {shape.interval:g} s",
        "meanwhile": f"{_many(round(spark.touched), 'table')} with {spark.batch:,.0f} changes each",
        "pipelines": f"{found.pipelines:,}, with {spark.micro_batch:,.0f} changes in a micro-batch",
        "Connect": f"{_many(connect.tasks, 'task')} in {_many(connect.workers, 'worker')} with {_gib(connect.bytes)}; "
        f"{_cores(connect.cores)} busy",
        "Kafka": f"{_many(kafka.topics, 'topic')} with {_many(kafka.partitions, 'partition')} on "
        f"{_many(kafka.brokers, 'broker')}; {kafka.bytes_in / 1e6:,.1f} MB/s, {kafka.bytes_kept / 1e12:,.2f} TB kept",
        "services": f"{spark.drivers:,} with {_many(spark.driver_cores, 'core')} and {_gib(spark.driver_bytes)}; "
        f"tables ({', '.join(spark.ways)}) keep {_cores(spark.table_cores)} busy",
        "executors": f"{_many(spark.executor_cores, 'core')} with {_gib(spark.executor_bytes)}; changes keep "
        f"{_cores(spark.change_cores)} busy",
        **_lake(found),
    }
    return "\n".join(f"{name:<11} {said}" for name, said in lines.items())


def _lake(found: Need) -> dict[str, str]:
    lake, limit = found.lake, found.limiting
    return {
        "catalog": f"{lake.commits:,.1f} commits/s",
        "store": f"{lake.writes:,.1f} files written/s, {lake.files_a_day / 1e6:,.2f} million a day",
        "limited by": f"{limit.name}: {limit.fills:,.2f} {limit.unit} filled to the brim, {limit.planned:,} planned",
    }


def units_text(costs: Costs) -> str:
    """Return the unit costs as lines."""
    return "\n".join(f"{one.name:<17} {_value(one.value):>13}  {one.what} ({one.origin})" for one in described(costs))


def render_capacity() -> str:
    """Return docs/capacity.md with every block as the command in the comment above it prints today."""
    page = Path(__file__).parents[2] / PAGE
    return _BLOCK.sub(lambda found: f"{found[1]}{printed(found[2])}{found[3]}", page.read_text(encoding="utf-8"))


def printed(options: str) -> str:
    """Return what ``cdc capacity`` prints with these options."""
    app = typer.Typer()
    register(app)
    with redirect_stdout(io.StringIO()) as output:
        typer.main.get_command(app).main(shlex.split(options), "cdc capacity", standalone_mode=False)
    return output.getvalue()


def _value(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _many(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def _cores(cores: float) -> str:
    return f"{cores:,.2f} cores" if cores < 10 else f"{cores:,.0f} cores"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"
