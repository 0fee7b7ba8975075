"""Collapse compiled to Spark: the events of each key in a micro-batch become at most one change per key.

Most keys need only their newest event. Keys whose newest event lacks values, or that take part in a key change, are
*entangled*: their events are folded one by one, starting from the row in the table, exactly as ``cdc.core.collapse``
does. Both kinds end as one row per key: ``k, deleted, position, operation, source_ts, folded, v``.
"""

from collections.abc import Iterable
from functools import lru_cache, reduce

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as f

from cdc.core.collapse import MOVED_IN, UNKNOWN
from cdc.core.positions import EPOCH_DIGITS, LAYOUTS, Layout
from cdc.spark.decode import RowShape


def newest(events: DataFrame, key: Iterable[str]) -> DataFrame:
    """Return one row per key with its newest event as ``last``, and what the batch holds of the key.

    Unusable messages and truncates gather under the null key.
    """
    usable = f.col("problem").isNull() & (f.col("operation") != "t")
    last = f.struct("operation", "position", "source_ts", "unavailable", "v")
    # Grouping by plain columns sorts them by prefix; grouping by a struct compares whole rows.
    parts = {f"_key_{n}": name for n, name in enumerate(key)}
    grouped = events.groupBy(*[f.col("k")[name].alias(part) for part, name in parts.items()]).agg(
        f.max_by(last, f.when(usable, f.col("position"))).alias("last"),
        f.count("*").alias("events"),
        f.count_if(f.col("problem").isNotNull()).alias("problems"),
        f.count_if(f.col("problem").isNull() & (f.col("operation") == "t")).alias("truncates"),
        f.count_if("snapshot_read").alias("snapshot_reads"),
        f.bool_or("moved").alias("moved"),
        f.min(f.when(usable, f.col("position"))).alias("first_position"),
        f.max("source_ts").alias("newest_ts"),
        f.max("partition").alias("partition"),
    )
    if not parts:
        return grouped.withColumn("k", f.lit(None).cast("struct<>"))
    whole = f.struct(*[f.col(part).alias(name) for part, name in parts.items()])
    known = f.col(next(iter(parts))).isNotNull()
    return grouped.withColumn("k", f.when(known, whole)).drop(*parts)


def entangled() -> Column:
    """Return whether a row of ``newest`` needs its events folded one by one."""
    return f.col("moved") | ((f.col("last.operation") != "d") & (f.size("last.unavailable") > 0))


def plain_changes(keys: DataFrame) -> DataFrame:
    """Return the changes of the keys whose newest event says it all."""
    last = f.col("last")
    return keys.where(f.col("k").isNotNull() & last["position"].isNotNull() & ~entangled()).select(
        "k",
        (last["operation"] == "d").alias("deleted"),
        last["position"].alias("position"),
        last["operation"].alias("operation"),
        last["source_ts"].alias("source_ts"),
        f.lit(False).alias("folded"),
        last["v"].alias("v"),
    )


def changes_ddl(shape: RowShape) -> str:
    """Return the Spark type of changes."""
    return (
        f"k {shape.key_type}, deleted boolean, position string, operation string, source_ts timestamp, "
        f"folded boolean, v {shape.row_type}"
    )


def fold(
    keys: DataFrame, events: DataFrame, rows: DataFrame, floors: DataFrame | None, shape: RowShape, doubtful: str = ""
) -> DataFrame:
    """Return the state of every entangled key after its events.

    ``rows`` are the table's rows as ``k, position, operation, v``; ``floors`` the positions of deleted keys as
    ``k, floor``. The result has ``k, state``; see ``_State`` for the state's fields.
    """
    wanted = keys.where(f.col("k").isNotNull() & entangled()).select("k")
    ordered = (
        events.where(f.col("problem").isNull() & (f.col("operation") != "t"))
        .join(wanted, "k", "left_semi")
        .groupBy("k")
        .agg(f.collect_list(f.struct(*_EVENT)).alias("events"))
    )
    table = rows.join(wanted, "k", "left_semi").select("k", f.struct("position", "operation", "v").alias("row"))
    joined = ordered.join(table, "k", "left")
    floor: Column = f.lit("")
    if floors is not None:
        joined = joined.join(floors.join(wanted, "k", "left_semi"), "k", "left")
        floor = f.coalesce(f.col("floor"), f.lit(""))
    state = _state(shape.engine, shape.key, tuple(shape.columns.items()), doubtful)
    return joined.withColumn("floor", floor).select("k", state.alias("state")).where(f.col("state.touched"))


