"""Unit costs: what one change, one table and one micro-batch cost, and what one server is held to carry, with origins.

Seconds are processor seconds, sizes bytes. MEASURED values stand in docs/evidence.md under the heading that is named;
a SETTING is the default of the configuration; an ASSUMED value was measured by nobody here.
"""

from dataclasses import Field, dataclass, field, fields, replace

from cdc.core.errors import ConfigError

_CONNECT = "measured: The Connect stage"
_FRESH = "measured: Freshness"
_SMALL = "measured: A batch in processor seconds, commits and files"
_SINK = "measured: The sink alone"


def _unit(value: float, what: str, origin: str) -> float:
    unit: float = field(default=value, metadata={"what": what, "origin": origin})
    return unit


@dataclass(frozen=True)
class Costs:
    """Unit costs, each with a default that ``described`` explains."""

    task_changes: float = _unit(25_253, "changes/s that the one task of a connector carries (PostgreSQL)", _CONNECT)
    task_seconds: float = _unit(40e-6, "of Connect for a change", _CONNECT)
    event_bytes: float = _unit(485, "of a change in its topic, 8 columns, Avro, not compressed", _CONNECT)
    change_seconds: float = _unit(54.1e-6, "of Spark for a change: read, decoded, collapsed, merged", _SINK)
    rewrite_seconds: float = _unit(
        0.075, "of a table's batch that rewrites the table without Spark, all of the service in it", _FRESH
    )
    gather_seconds: float = _unit(1.84, "of a table's batch that the core collapses and Spark merges", _SMALL)
    merge_seconds: float = _unit(3.61, "of a table's batch that Spark collapses and merges", _SMALL)
    batch_commits: float = _unit(2, "to the catalog of a table's batch, with deletes; 3 where Spark merges", _FRESH)
    rewrite_files: float = _unit(8, "written by a batch that rewrites, without the commits' own", _SMALL)
    gather_files: float = _unit(9, "written by a batch that the core collapses and Spark merges", _SMALL)
    merge_files: float = _unit(10.7, "written by a batch that Spark collapses and merges", _SMALL)
    small_batch: float = _unit(
        200_000, "messages up to which the core collapses a table's batch", "setting: stream.driver_messages"
    )
    pipeline_commits: float = _unit(0.67, "a second to the catalog for lease, status and ledger", "setting: stream")
    partitions: float = _unit(1, "partitions of a topic", "setting: kafka.partitions")
    retention: float = _unit(7 * 86_400, "that topics keep a change", "setting: kafka.retention")
    replicas: float = _unit(3, "replicas of a topic", "assumed: production")
    driver_cores: float = _unit(2, "cores that one driver keeps busy", "assumed: nothing here was run on more than two")
    driver_bytes: float = _unit(1.1 * 2**30, "of a service with its JVM, 7 tables", _FRESH)
    executor_bytes: float = _unit(2**30, "of an executor's core", "measured: Executors in other JVMs")
    worker_tasks: float = _unit(8, "tasks of a Connect worker", "assumed")
    worker_bytes: float = _unit(4 * 2**30, "of a Connect worker", "assumed")
    broker_partitions: float = _unit(4_000, "replicas of partitions of a broker", "assumed")
    broker_bytes: float = _unit(50e6, "a second that a broker takes in, replicas counted", "assumed")
    busy: float = _unit(0.7, "share of a server that is planned to be used; the rest is for catching up", "assumed")

    def given(self, values: dict[str, float]) -> "Costs":
        """Return the costs with some of one's own; raises ConfigError for a name that is none, or a value below 0."""
        known = [one.name for one in fields(self)]
        for name, value in values.items():
            if name not in known or value <= 0:
                what = f"{name!r} is no unit cost" if name not in known else f"unit cost {name!r} must be above 0"
                raise ConfigError(what, hint=f"there are {', '.join(known)}")
        return replace(self, **values)


@dataclass(frozen=True)
class Unit:
    """A unit cost as it is shown."""

    name: str
    value: float
    what: str
    origin: str


def described(costs: Costs) -> list[Unit]:
    """Return all unit costs with what they count and where they come from; one's own say so."""
    return [_described(costs, one) for one in fields(costs)]


def _described(costs: Costs, one: Field) -> Unit:  # type: ignore[type-arg]
    value = getattr(costs, one.name)
    origin = one.metadata["origin"] if value == one.default else "given"
    return Unit(one.name, value, one.metadata["what"], origin)