@lru_cache(maxsize=256)
def _state(engine: str, key: tuple[str, ...], columns: tuple[tuple[str, str], ...], doubtful: str) -> Column:
    """Return the state after a key's ``events``, from its ``row`` and ``floor``.

    It is the same for every batch, and made of calls to the JVM that take a tenth of a second, more for a wide table.
    """
    rules = _State(RowShape(engine, key, dict(columns), ""), doubtful)
    return f.aggregate(rules.newer("events", f.col("floor")), rules.start(), rules.step)


_EVENT = ("position", "operation", "source_ts", "old_key", "new_key", "unavailable", "v")


class _State:
    """The fold's state as a Spark struct; field by field the same as ``cdc.core.collapse.KeyState``."""

    def __init__(self, shape: RowShape, doubtful: str = "") -> None:
        self._layout = LAYOUTS[shape.engine]
        self._values = shape.row_type
        self._names = tuple(shape.columns)
        self._doubtful = doubtful
        self._image = (
            f"struct<v:{self._values},unavailable:array<string>,old_key:{shape.key_type},arrived_at:string,"
            "doubtful:string>"
        )
        self._departure = f"struct<`to`:{shape.key_type},left_at:string,image:{self._image}>"
        self._arrival = f"struct<origin:{shape.key_type},at:string>"
        self._types = {
            "count": "int",
            "image": self._image,
            "former": self._image,
            "position": "string",
            "operation": "string",
            "source_ts": "timestamp",
            "departures": f"array<{self._departure}>",
            "arrivals": f"array<{self._arrival}>",
            "touched": "boolean",
        }

    def newer(self, events: str, floor: Column) -> Column:
        """Return the key's events in order, without those that the row or a tombstone already covers."""
        least = self._order(f.greatest(f.coalesce(f.col("row.position"), f.lit("")), floor))
        ordered = f.array_sort(f.col(events), _by_position)
        return f.filter(ordered, lambda e: self._order(e["position"]) > least)

    def _order(self, position: Column) -> Column:
        return f.substring(position, 1, self._layout.order_width)

    def start(self) -> Column:
        """Return the state of a key from its row in the table."""
        here = f.col("row").isNotNull()
        moved_in = f.col("row.operation") == MOVED_IN
        count = f.when(~here, 0).when(moved_in, 2).otherwise(1)
        unknown = f.when(~here | (f.col("row.operation") == UNKNOWN), _names(self._names))
        mark = f.when(f.col("row.operation").isin(*self._doubtful), f.col("row.operation"))
        image = self._image_of(f.col("row.v"), unknown, f.lit(None), f.lit(None), mark)
        return self._struct(count=count, image=image, position=f.col("row.position"), operation=f.col("row.operation"))

    def step(self, state: Column, event: Column) -> Column:
        """Return the state after one more event."""
        count = self._count(state, event)
        arrive, update = self._arrive(state, event, count), self._update(state, event, count)
        operation = event["operation"]
        redelivered = self._order(event["position"]).eqNullSafe(self._order(state["position"]))
        after = f.when(redelivered, state).when(operation == "d", self._leave(state, event, count))
        return after.when(operation == "u", update).otherwise(arrive)

    def _count(self, state: Column, event: Column) -> Column:
        if not self._layout.deferred_keys:
            return f.least(state["count"], f.lit(1))
        same = _transaction(state["position"], self._layout.transaction_width) == _transaction(
            event["position"], self._layout.transaction_width
        )
        return f.when(same, state["count"]).otherwise(f.least(state["count"], f.lit(1)))

    def _arrive(self, state: Column, event: Column, count: Column) -> Column:
        displaces = event["old_key"].isNotNull() & (count > 0) & f.lit(self._layout.deferred_keys)
        at = components(event["position"], self._layout)
        arrived = self._image_of(event["v"], event["unavailable"], event["old_key"], at)
        came = f.struct(event["old_key"].alias("origin"), at.alias("at")).cast(self._arrival)
        kept = self._kept(state, event)
        moved_here = f.array_append(state["arrivals"], came)
        kept["arrivals"] = f.when(event["old_key"].isNotNull(), moved_here).otherwise(state["arrivals"])
        return self._struct(
            count=f.when(displaces, 2).otherwise(1),
            image=arrived,
            former=f.when(displaces, state["image"]),
            operation=f.when(displaces, MOVED_IN).otherwise(event["operation"]),
            **kept,
        )

    def _update(self, state: Column, event: Column, count: Column) -> Column:
        before = state["image"]
        both = f.array_intersect(event["unavailable"], before["unavailable"])
        image = self._image_of(
            self.filled(event["v"], before["v"], event["unavailable"]),
            f.when(count > 0, both).otherwise(event["unavailable"]),
            before["old_key"],
            before["arrived_at"],
            f.when(f.size(event["unavailable"]) > 0, before["doubtful"]),
        )
        return self._struct(
            count=f.greatest(count, f.lit(1)),
            image=image,
            former=state["former"],
            operation=f.when(count > 1, MOVED_IN).otherwise(event["operation"]),
            **self._kept(state, event),
        )

    def _leave(self, state: Column, event: Column, count: Column) -> Column:
        moves = event["new_key"].isNotNull()
        first_of_two = moves & (count > 1)
        left = f.struct(
            event["new_key"].alias("to"),
            components(event["position"], self._layout).alias("left_at"),
            f.when(first_of_two, state["former"]).otherwise(state["image"]).alias("image"),
        ).cast(self._departure)
        kept = self._kept(state, event)
        kept["departures"] = f.when(moves, f.array_append(state["departures"], left)).otherwise(state["departures"])
        return self._struct(
            count=f.when(first_of_two, 1).otherwise(0),
            image=f.when(first_of_two, state["image"]),
            operation=f.when(first_of_two, "c").otherwise("d"),
            **kept,
        )

    @staticmethod
    def _kept(state: Column, event: Column) -> dict[str, Column]:
        return {
            "position": event["position"],
            "source_ts": event["source_ts"],
            "departures": state["departures"],
            "arrivals": state["arrivals"],
            "touched": f.lit(True),
        }

    def filled(self, values: Column, known: Column, unavailable: Column) -> Column:
        """Return the values, those named in ``unavailable`` taken from ``known``."""
        fields = [
            f.when(f.array_contains(unavailable, name), known[name]).otherwise(values[name]).alias(name)
            for name in self._names
        ]
        return f.when(f.size(unavailable) == 0, values).otherwise(f.struct(*fields))

    def handed_over(self, image: Column, origin: Column) -> Column:
        """Return the image with what it lacks taken from the image that left its former key, where that knows it."""
        lacking = f.when(origin["doubtful"].isNull(), origin["unavailable"])
        gained = f.array_except(image["unavailable"], f.coalesce(lacking, image["unavailable"]))
        values = self.filled(image["v"], origin["v"], gained)
        still = f.array_except(image["unavailable"], gained)
        return self._image_of(values, still, image["old_key"], image["arrived_at"], image["doubtful"])

    def _image_of(self, values: Column, unavailable: Column | None = None, *moved: Column) -> Column:
        old_key, arrived_at, doubtful = (*moved, *[f.lit(None)] * 3)[:3]
        lacking = f.array() if unavailable is None else unavailable
        return f.struct(
            values.alias("v"),
            f.coalesce(lacking.cast("array<string>"), f.array().cast("array<string>")).alias("unavailable"),
            old_key.alias("old_key"),
            arrived_at.alias("arrived_at"),
            doubtful.alias("doubtful"),
        ).cast(self._image)

    def _struct(self, **given: Column) -> Column:
        nothing = self._image_of(f.lit(None).cast(self._values), _names(self._names))
        none = f.array()
        empty = {"image": nothing, "former": nothing, "departures": none, "arrivals": none, "touched": f.lit(False)}
        fields = []
        for name, kind in self._types.items():
            column = given.get(name, f.lit(None)).cast(kind)
            if name in empty:
                column = f.coalesce(column, empty[name].cast(kind))
            fields.append(column.alias(name))
        return f.struct(*fields)


def components(position: Column, layout: Layout) -> Column:
    """Return a position's components alone: the halves of a key change share them, but not always the epoch."""
    return f.substring(position, EPOCH_DIGITS + 2, layout.place_width - EPOCH_DIGITS - 1)


def _by_position(one: Column, other: Column) -> Column:
    earlier, later = one["position"] < other["position"], one["position"] > other["position"]
    return f.when(earlier, -1).when(later, 1).otherwise(0)


def _transaction(position: Column, width: int) -> Column:
    return f.coalesce(f.substring(position, 1, width), f.lit(""))


def judge(states: DataFrame, missing: Iterable[str]) -> Row:
    """Return what there is of folded keys, in one pass: ``keys, deletes, last_delete, waiting, unknown``.

    ``waiting`` tells whether a value may have moved in from another key, ``unknown`` names a column whose value a row
    lacks. Columns in ``missing`` are null, not unknown.
    """
    lacking = f.array_except(f.col("state.image.unavailable"), _names(missing))
    there = f.col("state.count") > 0
    totals = states.agg(
        f.count("*").alias("keys"),
        f.count_if(~there).alias("deletes"),
        f.max(f.when(~there, f.col("state.position"))).alias("last_delete"),
        f.coalesce(f.bool_or(there & _waiting(f.col("state.image"))), f.lit(False)).alias("waiting"),
        f.max(f.when(there, f.get(lacking, f.lit(0)))).alias("unknown"),
    )
    return totals.collect()[0]


def torn(states: DataFrame, given_up: str) -> str:
    """Return the least place of a key change of which only one half is there, empty if there is none.

    Those up to ``given_up`` do not count.
    """
    left = states.select(f.col("k").alias("origin"), f.inline("state.departures"))
    came = states.select(f.col("k").alias("to"), f.inline("state.arrivals"))
    halves = left.select("origin", "to", f.col("left_at").alias("at"), f.lit(1).alias("half")).unionByName(
        came.select("origin", "to", "at", f.lit(2).alias("half"))
    )
    one_half = f.min("half") == f.max("half")
    alone = halves.where(f.col("at") > given_up).groupBy("origin", "to", "at").agg(one_half.alias("alone"))
    return alone.where("alone").agg(f.min("at").alias("at")).collect()[0]["at"] or ""


def complete(states: DataFrame, shape: RowShape) -> DataFrame:
    """Return the states with values filled that moved in from another key of the same batch."""
    rules = _State(shape)
    ways = states.select(f.col("k").alias("origin"), f.inline("state.departures"))
    lacking = _lacking(ways)
    while lacking:  # each round hands values on by one key change
        ways = _hand_over(ways, "origin", "image", ways, rules).localCheckpoint()
        before, lacking = lacking, _lacking(ways)
        if lacking == before:
            break  # what is lacking still is known nowhere
    image = states.withColumn("image", f.col("state.image"))
    filled = _hand_over(image, "k", "image", ways, rules)
    return filled.select("k", f.col("state").withField("image", f.col("image")).alias("state"))


def _lacking(ways: DataFrame) -> int:
    """Return how many values wait for the departure that brought their row."""
    waiting = ways.where(_waiting(f.col("image")))
    return int(waiting.agg(f.coalesce(f.sum(f.size("image.unavailable")), f.lit(0)).alias("n")).collect()[0]["n"])


def _waiting(image: Column) -> Column:
    return (f.size(image["unavailable"]) > 0) & image["old_key"].isNotNull()


def _hand_over(rows: DataFrame, key: str, image: str, ways: DataFrame, rules: _State) -> DataFrame:
    """Fill the images of rows from the departures that brought them to their keys."""
    origins = ways.select(
        f.col("origin").alias("_origin"),
        f.col("to").alias("_to"),
        f.col("left_at").alias("_left_at"),
        f.col("image").alias("_image"),
    )
    came = (
        (f.col(image)["old_key"] == f.col("_origin"))
        & (f.col(key) == f.col("_to"))
        & (f.col(image)["arrived_at"] == f.col("_left_at"))
    )
    joined = rows.join(origins, came, "left")
    filled = f.when(_waiting(f.col(image)), rules.handed_over(f.col(image), f.col("_image"))).otherwise(f.col(image))
    return joined.withColumn(image, filled).drop("_origin", "_to", "_left_at", "_image")


def folded_changes(states: DataFrame, missing: Iterable[str]) -> DataFrame:
    """Return the changes of folded keys, in the shape of ``plain_changes``.

    A row that lacks a value is marked, unless its column is one of ``missing``; a doubtful one keeps its mark.
    """
    state = f.col("state")
    there = state["count"] > 0
    lacking = f.size(f.array_except(state["image"]["unavailable"], _names(missing))) > 0
    return states.select(
        "k",
        (state["count"] == 0).alias("deleted"),
        state["position"].alias("position"),
        f.when(there & lacking, UNKNOWN)
        .when(there & state["image"]["doubtful"].isNotNull(), state["image"]["doubtful"])
        .otherwise(state["operation"])
        .alias("operation"),
        state["source_ts"].alias("source_ts"),
        f.lit(True).alias("folded"),
        state["image"]["v"].alias("v"),
    )


def _names(columns: Iterable[str]) -> Column:
    """Return the names as one constant: a literal for each would make a wide table's fold many times larger."""
    joined = "\0".join(columns)
    return f.split(f.lit(joined), "\0") if joined else f.array().cast("array<string>")


def union(parts: Iterable[DataFrame]) -> DataFrame:
    """Return all rows of all parts, columns matched by name."""
    return reduce(lambda a, b: a.unionByName(b), parts)
